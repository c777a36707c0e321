"""Your functions in; an "ok" line, or an AssertionError that guesses the slip, out. Practice, never a score.

Every check tries a handful of small cases. The checks that score try many more, and run every query to the model on their own
side, so an "ok" here is encouragement, not proof. Needs torch only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Fn = Callable[..., Any]


class Asked(nn.Module):
    """A small model that remembers what it was asked, and in which mode."""

    def __init__(self, logits: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
        self.inner = nn.Dropout(0.5)
        self.logits, self.queries, self.modes = logits, [], []
        self.train()

    def forward(self, x: Tensor) -> Tensor:
        self.queries.append(x.detach().clone())
        self.modes.append(self.training)
        return self.logits(x) * self.weight.to(x.dtype)


def check_project(project: Fn) -> None:
    far = torch.tensor([[3.0, 4.0], [0.3, 0.4]], dtype=torch.float64)
    found = _tensor(project(far, 1.0, 2), "project((3, 4) and (0.3, 0.4), eps=1, p=2)", (2, 2))
    _near(found[0], [0.6, 0.8], "p=2: (3, 4) becomes", "The direction stays, the length becomes eps, for each row by itself.")
    assert torch.equal(found[1], far[1]), f"p=2: (0.3, 0.4) is inside the ball and becomes {_few(found[1])}. Why move it?"
    _near(project(far, 1.0, math.inf)[0], [1.0, 1.0], "p=inf: (3, 4) becomes", "Every entry by itself is cut to [-eps, eps].")
    row = torch.tensor([[3.0, -2.0, 0.5]], dtype=torch.float64)
    found = _tensor(project(row, 1.0, 1), "project((3, -2, 0.5), eps=1, p=1)", (1, 3))
    slips = {0.5454545454545454: "It is scaled; that is not the nearest point.", 1.5: "Did the excess go to all three entries?"}
    guess = next((text for v, text in slips.items() if abs(float(found[0, 0]) - v) < 1e-6), "The sizes shrink by one amount.")
    _near(found[0], [1.0, 0.0, 0.0], "p=1: (3, -2, 0.5) becomes", guess)
    row = torch.tensor([[2.0, -1.5, 0.1]], dtype=torch.float64)
    _near(project(row, 1.0, 1)[0], [0.75, -0.25, 0.0], "p=1: (2, -1.5, 0.1) becomes", "Sort the sizes; mind the signs.")
    low = torch.tensor([[0.3, -0.4]])
    assert torch.equal(project(low, 0.5, math.inf), low), (
        f"p=inf: (0.3, -0.4) is inside and becomes {_few(project(low, 0.5, math.inf))}."
    )
    picture = torch.ones(1, 2, 2, dtype=torch.float64)
    guess = "All entries of delta[i] are one vector."
    _near(project(picture, 1.0, 2).flatten(), [0.5] * 4, "p=2, a picture of four ones, eps=1: it becomes", guess)
    assert picture.sum() == 4, "delta itself was changed."
    zero = torch.zeros(1, 2, 2)
    for p in (math.inf, 2, 1):
        shape = tuple(_tensor(project(zero, 0.5, p), f"project of zeros, p={p}", (1, 2, 2)).shape)
        assert not project(zero, 0.5, p).isnan().any(), f"p={p}: a change of 0, of shape {shape}, becomes nan. 0 divided by 0?"
    _raises(ValueError, lambda: project(zero, 1.0, 3), "project with p=3")
    _ok("project")


def check_random_in_ball(random_in_ball: Fn) -> None:
    for p in (math.inf, 2):
        points = _tensor(random_in_ball((2000, 2, 3), 0.5, p, _gen()), f"random_in_ball((2000, 2, 3), 0.5, {p}, gen)", (2000, 2, 3))
        size = points.flatten(1).norm(p=p, dim=1)
        assert size.max() <= 0.50001, f"p={p}: a point has norm {float(size.max()):.3f}; eps is 0.5."
        assert points.min() < 0 < points.max(), f"p={p}: all entries have the same sign."
        assert points[0].std() > 0, f"p={p}: all entries of an example are the same number."
        again, other = random_in_ball((2000, 2, 3), 0.5, p, _gen()), random_in_ball((2000, 2, 3), 0.5, p, _gen(1))
        assert torch.equal(again, points), f"p={p}: the same seed of gen gives other points. Is gen used for every draw?"
        assert not torch.equal(other, points), f"p={p}: another seed of gen gives the same points. Is gen used?"
    box = random_in_ball((2000, 2, 3), 0.5, math.inf, _gen())
    inner = float((box.abs() < 0.25).double().mean())
    assert abs(inner - 0.5) < 0.03, (
        f"p=inf, eps=0.5: {inner:.0%} of the entries lie between -0.25 and 0.25. Each is uniform by itself."
    )
    half = float((size < 0.25 * 2 ** (5 / 6)).double().mean())  # half of the volume in 6 dimensions
    guess = "Is every length eps?" if half == 0 else "Is the length drawn without regard to the dimension?"
    assert abs(half - 0.5) < 0.06, f"p=2, 6 entries: {half:.0%} of the points lie in the inner half of the volume. {guess}"
    assert size.std() > 0.01, "p=2: all points have the same length."
    _raises(ValueError, lambda: random_in_ball((2, 2), 1.0, 1, _gen()), "random_in_ball with p=1")
    _ok("random_in_ball")


def check_fgsm(fgsm: Fn, loss_gradient: Fn) -> None:
    w = torch.tensor([[1.0, -2.0, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    model, x, y = Asked(lambda z: z @ w.T), torch.full((2, 3), 0.5, dtype=torch.float64), torch.tensor([0, 1])
    losses, gradient = loss_gradient(model, x, y)
    _tensor(losses, "losses of two examples", (2,))
    share = torch.softmax(x[0] @ w.T, 0)[1]
    expected = torch.stack([-share * w[0], (1 - share) * w[0]])
    ratio = float(gradient[0, 0] / expected[0, 0])
    guess = (
        "Half of it: is the loss averaged over the batch?" if abs(ratio - 0.5) < 1e-6 else "Derivative of each example's own loss."
    )
    assert torch.allclose(gradient, expected), (
        f"the gradient of the first example is {_few(gradient[0])}, not {_few(expected[0])}. {guess}"
    )
    assert not any(model.modes), "loss_gradient asks the model in training mode. `evaluating` is there for that."
    assert model.training, "loss_gradient leaves the model in eval mode."
    assert model.inner.training, "loss_gradient leaves a part of the model in eval mode."
    assert model.weight.grad is None, "loss_gradient leaves a gradient in the model's parameter. Ask for that of x alone."
    assert not losses.requires_grad, "the losses that you return still require gradients."
    with torch.no_grad():
        loss_gradient(model, x, y)
    _near(fgsm(model, x, y, 0.1)[0], [0.4, 0.6, 0.5], "fgsm, eps=0.1, away from class 0: the pixels become", "Up the loss of y.")
    target = fgsm(model, x, y, 0.1, targeted=True)
    _near(target[0], [0.6, 0.4, 0.5], "fgsm, eps=0.1, targeted at class 0: the pixels become", "With a target the loss must fall.")
    _near(fgsm(model, x, y, 0.8)[0], [0.0, 1.0, 0.5], "fgsm, eps=0.8: the pixels become", "Is the result clipped to [0, 1]?")
    wide = fgsm(model, x, y, 0.8, clip=(-1.0, 2.0))
    _near(wide[0], [-0.3, 1.3, 0.5], "fgsm, eps=0.8, clip=(-1, 2): the pixels become", "Is the argument clip used?")
    _ok("fgsm, loss_gradient")


def check_pgd(pgd: Fn) -> None:
    w = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.0, -2.0, 0.5, 1.5]], dtype=torch.float64)
    x = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.95, 0.4, 0.6, 0.02]], dtype=torch.float64)
    y = torch.tensor([0, 1])
    for p in (math.inf, 2):
        model = Asked(lambda z: z @ w.T)
        found = _tensor(pgd(model, x, y, 0.2, 0.1, 12, 2, p, _gen()), f"pgd's result, norm={p}", (2, 4))
        for k, query in enumerate([*model.queries, found]):
            what = f"norm={p}, " + (f"query {k + 1}" if k < len(model.queries) else "the result")
            gap = float(torch.cdist(query, x, p=p).amin(1).max())  # to the nearer of the two: rows may come in any order
            assert gap < 0.2001, f"{what}: a point is {gap:.3f} away from x; eps is 0.2. Is the sum of all steps projected?"
            assert query.min() > -1e-6, f"{what}: a pixel is {float(query.min()):.3f}. Is everything clipped, the start too?"
            assert query.max() < 1 + 1e-6, f"{what}: a pixel is {float(query.max()):.3f}. Is everything clipped, the start too?"
        n = sum(len(q) for q in model.queries)
        assert n <= 2 * 2 * 13, f"norm={p}: {n} rows were asked about; 2 examples, 2 restarts and 12 steps allow {2 * 2 * 13}."
        assert not any(model.modes), "pgd asks the model in training mode."
        first = model.queries[0][:2]
        assert not torch.allclose(first, x), "The first query is x. Is the random start used?"
        slip = "The loss of y must rise" + ("." if p == 2 else ", by the sign of the gradient.")
        rise = float((found - x)[0] @ w[1])
        best = 0.2 * float(w[1].abs().sum() if p == math.inf else w[1].norm())
        assert rise > 0.98 * best, (
            f"norm={p}: the score of the wrong class rises by {rise:.3f}, and could rise by {best:.3f}. {slip}"
        )
    # Twelve images with two hills each; the second pixel, which the model only reads, says which image it is.
    side = torch.tensor([1.0, -1.0] * 6, dtype=torch.float64)
    x = torch.stack([torch.full((12,), 0.5), (torch.arange(12) + 0.5) / 12], 1).double()

    def hills(z: Tensor) -> Tensor:
        t = (z[:, 0] - 0.5) * side[(z[:, 1].detach() * 12).long().clamp(0, 11)]
        return torch.stack([torch.zeros_like(t), torch.where(t > 0, 30 * t, -10 * t)], 1)

    for seed in (0, 1):
        found = pgd(Asked(hills), x, torch.zeros(12, dtype=torch.int64), 0.04, 0.02, 4, 10, math.inf, _gen(seed))
        n = int(((found - x)[:, 0] * side > 0.035).sum())
        assert n >= 11, f"10 restarts, two hills: {n} of 12 examples end on the higher one. Is the best restart chosen per example?"
    _ok("pgd")


def check_margin_loss(margin_loss: Fn, dlr_loss: Fn, targeted_dlr: Fn) -> None:
    z = torch.tensor([[5.0, 3.0, 1.0, 0.0], [-5.0, -3.0, -4.0, -9.0]], dtype=torch.float64)
    y = torch.tensor([0, 2])
    found = _tensor(margin_loss(z, y), "margin_loss of two rows", (2,))
    guess = "Is y among the classes of the maximum?" if float(found[0]) == 0 else "The best other logit minus that of y."
    _near(found, [-2.0, 1.0], "logits (5, 3, 1, 0) with y=0, and (-5, -3, -4, -9) with y=2: margins", guess)
    found = _tensor(dlr_loss(z, y), "dlr_loss of two rows", (2,))
    guess = "First minus third, not second." if abs(float(found[0]) + 1) < 1e-6 else "Margin divided by first minus third."
    _near(found, [-0.5, 0.5], "the same rows: dlr_loss", guess)
    found = _tensor(targeted_dlr(z, y, torch.tensor([1, 1])), "targeted_dlr of two rows", (2,))
    _near(found, [-2 / 4.5, 0.25], "the same rows, target 1: targeted_dlr", "First minus the mean of third and fourth.")
    loud = dlr_loss(100 * z + 7, y)
    _near(loud, [-0.5, 0.5], "all logits times 100 plus 7: dlr_loss", "Neither scale nor shift should count.")
    tied = dlr_loss(torch.ones(1, 4, dtype=torch.float64), y[:1])
    assert tied.isfinite().all(), "four equal logits: dlr_loss is not finite. What is added to the denominator?"
    _raises(ValueError, lambda: dlr_loss(z[:, :2], y % 2), "dlr_loss with 2 classes")
    _raises(ValueError, lambda: targeted_dlr(z[:, :3], y, y), "targeted_dlr with 3 classes")
    _ok("margin_loss, dlr_loss, targeted_dlr")


def check_apgd(apgd: Fn, apgd_checkpoints: Fn) -> None:
    found = apgd_checkpoints(100)
    guess = "Ceilings of exact hundredths." if 71 in found else "See the docstring's example."
    assert found == [22, 41, 57, 70, 80, 87, 93, 99], f"apgd_checkpoints(100) is {found}. {guess}"
    assert apgd_checkpoints(3) == [1, 2, 3], f"apgd_checkpoints(3) is {apgd_checkpoints(3)}, expected [1, 2, 3]: each once."
    x, y = torch.tensor([[0.5, 0.5], [0.05, 0.6]], dtype=torch.float64), torch.tensor([0, 0])
    top = torch.tensor([[0.53, 0.41], [0.02, 0.66]], dtype=torch.float64)

    def bowl(z: Tensor) -> Tensor:
        height = -50 * (z - top[torch.cdist(z.detach(), x).argmin(1)]).square().sum(1)
        return torch.stack([torch.zeros_like(height), height], 1)

    model = Asked(bowl)
    found = _tensor(apgd(model, x, y, 0.1, 40), "apgd's result", (2, 2))
    asked = torch.cat(model.queries)
    for row in [*asked, *found]:
        gap = float((row - x).abs().amax(1).min())
        assert gap < 0.1001, f"a point is {gap:.3f} away from x; eps is 0.1. Is it clipped after the momentum is added?"
        assert row.min() > -1e-6, f"a pixel is {float(row.min()):.3f}."
    path = asked[(asked - x[0]).abs().amax(1) < 0.11]  # the points asked about the first image, in their order
    assert len(path) >= 41, f"{len(path)} queries about the first image for 40 steps; x_0 to x_40 are 41."
    assert torch.equal(path[0], x[0]), "x_0 should be x."
    _near(
        (path[1] - path[0]).abs(),
        [0.1, 0.1],
        "the first step moves by",
        "eta is 2 eps at first, and the ball ends at eps; no momentum yet.",
    )
    z = (x[0] + (path[1] + 0.2 * (top[0] - path[1]).sign() - x[0]).clamp(-0.1, 0.1)).tolist()
    one, two = path[0].tolist(), path[1].tolist()
    second = [b + 0.75 * (c - b) + 0.25 * (b - a) for a, b, c in zip(one, two, z, strict=True)]
    second = [min(max(v, a - 0.1), a + 0.1) for v, a in zip(second, one, strict=True)]
    _near(path[2], second, "after the second step the first image is", "Step size, momentum, clip: compare with the docstring.")
    left = float((found - top).norm(dim=1).max())
    assert left < 0.003, f"the top of the hill is inside the ball, and the result is {left:.4f} away from it. Is the step halved?"
    seen = torch.stack([bowl(path)[:, 1].max()])
    assert (bowl(found)[:1, 1] >= seen - 1e-12).all(), "a better point was met on the way than the one returned."
    _ok("apgd, apgd_checkpoints")


def check_square_attack(square_attack: Fn, square_side: Fn) -> None:
    found = [square_side(i, 10_000, 32) for i in (0, 10, 11, 51, 9000)]
    guess = (
        "Is the share one of area?" if found and found[0] == 26 else "Nearest whole side; the share halves after 10, 50, 200, ..."
    )
    assert found == [29, 29, 20, 14, 1], f"10,000 queries, side 32: at i = 0, 10, 11, 51, 9000 the sides are {found}. {guess}"
    assert square_side(1, 100, 8) == 4, (
        f"square_side(1, 100, 8) is {square_side(1, 100, 8)}, not 4. 10000 * i / queries is 100 there."
    )
    x = torch.linspace(0, 1, 2 * 2 * 36).reshape(2, 2, 6, 6)
    a = torch.randn(72, 3, generator=_gen()) + torch.tensor([0.0, 0.1, -0.1])
    model = Asked(lambda z: torch.tanh(z.flatten(1) @ a) + torch.tensor([50.0, 0.0, 0.0]))
    found = _tensor(square_attack(model, x, torch.tensor([0, 0]), 0.1, 30, _gen()), "square_attack's result", (2, 2, 6, 6))
    assert len(model.queries) == 30, f"{len(model.queries)} queries were made, the budget is 30 and the model is never wrong."
    assert not any(model.modes), "square_attack asks the model in training mode."
    margin = [F.cross_entropy(model.logits(q), torch.tensor([0, 0]), reduction="none") for q in [*model.queries, found]]
    assert (margin[-1] >= torch.stack(margin[:-1]).amax(0) - 1e-6).all(), "a better query was made than the point returned."
    for query in [*model.queries, found]:
        gap = float((query - x).abs().max())
        assert gap < 0.1001, f"a query is {gap:.3f} away from x; eps is 0.1. Is eps added to x, or to what was changed before?"
        assert -1e-6 < float(query.min()) <= float(query.max()) < 1 + 1e-6, "a query has pixels outside [0, 1]."
    up = (model.queries[0] > x)[:, :, 1:-1]
    assert (up == up[:, :, :1]).all(), "query 0: within a column some pixels go up and some down. Stripes are vertical."
    fooled = Asked(lambda z: z.flatten(1)[:, :2] * 0 + torch.tensor([0.0, 1.0]))
    square_attack(fooled, x, torch.tensor([0, 0]), 0.1, 30, _gen())
    _ok("square_attack, square_side")


def check_cw_l2(cw_l2: Fn) -> None:
    w = torch.tensor([[0.0, 0.0, 0.0], [2.0, -1.0, 2.0]], dtype=torch.float64)
    x = torch.tensor([[0.45, 0.5, 0.5], [0.4, 0.5, 0.45], [0.9, 0.2, 0.8]], dtype=torch.float64)
    model = Asked(lambda z: (z - 0.5) @ w.T)
    y = torch.tensor([0, 0, 0])
    result = cw_l2(model, x, y, 4, 80, c=0.1, lr=0.01)
    assert isinstance(result, tuple), "cw_l2 must return the pair (adv, found)."
    adv, found = _tensor(result[0], "adv", (3, 3)), _tensor(result[1], "found", (3,))
    assert found.dtype == torch.bool, f"found has dtype {found.dtype}, expected bool."
    assert found.all(), f"found is {found.tolist()}; a mistake is near for each. Which way does the penalty push?"
    assert ((adv - 0.5) @ w[1] > 0).all(), "adv is not misclassified, though found says so."
    rows = torch.stack([q for q in model.queries if len(q) == 3])
    assert float(rows.min()) >= 0 <= 1 - float(rows.max()), "a query has pixels outside [0, 1]. Is tanh used?"
    distance = (adv - x).norm(dim=1)
    best = [0.1 / 3, 0.3 / 3, 0.0]
    what = f"distances {_few(distance)}, the boundary is at {_few(torch.tensor(best))}"
    assert (distance < torch.tensor(best) * 1.05 + 3e-3).all(), f"{what}. Is the nearest of all mistakes kept?"
    assert not any(model.modes), "cw_l2 asks the model in training mode."
    far = torch.tensor([[0.4, 0.55, 0.4]], dtype=torch.float64)
    _, grown = cw_l2(Asked(lambda z: (z - 0.5) @ w.T), far, y[:1], 4, 60, c=1e-3)
    assert grown.all(), "c = 0.001 is too small here, 1 is enough, and four searches found nothing. How does c grow?"
    sure = Asked(lambda z: (z - 0.5) @ w.T + torch.tensor([90.0, 0.0]))
    adv, found = cw_l2(sure, x, y, 2, 10)
    assert not found.any(), "found is True for a model that is always right."
    _near(adv.flatten(), x.flatten().tolist(), "nothing found: adv", "Then x comes back.", 1e-4)
    edge = cw_l2(
        Asked(lambda z: (z - 0.5) @ w.T), torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64), y[:1], 2, 40, c=10.0, lr=0.3
    )
    assert edge[1].all(), "pixels of exactly 0 and 1 never move: what is the inverse of tanh there?"
    _ok("cw_l2")


def check_robust_accuracy(robust_accuracy: Fn) -> None:
    # Image i carries its number; the model is wrong where the second pixel is set. Image 0 is wrong as it is.
    x = torch.stack([torch.arange(6.0), torch.zeros(6)], 1)
    x[0, 1] = 1
    y, asked = torch.zeros(6, dtype=torch.int64), []
    model = Asked(lambda z: torch.stack([torch.zeros(len(z)), z[:, 1] - 0.5], 1))

    def breaks(*numbers: int) -> Fn:
        def attack(given: nn.Module, points: Tensor, labels: Tensor) -> Tensor:
            asked.append(points[:, 0].int().tolist())
            assert len(points) == len(labels), f"an attack gets {len(points)} images and {len(labels)} labels."
            return torch.stack([points[:, 0], torch.isin(points[:, 0], torch.tensor(numbers)).float()], 1)

        return attack

    found = robust_accuracy(model, (x, y), {"a": breaks(1, 2), "b": breaks(2, 3)}, batch_size=4)
    assert isinstance(found, dict), 'robust_accuracy must return a dict with "clean", "left", "robust", "standing".'
    assert abs(found["clean"] - 5 / 6) < 1e-6, f'5 of 6 are right without an attack; "clean" is {found["clean"]:.3f}.'
    guess = {0.5: "The smaller of two accuracies is not the worst case.", 2 / 6: ""}
    told = (
        f'attack a breaks 1 and 2, attack b breaks 2 and 3, image 0 is wrong as it is; "robust" is {found["robust"]:.3f}, not 2/6.'
    )
    assert abs(found["robust"] - 2 / 6) < 1e-6, (
        f"{told} {next((t for v, t in guess.items() if abs(v - found['robust']) < 1e-6), '')}"
    )
    assert found["standing"].tolist() == [False, False, False, False, True, True], f'"standing" is {found["standing"].tolist()}.'
    assert abs(found["left"]["a"] - 0.5) < 1e-6, (
        f'after attack a 3 of 6 stand; "left" of a is {found["left"]["a"]:.3f}. A share of all?'
    )
    numbers = sorted(i for batch in asked for i in batch)
    assert 0 not in numbers, "image 0 was wrong without an attack, and was attacked all the same. Lost is lost."
    assert numbers == [1, 2, 3, 3, 4, 4, 5, 5], f"images {numbers} were attacked; a should get 1 to 5, b what a left."
    assert not any(model.modes), "the model is asked in training mode."
    asked.clear()
    robust_accuracy(model, (x, y), {"a": breaks(*range(6)), "b": breaks()})
    assert len(asked) == 1, "after attack a nothing is left, and attack b is called all the same."
    _ok("robust_accuracy")


def check_masking_report(masking_report: Fn) -> None:
    w = torch.randn(10, 64, generator=_gen())
    plain = lambda z: 8 * (z.flatten(1) - 0.5) @ w.T / 8  # noqa: E731
    x = torch.rand(24, 1, 8, 8, generator=_gen(1))
    y = plain(x).argmax(1)
    names = {"more_steps", "unbounded_eps", "random_search", "transfer", "flat_loss"}
    honest = masking_report(Asked(plain), Asked(plain), (x, y), 0.1, _gen())
    assert isinstance(honest, dict), "masking_report must return a dict."
    assert set(honest) == names, f"the names are {sorted(honest)}, expected {sorted(names)}."
    bad = [n for n, v in honest.items() if type(v) is not bool]
    assert not bad, f'"{bad[0]}" is a {type(honest[bad[0]]).__name__}, expected a plain bool.'
    accused = [n for n, v in honest.items() if v]
    assert not accused, (
        f'a linear model is accused of "{accused[0] if accused else ""}". Which of the two accuracies should be lower?'
    )
    stairs = masking_report(Asked(lambda z: plain(torch.round(z * 6) / 6)), Asked(plain), (x, y), 0.1, _gen())
    acquitted = [n for n in ("random_search", "transfer", "flat_loss", "unbounded_eps") if not stairs[n]]
    said = acquitted[0] if acquitted else ""
    assert not acquitted, f'the same behind rounded pixels is acquitted of "{said}". Its gradient is 0 everywhere.'
    _ok("masking_report")


def check_eot_gradient(eot_gradient: Fn, bpda: Fn) -> None:
    a = torch.tensor([[1.0, -1.0], [0.5, 2.0], [-1.0, 0.0]], dtype=torch.float64)
    model = Asked(lambda z: torch.tanh(z) @ a.T)
    x, y = torch.tensor([[0.3, -0.2], [0.1, 0.7]], dtype=torch.float64), torch.tensor([0, 2])
    seeds: list[int] = []

    def shifted(z: Tensor, seed: int) -> Tensor:
        seeds.append(seed)
        return z * 1.5 + torch.randn(z.shape, generator=torch.Generator().manual_seed(seed), dtype=z.dtype)

    found = _tensor(eot_gradient(model, shifted, x, y, 8, _gen()), "eot_gradient, n=8", (2, 2))
    used = list(seeds)
    assert len(used) == 8, f"n=8: the transformation was called {len(used)} times."
    assert len(set(used)) == 8, f"n=8: {len(set(used))} different seeds were used."
    seeds.clear()
    eot_gradient(model, shifted, x, y, 8, _gen(1))
    assert seeds != used, "another generator gives the same seeds. Where do they come from?"
    leaf = x.clone().requires_grad_()
    draws = [torch.tanh(shifted(leaf, s)) @ a.T for s in used]
    right = torch.autograd.grad(sum(F.cross_entropy(d, y, reduction="sum") for d in draws) / 8, leaf)[0]
    cut, mean = right / 1.5, right / 2
    guess = (
        "Is the transformation part of the graph?" if torch.allclose(found, cut) else "The mean of the gradients of single losses."
    )
    guess = "Half of it: is the loss averaged over the batch?" if torch.allclose(found, mean) else guess
    assert torch.allclose(found, right), f"the gradient of the first example is {_few(found[0])}, not {_few(right[0])}. {guess}"
    assert not any(model.modes), "eot_gradient asks the model in training mode."
    wrapped = bpda(torch.round, lambda z: z**2)
    leaf = torch.tensor([0.4, 1.3, -2.2], dtype=torch.float64, requires_grad=True)
    value = wrapped(leaf)
    _near(value.detach(), [0.0, 1.0, -2.0], "bpda(round, square)(0.4, 1.3, -2.2)", "The value is that of round.")
    assert value.requires_grad, "bpda(round, square): no gradient passes."
    (slope,) = torch.autograd.grad((value * torch.tensor([1.0, 10.0, 1.0])).sum(), leaf)
    guess = (
        "It passes straight through; `backward` is not used."
        if torch.allclose(slope[:1], torch.ones(1).double())
        else "2x, times what comes in."
    )
    _near(slope, [0.8, 26.0, -4.4], "its derivative, with 1, 10, 1 coming in", guess)
    leaf = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(bpda(lambda z: z**3, lambda z: 7 * z)(leaf).sum(), leaf)
    _near(slope, [7.0], "the derivative of bpda(cube, 7x) at 0.5 is", "module's own derivative plays no role.")
    _ok("eot_gradient, bpda")


def _ok(names: str) -> None:
    print(f"ok  {names}")


def _gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _few(values: Tensor) -> str:
    return "(" + ", ".join(f"{float(v):.4g}" for v in values.flatten()[:5]) + ")"


def _tensor(value: Any, what: str, shape: tuple[int, ...]) -> Tensor:
    assert value is not None, f"{what} is None. Did you forget `return`?"
    assert isinstance(value, Tensor), f"{what} is a {type(value).__name__}, expected a tensor."
    assert tuple(value.shape) == shape, f"{what} has shape {tuple(value.shape)}, expected {shape}."
    return value


def _near(got: Tensor, want: list[float], what: str, guess: str, tolerance: float = 1e-6) -> None:
    expected = torch.tensor(want, dtype=torch.float64)
    _tensor(got, what, tuple(expected.shape))
    assert torch.allclose(got.double(), expected, rtol=0, atol=tolerance), f"{what} {_few(got)}, not {_few(expected)}. {guess}"


def _raises(error: type[Exception], call: Callable[[], Any], what: str) -> None:
    try:
        call()
    except error:
        return
    except Exception as other:
        raise AssertionError(f"{what} raises {type(other).__name__}. The docstring asks for {error.__name__}.") from None
    raise AssertionError(f"{what} raises nothing. The docstring asks for {error.__name__}.")
