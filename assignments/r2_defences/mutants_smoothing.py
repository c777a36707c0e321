"""Wrong and right answers to R2: noisy_counts, lower_confidence with binomial_p, certify with predict, certified_curve."""

from __future__ import annotations

import math

import torch

from autograder.grading.checks import alternative, mutant_edit

COUNTS, CONFIDENCE = "r2_defences.noisy_counts", "r2_defences.lower_confidence"
CERTIFY, CURVE = "r2_defences.certify", "r2_defences.certified_curve"

# -- noisy_counts ----------------------------------------------------------------------------------------------------------

mutant_edit(
    COUNTS,
    ("range(0, n, batch)", "range(0, n - n % batch if n > batch else n, batch)"),
    caught_by="counts_every_copy",
    label="last batch dropped",
    hint="The last, smaller batch is left out, so the counts do not sum to n.",
)
mutant_edit(
    COUNTS,
    ("min(batch, n - start)", "batch"),
    caught_by="counts_every_copy",
    label="last batch too large",
    hint="Your last batch is a full one: more than n copies are counted.",
)
mutant_edit(
    COUNTS,
    (
        "        for start in range(0, n, batch):\n"
        "            noise = torch.randn(min(batch, n - start), *x.shape, generator=gen).to(x.dtype)\n",
        "        first = torch.randn(min(batch, n), *x.shape, generator=gen).to(x.dtype)\n"
        "        for start in range(0, n, batch):\n            noise = first[: min(batch, n - start)]\n",
    ),
    caught_by="every_copy_has_its_own_noise",
    label="one noise tensor reused",
    hint="All of your batches use the same noise.",
)
mutant_edit(
    COUNTS,
    (
        "torch.randn(min(batch, n - start), *x.shape, generator=gen)",
        "torch.randn(1, *x.shape, generator=gen).expand(min(batch, n - start), *x.shape)",
    ),
    caught_by="every_copy_has_its_own_noise",
    label="one draw per batch",
    hint="All copies of a batch have the same noise.",
)
mutant_edit(
    COUNTS,
    ("counts.append(torch.bincount(logits.argmax(1), minlength=logits.shape[1]))", "counts.append(logits.softmax(1).sum(0))"),
    caught_by=("counts_every_copy", "votes_not_scores"),
    label="sums of softmax in place of votes",
    hint="You add up probabilities. Each copy has one vote.",
)
mutant_edit(
    COUNTS,
    (
        "counts.append(torch.bincount(logits.argmax(1), minlength=logits.shape[1]))",
        "share = logits.softmax(1).mean(0) * len(logits)\n            votes = share.round().long()\n"
        "            votes[votes.argmax()] += len(logits) - votes.sum()\n"
        "            counts.append(votes)",
    ),
    caught_by=("votes_not_scores", "counts_every_copy"),
    label="rounded averages of softmax",
    hint="Your counts are rounded averages of probabilities.",
)
mutant_edit(
    COUNTS,
    ("logits = f(x + sigma * noise)", "logits = f((x + sigma * noise).clamp(0, 1))"),
    caught_by="noise_of_the_right_size",
    label="copies are clipped",
    hint="Your copies are clipped to [0, 1]. The theorem is about the whole normal law.",
)
mutant_edit(
    COUNTS,
    ("x + sigma * noise", "x + sigma**2 * noise"),
    caught_by="noise_of_the_right_size",
    label="sigma squared",
    hint="Your noise has variance sigma to the fourth: sigma is a standard deviation.",
)
mutant_edit(
    COUNTS,
    (
        "torch.randn(min(batch, n - start), *x.shape, generator=gen)",
        "(2 * torch.rand(min(batch, n - start), *x.shape, generator=gen) - 1) * 3**0.5",
    ),
    caught_by="noise_of_the_right_size",
    label="uniform noise of the same deviation",
    hint="Your noise is uniform.",
)
mutant_edit(
    COUNTS,
    ("torch.randn(min(batch, n - start), *x.shape, generator=gen)", "torch.randn(min(batch, n - start), *x.shape)"),
    caught_by="counts_leave_nothing_behind",
    label="global randomness",
    hint="Your noise comes from torch's global generator.",
)
mutant_edit(
    COUNTS,
    (", minlength=logits.shape[1]", ""),
    (
        "return torch.stack(counts).sum(0)",
        "width = max(len(c) for c in counts)\n"
        "    return torch.stack([torch.cat([c, c.new_zeros(width - len(c))]) for c in counts]).sum(0)",
    ),
    caught_by=("votes_not_scores", "counts_every_copy"),
    label="classes without votes are missing",
    hint="Classes at the end that got no vote are missing from your counts.",
)
mutant_edit(
    COUNTS,
    ("return torch.stack(counts).sum(0)", "return torch.stack(counts).sum(0) / n"),
    caught_by="counts_every_copy",
    label="shares",
    hint="You return shares. Counts were asked for.",
)


