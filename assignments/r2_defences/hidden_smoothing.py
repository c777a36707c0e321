"""Hidden checks of R2, votes under noise: noisy_counts, lower_confidence, certify, certified_curve. Student and rng in, a hint out.

Classifiers are ours and note every copy that they are asked about, so that counts, radii and abstentions can be recomputed
from what was seen. Exact laws come from scipy. Laws are tested at p < 1e-6, twice before an answer is refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, finite, normal, number, pair, raises, same, unchanged
from autograder.sandbox.student import Student

COUNTS, CONFIDENCE = "r2_defences.noisy_counts", "r2_defences.lower_confidence"
CERTIFY, CURVE = "r2_defences.certify", "r2_defences.certified_curve"


def _generator(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


class _Noted:
    """A classifier that keeps every batch that it is asked about, and its answers' classes."""

    def __init__(self, logits: Callable[[Tensor], Tensor], x: Tensor) -> None:
        self._logits, self.x = logits, x
        self.batches: list[Tensor] = []
        self.votes: list[Tensor] = []

    def __call__(self, z):  # type: ignore[no-untyped-def]  # the student chooses the arguments
        copies = finite(z, "a batch of copies", dtype=self.x.dtype).detach()
        assert copies.ndim == self.x.ndim + 1 and copies.shape[1:] == self.x.shape, (  # noqa: PT018
            f"The classifier is asked about shape {tuple(copies.shape)}; a copy of x has {tuple(self.x.shape)}."
        )
        assert len(copies) > 0, "The classifier is asked about an empty batch."
        answer = self._logits(copies)
        self.batches.append(copies.clone())
        self.votes.append(answer.argmax(1))
        return answer

    @property
    def copies(self) -> Tensor:
        return torch.cat(self.batches) if self.batches else self.x[None][:0]

    @property
    def classes(self) -> Tensor:
        return torch.cat(self.votes) if self.votes else torch.zeros(0, dtype=torch.int64)

    def asked(self, n: int, batch: int, what: str) -> None:
        """Assert that it was asked about n copies in all, in batches that are not too large."""
        sizes = [len(b) for b in self.batches]
        assert sum(sizes) == n, (
            f"{what}: the classifier was asked about {sum(sizes)} copies, expected {n}. Is the last batch right?"
        )
        assert max(sizes) <= batch, f"{what}: a batch of {max(sizes)} copies, the limit is {batch}."


def _linear(rng: np.random.Generator, x: Tensor, k: int) -> _Noted:
    """A classifier whose votes at x are split between its classes."""
    w = normal(rng, x.numel(), k).to(x.dtype)
    return _Noted(lambda z: (z - x).flatten(1) @ w, x)


@hidden(COUNTS, weight=3, core=True)
def counts_every_copy(student: Student, rng: np.random.Generator) -> None:
    """The counts are those of the copies that the classifier was asked about: n in all, for any batch size."""
    for n, batch, shape, k in ((50, 50, (4,), 3), (37, 10, (2, 3), 5), (10, 64, (1, 2, 2), 2), (23, 1, (3,), 4), (1, 8, (2,), 3)):
        f = _linear(rng, normal(rng, *shape), k)
        what = f"noisy_counts, n={n}, batch={batch}, x {shape}"
        found, after = student.fn("noisy_counts", return_args=True)(f, f.x, n, 0.5, batch, _generator(rng))
        f.asked(n, batch, what)
        expected = torch.tensor([int((f.classes == c).sum()) for c in range(k)])
        same(found, expected, what, "One entry per class, of votes; int64; their sum is n.")
        unchanged(after[1:2], [f.x], "x", "noisy_counts")


@hidden(COUNTS, weight=3)
def noise_of_the_right_size(student: Student, rng: np.random.Generator) -> None:
    """The noise of every entry is normal with mean 0 and deviation sigma, not clipped, whatever x is."""
    for sigma, shape in ((float(rng.uniform(0.1, 0.4)), (2, 3)), (float(rng.uniform(1.5, 4)), (1, 2, 2))):
        x = torch.from_numpy(rng.choice([0.0, 0.5, 1.0], shape))
        for attempt in range(2):
            f = _linear(rng, x, 3)
            student.fn("noisy_counts")(f, x, 1200, sigma, 500, _generator(rng))
            f.asked(1200, 500, "noisy_counts, n=1200")
            noise = ((f.copies - x) / sigma).flatten(1).numpy()
            worst = min(stats.kstest(noise[:, i], "norm").pvalue for i in range(noise.shape[1]))
            if worst * noise.shape[1] > 1e-6:
                break
            said = f"sigma={sigma:.3g}: the noise has mean {noise.mean() * sigma:.3g}, deviation {noise.std() * sigma:.3g}"
            slip = "Copies may leave [0, 1]: is the noise clipped, or its scale the square of sigma?"
            assert attempt == 0, f"noisy_counts, {said} and size up to {np.abs(noise).max() * sigma:.3g}. {slip}"


