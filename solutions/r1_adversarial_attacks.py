"""The reference for `r1_adversarial_attacks`: attacks that keep to a threat model, and what can be concluded from them.

The docstrings are the task: a student sees them with the signatures, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DigitsNet(nn.Module):
    """Two convolutions and two linear layers: (b 1 8 8) pixels in [0, 1] -> (b 10) logits."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, padding=1, stride=2)
        self.hidden = nn.Linear(32 * width, 64)
        self.out = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return self.out(F.relu(self.hidden(x.flatten(1))))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model into eval mode for a `with` block; afterwards every part of it is in the mode it was in."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, was_training in modes:
            part.training = was_training


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy of each example. Shapes: logits (b k), y (b) -> (b)."""
    return F.cross_entropy(logits, y, reduction="none")


def project(delta: Tensor, eps: float, p: float) -> Tensor:
    """Return, for each example, the point of the lp ball of radius eps around 0 that is nearest to delta.

    Nearest in the Euclidean sense, whatever p is. Example i is delta[i], with all its entries taken as one
    vector. What lies in the ball already comes back bit for bit. delta is not modified.

    Shapes: delta (b ...) -> (b ...), in the dtype of delta; b may be 0. p is math.inf, 2 or 1; eps >= 0.
    Raises: ValueError when p is none of the three.
    Source: Duchi et al. 2008, section 3 and figure 1 (p = 1: the simplex, then section 4 for the ball).
    """
    if p == math.inf:
        return delta.clamp(-eps, eps)
    flat = delta.flatten(1)
    if p == 2:
        norm = flat.norm(dim=1, keepdim=True)
        moved = flat * (eps / norm.clamp_min(torch.finfo(flat.dtype).tiny))
    elif p == 1:
        norm = flat.abs().sum(dim=1, keepdim=True)
        largest = flat.abs().sort(dim=1, descending=True).values
        shrink = (largest.cumsum(dim=1) - eps) / torch.arange(1, flat.shape[1] + 1)
        # The n largest entries share the excess among themselves, for the largest n that leaves all n positive.
        n_kept = (largest > shrink).sum(dim=1, keepdim=True).clamp_min(1)
        moved = flat.sign() * (flat.abs() - shrink.gather(1, n_kept - 1)).clamp_min(0)
    else:
        raise ValueError(f"p={p}; expected math.inf, 2 or 1")
    return torch.where(norm <= eps, flat, moved).reshape(delta.shape)


def loss_gradient(
    model: nn.Module, x: Tensor, y: Tensor, loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy
) -> tuple[Tensor, Tensor]:
    """Return (losses, gradient): each example's own loss, and its derivative by that example's own pixels.

    One query: the model is called once, on the whole batch, in eval mode, and once differentiated. An
    example's gradient is the same in any batch. Nothing is left behind: x, its .grad, the .grad of every
    parameter of the model and the mode of each of its parts are as before, and what is returned does not
    require gradients. It works also where the caller has switched gradients off.

    Shapes: x (b ...), y (b) int64; loss takes logits (b k) and y, and gives (b) -> losses (b), gradient (b
        ...).
    Source: Goodfellow et al. 2015, section 4.
    """
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad(), evaluating(model):
        losses = loss(model(x), y)
        # Summed, not averaged: then no example's gradient depends on how many others there are.
        (gradient,) = torch.autograd.grad(losses.sum(), x)
    return losses.detach(), gradient


def fgsm(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, targeted: bool = False, clip: tuple[float, float] = (0.0, 1.0)
) -> Tensor:
    """Change every pixel by eps, in the direction in which the cross-entropy rises, then clip to [clip[0], clip[1]].

    With `targeted`, y are the classes that the model shall say: then the cross-entropy shall fall. A pixel
    whose derivative is 0 stays where it is. One query of the model, under the conditions of loss_gradient. x
    is not modified.

    Shapes: x (b ...) with pixels in [clip[0], clip[1]], y (b) int64 -> (b ...).
    Source: Goodfellow et al. 2015, section 4.
    """
    _, gradient = loss_gradient(model, x, y)
    step = -eps if targeted else eps
    return (x + step * gradient.sign()).clamp(clip[0], clip[1])


def random_in_ball(shape: Sequence[int], eps: float, p: float, gen: torch.Generator) -> Tensor:
    """Draw one point per example, uniformly by volume, from the lp ball of radius eps around 0.

    Every region of the ball is hit in proportion to its volume; the examples are independent; all randomness
    comes from `gen`. No point lies outside, but for rounding.

    Shapes: shape is (b ...), of which the first is the number of examples, and may be 0 -> a float32 tensor
        of that shape. p is math.inf or 2.
    Raises: ValueError when p is neither.
    Source: Muller 1959 (directions from normal numbers); the law of the radius is yours to find.
    """
    if p == math.inf:
        return (2 * torch.rand(*shape, generator=gen) - 1) * eps
    if p != 2:
        raise ValueError(f"p={p}; expected math.inf or 2")
    normal = torch.randn(*shape, generator=gen).flatten(1)
    # Within radius r lies the share (r / eps)^d of the volume.
    radius = eps * torch.rand(shape[0], 1, generator=gen) ** (1 / normal.shape[1])
    return (normal / normal.norm(dim=1, keepdim=True) * radius).reshape(*shape)


def pgd(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    eps: float,
    alpha: float,
    steps: int,
    restarts: int,
    norm: float,
    gen: torch.Generator,
) -> Tensor:
    """Climb the cross-entropy inside the ball of radius eps around x and inside [0, 1], and return the best end point.

    Each restart begins at a point drawn uniformly from the ball (random_in_ball, with `gen`; of x + draw,
    what lies outside [0, 1] is clipped) and makes `steps` steps. A step moves by alpha times the sign of the
    gradient (norm math.inf), or by alpha times the gradient divided by its Euclidean length, per example
    (norm 2; a gradient of length 0 moves nothing). Then the point is projected on the ball around x and
    clipped to [0, 1]. For every example separately the result is the end point, of all restarts, at which its
    own loss is highest. A point met on the way may take its place if its loss is at least as high.

    Every query lies in the ball and in [0, 1]; the model is asked in eval mode; per example there are no more
    than restarts * (steps + 1) queries. All randomness comes from `gen`. x is not modified.

    Shapes: x (b ...) with pixels in [0, 1], y (b) int64 -> (b ...), in the dtype of x. norm is math.inf or 2.
    Source: Madry et al. 2018, sections 2.1 and 3.1 (restarts).
    """
    best, highest = x.clone(), torch.full((len(x),), -math.inf)
    for _ in range(restarts):
        adv = (x + random_in_ball(x.shape, eps, norm, gen)).clamp(0, 1).to(x.dtype)
        for _ in range(steps):
            _, gradient = loss_gradient(model, adv, y)
            if norm == math.inf:
                direction = gradient.sign()
            else:
                length = gradient.flatten(1).norm(dim=1).reshape(-1, *[1] * (x.ndim - 1))
                direction = gradient / length.clamp_min(torch.finfo(x.dtype).tiny)
            adv = (x + project(adv + alpha * direction - x, eps, norm)).clamp(0, 1)
        with torch.no_grad(), evaluating(model):
            losses = cross_entropy(model(adv), y)
        better = losses > highest
        best[better], highest[better] = adv[better], losses[better].to(highest.dtype)
    return best


def margin_loss(logits: Tensor, y: Tensor) -> Tensor:
    """Return the largest logit of another class, minus the logit of y: positive exactly when the model says another class.

    Shapes: logits (b k) with k >= 2, y (b) int64 -> (b).
    Source: Carlini and Wagner 2017, section V.A (the objective f6, without confidence, for an attack without
        a target).
    """
    own = F.one_hot(y, logits.shape[1]).bool()
    return logits.masked_fill(own, -math.inf).amax(dim=1) - logits[own]


def dlr_loss(logits: Tensor, y: Tensor) -> Tensor:
    """Return the margin_loss, divided by (the largest logit minus the third largest, plus 1e-12).

    Largest and third largest are of all k classes, y included. The loss does not change when a constant is
    added to the logits, nor when they are multiplied by a positive one.

    Shapes: logits (b k), y (b) int64 -> (b).
    Raises: ValueError when k < 3.
    Source: Croce and Hein 2020, section 4.
    """
    if logits.shape[1] < 3:
        raise ValueError(f"{logits.shape[1]} classes; the loss needs a third largest logit")
    ordered = logits.sort(dim=1, descending=True).values
    return margin_loss(logits, y) / (ordered[:, 0] - ordered[:, 2] + 1e-12)


def targeted_dlr(logits: Tensor, y: Tensor, target: Tensor) -> Tensor:
    """Return the logit of the target minus that of y, divided by a gap that makes the loss free of scale.

    The gap is the largest logit, minus the mean of the third and the fourth largest, plus 1e-12.

    Shapes: logits (b k), y (b) int64, target (b) int64 -> (b).
    Raises: ValueError when k < 4.
    Source: Croce and Hein 2020, section 4 (the targeted loss).
    """
    if logits.shape[1] < 4:
        raise ValueError(f"{logits.shape[1]} classes; the loss needs a fourth largest logit")
    ordered = logits.sort(dim=1, descending=True).values
    rise = logits.gather(1, target[:, None]) - logits.gather(1, y[:, None])
    return rise[:, 0] / (ordered[:, 0] - (ordered[:, 2] + ordered[:, 3]) / 2 + 1e-12)


def apgd_checkpoints(steps: int) -> list[int]:
    """Return the checkpoints of a run of `steps` steps, in increasing order, each once, none above `steps`.

    They are ceil(p_j * steps) for j = 1, 2, ..., where p_0 = 0, p_1 = 0.22 and p_(j+1) = p_j + max(p_j -
    p_(j-1) - 0.03, 0.06) are exact hundredths (with 100 steps: 22, 41, 57, 70, 80, 87, 93, 99).

    Source: Croce and Hein 2020, section 3.
    """
    found: list[int] = []
    # In whole hundredths: 0.22 + 0.19 + 0.16 + 0.13 is not 0.7 in floating point, and the ceiling notices.
    before, now = 0, 22
    while -(-now * steps // 100) <= steps and now <= 100:
        if (checkpoint := -(-now * steps // 100)) not in [0, *found[-1:]]:
            found.append(checkpoint)
        before, now = now, now + max(now - before - 3, 6)
    return found


def apgd(
    model: nn.Module, x: Tensor, y: Tensor, eps: float, steps: int, loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy
) -> Tensor:
    """Climb a loss inside the l-infinity ball around x and inside [0, 1], choosing the step size alone; return the best point.

    P(z) is z, clipped to the ball and to [0, 1]; s is the sign of the gradient at the current point x_k.
    Every example has its own step size eta, at first 2 * eps, its own best point and its own decisions. From
    x_0 = x:

        x_1     = P(x_0 + eta * s)
        z       = P(x_k + eta * s)
        x_(k+1) = P(x_k + 0.75 * (z - x_k) + 0.25 * (x_k - x_(k-1)))          for k >= 1

    The best point is the one of highest loss so far (at equal losses the earlier one). When x_k has been
    evaluated and k is a checkpoint, the example's step size is halved and its x_k is replaced by the best
    point (x_(k-1) stays) if
      1. of the steps since the checkpoint before (or since the start) fewer than three quarters raised the
         loss above that of the point from which they were made, or
      2. at the checkpoint before, the step size was not halved, and the highest loss has not changed since.
         (There is no checkpoint before the first one, so there this condition does not apply.)

    There are `steps` steps, so per example steps + 1 queries, and one more per checkpoint at most if you ask
    again at a best point. Every query lies in the ball and in [0, 1], in eval mode. There is no randomness. x
    is not modified.

    Shapes: x (b ...) with pixels in [0, 1], y (b) int64; loss takes logits (b k) and y, and gives (b) -> (b
        ...).
    Source: Croce and Hein 2020, section 3 and algorithm 1.
    """

    def clip(z: Tensor) -> Tensor:
        return (x + (z - x).clamp(-eps, eps)).clamp(0, 1)

    def where(which: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return torch.where(which.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    old, now = x, x
    here, gradient = loss_gradient(model, now, y, loss)
    best, best_gradient, highest = now, gradient, here
    eta = torch.full((len(x), *[1] * (x.ndim - 1)), 2 * eps, dtype=x.dtype)
    n_rises, highest_before = torch.zeros(len(x)), highest
    was_halved = torch.ones(len(x), dtype=torch.bool)  # before the first checkpoint condition 2 must not hold
    last, checkpoints = 0, apgd_checkpoints(steps)
    for k in range(1, steps + 1):
        z = clip(now + eta * gradient.sign())
        old, now = now, z if k == 1 else clip(now + 0.75 * (z - now) + 0.25 * (now - old))
        there, gradient = loss_gradient(model, now, y, loss)
        n_rises += there > here
        better, here = there > highest, there
        best, best_gradient, highest = (
            where(better, now, best),
            where(better, gradient, best_gradient),
            where(better, there, highest),
        )
        if k in checkpoints:
            halve = (n_rises < 0.75 * (k - last)) | (~was_halved & (highest == highest_before))
            eta = where(halve, eta / 2, eta)
            now, gradient, here = where(halve, best, now), where(halve, best_gradient, gradient), where(halve, highest, here)
            last, n_rises, highest_before, was_halved = k, torch.zeros(len(x)), highest, halve
    return best.clone()


def square_side(i: int, queries: int, side: int, p: float = 0.8) -> int:
    """Return the side of the square that query number i changes, in an image of side * side pixels.

    At first the square covers the share p of the image. The share is halved each time that 10000 * i /
    queries has passed one of 10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000 (is larger than it). The side is
    the nearest integer to that of a square of this area, at least 1 and at most `side`.

    Source: Andriushchenko et al. 2020, section 3, and the schedule of its published code.
    """
    n_halvings = sum(10_000 * i > mark * queries for mark in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000))
    return min(max(round(side * math.sqrt(p / 2**n_halvings)), 1), side)


def square_attack(model: nn.Module, x: Tensor, y: Tensor, eps: float, queries: int, gen: torch.Generator) -> Tensor:
    """Raise the margin_loss inside the l-infinity ball and [0, 1] by random search, from logits alone.

    Query number 0 is x with vertical stripes: for every example, channel and column, all pixels are moved by
    +eps or all by -eps, at random, and clipped to [0, 1]. Query number i = 1, 2, ... proposes, for every
    example, the best point so far with one square changed, of square_side(i, queries, side) pixels on each
    side, placed uniformly where it fits: inside it, every channel of x is moved by +eps or by -eps as a
    whole, at random, and clipped to [0, 1]. The proposal becomes the best point if its margin_loss is higher.
    Return the best points.

    Per example there are at most `queries` queries. An example that is misclassified needs no more of them
    (further ones are allowed within the budget, as its margin_loss still rises). No gradient is asked for.
    The model is asked in eval mode, all randomness comes from `gen`, and x is not modified.

    Shapes: x (b c side side) with pixels in [0, 1], y (b) int64 -> (b c side side). queries >= 1.
    Source: Andriushchenko et al. 2020, section 3 and algorithms 1 and 2.
    """
    b, c, side = x.shape[:3]

    def signs(*shape: int) -> Tensor:
        return (2 * torch.randint(2, shape, generator=gen) - 1).to(x.dtype)

    with torch.no_grad(), evaluating(model):
        best = (x + eps * signs(b, c, 1, side)).clamp(0, 1)
        highest = margin_loss(model(best), y)
        for i in range(1, queries):
            (active,) = torch.where(highest <= 0)
            if not len(active):
                break
            size = square_side(i, queries, side)
            corner = torch.randint(side - size + 1, (2, len(active), 1), generator=gen)
            rows, columns = ((torch.arange(side) >= start) & (torch.arange(side) < start + size) for start in corner)
            inside = (rows[:, :, None] & columns[:, None, :])[:, None]
            moved = (x[active] + eps * signs(len(active), c, 1, 1)).clamp(0, 1)
            proposal = torch.where(inside, moved, best[active])
            reached = margin_loss(model(proposal), y[active])
            better = reached > highest[active]
            best[active[better]], highest[active[better]] = proposal[better], reached[better]
    return best


def cw_l2(
    model: nn.Module, x: Tensor, y: Tensor, c_search: int, steps: int, c: float = 0.01, lr: float = 0.01
) -> tuple[Tensor, Tensor]:
    """Look for the nearest misclassified image, in the Euclidean sense: return (adv, found).

    The image is written x' = (tanh(w) + 1) / 2, so that it lies in [0, 1] whatever w is; w starts where x' is
    x (bring x a little away from 0 and 1 first: 1e-6 is enough, and more than 1e-4 too much). Adam (learning
    rate lr, `steps` steps, begun anew for each c) minimises, per example,

        |x' - x|^2 + c * max(-margin_loss(logits of x', y), 0)

    The first c is given, the same for all examples. c_search values of c are tried in all, chosen for every
    example by itself: after a c with which any x' was misclassified, c was large enough: go on half way
    between it and the largest c known to be too small (0 if none is); otherwise go on half way to the
    smallest one known to be large enough, or to ten times c if none is.

    adv is, of all x' that were evaluated and misclassified (margin_loss above 0), the one nearest to x, over
    all values of c; found says where there is one; where there is none, adv is x. The model is asked in eval
    mode, no more than c_search * (steps + 1) times per example. x is not modified.

    Shapes: x (b ...) with pixels in [0, 1], y (b) int64 -> adv (b ...), found (b) bool.
    Source: Carlini and Wagner 2017, sections V.A (objective), V.B (change of variables) and VI.A.
    """
    per_example = (len(x), *[1] * (x.ndim - 1))
    weight = torch.full((len(x),), c, dtype=x.dtype)
    too_small, enough = torch.zeros_like(weight), torch.full_like(weight, math.inf)
    adv, nearest = x.clone(), torch.full_like(weight, math.inf)
    start = torch.atanh((2 * x - 1) * (1 - 2e-6))
    for _ in range(c_search):
        w = start.clone().requires_grad_()
        optimiser = torch.optim.Adam([w], lr=lr)
        succeeded = torch.zeros(len(x), dtype=torch.bool)
        for _ in range(steps):
            with torch.enable_grad(), evaluating(model):
                image = (torch.tanh(w) + 1) / 2
                margin = margin_loss(model(image), y)
                distance = (image - x).flatten(1).square().sum(dim=1)
                objective = (distance + weight * (-margin).clamp_min(0)).sum()
                (w.grad,) = torch.autograd.grad(objective, w)
            optimiser.step()
            wrong = margin.detach() > 0
            succeeded |= wrong
            closer = wrong & (distance.detach() < nearest)
            nearest = torch.where(closer, distance.detach(), nearest)
            adv = torch.where(closer.reshape(per_example), image.detach(), adv)
        enough = torch.where(succeeded, weight, enough)
        too_small = torch.where(succeeded, too_small, weight)
        weight = torch.where(enough.isinf(), 10 * weight, (too_small + enough) / 2)
    return adv, nearest.isfinite()


def robust_accuracy(
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    attacks: Mapping[str, Callable[[nn.Module, Tensor, Tensor], Tensor]],
    batch_size: int = 128,
) -> dict[str, object]:
    """Count the examples that survive everything: classified rightly as they are, and after each of the attacks.

    The attacks are made in the order of the mapping, each as attack(model, x, y), on batches of at most
    batch_size examples. An attack gets only examples that still stand: what the model gets wrong without any
    attack, or has lost to an earlier one, is not attacked again; an attack for which nothing is left is not
    called. An example is lost when the model's answer (the largest logit) at the attacked point is not y. The
    model is asked in eval mode.

    Return a dict with
        "clean": float, the share of the examples that the model gets right as they are;
        "left": dict with, for each attack's name, the share of all examples that stand after this attack and
            those before it;
        "robust": float, the share of all examples that stand in the end;
        "standing": bool tensor (n), which ones they are.

    Shapes: data is x (n ...), y (n) int64, n >= 1.
    Source: Croce and Hein 2020, section 5 (the worst case per example); Croce et al. 2021 (RobustBench).
    """
    x, y = data
    standing = torch.zeros(len(x), dtype=torch.bool)

    def right(points: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            return model(points).argmax(dim=1) == labels

    with evaluating(model):
        for part in torch.arange(len(x)).split(batch_size):
            standing[part] = right(x[part], y[part])
        clean = standing.double().mean().item()
        left = {}
        for name, attack in attacks.items():
            # No part of an empty tensor: split would give one of length 0.
            for part in standing.nonzero()[:, 0].split(batch_size) if standing.any() else ():
                standing[part] = right(attack(model, x[part], y[part]), y[part])
            left[name] = standing.double().mean().item()
    return {"clean": clean, "left": left, "robust": standing.double().mean().item(), "standing": standing}


def masking_report(
    model: nn.Module, surrogate: nn.Module, data: tuple[Tensor, Tensor], eps: float, gen: torch.Generator
) -> dict[str, bool]:
    """Ask five questions whose answer is no for a model whose gradients can be trusted; True is a sign of masking.

    Accuracies are shares of all examples. PGD is yours with the l-infinity norm, 20 steps of a quarter of its
    eps and one restart. "Clearly" means by more than 0.1.

        "more_steps":    is the accuracy under PGD clearly higher than under fgsm with the same eps?
        "unbounded_eps": is the accuracy under PGD with eps = 1, which may change anything, above 0.1?
        "random_search": is the accuracy under square_attack, with 300 queries, clearly lower than under PGD?
        "transfer":      is the accuracy on PGD's results against the surrogate clearly lower than on those
                         against the model?
        "flat_loss":     is, for more than half of the examples, every entry of the cross-entropy's gradient
                         at x below 1e-12 in size?

    The model may be random: ask it once for each accuracy. Both models are in eval mode. All randomness comes
    from `gen`.

    Shapes: data is x (n c side side) with pixels in [0, 1], y (n) int64 -> a dict of the five names, each
        with a plain bool.
    Source: Athalye et al. 2018 (Obfuscated Gradients), section 3.1; Carlini et al. 2019 (its checklist).
    """
    x, y = data

    def accuracy(points: Tensor) -> float:
        with torch.no_grad(), evaluating(model):
            return (model(points).argmax(dim=1) == y).double().mean().item()

    under_pgd = accuracy(pgd(model, x, y, eps, eps / 4, 20, 1, math.inf, gen))
    _, gradient = loss_gradient(model, x, y)
    return {
        "more_steps": under_pgd > accuracy(fgsm(model, x, y, eps)) + 0.1,
        "unbounded_eps": accuracy(pgd(model, x, y, 1.0, 0.25, 20, 1, math.inf, gen)) > 0.1,
        "random_search": accuracy(square_attack(model, x, y, eps, 300, gen)) < under_pgd - 0.1,
        "transfer": accuracy(pgd(surrogate, x, y, eps, eps / 4, 20, 1, math.inf, gen)) < under_pgd - 0.1,
        "flat_loss": bool((gradient.abs().flatten(1).amax(dim=1) < 1e-12).double().mean() > 0.5),
    }


def eot_gradient(
    model: nn.Module, transform: Callable[[Tensor, int], Tensor], x: Tensor, y: Tensor, n: int, gen: torch.Generator
) -> Tensor:
    """Estimate the gradient of the expected cross-entropy of the model on randomly transformed inputs, by n draws.

    transform(x, seed) is differentiable in x, and random by its seed alone: the same seed, the same
    transformation. Draw n seeds from `gen`, independently and uniformly from 0, ..., 2^31 - 1, and average
    over them the gradient of each example's own loss by its own pixels, through model and transformation. The
    transformation is called n times, each time on the whole batch; the conditions of loss_gradient hold.

    Shapes: x (b ...), y (b) int64 -> (b ...).
    Source: Athalye et al. 2018 (Synthesizing Robust Adversarial Examples), section 2.1; Athalye et al. 2018
        (Obfuscated Gradients), section 4.2.
    """
    total = torch.zeros_like(x)
    for seed in torch.randint(2**31, (n,), generator=gen).tolist():
        points = x.detach().clone().requires_grad_()
        with torch.enable_grad(), evaluating(model):
            losses = cross_entropy(model(transform(points, seed)), y)
            total += torch.autograd.grad(losses.sum(), points)[0]
    return total / n


def bpda(module: Callable[[Tensor], Tensor], backward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return a function that computes module(x), and whose derivative is that of backward(x).

    The value is module's, up to rounding, whether or not module can be differentiated. In a backward pass the
    incoming gradient goes through `backward` at the same x, as if it had been computed instead; what module's
    own derivative would be plays no role. `backward` gives a tensor of the shape of module's; with lambda x:
    x the gradient passes straight through.

    Source: Athalye et al. 2018 (Obfuscated Gradients), sections 4.1.1 and 4.1.2.
    """

    class Replaced(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return module(x).clone()

        @staticmethod
        def backward(ctx, upstream):
            (x,) = ctx.saved_tensors
            with torch.enable_grad():
                point = x.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(backward(point), point, upstream)
            return gradient

    return Replaced.apply