@alternative(COUNTS, label="one vote at a time into a row of zeros")
def noisy_counts(f, x, n, sigma, batch, gen):
    counts, left = None, n
    while left > 0:
        m = min(left, batch)
        left -= m
        z = x[None].repeat(m, *[1] * x.ndim)
        z = z + torch.empty(z.shape, dtype=torch.float64).normal_(0, sigma, generator=gen).to(x.dtype)
        with torch.inference_mode():
            out = f(z)
        if counts is None:
            counts = torch.zeros(out.shape[1], dtype=torch.int64)
        for c in out.max(1).indices.tolist():
            counts[c] += 1
    return counts


@alternative(COUNTS, label="all noise at once, one-hot votes")
def noisy_counts(f, x, n, sigma, batch, gen):
    noise = torch.randn((n, *x.shape), generator=gen, dtype=x.dtype)
    with torch.no_grad():
        out = torch.cat([f(x.unsqueeze(0) + part * sigma) for part in noise.split(batch)])
    return torch.nn.functional.one_hot(out.argmax(-1), out.shape[-1]).sum(0)


# -- lower_confidence, binomial_p ------------------------------------------------------------------------------------------

mutant_edit(
    CONFIDENCE,
    ("if tail > alpha else", "if tail > alpha / 2 else"),
    caught_by="the_p_of_the_definition",
    label="half of alpha",
    hint="You spend half of alpha: that is the lower end of a two-sided interval.",
)
mutant_edit(
    CONFIDENCE,
    ("    low, high = 0.0, 1.0\n", "    return k / n\n    low, high = 0.0, 1.0\n"),
    caught_by="the_p_of_the_definition",
    label="k / n",
    hint="That is the share of successes, not a bound: half of the time the true probability is smaller.",
)
mutant_edit(
    CONFIDENCE,
    (
        "    i = torch.arange(k, n + 1, dtype=torch.float64)\n    ways = math.lgamma(n + 1) - ",
        "    if k == n:\n        return alpha ** (1 / n)\n"
        "    i = torch.arange(k + 1, n + 1, dtype=torch.float64)\n    ways = math.lgamma(n + 1) - ",
    ),
    caught_by="the_p_of_the_definition",
    label="more than k",
    hint="Your tail begins at k + 1. The result k itself counts too.",
)
mutant_edit(
    CONFIDENCE,
    ("    if k == 0:\n        return 0.0\n", "    if k == 0:\n        return 1 - (1 - alpha) ** (1 / n)\n"),
    caught_by="ends_and_large_n",
    label="something above 0 after no success",
    hint="After no success you return a bound above 0.",
)
mutant_edit(
    CONFIDENCE,
    (
        "    low, high = 0.0, 1.0\n",
        "    share = k / n\n"
        "    return max(0.0, share - 1.6448536269514722 * math.sqrt(share * (1 - share) / n))\n"
        "    low, high = 0.0, 1.0\n",
    ),
    caught_by=("the_p_of_the_definition", "covers_as_often_as_promised"),
    label="the normal approximation",
    hint="That is the normal approximation. Near 0 and 1, and for small n, it promises too much.",
)
mutant_edit(
    CONFIDENCE,
    (
        "    low, high = 0.0, 1.0\n",
        "    return max(0.0, k / n - math.sqrt(math.log(1 / alpha) / (2 * n)))\n    low, high = 0.0, 1.0\n",
    ),
    caught_by="the_p_of_the_definition",
    label="Hoeffding's bound",
    hint="That is Hoeffding's bound. It holds, but gives away much of the radius.",
)
mutant_edit(
    CONFIDENCE,
    (
        "    ways = math.lgamma(n + 1) - torch.lgamma(i + 1) - torch.lgamma(n - i + 1)\n",
        "    ways = torch.tensor([float(math.comb(n, int(j))) if n < 1000 else math.inf for j in i]).double().log()\n",
    ),
    caught_by="ends_and_large_n",
    label="factors overflow",
    hint="For large n your numbers of ways overflow. Work with logarithms throughout.",
)
mutant_edit(
    CONFIDENCE,
    ("for _ in range(60):", "for _ in range(15):"),
    caught_by="the_p_of_the_definition",
    label="too few halvings",
    hint="Your bisection ends after too few halvings.",
)
mutant_edit(
    CONFIDENCE,
    ("min(1.0, 2 * float(log_share.exp().sum()))", "float(log_share.exp().sum())"),
    caught_by="both_ends_of_a_fair_coin",
    label="one-sided p-value",
    hint="Your p-value counts one side only.",
)
mutant_edit(
    CONFIDENCE,
    ("min(1.0, 2 * float(log_share.exp().sum()))", "2 * float(log_share.exp().sum())"),
    caught_by="both_ends_of_a_fair_coin",
    label="a p-value above 1",
    hint="Your p-value exceeds 1 in the middle, where both sides share a result.",
)
mutant_edit(
    CONFIDENCE,
    ("torch.arange(max(k, n - k), n + 1, dtype=torch.float64)", "torch.arange(k, n + 1, dtype=torch.float64)"),
    caught_by="both_ends_of_a_fair_coin",
    label="not symmetric",
    hint="Your p-value is right for many heads only: few heads are just as far from the middle.",
)