@hidden(COUNTS, weight=2)
def every_copy_has_its_own_noise(student: Student, rng: np.random.Generator) -> None:
    """No two copies, no two batches and no two entries share their noise; a second call draws anew."""
    x = normal(rng, 5)
    f = _linear(rng, x, 3)
    call, gen = student.fn("noisy_counts", return_args=True), _generator(rng)
    _, after = call(f, x, 300, 1.0, 100, gen)
    call(f, x, 300, 1.0, 100, after[5])
    f.asked(600, 100, "noisy_counts, twice n=300")
    noise = f.copies - x
    distinct = len(torch.unique(noise, dim=0))
    assert distinct == 600, f"Of 600 copies in two calls {distinct} are different. Is the same noise used again?"
    # 299 pairs: a correlation above 0.35 is six standard deviations.
    for name, a, b in (
        ("entries", noise[:, 0], noise[:, 1]),
        ("copies", noise[:-1, 0], noise[1:, 0]),
        ("batches", noise[:100, 2], noise[100:200, 2]),
    ):
        together = float(torch.corrcoef(torch.stack([a, b]))[0, 1])
        limit = 0.35 if name != "batches" else 0.6
        assert abs(together) < limit, f"The noise of neighbouring {name} has correlation {together:.2f}, expected about 0."


@hidden(COUNTS, weight=2)
def votes_not_scores(student: Student, rng: np.random.Generator) -> None:
    """A class that is often a little ahead beats one that is seldom far ahead: votes are counted, sizes of logits are not."""
    x = normal(rng, 3)
    k = int(rng.integers(4, 7))  # classes from 3 on never get a vote, and are to be counted all the same

    def rare_but_loud(z: Tensor) -> Tensor:
        logits = torch.zeros(len(z), k, dtype=z.dtype)
        logits[:, 1] = 0.01
        logits[(z - x)[:, 0] > 1, 2] = 1e4
        return logits

    f = _Noted(rare_but_loud, x)
    found = student.fn("noisy_counts")(f, x, 200, 1.0, 64, _generator(rng))
    expected = torch.tensor([int((f.classes == c).sum()) for c in range(k)])
    same(
        found, expected, "noisy_counts of a classifier with one rare, loud class", "Each copy has one vote, for its largest logit."
    )


@hidden(COUNTS, weight=1)
def counts_leave_nothing_behind(student: Student, rng: np.random.Generator) -> None:
    """Randomness comes from gen alone, no gradients are recorded, float32 stays float32."""
    x, seed, results = normal(rng, 4).float(), int(rng.integers(2**31)), []
    a = normal(rng, 4, 3).float().requires_grad_()
    for k in range(2):
        student.seed(k)
        expected = student.fn("torch.rand")(3)
        student.seed(k)
        f = _Noted(lambda z: z @ a, x)
        found = student.fn("noisy_counts")(f, x, 40, 0.7, 16, torch.Generator().manual_seed(seed))
        same(student.fn("torch.rand")(3), expected, "torch.rand(3) after noisy_counts", "All randomness must come from gen.")
        results.append(f.copies)
        assert not getattr(found, "requires_grad", False), "The counts require a gradient."
    same(results[1], results[0], "the copies with the same generator again", "All randomness must come from gen.")


# -- lower_confidence, binomial_p ------------------------------------------------------------------------------------------


def _number(found: Any, what: str) -> float:
    assert type(found) is float, f"{what} must be a plain float."
    return number(found, what)


def _near(found: float, right: float, what: str, slip: str, rtol: float = 1e-9) -> None:
    assert abs(found - right) <= rtol * abs(right) + 1e-300, f"{what} is {found:.12g}, expected {right:.12g}. {slip}"


def _lower(student: Student, k: int, n: int, alpha: float) -> float:
    return _number(student.fn("lower_confidence")(k, n, alpha), f"lower_confidence({k}, {n}, {alpha:.4g})")


