"""The reference for `r2_defences`: training against attacks, bounds that hold for a whole ball, and what noise can certify.

The docstrings are the task: a student sees them with the signatures, and nothing else.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import NormalDist

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Residual(nn.Module):
    """x + body(x), where body is the given layers in a row."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


@dataclass(frozen=True)
class Schedule:
    """How ibp_train trains. In epoch e = 0, 1, ... the share r is 0 while e < warm_up, then (e - warm_up + 1) / ramp, at most 1."""

    epochs: int
    warm_up: int
    ramp: int
    kappa: float  # the weight of the clean loss at the end
    batch: int
    lr: float
    seed: int


@contextmanager
def in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Put the model into train or eval mode for a `with` block; afterwards every part of it is in the mode it was in."""
    modes = [(part, part.training) for part in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for part, was_training in modes:
            part.training = was_training


def adversarial_step(
    model: nn.Module,
    opt: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    attack: Callable[[nn.Module, Tensor, Tensor], Tensor],
) -> dict[str, float]:
    """Make one step of adversarial training: attack the batch in eval mode, then take one optimiser step in train mode.

    attack(model, x, y) is called once and returns the attacked images; meanwhile every part of the model is
    in eval mode. The step is on the mean cross-entropy of the attacked images alone, and its gradients are of
    this loss alone: whatever the attack, or anybody before, has left in the parameters' .grad must not count.
    For the step the model runs once, on the attacked images, with every part in train mode; so running
    statistics (batch norm) are updated exactly once. Afterwards every part of the model is in the mode it was
    in. x is not modified.

    Returns {"loss": this mean cross-entropy, "accuracy": the share of attacked images that were classified
    right}, both plain floats, taken from that one run (before the parameters changed).

    Shapes: x (b ...), y (b) int64.
    Source: Madry et al. 2018, section 2.1.
    """
    with in_mode(model, False):
        points = attack(model, x, y)
    with in_mode(model, True):
        # After the attack: a backward() in it fills the parameters' gradients as well.
        opt.zero_grad()
        logits = model(points.detach())
        loss = F.cross_entropy(logits, y)
        loss.backward()
        opt.step()
    return {"loss": loss.item(), "accuracy": (logits.argmax(1) == y).double().mean().item()}


def trades_loss(model: nn.Module, x: Tensor, y: Tensor, eps: float, beta: float, steps: int, gen: torch.Generator) -> Tensor:
    """Return the TRADES loss: mean cross-entropy of the clean images, plus beta times the mean KL(clean || attacked).

    KL(clean || attacked) is the Kullback-Leibler divergence sum_j p_j (log p_j - log q_j), with p the model's
    probabilities at x and q those at the attacked image. The attacked images are found first, with the model
    in eval mode: they start at x + 0.001 * torch.randn(x.shape, generator=gen), then make `steps` steps of
    size 2 * eps / steps in the direction of the sign of the gradient that raises KL(clean || attacked). After
    the start, and after each step, the point is brought back into the l-infinity ball of radius eps around x
    and then into [0, 1]. A query of the model never lies outside of these.

    Then, with every part of the model in the mode in which the caller left it, the model runs twice: once on
    x and once on the attacked images, in this order. Both terms are differentiable by the parameters through
    both of these runs; no gradient flows through the search for the attacked images. Nothing is left in the
    .grad of the parameters, the modes are as before, x is not modified, and all randomness comes from `gen`.
    With beta = 0 the value is the plain cross-entropy.

    Shapes: x (b ...) with pixels in [0, 1], y (b) int64 -> a tensor without dimensions. steps >= 1.
    Source: Zhang et al. 2019, equation 5 and algorithm 1.
    """

    def back(point: Tensor) -> Tensor:
        return (x + (point - x).clamp(-eps, eps)).clamp(0, 1)

    def divergence(clean: Tensor, attacked: Tensor) -> Tensor:
        return F.kl_div(attacked.log_softmax(1), clean.log_softmax(1), reduction="batchmean", log_target=True)

    start = torch.randn(x.shape, generator=gen).to(x.dtype)
    point = back(x + 0.001 * start)
    with in_mode(model, False), torch.enable_grad():
        with torch.no_grad():
            clean = model(x)
        for _ in range(steps):
            point = point.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(divergence(clean, model(point)), point)
            point = back(point.detach() + 2 * eps / steps * gradient.sign())
    logits = model(x)
    return F.cross_entropy(logits, y) + beta * divergence(logits, model(point))


def spectral_norm(w: Tensor, iters: int, shape: Sequence[int] | None = None, stride: int = 1, padding: int = 0) -> float:
    """Estimate the largest singular value of a linear map by `iters` rounds of power iteration.

    A w of two dimensions (o i) is a matrix. A w of four (o i h w) is the kernel of a convolution with this
    stride and zero padding; the map then takes an image of `shape` (i, height, width) to the convolved image,
    all entries in a row. Its norm depends on shape, stride and padding, and is not that of the kernel written
    as a matrix.

    The estimate never exceeds the true norm (but for rounding) and tends to it as iters grows, for every w:
    so the start is drawn at random. Where from is your choice; torch's global generator is left alone. For a
    map that is 0 it is 0.0.

    Shapes: w (o i), or (o i h w) with shape (3 integers) -> a float. iters >= 1.
    Source: Tsuzuku et al. 2018, section 4 and algorithm 1 (power iteration through convolutions).
    """
    w = w.detach()
    start = (w.shape[1],) if w.ndim == 2 else (1, *(shape or ()))
    v = torch.randn(start, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(w.dtype)
    for _ in range(iters):
        v = v / v.norm().clamp_min(torch.finfo(w.dtype).tiny)
        u = w @ v if w.ndim == 2 else F.conv2d(v, w, stride=stride, padding=padding)
        norm = u.norm()
        v = w.T @ u if w.ndim == 2 else nn.grad.conv2d_input(start, w, u, stride=stride, padding=padding)
    return float(norm)


def lipschitz_bound(net: nn.Module, shape: Sequence[int], iters: int = 200) -> float:
    """Return an upper bound on how much longer, in the Euclidean norm, the network can make a difference of two inputs.

    One layer after the other multiplies: nn.Linear and nn.Conv2d by their spectral norm (estimated with
    `iters` rounds), nn.ReLU and nn.Flatten by 1, Residual by 1 plus the bound of its body, nn.Sequential by
    the product over its parts. The bound is as good as the estimates: with too few rounds it is too small.

    Shapes: shape is that of one input, without the batch: (d) or (c h w).
    Raises: TypeError for a layer of any other kind: a bound that leaves a layer out is none.
    Source: Tsuzuku et al. 2018, section 4.
    """

    def bound(part: nn.Module, x: Tensor) -> tuple[float, Tensor]:
        """Return the part's own bound, and what it makes of x: the next part may need to know the shape."""
        if isinstance(part, nn.Sequential):
            product = 1.0
            for layer in part:
                factor, x = bound(layer, x)
                product *= factor
            return product, x
        if isinstance(part, Residual):
            return 1 + bound(part.body, x)[0], part(x)
        if isinstance(part, nn.Linear):
            return spectral_norm(part.weight, iters), part(x)
        if isinstance(part, nn.Conv2d):
            return spectral_norm(part.weight, iters, x.shape[1:], part.stride[0], int(part.padding[0])), part(x)
        if isinstance(part, nn.ReLU | nn.Flatten):
            return 1.0, part(x)
        raise TypeError(f"no bound is known for a layer of type {type(part).__name__}")

    dtype = next((p.dtype for p in net.parameters()), torch.float32)
    with torch.no_grad():
        return bound(net, torch.zeros(1, *shape, dtype=dtype))[0]