@alternative(CONFIDENCE, label="numpy, the tail by ratios from its first term")
def lower_confidence(k, n, alpha):
    import numpy as np

    if k == 0:
        return 0.0
    if k == n:
        return float(alpha ** (1.0 / n))
    first = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    j = np.arange(k, n, dtype=np.float64)
    ratios = np.concatenate([[0.0], np.cumsum(np.log((n - j) / (j + 1)))])
    m = np.arange(0, n - k + 1, dtype=np.float64)

    def log_tail(p):
        terms = first + k * math.log(p) + (n - k) * math.log1p(-p) + ratios + m * (math.log(p) - math.log1p(-p))
        top = terms.max()
        return top + math.log(np.exp(terms - top).sum())

    low, high, target = 0.0, k / n, math.log(alpha)
    if log_tail(high) < target:
        low, high = high, 1.0
    for _ in range(200):
        mid = (low + high) / 2
        if mid in (low, high):
            break
        if log_tail(mid) > target:
            high = mid
        else:
            low = mid
    return float((low + high) / 2)


@alternative(CONFIDENCE, label="a continued fraction for the incomplete beta function")
def lower_confidence(k, n, alpha):
    if k == 0:
        return 0.0
    a, b = float(k), float(n - k + 1)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)

    def fraction(x, a, b):
        tiny = 1e-300
        c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
        d = 1 / (d if abs(d) > tiny else tiny)
        h = d
        for m in range(1, 3000):
            up = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
            d, c = 1 + up * d, 1 + up / c
            d = 1 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            h *= d * c
            down = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
            d, c = 1 + down * d, 1 + down / c
            d = 1 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            h *= d * c
            if abs(d * c - 1) < 1e-15:
                break
        return h

    def beta(x):
        scale = math.exp(front + a * math.log(x) + b * math.log1p(-x))
        if x < (a + 1) / (a + b + 2):
            return scale * fraction(x, a, b) / a
        return 1 - scale * fraction(1 - x, b, a) / b

    low, high = 0.0, 1.0
    for _ in range(80):
        mid = (low + high) / 2
        if not low < mid < high:
            break
        low, high = (low, mid) if beta(mid) > alpha else (mid, high)
    return low


