"""Wrong and right answers to R1: apgd, square_attack, cw_l2. See mutants.py for how to read them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit

APGD, SQUARE, CW = (f"r1_adversarial_attacks.{name}" for name in ("apgd", "square_attack", "cw_l2"))

# -- apgd with apgd_checkpoints --------------------------------------------------------------------------------------------

mutant_edit(
    APGD,
    ("eta = where(halve, eta / 2, eta)", "pass"),
    caught_by=("visits_the_documented_points", "decides_as_documented"),
    label="constant step",
    hint="Your step size never changes.",
)
mutant_edit(
    APGD,
    ("halve = (n_rises < 0.75 * (k - last)) | (~was_halved & (highest == highest_before))", "halve = torch.ones_like(was_halved)"),
    caught_by=("visits_the_documented_points", "decides_as_documented"),
    label="halves at every checkpoint",
    hint="Your step size is halved at every checkpoint, also where all goes well.",
)
mutant_edit(
    APGD,
    ("now, gradient, here = where(halve, best, now), where(halve, best_gradient, gradient), where(halve, highest, here)", "pass"),
    caught_by=("visits_the_documented_points", "decides_as_documented"),
    label="does not return to the best point",
    hint="After halving you go on from where you are. The best point so far is the place to go on from.",
)
mutant_edit(
    APGD,
    ("return best.clone()", "return now.clone()"),
    caught_by="inside_and_best",
    label="returns the last point",
    hint="You return the last point. The best one is asked for.",
)
mutant_edit(
    APGD,
    ("clip(now + 0.75 * (z - now) + 0.25 * (now - old))", "z"),
    caught_by="visits_the_documented_points",
    label="no momentum",
    hint="There is no momentum in your steps.",
)
mutant_edit(
    APGD,
    ("0.75 * (z - now) + 0.25 * (now - old)", "0.25 * (z - now) + 0.75 * (now - old)"),
    caught_by="visits_the_documented_points",
    label="the weights of the momentum are swapped",
    hint="Your momentum weighs three quarters, the new step one quarter.",
)
mutant_edit(
    APGD,
    (
        "old, now = now, z if k == 1 else clip(now + 0.75 * (z - now) + 0.25 * (now - old))",
        "old, now = now, z if k == 1 else now + 0.75 * (z - now) + 0.25 * (now - old)",
    ),
    caught_by="inside_and_best",
    label="not clipped after the momentum",
    hint="The momentum carries your points out of the ball: clip after adding it.",
)
mutant_edit(
    APGD,
    ("now, z if k == 1 else clip(", "now, clip("),
    caught_by="visits_the_documented_points",
    label="momentum in the first step",
    hint="Your first step is shortened by a momentum that does not exist yet.",
)
mutant_edit(
    APGD,
    ("2 * eps, dtype=x.dtype", "eps, dtype=x.dtype"),
    caught_by="visits_the_documented_points",
    label="begins with eps",
    hint="Your first step size is eps.",
)
mutant_edit(
    APGD,
    ("n_rises < 0.75 * (k - last)", "n_rises < 0.5 * (k - last)"),
    caught_by=("visits_the_documented_points", "decides_as_documented"),
    label="half of the steps is enough",
    hint="You are content when half of the steps raise the loss.",
)
mutant_edit(
    APGD,
    ("(~was_halved & (highest == highest_before))", "(highest == highest_before)"),
    caught_by=("visits_the_documented_points", "decides_as_documented"),
    label="the second condition forgets the first half of it",
    hint="Your second condition also holds right after a halving.",
)
mutant_edit(
    APGD,
    (" | (~was_halved & (highest == highest_before))", ""),
    caught_by=("visits_the_documented_points", "decides_as_documented"),
    label="no second condition",
    hint="Your step size is not halved where the best loss has not changed.",
)
mutant_edit(
    APGD,
    ("n_rises += there > here", "n_rises += there > highest"),
    caught_by=("visits_the_documented_points", "decides_as_documented"),
    label="counts records, not rises",
    hint="You count the steps that beat the best loss. A step counts that raised the loss of the point it was made from.",
)
mutant_edit(
    APGD,
    (
        "halve = (n_rises < 0.75 * (k - last)) | (~was_halved & (highest == highest_before))",
        "halve = ((n_rises < 0.75 * (k - last)) | (~was_halved & (highest == highest_before))).any().expand(len(x))",
    ),
    caught_by="visits_the_documented_points",
    label="one decision for all examples",
    hint="As soon as one example needs a smaller step, all get one.",
)
mutant_edit(
    APGD,
    (
        "last, n_rises, highest_before, was_halved = k, torch.zeros(len(x)), highest, halve",
        "last, highest_before, was_halved = k, highest, halve",
    ),
    caught_by=("visits_the_documented_points", "decides_as_documented"),
    label="rises are counted from the start",
    hint="Your count of rises is never set back.",
)
mutant_edit(
    APGD,
    ("loss_gradient(model, now, y, loss)\n        n_rises", "loss_gradient(model, now, y)\n        n_rises"),
    caught_by="climbs_the_loss_it_is_given",
    label="climbs the cross-entropy after the first step",
    hint="Your argument loss is used in the first step only.",
)
mutant_edit(
    APGD,
    ("clamp(-eps, eps)).clamp(0, 1)", "clamp(-eps, eps))"),
    caught_by="inside_and_best",
    label="leaves the box",
    hint="Your points leave [0, 1].",
)
mutant_edit(
    APGD,
    ("old, now = x, x", "old, now = x, clip(x + eps * (2 * torch.rand_like(x) - 1))"),
    caught_by=("visits_the_documented_points", "apgd_leaves_nothing_behind"),
    label="a random start",
    hint="You begin at a random point. This attack begins at x.",
)


@mutant(
    APGD,
    caught_by="checkpoints",
    label="shares in floating point",
    hint="Your checkpoints are off by one for some numbers of steps: a sum of hundredths is not exact in floating point.",
)
def apgd_checkpoints(steps: int) -> list[int]:
    p = [0.0, 0.22]
    while p[-1] < 1:
        p.append(p[-1] + max(p[-1] - p[-2] - 0.03, 0.06))
    return sorted({math.ceil(q * steps) for q in p if 0 < math.ceil(q * steps) <= steps and q <= 1})


@mutant(
    APGD,
    caught_by="checkpoints",
    label="rounded down",
    hint="Your checkpoints are rounded down.",
)
def apgd_checkpoints(steps: int) -> list[int]:
    p = [0, 22]
    while p[-1] <= 100:
        p.append(p[-1] + max(p[-1] - p[-2] - 3, 6))
    return sorted({q * steps // 100 for q in p if 0 < q * steps // 100 <= steps})


@mutant(
    APGD,
    caught_by="checkpoints",
    label="equal periods",
    hint="Your checkpoints are equally far apart. The periods grow shorter.",
)
def apgd_checkpoints(steps: int) -> list[int]:
    return sorted({-(-22 * j * steps // 100) for j in range(1, 5)} - {0})


@alternative(APGD, label="checkpoints by fractions")
def apgd_checkpoints(steps):
    from fractions import Fraction

    p = [Fraction(0), Fraction(22, 100)]
    found = []
    while p[-1] <= 1:
        w = math.ceil(p[-1] * steps)
        if 1 <= w <= steps and w not in found:
            found.append(w)
        p.append(p[-1] + max(p[-1] - p[-2] - Fraction(3, 100), Fraction(6, 100)))
    return found


@alternative(APGD, label="example by example, asks again at the best point")
def apgd(model, x, y, eps, steps, loss=None):
    loss = cross_entropy if loss is None else loss
    marks = set(apgd_checkpoints(steps))
    results = []
    for i in range(len(x)):
        clean, label = x[i : i + 1], y[i : i + 1]
        low, high = (clean - eps).clamp(min=0), (clean + eps).clamp(max=1)
        step, path = 2 * eps, [clean]
        value, g = loss_gradient(model, clean, label, loss)
        best, top = clean, value.item()
        value, rises, since, mark, halved = top, 0, 0, top, True
        for k in range(1, steps + 1):
            z = torch.max(torch.min(path[-1] + step * g.sign(), high), low)
            if k > 1:
                z = path[-1] + 0.75 * (z - path[-1]) + (1 - 0.75) * (path[-1] - path[-2])
                z = torch.max(torch.min(z, high), low)
            path.append(z)
            new, g = loss_gradient(model, z, label, loss)
            new = new.item()
            rises, since, value = rises + (new > value), since + 1, new
            if new > top:
                best, top = z, new
            if k in marks:
                short = rises < 0.75 * since
                stuck = not halved and top == mark
                halved = short or stuck
                if halved:
                    step /= 2
                    path[-1], value = best, top
                    if k < steps:
                        g = loss_gradient(model, best, label, loss)[1]
                rises, since, mark = 0, 0, top
        results.append(best)
    return torch.cat(results)


alternative_edit(
    APGD,
    ("now + 0.75 * (z - now) + 0.25 * (now - old)", "0.5 * now + 0.75 * z - 0.25 * old"),
    ("x + (z - x).clamp(-eps, eps)", "torch.minimum(torch.maximum(z, x - eps), x + eps)"),
    label="the momentum multiplied out, the ball by minimum and maximum",
)

# -- square_attack with square_side ----------------------------------------------------------------------------------------

mutant_edit(
    SQUARE,
    ("better = reached > highest[active]", "better = torch.ones(len(active), dtype=torch.bool)"),
    caught_by=("proposes_squares_on_the_best", "keeps_ball_box_and_budget"),
    label="accepts worse moves",
    hint="You take every proposal, also a worse one.",
)
mutant_edit(
    SQUARE,
    ("better = reached > highest[active]", "better = reached > highest[active] + 1e9"),
    caught_by="breaks_what_has_no_gradient",
    label="accepts nothing",
    hint="You never accept a proposal: the stripes come back.",
)
mutant_edit(
    SQUARE,
    ("range(1, queries)", "range(1, queries + 1)"),
    caught_by="keeps_ball_box_and_budget",
    label="one query too many",
    hint="The query for the stripes counts too: you ask once more than the budget allows.",
)
mutant_edit(
    SQUARE,
    ("range(1, queries)", "range(1, queries - 1)"),
    caught_by="keeps_ball_box_and_budget",
    label="one query too few",
    hint="You leave a query of the budget unused.",
)
mutant_edit(
    SQUARE,
    (
        "    with torch.no_grad(), evaluating(model):",
        "    _, gradient = loss_gradient(model, x, y)\n    with torch.no_grad(), evaluating(model):",
    ),
    ("best = (x + eps * signs(b, c, 1, side)).clamp(0, 1)", "best = (x + eps * gradient.sign()).clamp(0, 1)"),
    caught_by="keeps_ball_box_and_budget",
    label="uses gradients",
    hint="You ask for a gradient. This attack gets logits only.",
)
mutant_edit(
    SQUARE,
    ("signs(b, c, 1, side)", "signs(b, c, side, side)"),
    caught_by="begins_with_stripes",
    label="begins with noise",
    hint="Your first query is noise, not stripes.",
)
mutant_edit(
    SQUARE,
    ("signs(b, c, 1, side)", "signs(b, c, side, 1)"),
    caught_by="begins_with_stripes",
    label="horizontal stripes",
    hint="Your stripes are horizontal.",
)
mutant_edit(
    SQUARE,
    ("signs(b, c, 1, side)", "signs(1, c, 1, side)"),
    caught_by="begins_with_stripes",
    label="the same stripes for all",
    hint="All examples begin with the same stripes.",
)
mutant_edit(
    SQUARE,
    ("torch.randint(side - size + 1, (2,", "torch.randint(max(side - size, 1), (2,"),
    caught_by="proposes_squares_on_the_best",
    label="never at the far edge",
    hint="Your squares never reach the last row and column.",
)
mutant_edit(
    SQUARE,
    (
        "(x[active] + eps * signs(len(active), c, 1, 1)).clamp(0, 1)",
        "(best[active] + eps * signs(len(active), c, 1, 1)).clamp(0, 1)",
    ),
    caught_by=("keeps_ball_box_and_budget", "proposes_squares_on_the_best"),
    label="eps is added to the best point",
    hint="Inside the square you add eps to the best point: two such steps leave the ball.",
)
mutant_edit(
    SQUARE,
    ("signs(len(active), c, 1, 1)", "signs(len(active), 1, 1, 1)"),
    caught_by="proposes_squares_on_the_best",
    label="all channels alike",
    hint="Inside a square all channels are moved the same way.",
)
mutant_edit(
    SQUARE,
    ("signs(len(active), c, 1, 1)", "signs(len(active), c, side, side)"),
    caught_by="proposes_squares_on_the_best",
    label="noise in the square",
    hint="Inside your square every pixel has a sign of its own.",
)
mutant_edit(
    SQUARE,
    ("size = square_side(i, queries, side)", "size = square_side(0, queries, side)"),
    caught_by="proposes_squares_on_the_best",
    label="the side stays",
    hint="Your squares keep their first side.",
)
mutant_edit(
    SQUARE,
    ("torch.where(inside, moved, best[active])", "torch.where(inside, moved, x[active])"),
    caught_by="proposes_squares_on_the_best",
    label="one square on the clean image",
    hint="Outside the square your proposal is x. It should be the best point so far.",
)
mutant_edit(
    SQUARE,
    ("(active,) = torch.where(highest <= 0)", "(active,) = torch.where(highest > 0)"),
    caught_by="keeps_ball_box_and_budget",
    label="goes on where it has succeeded",
    hint="You stop asking about the examples that still stand.",
)
mutant_edit(
    SQUARE,
    ("with torch.no_grad(), evaluating(model):", "with torch.no_grad():"),
    caught_by="square_leaves_nothing_behind",
    label="asked in training mode",
    hint="The model is asked in training mode.",
)
mutant_edit(
    SQUARE,
    ("torch.randint(side - size + 1, (2, len(active), 1), generator=gen)", "torch.randint(side - size + 1, (2, len(active), 1))"),
    caught_by="square_leaves_nothing_behind",
    label="global randomness",
    hint="The places of your squares do not come from gen.",
)


@mutant(
    SQUARE,
    caught_by="schedule_of_sides",
    label="the share is taken for the side",
    hint="Your side shrinks in proportion to the share. The share is one of area.",
)
def square_side(i: int, queries: int, side: int, p: float = 0.8) -> int:
    n = sum(10_000 * i > mark * queries for mark in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000))
    return min(max(round(side * p / 2**n), 1), side)


@mutant(
    SQUARE,
    caught_by="schedule_of_sides",
    label="rounded down",
    hint="Your side is rounded down.",
)
def square_side(i: int, queries: int, side: int, p: float = 0.8) -> int:
    n = sum(10_000 * i > mark * queries for mark in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000))
    return min(max(int(side * math.sqrt(p / 2**n)), 1), side)


@mutant(
    SQUARE,
    caught_by="schedule_of_sides",
    label="not scaled to the budget",
    hint="Your schedule takes i for a number out of 10,000, whatever the budget is.",
)
def square_side(i: int, queries: int, side: int, p: float = 0.8) -> int:
    n = sum(i > mark for mark in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000))
    return min(max(round(side * math.sqrt(p / 2**n)), 1), side)


@alternative(SQUARE, label="loops over examples, asks about all of them to the end")
def square_attack(model, x, y, eps, queries, gen):
    b, c, side, _ = x.shape

    def coin():
        return 1.0 if torch.rand(1, generator=gen).item() < 0.5 else -1.0

    best = x.clone()
    for i in range(b):
        for ch in range(c):
            for column in range(side):
                best[i, ch, :, column] = (x[i, ch, :, column] + eps * coin()).clamp(0, 1)
    with evaluating(model), torch.no_grad():
        top = margin_loss(model(best), y)
        for k in range(1, queries):
            s = square_side(k, queries, side)
            trial = best.clone()
            for i in range(b):
                r, q = (int(torch.randint(0, side - s + 1, (1,), generator=gen)) for _ in range(2))
                for ch in range(c):
                    patch = x[i, ch, r : r + s, q : q + s] + eps * coin()
                    trial[i, ch, r : r + s, q : q + s] = patch.clamp(0, 1)
            value = margin_loss(model(trial), y)
            for i in range(b):
                if value[i] > top[i]:
                    best[i], top[i] = trial[i], value[i]
    return best


@alternative(SQUARE, label="steps of 2 eps, then projected")
def square_attack(model, x, y, eps, queries, gen):
    def fit(z, of):
        return torch.min(torch.max(z, of - eps), of + eps).clamp(0, 1)

    b, c, h, w = x.shape
    stripes = torch.randint(0, 2, [b, c, 1, w], generator=gen).to(x.dtype) * 2 - 1
    best = fit(x + eps * stripes, x)
    with torch.no_grad(), evaluating(model):
        value = margin_loss(model(best), y)
        for i in range(1, queries):
            todo = (value <= 0).nonzero().flatten()
            if todo.numel() == 0:
                return best
            s = square_side(i, queries, h)
            delta = torch.zeros_like(x[todo])
            for n in range(len(todo)):
                r = int(torch.randint(h - s + 1, (), generator=gen))
                q = int(torch.randint(w - s + 1, (), generator=gen))
                sign = torch.randint(0, 2, [c, 1, 1], generator=gen).to(x.dtype) * 2 - 1
                delta[n, :, r : r + s, q : q + s] = 2.5 * eps * sign
            trial = fit(best[todo] + delta, x[todo])
            new = margin_loss(model(trial), y[todo])
            good = new > value[todo]
            best[todo[good]] = trial[good]
            value[todo[good]] = new[good]
    return best


@alternative(SQUARE, label="the share by a table")
def square_side(i, queries, side, p=0.8):
    done = 10_000 * i / queries
    for mark in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000):
        if done > mark:
            p = p / 2
    return int(min(side, max(1, math.floor(math.sqrt(p * side * side) + 0.5))))


# -- cw_l2 -----------------------------------------------------------------------------------------------------------------

mutant_edit(
    CW,
    ("closer = wrong & (distance.detach() < nearest)", "closer = wrong"),
    caught_by="nearest_of_all_that_was_met",
    label="returns the last, not the nearest",
    hint="You return the last mistake that was met, not the nearest.",
)
mutant_edit(
    CW,
    ("(-margin).clamp_min(0)", "margin.clamp_min(0)"),
    caught_by="distance_to_a_linear_boundary",
    label="the sign of the loss",
    hint="Your objective punishes mistakes instead of right answers.",
)
mutant_edit(
    CW,
    ("torch.atanh((2 * x - 1) * (1 - 2e-6))", "torch.atanh(2 * x - 1)"),
    caught_by="in_the_box_by_construction",
    label="arctanh of 1",
    hint="Your w is infinite where a pixel is 0 or 1.",
)
mutant_edit(
    CW,
    ("weight * (-margin).clamp_min(0)", "weight * (-margin)"),
    caught_by=("searches_c_for_each_example", "nearest_of_all_that_was_met", "distance_to_a_linear_boundary"),
    label="goes on beyond the boundary",
    hint="Your objective still gains from a margin beyond the boundary, and is drawn away from x.",
)
mutant_edit(
    CW,
    ("succeeded |= wrong", "succeeded = wrong.clone()"),
    caught_by=("searches_c_for_each_example", "nearest_of_all_that_was_met"),
    label="success at the last step only",
    hint="A value of c counts as large enough only if the last step was a mistake. Any step counts.",
)
mutant_edit(
    CW,
    ("enough.isinf(), 10 * weight, (too_small + enough) / 2", "enough.isinf(), 2 * weight, (too_small + enough) / 2"),
    caught_by="searches_c_for_each_example",
    label="doubles c",
    hint="Where c was too small you double it.",
)
mutant_edit(
    CW,
    ("enough = torch.where(succeeded, weight, enough)", "enough = torch.where(~succeeded, weight, enough)"),
    ("too_small = torch.where(succeeded, too_small, weight)", "too_small = torch.where(~succeeded, too_small, weight)"),
    caught_by="searches_c_for_each_example",
    label="the search goes the wrong way",
    hint="Your c grows after a success and shrinks after a failure.",
)
mutant_edit(
    CW,
    ("weight = torch.where(enough.isinf(), 10 * weight, (too_small + enough) / 2)", "pass"),
    caught_by="searches_c_for_each_example",
    label="c stays",
    hint="Every search uses the first c.",
)
mutant_edit(
    CW,
    ("        succeeded = torch.zeros", "        start = start if c_search < 0 else w.detach()\n        succeeded = torch.zeros"),
    (
        "        enough = torch.where(succeeded, weight, enough)",
        "        start = w.detach()\n        enough = torch.where(succeeded, weight, enough)",
    ),
    caught_by="searches_c_for_each_example",
    label="goes on from the last w",
    hint="A new c goes on from where the last one ended. It should begin at x.",
)
mutant_edit(
    CW,
    ("succeeded |= wrong", "succeeded |= wrong.all()"),
    caught_by=("searches_c_for_each_example", "found_or_flagged"),
    label="one success for all",
    hint="c is chosen for the whole batch together.",
)
mutant_edit(
    CW,
    ("return adv, nearest.isfinite()", "return adv, torch.ones(len(x), dtype=torch.bool)"),
    caught_by="found_or_flagged",
    label="found is always True",
    hint="found is True also where nothing was found.",
)
mutant_edit(
    CW,
    ("adv = torch.where(closer.reshape(per_example), image.detach(), adv)", "adv = image.detach()"),
    caught_by=("found_or_flagged", "nearest_of_all_that_was_met"),
    label="the last image of all",
    hint="adv is the last image, whatever the model says of it.",
)
mutant_edit(
    CW,
    ("image = (torch.tanh(w) + 1) / 2", "image = w"),
    ("start = torch.atanh((2 * x - 1) * (1 - 2e-6))", "start = x"),
    caught_by=("in_the_box_by_construction", "searches_c_for_each_example"),
    label="no change of variable",
    hint="You optimise the pixels themselves, which leave [0, 1].",
)
mutant_edit(
    CW,
    ("distance = (image - x).flatten(1).square().sum(dim=1)", "distance = (image - x).flatten(1).norm(dim=1)"),
    caught_by=("searches_c_for_each_example", "in_the_box_by_construction", "nearest_of_all_that_was_met"),
    label="the distance is not squared",
    hint="You minimise the distance, not its square.",
)
mutant_edit(
    CW,
    ("lr=lr)", "lr=0.01)"),
    caught_by="searches_c_for_each_example",
    label="lr is ignored",
    hint="Your argument lr is not used.",
)
mutant_edit(
    CW,
    ("torch.optim.Adam([w], lr=lr)", "torch.optim.SGD([w], lr=lr)"),
    caught_by=("searches_c_for_each_example", "distance_to_a_linear_boundary"),
    label="plain gradient descent",
    hint="You descend without Adam.",
)
mutant_edit(
    CW,
    ("closer = wrong & (distance.detach() < nearest)", "closer = wrong & (distance.detach().sum() < nearest.sum())"),
    caught_by=("nearest_of_all_that_was_met", "found_or_flagged"),
    label="compares the batch",
    hint="You compare the distances of the whole batch.",
)
mutant_edit(
    CW,
    ("with torch.enable_grad(), evaluating(model):", "with torch.enable_grad():"),
    caught_by="cw_leaves_nothing_behind",
    label="asked in training mode",
    hint="The model is asked in training mode.",
)


@alternative(CW, label="gradients by backward, found by comparing, one evaluation more at the end")
def cw_l2(model, x, y, c_search, steps, c=0.01, lr=0.01):
    n = x.shape[0]
    lo, hi, cs = torch.zeros(n), torch.full((n,), 1e10), torch.full((n,), float(c))
    best_d, best_x = torch.full((n,), float("inf"), dtype=torch.float64), x.detach().clone()
    w0 = torch.arctanh(x.clamp(1e-6, 1 - 1e-6) * 2 - 1)
    states = [(m, m.training) for m in model.modules()]
    model.eval()
    with torch.enable_grad():
        for _ in range(c_search):
            w = w0.detach().clone().requires_grad_(True)
            opt = torch.optim.Adam([w], lr=lr)
            hit = torch.zeros(n, dtype=torch.bool)
            for t in range(steps + 1):
                adv = 0.5 * (torch.tanh(w) + 1)
                logits = model(adv)
                own = logits[torch.arange(n), y]
                other = (logits - 1e9 * F.one_hot(y, logits.shape[1])).max(dim=1).values
                d = ((adv - x) ** 2).reshape(n, -1).sum(1)
                for i in range(n):
                    if other[i] > own[i]:
                        if t < steps:
                            hit[i] = True
                        if d[i].item() < best_d[i]:
                            best_d[i] = d[i].item()
                            best_x[i] = adv[i].detach()
                if t < steps:
                    total = d.sum() + (cs.to(x.dtype) * torch.relu(own - other)).sum()
                    (w.grad,) = torch.autograd.grad(total, [w])
                    opt.step()
            hi = torch.where(hit, torch.minimum(hi, cs), hi)
            lo = torch.where(hit, lo, torch.maximum(lo, cs))
            cs = torch.where(hi < 1e9, (lo + hi) / 2, cs * 10)
    for m, mode in states:
        m.training = mode
    return best_x, best_d < float("inf")


alternative_edit(
    CW,
    ("torch.atanh((2 * x - 1) * (1 - 2e-6))", "torch.logit(x.clamp(1e-5, 1 - 1e-5)) / 2"),
    ("image = (torch.tanh(w) + 1) / 2", "image = torch.sigmoid(2 * w)"),
    label="a sigmoid of 2 w",
)