def margin_radius(logits: Tensor, L: float) -> Tensor:
    """Return, for each example, the radius of an l2 ball around it in which the class of the largest logit cannot change.

    L > 0 bounds how much longer the network can make a difference of two inputs, as lipschitz_bound does;
    nothing else is known of it, and the radius is the largest that follows from this alone.

    Shapes: logits (b k) with k >= 2 -> (b).
    Source: Tsuzuku et al. 2018, section 3.
    """
    top = logits.topk(2, dim=1).values
    return (top[:, 0] - top[:, 1]) / (math.sqrt(2) * L)


def ball_box(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return the least and the greatest value of each pixel over all images in the l-infinity ball around x and in [0, 1].

    Shapes: x (b ...) with pixels in [0, 1] -> lo, hi (b ...).
    """
    return (x - eps).clamp(0, 1), (x + eps).clamp(0, 1)


def ibp(net: nn.Module, lo: Tensor, hi: Tensor) -> tuple[Tensor, Tensor]:
    """Return bounds on every output of the network, for all inputs between lo and hi, by interval arithmetic.

    Each layer takes an interval per entry to an interval per entry, exactly for that layer alone: the least
    and the greatest value of each output, over all inputs in the intervals. Layers may be nn.Linear and
    nn.Conv2d (of any stride, padding, dilation, groups, with or without bias), nn.ReLU, nn.Flatten,
    nn.Sequential of these, and Residual, where the intervals of x and of body(x) are added. lo and hi are
    used as given (they may lie outside [0, 1]), and are not modified. Where lo equals hi, both results are
    the network's output. Differentiable by the parameters, by lo and by hi.

    Shapes: lo, hi (b ...) -> (b k), (b k), or what the network returns.
    Raises: TypeError for a layer of any other kind.
    Source: Gowal et al. 2018, section 3.1.
    """
    if isinstance(net, nn.Sequential):
        for layer in net:
            lo, hi = ibp(layer, lo, hi)
        return lo, hi
    if isinstance(net, Residual):
        low, high = ibp(net.body, lo, hi)
        return lo + low, hi + high
    if isinstance(net, nn.ReLU | nn.Flatten):
        return net(lo), net(hi)
    centre, radius = (lo + hi) / 2, (hi - lo) / 2
    if isinstance(net, nn.Linear):
        spread = F.linear(radius, net.weight.abs())
    elif isinstance(net, nn.Conv2d):
        spread = F.conv2d(radius, net.weight.abs(), None, net.stride, net.padding, net.dilation, net.groups)
    else:
        raise TypeError(f"no interval rule for a layer of type {type(net).__name__}")
    middle = net(centre)
    return middle - spread, middle + spread


def crown(net: nn.Sequential, x: Tensor, eps: float, C: Tensor) -> Tensor:
    """Return lower bounds on C @ net(z) that hold for all z in the l-infinity ball of radius eps around x, by CROWN.

    A linear lower bound on each row of C @ net(z) is carried from the output back to the input, layer by
    layer. At a ReLU whose input lies between l and u it is replaced by a line below or above it, as the sign
    of its coefficient demands:
      - u <= 0: the line 0; l >= 0: the line z itself; else (l < 0 < u)
      - above: the line through (l, 0) and (u, u);
      - below: the line z if u > -l, else the line 0 (the adaptive slope).
    The bounds l and u of each ReLU's input come from the same procedure, applied to the layers before it,
    first to last; no other bounds are mixed in. At the input the linear bound is minimised over the ball,
    which is not cut to [0, 1]. x and C are not modified.

    Shapes: net is an nn.Sequential of nn.Linear (with or without bias), nn.ReLU and nn.Flatten (the first
        layer only); x (b ...), C (b m k) -> (b m), in the dtype of x.
    Source: Zhang et al. 2018, sections 3.2 and 3.3 (CROWN-Ada).
    """
    layers = [layer for layer in net if not isinstance(layer, nn.Flatten)]
    centre = x.flatten(1)
    relaxed: dict[int, tuple[Tensor, Tensor, Tensor]] = {}

    def lower(A: Tensor, n: int) -> Tensor:
        """Bound A @ (what the first n layers return) from below."""
        total = torch.zeros_like(A[..., 0])
        for i in reversed(range(n)):
            layer = layers[i]
            if isinstance(layer, nn.Linear):
                if layer.bias is not None:
                    total = total + A @ layer.bias
                A = A @ layer.weight
            else:
                above, offset, below = relaxed[i]
                rising, falling = A.clamp(min=0), A.clamp(max=0)
                total = total + (falling * offset).sum(-1)
                A = rising * below + falling * above
        return total + (A * centre[:, None]).sum(-1) - eps * A.abs().sum(-1)

    width = centre.shape[1]
    for i, layer in enumerate(layers):
        if isinstance(layer, nn.Linear):
            width = layer.out_features
            continue
        eye = torch.eye(width, dtype=x.dtype).expand(len(x), -1, -1)
        low, high = lower(eye, i), -lower(-eye, i)
        unstable = (low < 0) & (high > 0)
        slope = torch.where(unstable, high / torch.where(unstable, high - low, 1.0), (low >= 0).to(x.dtype))
        offset = torch.where(unstable, -slope * low, 0.0)
        below = torch.where(unstable, (high > -low).to(x.dtype), slope)
        relaxed[i] = slope[:, None], offset[:, None], below[:, None]
    return lower(C, len(layers))


def verify_exact(net: nn.Sequential, x: Tensor, eps: float, label: int, budget: int) -> tuple[str, Tensor | None]:
    """Decide by branch and bound whether the network says `label` in the whole l-infinity ball of radius eps around x.

    Returns ("robust", None) when it is proved that the logit of the label is above all others in the whole
    ball; ("falsified", z) with a z of the ball at which another logit is above that of the label; ("timeout",
    None) when neither is found before `budget` subproblems have been bounded. A verdict other than "timeout"
    is always true. A subproblem is a part of the ball, to be bounded by `crown` once; what is not decided is
    split into parts that cover it. (For networks with few inputs it pays to split the ball itself; splitting
    by the phase of a ReLU is the other way.) With budget = 0 nothing is ever proved.

    Shapes: net as for crown, with a single row of inputs; x (d) with d <= 4, the result z (d).
    Source: Bunel et al. 2018, section 4 (branch and bound; branching over the input domain); Katz et al. 2017
        (the problem).
    """
    others = [j for j in range(net(x[None]).shape[1]) if j != label]
    eye = torch.eye(len(others) + 1, dtype=x.dtype)
    C = (eye[label] - eye[others])[None]
    halves = torch.tensor(list(itertools.product((-0.5, 0.5), repeat=len(x))), dtype=x.dtype)
    centres, radius, spent = x[None], eps, 0
    with torch.no_grad():
        while len(centres):
            wrong = ((C @ net(centres)[..., None])[..., 0] < 0).any(dim=1)
            if wrong.any():
                return "falsified", centres[wrong][0]
            if spent + len(centres) > budget:
                return "timeout", None
            spent += len(centres)
            bounds = crown(net, centres, radius, C.expand(len(centres), -1, -1))
            open_ones = centres[(bounds <= 0).any(dim=1)]
            centres, radius = (open_ones[:, None] + radius * halves).flatten(0, 1), radius / 2
    return "robust", None


def ibp_train(net: nn.Sequential, data: tuple[Tensor, Tensor], eps: float, schedule: Schedule) -> None:
    """Train the network in place, such that interval bounds can certify it in l-infinity balls of radius eps.

    In epoch e the share r of the schedule gives the radius eps_e = r * eps and the weight kappa_e = 1 - r *
    (1 - kappa). The loss of a batch is kappa_e times the mean cross-entropy of net(x), plus (1 - kappa_e)
    times the mean cross-entropy of the worst logits: those that ibp allows over ball_box(x, eps_e), the lower
    bound for the label and the upper bounds for all other classes.

    The optimiser is torch.optim.Adam with lr, one for the whole run. Each epoch uses every image once, in
    batches of schedule.batch (the last one may be smaller), in an order drawn anew; where the order comes
    from is up to you, but it follows from schedule.seed, and torch's global generator is left alone. Works
    for any dtype. data is not modified.

    Shapes: data = (x (n ...) with pixels in [0, 1], y (n) int64); net as for ibp, with logits (b k).
    Source: Gowal et al. 2018, section 3.2 (loss) and section 4 (schedule).
    """
    x, y = data
    gen = torch.Generator().manual_seed(schedule.seed)
    opt = torch.optim.Adam(net.parameters(), lr=schedule.lr)
    for epoch in range(schedule.epochs):
        r = min(1.0, max(0, epoch - schedule.warm_up + 1) / schedule.ramp)
        kappa = 1 - r * (1 - schedule.kappa)
        for part in torch.randperm(len(x), generator=gen).split(schedule.batch):
            low, high = ibp(net, *ball_box(x[part], r * eps))
            worst = torch.where(F.one_hot(y[part], low.shape[1]).bool(), low, high)
            loss = kappa * F.cross_entropy(net(x[part]), y[part]) + (1 - kappa) * F.cross_entropy(worst, y[part])
            opt.zero_grad()
            loss.backward()
            opt.step()


def noisy_counts(f: Callable[[Tensor], Tensor], x: Tensor, n: int, sigma: float, batch: int, gen: torch.Generator) -> Tensor:
    """Return how many of n noisy copies of x the classifier puts into each class.

    A copy is x plus normal noise of mean 0 and standard deviation sigma, drawn for each copy and each entry
    by itself from `gen`, and not clipped. f takes a batch of copies and returns their logits; a copy's class
    is that of its largest logit. No batch is larger than `batch`, and none is empty. f gets no other inputs
    and is asked about n copies in all. No gradients are recorded.

    Shapes: x (...), one example without a batch dimension; f: (b ...) -> (b k) -> counts (k) int64, of sum n.
        n >= 1.
    Source: Cohen et al. 2019, section 3.2 (SampleUnderNoise).
    """
    counts = []
    with torch.no_grad():
        for start in range(0, n, batch):
            noise = torch.randn(min(batch, n - start), *x.shape, generator=gen).to(x.dtype)
            logits = f(x + sigma * noise)
            counts.append(torch.bincount(logits.argmax(1), minlength=logits.shape[1]))
    return torch.stack(counts).sum(0)


def lower_confidence(k: int, n: int, alpha: float) -> float:
    """Return the one-sided lower confidence bound of Clopper and Pearson on a probability, after k successes in n trials.

    It is the p for which k or more successes in n trials have probability alpha; for k = 0 it is 0.0.
    Whatever the true probability is, the bound lies above it in a share of at most alpha of all experiments.

    0 <= k <= n, 1 <= n <= 100,000, 0 < alpha < 1 -> a float, to ten digits. scipy is not there when this is
    graded.
    Source: Clopper and Pearson 1934; Cohen et al. 2019, section 3.2 (LowerConfBound).
    """
    if k == 0:
        return 0.0
    i = torch.arange(k, n + 1, dtype=torch.float64)
    ways = math.lgamma(n + 1) - torch.lgamma(i + 1) - torch.lgamma(n - i + 1)
    low, high = 0.0, 1.0
    for _ in range(60):
        p = (low + high) / 2
        tail = float((ways + i * math.log(p) + (n - i) * math.log1p(-p)).exp().sum())
        low, high = (low, p) if tail > alpha else (p, high)
    return low


def binomial_p(k: int, n: int) -> float:
    """Return the two-sided p-value of k heads in n tosses, if the coin is fair.

    It is the probability of a result at least as far from n / 2 as k is, in either direction: at most 1, and
    1.0 for n = 0.

    0 <= k <= n <= 100,000 -> a float, to ten digits. scipy is not there when this is graded.
    Source: Cohen et al. 2019, section 3.2 (BinomPValue); Hung and Fithian 2019 for its use.
    """
    i = torch.arange(max(k, n - k), n + 1, dtype=torch.float64)
    log_share = math.lgamma(n + 1) - torch.lgamma(i + 1) - torch.lgamma(n - i + 1) - n * math.log(2)
    return min(1.0, 2 * float(log_share.exp().sum()))


def certify(
    f: Callable[[Tensor], Tensor],
    x: Tensor,
    n0: int,
    n: int,
    alpha: float,
    sigma: float,
    batch: int,
    gen: torch.Generator,
) -> tuple[int, float]:
    """Return the class of the smoothed classifier at x, and an l2 radius within which it does not change; or (-1, 0.0).

    The class is the one with the most votes among n0 noisy copies (in a tie any of them). n fresh copies, and
    only these, give a lower confidence bound, of confidence 1 - alpha, on the probability pA with which a
    noisy copy is of this class. If the bound is above 1/2, the radius is sigma times the standard normal
    quantile of the bound; else abstain: (-1, 0.0). A returned radius is wrong (larger than the true one) with
    probability at most alpha. f is asked about n0 + n copies.

    Shapes: x (...), one example; f, sigma, batch, gen as for noisy_counts -> (a plain int, a plain float).
    Source: Cohen et al. 2019, section 3.2 (Certify) and theorem 1.
    """
    chosen = int(noisy_counts(f, x, n0, sigma, batch, gen).argmax())
    votes = int(noisy_counts(f, x, n, sigma, batch, gen)[chosen])
    bound = lower_confidence(votes, n, alpha)
    return (chosen, sigma * NormalDist().inv_cdf(bound)) if bound > 0.5 else (-1, 0.0)


def predict(f: Callable[[Tensor], Tensor], x: Tensor, n: int, alpha: float, sigma: float, batch: int, gen: torch.Generator) -> int:
    """Return the class of the smoothed classifier at x, or -1 when n noisy copies do not tell which one it is.

    It is the class with the most votes, if its votes and those of the runner-up, as heads and tails of a fair
    coin, have a two-sided p-value of at most alpha; else abstain: -1. A returned class is wrong with
    probability at most alpha.

    Shapes: x (...), one example; f, sigma, batch, gen as for noisy_counts -> a plain int.
    Source: Cohen et al. 2019, section 3.2 (Predict).
    """
    counts = noisy_counts(f, x, n, sigma, batch, gen)
    (most, second), classes = (t.tolist() for t in counts.topk(2))
    return classes[0] if binomial_p(most, most + second) <= alpha else -1


def certified_curve(records: Sequence[tuple[int, int, float]], radii: Sequence[float]) -> Tensor:
    """Return, for each radius r, the share of the records that are right and certified at r or more.

    A record is (label, class, radius), as `certify` gives the last two. It counts at r when the class is the
    label and its radius is at least r. An abstention (class -1) never counts; a record of a wrong class never
    counts. The share is one of all records.

    Shapes: m records, q radii in any order -> (q) float64.
    Raises: ValueError when there is no record.
    Source: Cohen et al. 2019, section 4 (approximate certified test set accuracy).
    """
    if not records:
        raise ValueError("no record: a share of nothing is not defined")
    reach = torch.tensor([radius if found == label else -math.inf for label, found, radius in records], dtype=torch.float64)
    return (reach[None] >= torch.tensor(list(radii), dtype=torch.float64)[:, None]).double().mean(1)