@alternative(CONFIDENCE, label="exact integers for the coin")
def binomial_p(k, n):
    far = abs(2 * k - n)
    first = (n + far) // 2
    term = math.comb(n, first)
    total = 0
    for i in range(first, n + 1):
        total += term
        term = term * (n - i) // (i + 1)
        if term * 10**14 < total:
            break
    if far == 0:
        return 1.0
    return min(1.0, (2 * total * 10**30 // 2**n) / 1e30) if 2 * total * 10**18 > 2**n else 2.0 ** (math.log2(2 * total) - n)


# -- certify, predict ------------------------------------------------------------------------------------------------------

mutant_edit(
    CERTIFY,
    (
        "    chosen = int(noisy_counts(f, x, n0, sigma, batch, gen).argmax())\n"
        "    votes = int(noisy_counts(f, x, n, sigma, batch, gen)[chosen])",
        "    first = noisy_counts(f, x, n0, sigma, batch, gen)\n    chosen = int(first.argmax())\n"
        "    votes = int(noisy_counts(f, x, n, sigma, batch, gen)[chosen] + first[chosen])\n"
        "    n = n + n0",
    ),
    caught_by=("choosing_votes_do_not_count", "radius_from_the_votes"),
    label="reuses the n0 counts",
    hint="The votes that chose the class are counted again for its bound. They are biased in its favour.",
)
mutant_edit(
    CERTIFY,
    (
        "    chosen = int(noisy_counts(f, x, n0, sigma, batch, gen).argmax())\n"
        "    votes = int(noisy_counts(f, x, n, sigma, batch, gen)[chosen])",
        "    counts = noisy_counts(f, x, n, sigma, batch, gen)\n    chosen = int(counts.argmax())\n    votes = int(counts[chosen])",
    ),
    caught_by=("choosing_votes_do_not_count", "radius_from_the_votes"),
    label="no separate selection",
    hint="The same copies choose the class and judge it.",
)
mutant_edit(
    CERTIFY,
    ("    bound = lower_confidence(votes, n, alpha)", "    bound = min(votes / n, 1 - 1e-9)"),
    caught_by="radius_below_the_distance",
    label="point estimate of pA",
    hint="You take the share of votes for the probability itself. Half of your radii are too large.",
)
mutant_edit(
    CERTIFY,
    ("sigma * NormalDist().inv_cdf(bound)", "sigma * bound"),
    caught_by="radius_from_the_votes",
    label="radius sigma times pA",
    hint="Your radius is sigma times the probability. The theorem has a function of it.",
)
mutant_edit(
    CERTIFY,
    ("sigma * NormalDist().inv_cdf(bound)", "sigma**2 * NormalDist().inv_cdf(bound)"),
    caught_by="radius_from_the_votes",
    label="sigma squared",
    hint="Your radius grows with the square of sigma.",
)
mutant_edit(
    CERTIFY,
    (" if bound > 0.5 else (-1, 0.0)", ""),
    ("return (chosen, sigma * NormalDist().inv_cdf(bound))", "return chosen, sigma * NormalDist().inv_cdf(max(bound, 0.5))"),
    caught_by="abstains_when_in_doubt",
    label="no abstention",
    hint="You never abstain. A class without a majority is not the answer of the smoothed classifier.",
)
mutant_edit(
    CERTIFY,
    ("if bound > 0.5 else (-1, 0.0)", "if votes > n / 2 else (-1, 0.0)"),
    ("NormalDist().inv_cdf(bound)", "NormalDist().inv_cdf(max(bound, 0.5))"),
    caught_by="abstains_when_in_doubt",
    label="abstains by the votes, not by the bound",
    hint="You abstain when the votes have no majority. The confidence bound must be above one half.",
)
mutant_edit(
    CERTIFY,
    ("    bound = lower_confidence(votes, n, alpha)", "    bound = lower_confidence(votes, n, alpha / 2)"),
    caught_by="radius_from_the_votes",
    label="half of alpha",
    hint="You spend half of alpha only.",
)
mutant_edit(
    CERTIFY,
    (
        "    votes = int(noisy_counts(f, x, n, sigma, batch, gen)[chosen])",
        "    votes = int(noisy_counts(f, x, n, sigma, batch, gen).max())",
    ),
    caught_by="choosing_votes_do_not_count",
    label="votes of the later winner",
    hint="You count the votes of whichever class wins among the n copies, not of the one that was chosen before.",
)
mutant_edit(
    CERTIFY,
    ("return (chosen, ", "return (int(noisy_counts(f, x, n0, sigma, batch, gen).argmax()), "),
    caught_by="radius_from_the_votes",
    label="chooses once more at the end",
    hint="The class is chosen again after the votes are counted: more copies are asked about than n0 + n.",
)
mutant_edit(
    CERTIFY,
    ("binomial_p(most, most + second) <= alpha", "binomial_p(most, n) <= alpha"),
    caught_by="predicts_or_abstains",
    label="winner against all others",
    hint="Your coin is thrown n times: the winner against all others. It is the winner against the runner-up.",
)
mutant_edit(
    CERTIFY,
    ("return classes[0] if binomial_p(most, most + second) <= alpha else -1", "return classes[0]"),
    caught_by="predicts_or_abstains",
    label="predict never abstains",
    hint="Your predict always answers.",
)
mutant_edit(
    CERTIFY,
    ("binomial_p(most, most + second) <= alpha", "binomial_p(most, most + second) / 2 <= alpha"),
    caught_by="predicts_or_abstains",
    label="a one-sided test in predict",
    hint="Your test in predict is one-sided, but which class would win was not known before.",
)


mutant_edit(
    CERTIFY,
    ("    chosen = int(", "    gen = torch.Generator().manual_seed(int(torch.randint(2**31, ())))\n    chosen = int("),
    caught_by="certify_leaves_nothing_behind",
    label="a generator of its own",
    hint="Your noise does not come from gen, but from a generator that the global one seeds.",
)


@alternative(CERTIFY, label="the quantile by bisection of erf")
def certify(f, x, n0, n, alpha, sigma, batch, gen):
    guess = noisy_counts(f, x, n0, sigma, batch, gen)
    c = guess.tolist().index(max(guess.tolist()))
    again = noisy_counts(f, x, n, sigma, batch, gen)
    p = lower_confidence(int(again[c].item()), n, alpha)
    if p <= 0.5:
        return -1, 0.0
    low, high = 0.0, 40.0
    for _ in range(200):
        z = (low + high) / 2
        if 0.5 * math.erfc(-z / math.sqrt(2)) < p:
            low = z
        else:
            high = z
    return c, float(sigma * low)


@alternative(CERTIFY, label="torch's quantile, and predict by sorting")
def certify(f, x, n0, n, alpha, sigma, batch, gen):
    c = torch.argmax(noisy_counts(f, x, n0, sigma, batch, gen)).item()
    votes = noisy_counts(f, x, n, sigma, batch, gen)
    radius = sigma * torch.special.ndtri(torch.tensor(lower_confidence(votes[c].item(), n, alpha), dtype=torch.float64)).item()
    if radius > 0:
        return (c, radius)
    return (-1, 0.0)


@alternative(CERTIFY, label="predict by sorting")
def predict(f, x, n, alpha, sigma, batch, gen):
    pairs = sorted(((int(v), -c) for c, v in enumerate(noisy_counts(f, x, n, sigma, batch, gen))), reverse=True)
    (a, first), (b, _) = pairs[0], pairs[1]
    if binomial_p(a, a + b) > alpha:
        return -1
    return -first


# -- certified_curve -------------------------------------------------------------------------------------------------------

mutant_edit(
    CURVE,
    ("radius if found == label else -math.inf for", "radius for"),
    caught_by="right_and_certified",
    label="ignores correctness",
    hint="A wrong class with a large radius counts in your curve.",
)
mutant_edit(
    CURVE,
    ("reach[None] >= ", "reach[None] > "),
    caught_by="steps_at_the_radius_itself",
    label="above instead of at least",
    hint="At exactly its own radius a record does not count for you.",
)
mutant_edit(
    CURVE,
    ("radius if found == label else -math.inf for", "radius if found == label else 0.0 for"),
    caught_by="wrong_and_abstained_count_as_nothing",
    label="mistakes count at radius 0",
    hint="At radius 0 your curve counts wrong answers and abstentions too.",
)
mutant_edit(
    CURVE,
    ("for label, found, radius in records]", "for label, found, radius in records if found >= 0]"),
    caught_by=("wrong_and_abstained_count_as_nothing", "right_and_certified"),
    label="a share of those that did not abstain",
    hint="You leave abstentions out of the share. It is one of all records.",
)
mutant_edit(
    CURVE,
    ("for label, found, radius in records]", "for label, found, radius in records if found == label]"),
    caught_by=("wrong_and_abstained_count_as_nothing", "right_and_certified"),
    label="a share of the right ones",
    hint="Your curve is a share of the records that are right, so it begins at 1.",
)
mutant_edit(
    CURVE,
    (".double().mean(1)", ".double().sum(1)"),
    caught_by="right_and_certified",
    label="counts",
    hint="You return counts, not shares.",
)
mutant_edit(
    CURVE,
    ("reach[None] >= ", "reach[None] <= "),
    caught_by="right_and_certified",
    label="turned round",
    hint="Your curve counts records whose radius is at most r.",
)
mutant_edit(
    CURVE,
    ("torch.tensor(list(radii), dtype=torch.float64)", "torch.tensor(sorted(radii), dtype=torch.float64)"),
    caught_by=("right_and_certified", "steps_at_the_radius_itself"),
    label="radii sorted",
    hint="Your values belong to the sorted radii. They may come in any order.",
)
mutant_edit(
    CURVE,
    (
        '        raise ValueError("no record: a share of nothing is not defined")',
        "        return torch.zeros(len(radii), dtype=torch.float64)",
    ),
    caught_by="steps_at_the_radius_itself",
    label="no record gives 0",
    hint="For no record at all you return zeros.",
)


@alternative(CURVE, label="loops")
def certified_curve(records, radii):
    if len(records) == 0:
        raise ValueError("records")
    curve = []
    for r in radii:
        n = 0
        for label, found, radius in records:
            if label == found and not radius < r:
                n += 1
        curve.append(n / len(records))
    return torch.tensor(curve, dtype=torch.float64)


@alternative(CURVE, label="columns")
def certified_curve(records, radii):
    if not len(records):
        raise ValueError("empty")
    labels, found, radius = (torch.tensor(column, dtype=torch.float64) for column in zip(*records, strict=True))
    good = torch.stack([(labels == found) & (radius >= float(r)) for r in radii])
    return good.sum(1) / torch.tensor(len(records), dtype=torch.float64)