@hidden(CONFIDENCE, weight=3, core=True)
def the_p_of_the_definition(student: Student, rng: np.random.Generator) -> None:
    """For 200 pairs k, n: the probability under which k or more successes have probability alpha, to nine digits."""
    for _ in range(200):
        n = int(rng.integers(1, 400))
        k, alpha = int(rng.integers(1, n + 1)), float(10 ** rng.uniform(-4, -0.35))
        right = float(stats.beta.ppf(alpha, k, n - k + 1))
        slip = "One-sided: the whole of alpha is spent on one end. How likely are k or more?"
        _near(_lower(student, k, n, alpha), right, f"lower_confidence({k}, {n}, {alpha:.4g})", slip)


@hidden(CONFIDENCE, weight=2)
def ends_and_large_n(student: Student, rng: np.random.Generator) -> None:
    """No success, only successes, and 100,000 trials."""
    for n in (1, 9, 10, 250, 100_000):
        alpha = float(rng.uniform(0.0005, 0.2))
        found = _lower(student, 0, n, alpha)
        assert found == 0, f"lower_confidence(0, {n}, {alpha:.4g}) is {found}: after no success nothing above 0 is certain."
        slip = "n successes of n: under which p is this just as likely as alpha?"
        _near(_lower(student, n, n, alpha), math.exp(math.log(alpha) / n), f"lower_confidence({n}, {n}, {alpha:.4g})", slip)
    for n in (20_000, 100_000):
        k, alpha = int(n * rng.uniform(0.4, 0.999)), float(rng.choice([0.001, 0.05]))
        right = float(stats.beta.ppf(alpha, k, n - k + 1))
        # Logarithms of factorials near 10^6 are rounded by 10^-10.
        _near(_lower(student, k, n, alpha), right, f"lower_confidence({k}, {n}, {alpha})", "Do factors underflow?", 1e-7)


@hidden(CONFIDENCE, weight=1)
def covers_as_often_as_promised(student: Student, rng: np.random.Generator) -> None:
    """For every true probability the bound is above it in a share of at most alpha of all experiments, computed exactly."""
    n, alpha = int(rng.integers(8, 16)), float(rng.uniform(0.02, 0.2))
    bounds = np.array([_lower(student, k, n, alpha) for k in range(n + 1)])
    assert (np.diff(bounds) > 0).all(), f"lower_confidence(k, {n}, {alpha:.3g}) does not rise with k."
    for p in rng.uniform(0.02, 0.98, 40):
        missed = float(stats.binom.pmf(np.arange(n + 1), n, p)[bounds > p].sum())
        told = f"n={n}, alpha={alpha:.3g}, true probability {p:.3f}: the bound is above it in {missed:.3f} of all experiments"
        assert missed <= alpha + 1e-9, f"{told}."


