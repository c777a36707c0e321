"""Hidden checks of R1, the ball: project, random_in_ball. Student and rng in, silence or a hint out.

The oracles are a bisection, the definition of a projection (no feasible point lies nearer) and the law of the radius.
Tolerances: 1e-9 where nothing but float64 arithmetic is involved; 1e-6 for p = 2, where a guard of 1e-7 in the denominator
(torch.renorm has one) is as good as ours. Laws are tested at p < 1e-6, twice before an answer is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, finite, normal, raises, same, strided, unchanged
from autograder.sandbox.student import Student

PROJECT, DRAW = "r1_adversarial_attacks.project", "r1_adversarial_attacks.random_in_ball"
INF = math.inf
NAMES = {INF: "math.inf", 2: "2", 1: "1"}


def _lengths(x: Tensor, p: float) -> Tensor:
    return x.double().flatten(1).norm(p=p, dim=1)


def _nearest(delta: Tensor, eps: float, p: float) -> Tensor:
    """Project example by example; for p = 1 by bisection on how much every entry shrinks."""
    rows = []
    for row in delta.double():
        if float(row.flatten().norm(p=p)) <= eps:
            rows.append(row)
        elif p == INF:
            rows.append(torch.from_numpy(np.minimum(np.maximum(row.numpy(), -eps), eps)))
        elif p == 2:
            rows.append(row * (eps / math.sqrt(float((row * row).sum()))))
        else:
            low, high = 0.0, float(row.abs().max())
            for _ in range(200):
                shrink = (low + high) / 2
                too_big = float((row.abs() - shrink).clamp_min(0).sum()) > eps
                low, high = (shrink, high) if too_big else (low, shrink)
            rows.append(row.sign() * (row.abs() - high).clamp_min(0))
    return torch.stack(rows)


def _projected(student: Student, delta: Tensor, eps: float, p: float, case: str, slip: str, rtol: float = 1e-9) -> Tensor:
    what = f"project(delta {tuple(delta.shape)}, eps={eps:.4g}, p={NAMES[p]}){case}"
    return close(student.fn("project")(delta, eps, p), _nearest(delta, eps, p), what, rtol=rtol, dtype=delta.dtype, slip=slip)


def _spread(rng: np.random.Generator, *shape: int) -> Tensor:
    """Examples of very different length, some inside a ball of radius 1 and some far outside."""
    power = rng.uniform(-1.5, 2, shape[0])
    power[0] = 2
    factor = torch.from_numpy(10**power).reshape(-1, *[1] * (len(shape) - 1))
    return normal(rng, *shape) * factor


@hidden(PROJECT, weight=3, core=True)
def box_and_sphere(student: Student, rng: np.random.Generator) -> None:
    """p = inf and p = 2: each example by itself is brought to the nearest point of the ball."""
    for shape in ((7, 5), (6, 2, 3, 4), (5, 1), (1, 9)):
        eps = float(rng.uniform(0.3, 1.5))
        for p, rtol in ((INF, 1e-9), (2, 1e-6)):
            slip = "Example i is delta[i], as one vector; what is the nearest point of the ball to it?"
            _projected(student, _spread(rng, *shape), eps, p, "", slip, rtol)


@hidden(PROJECT, weight=2)
def inside_is_left_alone(student: Student, rng: np.random.Generator) -> None:
    """What lies in the ball comes back bit for bit, the zero vector too; what lies on its rim stays there."""
    for p in (INF, 2, 1):
        delta, eps = normal(rng, 8, 3, 4), float(rng.uniform(0.5, 2))
        share = torch.from_numpy(rng.uniform(0.05, 0.99, 8))
        delta = delta * (share * eps / _lengths(delta, p)).reshape(8, 1, 1)
        delta[3] = 0
        found = student.fn("project")(delta, eps, p)
        slip = "A projection moves only what is outside; an example inside is not stretched to the rim."
        same(found, delta, f"project(delta, eps={eps:.4g}, p={NAMES[p]}), delta inside the ball", slip)
        rim = normal(rng, 6, 5)
        rim = rim * (eps / _lengths(rim, p))[:, None]
        close(student.fn("project")(rim, eps, p), rim, f"project(delta, eps={eps:.4g}, p={NAMES[p]}), delta on the rim", rtol=1e-6)


@hidden(PROJECT, weight=3)
def diamond(student: Student, rng: np.random.Generator) -> None:
    """p = 1: the nearest point, with ties, with entries that vanish, with one entry only."""
    slip = "All entries that stay shrink by the same amount, and none of them changes its sign. Duchi et al., figure 1."
    for shape in ((9, 6), (4, 2, 5), (6, 1), (1, 12)):
        _projected(student, _spread(rng, *shape), float(rng.uniform(0.3, 1.5)), 1, "", slip)
    tied = torch.from_numpy(rng.integers(-2, 3, (12, 7))).double()
    _projected(student, tied, float(rng.uniform(0.5, 3)), 1, ", with ties", slip)
    spike = torch.zeros(3, 8, dtype=torch.float64)
    spike[0, 2], spike[1, :2], spike[2] = -5.0, 4.0, 1e-3
    _projected(student, spike, 0.75, 1, ", with zeros", slip)
    # The third entry is above the largest one's own share of the excess, and below that of the first two.
    steps = torch.tensor([1.0, 0.9, 0.5, 0.1], dtype=torch.float64)[torch.from_numpy(rng.permutation(4))]
    _projected(student, steps * torch.from_numpy(rng.choice([-1.0, 1.0], (3, 4))), 0.6, 1, ", in steps", slip)


@hidden(PROJECT, weight=2)
def no_feasible_point_is_nearer(student: Student, rng: np.random.Generator) -> None:
    """Against 2,000 random points of the ball: the way from the result to delta leads away from each of them."""
    for p in (INF, 2, 1):
        d, eps = int(rng.integers(3, 9)), float(rng.uniform(0.3, 2))
        delta = _spread(rng, 5, d)
        found = finite(student.fn("project")(delta, eps, p), f"project, p={NAMES[p]}", delta.shape, delta.dtype).detach()
        longest = float(_lengths(found, p).max())
        assert longest <= eps * (1 + 1e-6), f"project, p={NAMES[p]}: a result has norm {longest:.8g}, the radius is {eps:.8g}."
        directions = normal(rng, 2000, d)
        directions[:200] = directions[:200] * (directions[:200].abs() == directions[:200].abs().amax(1, keepdim=True))
        points = directions * (eps * torch.from_numpy(rng.uniform(0.9, 1, 2000)) / _lengths(directions, p))[:, None]
        # For the nearest point of a convex set this product is at most 0 for every point of the set.
        product = torch.einsum("bd,nbd->nb", delta - found, points[:, None] - found)
        worst = float((product / (delta.norm(dim=1) * eps + 1e-12)).max())
        assert worst <= 1e-6, f"project, p={NAMES[p]}, d={d}: some point of the ball lies nearer to delta than the result."


@hidden(PROJECT, weight=1)
def edges_of_project(student: Student, rng: np.random.Generator) -> None:
    """Radius 0, no example, huge and float32 values, strided input, input kept, another p refused."""
    project = student.fn("project")
    for p in (INF, 2, 1):
        delta = normal(rng, 4, 2, 3)
        delta[1] = 0
        close(project(delta, 0.0, p), torch.zeros_like(delta), f"project(delta, 0.0, {NAMES[p]})", rtol=0, atol=1e-12)
        same(project(delta[:0], 1.0, p), delta[:0], f"project of no example, p={NAMES[p]}")
        _projected(student, _spread(rng, 4, 6) * 1e4, 0.5, p, ", huge", "", 1e-6)
        _projected(student, _spread(rng, 4, 3, 2).float(), 0.5, p, ", float32", "", 1e-4)
        wide = strided(_spread(rng, 3, 4, 5))
        found, after = student.fn("project", return_args=True)(wide, 0.7, p)
        close(found, _nearest(wide, 0.7, p), f"project of a strided delta, p={NAMES[p]}", rtol=1e-6)
        unchanged(after, [wide], "delta", "project")
    for p in (3, 0.5):
        raises("ValueError", lambda p=p: project(normal(rng, 2, 3), 1.0, p), f"project with p={p}")


def _generator(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def _drawn(student: Student, rng: np.random.Generator, shape: tuple[int, ...], eps: float, p: float) -> Tensor:
    what = f"random_in_ball({shape}, eps={eps:.4g}, p={NAMES[p]})"
    found = finite(student.fn("random_in_ball")(shape, eps, p, _generator(rng)), what, shape, torch.float32).detach()
    longest = float(_lengths(found, p).max()) if len(found) else 0.0
    # A few units in the last place of float32.
    assert longest <= eps * (1 + 1e-5), f"{what}: a point has norm {longest:.6g}. Is the radius per example, and never above eps?"
    return found


def _follows(draw: Callable[[], np.ndarray], cdf: Callable[[np.ndarray], np.ndarray], what: str, slip: str) -> None:
    """Assert that what is drawn has this distribution function: of two draws one must look like it."""
    for _ in range(2):
        sample = draw()
        if stats.kstest(sample, cdf).pvalue > 1e-6:
            return
    low, middle, high = np.quantile(sample, (0.1, 0.5, 0.9))
    raise AssertionError(
        f"{what}: a tenth of them lies below {low:.3g}, half below {middle:.3g}, nine tenths below {high:.3g}. {slip}"
    )


@hidden(DRAW, weight=2, core=True)
def in_the_ball(student: Student, rng: np.random.Generator) -> None:
    """Points of the asked shape, in the ball, filling it and not a corner of it, for both norms."""
    for shape in ((40, 3), (30, 1, 2, 2), (50, 1), (0, 4)):
        eps = float(rng.uniform(0.05, 3))
        for p in (INF, 2):
            found = _drawn(student, rng, shape, eps, p).flatten(1)
            if len(found):
                # 30 points or more: that all lie on one side of 0, or within half the radius, happens once in 10^9 draws.
                assert (found > 0).any(), f"p={NAMES[p]}, shape {shape}: no entry is positive."
                assert (found < 0).any(), f"p={NAMES[p]}, shape {shape}: no entry is negative."
                longest = float(_lengths(found, p).max())
                slip = "Is the ball of radius eps filled?"
                assert longest > eps / 2, f"p={NAMES[p]}, shape {shape}, eps={eps:.3g}: the longest is {longest:.3g}. {slip}"


@hidden(DRAW, weight=3)
def radius_by_volume(student: Student, rng: np.random.Generator) -> None:
    """p = 2: the share of points within radius r is the share of the volume within r, in every dimension."""
    for shape in ((1500, 1), (1500, 2), (1500, 3, 2), (1500, 1, 5, 4)):
        d, eps = math.prod(shape[1:]), float(rng.uniform(0.1, 3))
        draw = lambda s=shape, e=eps: (_lengths(_drawn(student, rng, s, e, 2), 2).numpy() / e) ** math.prod(s[1:])  # noqa: E731
        slip = "Expected 0.1, 0.5 and 0.9. How does the volume of a ball grow with its radius?"
        _follows(draw, lambda u: np.clip(u, 0, 1), f"p=2, {d} entries per example: (norm / eps)^{d} of 1500 points", slip)


@hidden(DRAW, weight=2)
def every_direction(student: Student, rng: np.random.Generator) -> None:
    """p = 2: all directions are equally likely; p = inf: every entry is uniform by itself."""
    d, eps = 6, float(rng.uniform(0.2, 2))
    axes = [np.eye(d)[int(rng.integers(d))], np.ones(d) / math.sqrt(d), rng.standard_normal(d)]
    for axis in axes:
        axis = axis / np.linalg.norm(axis)

        def along(axis: np.ndarray = axis) -> np.ndarray:
            points = _drawn(student, rng, (12_000, 2, 3), eps, 2).double().flatten(1).numpy()
            return points @ axis / np.linalg.norm(points, axis=1)

        # The share of a unit vector along an axis, moved to [0, 1], is Beta((d-1)/2, (d-1)/2).
        cdf = lambda t: stats.beta.cdf((t + 1) / 2, (d - 1) / 2, (d - 1) / 2)  # noqa: E731
        _follows(along, cdf, "p=2, shape (12000, 2, 3): the directions' share along one axis", "Are corners favoured?")
    for column in (0, 5):
        draw = lambda c=column: _drawn(student, rng, (1500, 2, 3), eps, INF).flatten(1)[:, c].double().numpy() / eps  # noqa: E731
        cdf = lambda t: np.clip((t + 1) / 2, 0, 1)  # noqa: E731
        _follows(draw, cdf, f"p=inf: entry {column} of 1500 examples, divided by eps", "Expected -0.8, 0 and 0.8.")


@hidden(DRAW, weight=2)
def examples_are_independent(student: Student, rng: np.random.Generator) -> None:
    """No two examples, and no two entries, share their randomness."""
    for p in (INF, 2):
        found = _drawn(student, rng, (400, 5), 1.0, p).double()
        lengths = _lengths(found, p)
        assert float(lengths.std()) > 0.05, f"p={NAMES[p]}: 400 points have the same norm, but for {float(lengths.std()):.2g}."
        # 399 pairs: a correlation above 0.35 is seven standard deviations.
        ranked = found / found.std(0)
        for name, a, b in (("examples", ranked[:-1].flatten(), ranked[1:].flatten()), ("entries", ranked[:, 0], ranked[:, 1])):
            together = float(torch.corrcoef(torch.stack([a, b]))[0, 1])
            assert abs(together) < 0.35, f"p={NAMES[p]}: neighbouring {name} have correlation {together:.2f}, expected about 0."


@hidden(DRAW, weight=1)
def only_from_the_generator(student: Student, rng: np.random.Generator) -> None:
    """The same generator gives the same points, a second call others; torch's global state stays; p = 1 is refused."""
    draw, shape = student.fn("random_in_ball", return_args=True), (6, 2, 3)
    for p in (INF, 2):
        seed = int(rng.integers(2**31))
        student.seed(1)
        expected = student.fn("torch.rand")(4)
        first, after = draw(shape, 0.5, p, torch.Generator().manual_seed(seed))
        student.seed(1)
        again, _ = draw(shape, 0.5, p, torch.Generator().manual_seed(seed))
        same(student.fn("torch.rand")(4), expected, "torch.rand(4) after random_in_ball", "All randomness must come from gen.")
        same(again, finite(first, "random_in_ball").detach(), f"random_in_ball with the same generator again, p={NAMES[p]}")
        other, _ = draw(shape, 0.5, p, after[3])
        moved = not torch.equal(finite(other, "random_in_ball").detach(), first.detach())
        assert moved, f"p={NAMES[p]}: a second call with the same generator gives the same points. Is it seeded anew?"
    raises("ValueError", lambda: student.fn("random_in_ball")((2, 3), 1.0, 1, _generator(rng)), "random_in_ball with p=1")