@hidden(CONFIDENCE, weight=2)
def both_ends_of_a_fair_coin(student: Student, rng: np.random.Generator) -> None:
    """binomial_p is the two-sided p-value, symmetric, at most 1, also for large n."""
    pairs = [(int(k), int(n)) for n in (1, 2, 7, 20, 111) for k in {0, 1, n // 2, n - 1, n, int(rng.integers(0, n + 1))}]
    pairs += [(50_300, 100_000), (49_500, 100_000), (12, 1000)]
    for k, n in pairs:
        right = min(1.0, 2 * float(stats.binom.sf(max(k, n - k) - 1, n, 0.5)))
        what = f"binomial_p({k}, {n})"
        slip = "At least as far from n / 2, in either direction; more than 1 it cannot be."
        _near(_number(student.fn("binomial_p")(k, n), what), right, what, slip, 1e-8)
    found = _number(student.fn("binomial_p")(0, 0), "binomial_p(0, 0)")
    assert abs(found - 1) < 1e-9, f"binomial_p(0, 0) is {found}: no toss is no evidence."


# -- certify, predict ------------------------------------------------------------------------------------------------------


def _half_space(rng: np.random.Generator, d: int, distance: float, k: int = 2) -> tuple[_Noted, int]:
    """Draw a point at this distance from the boundary of a half-space; return the classifier and the point's class."""
    w, x, inside = normal(rng, d), normal(rng, d), int(rng.integers(0, k))
    w = w / w.norm()
    other = (inside + 1) % k

    def logits(z: Tensor) -> Tensor:
        depth = (z - x) @ w + distance
        answer = torch.full((len(z), k), -9.0, dtype=z.dtype)
        answer[:, inside], answer[:, other] = depth.sign(), -depth.sign()
        return answer

    return _Noted(logits, x), inside


def _three_ways(rng: np.random.Generator, distance: float) -> tuple[_Noted, int]:
    """As a half-space, but about a quarter of all votes go to a third class, wherever x lies."""
    x, order = normal(rng, 2), [int(c) for c in rng.permutation(4)]

    def logits(z: Tensor) -> Tensor:
        a, b = (z - x)[:, 0] + distance, (z - x)[:, 1]
        answer = torch.full((len(z), 4), -9.0, dtype=z.dtype)
        answer[:, order[0]], answer[:, order[1]], answer[:, order[2]] = a.sign(), -a.sign(), 2 * (b - 0.7).sign()
        return answer

    return _Noted(logits, x), order[0]


def _certified(student: Student, f: Callable[[Tensor], Tensor], x: Tensor, *args: Any, what: str) -> tuple[int, float]:
    (found, after) = student.fn("certify", return_args=True)(f, x, *args)
    unchanged(after[1:2], [x], "x", "certify")
    label, radius = pair(found, what)
    assert type(label) is int, f"{what}: the class must be a plain int."
    assert type(radius) is float, f"{what}: the radius must be a plain float."
    return label, number(radius, f"{what}: the radius")


@hidden(CERTIFY, weight=3, core=True)
def radius_from_the_votes(student: Student, rng: np.random.Generator) -> None:
    """Class and radius are those that follow from the copies that the classifier was asked about: first n0, then n."""
    for n0, n, alpha, sigma, batch in (
        (20, 200, 0.01, 0.5, 64),
        (11, 90, 0.05, 2.0, 200),
        (30, 400, 0.001, 0.25, 100),
        (7, 60, 0.1, 1.0, 7),
    ):
        f, _ = _half_space(rng, 3, sigma * float(rng.uniform(0.3, 1.5)), 3)
        what = f"certify, n0={n0}, n={n}, alpha={alpha}, sigma={sigma}"
        label, radius = _certified(student, f, f.x, n0, n, alpha, sigma, batch, _generator(rng), what=what)
        f.asked(n0 + n, batch, what)
        first, later = torch.bincount(f.classes[:n0], minlength=3), f.classes[n0:]
        chosen = int(first.argmax())
        votes = int((later == chosen).sum())
        bound = float(stats.beta.ppf(alpha, votes, n - votes + 1)) if votes else 0.0
        told = f"{what}: {votes} of the {n} later copies are of the class with most votes among the first {n0}"
        if bound <= 0.5:
            assert (label, radius) == (-1, 0.0), f"{told}; ({label}, {radius:.4g}) was returned, expected an abstention."
            continue
        assert label == chosen or int(first[chosen]) == int(first[label]), f"{told}; class {label} was returned, expected {chosen}."
        right = sigma * NormalDist().inv_cdf(bound)
        slip = "Which confidence bound, of which count, and which function turns it into a radius?"
        assert abs(radius - right) <= 1e-6 * right, f"{told}; the radius is {radius:.6g}, expected {right:.6g}. {slip}"


@hidden(CERTIFY, weight=3)
def radius_below_the_distance(student: Student, rng: np.random.Generator) -> None:
    """For half-spaces the true radius is the distance: in 300 runs it is exceeded no more often than alpha allows."""
    alpha, n, sigma, distance, d = 0.05, 100, 1.0, 0.8, 2
    for attempt in range(2):
        too_far, radii, wrong = 0, [], 0
        for _ in range(300):
            f, inside = _half_space(rng, d, distance)
            label, radius = _certified(student, f, f.x, 10, n, alpha, sigma, n, _generator(rng), what="certify")
            wrong += label not in (inside, -1)
            too_far += radius > distance
            radii.append(radius / distance)
        if stats.binom.sf(too_far + wrong - 1, 300, alpha) > 1e-6:
            break
        told = f"alpha={alpha}: in {too_far} of 300 runs the radius is larger than the distance of the boundary"
        assert attempt == 0, (
            f"{told}. Is the number of votes taken for the probability itself, or are the choosing votes counted again?"
        )
    # The reference reaches 0.72 of the distance on average, with a standard deviation of 0.01 over draws of 300.
    mean = float(np.mean(radii))
    assert mean > 0.62, f"The radius is {mean:.2f} of the true distance on average over 300 runs, n={n}. Is something given away?"


@hidden(CERTIFY, weight=2)
def abstains_when_in_doubt(student: Student, rng: np.random.Generator) -> None:
    """On the boundary it abstains; too few copies certify nothing, however sure the classifier is."""
    abstained = 0
    for _ in range(30):
        f, _ = _half_space(rng, 3, 0.0)
        found = _certified(student, f, f.x, 10, 60, 0.001, 0.5, 100, _generator(rng), what="certify on the boundary")
        abstained += found == (-1, 0.0)
    # Each run has 33 votes or more of 60 by chance, but 43 with probability 0.0005 only.
    assert abstained >= 27, f"On the boundary (votes half and half) certify abstains in {abstained} of 30 runs with (-1, 0.0)."
    sure, _ = _half_space(rng, 3, 1e6)
    found = _certified(student, sure, sure.x, 5, 9, 0.001, 1.0, 100, _generator(rng), what="certify, n=9, alpha=0.001")
    told = "All of 9 copies vote alike, and alpha = 0.001"
    assert found == (-1, 0.0), f"{told}: {found} was returned, but 9 votes of 9 happen with p = 1/2 more often than that."
    label, radius = _certified(student, sure, sure.x, 5, 10, 0.001, 1.0, 100, _generator(rng), what="certify, n=10, alpha=0.001")
    right = NormalDist().inv_cdf(0.001**0.1)
    assert label >= 0, "All of 10 copies vote alike, and alpha = 0.001: that is just enough, and certify abstains."
    assert abs(radius - right) < 1e-9, f"10 votes of 10, alpha=0.001, sigma=1: the radius is {radius:.6g}, expected {right:.6g}."


@hidden(CERTIFY, weight=2)
def choosing_votes_do_not_count(student: Student, rng: np.random.Generator) -> None:
    """The class is chosen by the first n0 copies alone and judged by n others alone."""
    x, n0, n = normal(rng, 3), int(rng.integers(8, 20)), int(rng.integers(60, 90))

    def turncoat(before: int) -> _Noted:
        """Say class 2 for the first copies, and class 0 after them."""
        seen = [0]

        def logits(z: Tensor) -> Tensor:
            place = torch.arange(seen[0], seen[0] + len(z))
            seen[0] += len(z)
            late = (place >= before)[:, None]
            return torch.where(late, torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])).to(z.dtype)

        return _Noted(logits, x)

    f = turncoat(n0)
    found = _certified(student, f, x, n0, n, 0.01, 1.0, 1000, _generator(rng), what="certify")
    told = f"The first {n0} copies (n0) vote for class 2, the {n} after them for class 0"
    assert found == (-1, 0.0), f"{told}: {found} was returned. Who was chosen has no vote after that, so: abstain."
    f = turncoat(n0 + n)
    label, radius = _certified(student, f, x, n0, n, 0.01, 1.0, 1000, _generator(rng), what="certify")
    right = NormalDist().inv_cdf(0.01 ** (1 / n))
    assert label == 2, f"All copies vote for class 2; class {label} was returned."
    assert abs(radius - right) < 1e-9, (
        f"{n} of {n} votes: the radius is {radius:.6g}, expected {right:.6g}. Are the n0 votes counted too?"
    )
    distinct = len(torch.unique(f.copies, dim=0))
    assert distinct == n0 + n, f"Of {n0 + n} copies {distinct} are different: the same noise was used twice."


@hidden(CERTIFY, weight=3)
def predicts_or_abstains(student: Student, rng: np.random.Generator) -> None:
    """predict returns the winner where a fair coin would hardly favour it so much over the runner-up, else -1."""
    cases = [(float(rng.uniform(0.0, 0.9)), int(rng.integers(20, 120)), float(rng.choice([0.001, 0.05, 0.2]))) for _ in range(60)]
    for distance, n, alpha in [*cases, (5.0, 30, 0.001), (0.0, 30, 0.001)]:
        f, _ = _half_space(rng, 2, distance, 4) if n % 2 else _three_ways(rng, distance)
        found, after = student.fn("predict", return_args=True)(f, f.x, n, alpha, 1.0, 50, _generator(rng))
        what = f"predict, n={n}, alpha={alpha}"
        f.asked(n, 50, what)
        unchanged(after[1:2], [f.x], "x", "predict")
        assert type(found) is int, f"{what}: the class must be a plain int."
        counts = torch.bincount(f.classes, minlength=4)
        order = counts.argsort(descending=True).tolist()
        a, b = int(counts[order[0]]), int(counts[order[1]])
        p_value = min(1.0, 2 * float(stats.binom.sf(a - 1, a + b, 0.5)))
        if abs(p_value - alpha) < 1e-9:
            continue
        right = order[0] if p_value <= alpha else -1
        slip = "The winner against the runner-up, two-sided, against alpha."
        assert found == right, (
            f"{what}: {a} votes for class {order[0]}, {b} for the next: {found} was returned, expected {right}. {slip}"
        )


@hidden(CERTIFY, weight=1)
def certify_leaves_nothing_behind(student: Student, rng: np.random.Generator) -> None:
    """Randomness comes from gen alone; images and float32 work like vectors."""
    x, seed, results = normal(rng, 1, 2, 3).float(), int(rng.integers(2**31)), []
    for k in range(2):
        student.seed(k)
        expected = student.fn("torch.rand")(3)
        student.seed(k)
        f = _Noted(lambda z: torch.stack([z.flatten(1).sum(1), 0 * z.flatten(1).sum(1)], 1), x)
        gen = torch.Generator().manual_seed(seed)
        results.append(_certified(student, f, x, 10, 50, 0.05, 0.5, 20, gen, what="certify of an image"))
        student.fn("predict")(f, x, 20, 0.05, 0.5, 20, torch.Generator().manual_seed(seed))
        same(student.fn("torch.rand")(3), expected, "torch.rand(3) after certify and predict", "All randomness must come from gen.")
    assert results[0] == results[1], f"The same generator gives {results[0]} and {results[1]}. All randomness must come from gen."


# -- certified_curve -------------------------------------------------------------------------------------------------------


def _curve(student: Student, records: list[tuple[int, int, float]], radii: list[float], what: str) -> Tensor:
    return finite(student.fn("certified_curve")(records, radii), what, (len(radii),), torch.float64).detach()


@hidden(CURVE, weight=3, core=True)
def right_and_certified(student: Student, rng: np.random.Generator) -> None:
    """The share of all records whose class is the label and whose radius reaches r; the rest counts as not certified."""
    for m in (40, 7, 1):
        labels, classes = rng.integers(0, 3, m), rng.integers(-1, 3, m)
        records = [(int(a), int(b), float(rng.uniform(0, 2)) if b >= 0 else 0.0) for a, b in zip(labels, classes, strict=True)]
        records[0] = (1, 1, 1.0)
        radii = [float(r) for r in rng.uniform(0, 2.2, 9)]
        expected = torch.tensor([sum(a == b and s >= r for a, b, s in records) / m for r in radii], dtype=torch.float64)
        what = f"certified_curve of {m} records"
        close(
            _curve(student, records, radii, what),
            expected,
            what,
            rtol=1e-9,
            atol=1e-12,
            slip="Right and certified at r, of all records.",
        )


@hidden(CURVE, weight=2)
def wrong_and_abstained_count_as_nothing(student: Student, rng: np.random.Generator) -> None:
    """A wrong class with a large radius, and an abstention, add nothing at any radius, but are counted below the line."""
    radii = [0.0, 0.5, 9.0]
    records = [(0, 1, 5.0), (1, -1, 0.0), (2, 2, 0.7), (0, -1, 0.0), (2, 0, 0.9)]
    found = _curve(student, records, radii, "certified_curve")
    expected = torch.tensor([0.2, 0.2, 0.0], dtype=torch.float64)
    close(
        found,
        expected,
        "certified_curve of one right, two wrong and two abstained records",
        rtol=1e-9,
        atol=1e-12,
        slip="A share of all five.",
    )
    found = _curve(student, [(0, -1, 0.0)] * 3, radii, "certified_curve")
    same(found, torch.zeros(3, dtype=torch.float64), "certified_curve of abstentions alone")


@hidden(CURVE, weight=2)
def steps_at_the_radius_itself(student: Student, rng: np.random.Generator) -> None:
    """A record counts at exactly its own radius; the curve falls with r, whatever the order of the radii."""
    sizes = [float(s) for s in rng.uniform(0.1, 3, 6)]
    records = [(4, 4, s) for s in sizes]
    found = _curve(student, records, sizes, "certified_curve at the records' own radii")
    expected = torch.tensor([sum(s >= r for s in sizes) / 6 for r in sizes], dtype=torch.float64)
    close(found, expected, "certified_curve at the records' own radii", rtol=1e-9, slip="At its own radius a record still counts.")
    found = _curve(student, [(1, 1, 0.0), (0, 0, 0.25)], [0.0, 0.25, 0.26], "certified_curve")
    close(found, torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64), "certified_curve at radius 0", rtol=1e-9, atol=1e-12)
    raises("ValueError", lambda: student.fn("certified_curve")([], [0.0]), "certified_curve of no record")
