"""Wrong and right answers to R1: pgd, and the three losses. See mutants.py for how to read them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import alternative, mutant, mutant_edit

PGD, LOSSES = "r1_adversarial_attacks.pgd", "r1_adversarial_attacks.margin_loss"

mutant_edit(
    PGD,
    ("(x + project(adv + alpha * direction - x, eps, norm)).clamp(0, 1)", "(adv + alpha * direction).clamp(0, 1)"),
    caught_by="stays_in_ball_and_box",
    label="no projection",
    hint="Your points leave the ball: after a step there is no way back.",
)
mutant_edit(
    PGD,
    ("(x + project(adv + alpha * direction - x, eps, norm))", "(adv + project(alpha * direction, eps, norm))"),
    caught_by="stays_in_ball_and_box",
    label="projects around the previous iterate",
    hint="Each step is projected, not the sum of all steps: the ball is around x, not around the point before.",
)
mutant_edit(
    PGD,
    ("(x + random_in_ball(x.shape, eps, norm, gen)).clamp(0, 1).to(x.dtype)", "x.clone()"),
    caught_by="starts_anywhere_in_the_ball",
    label="start not used",
    hint="Every restart begins at x.",
)
mutant_edit(
    PGD,
    ("direction = gradient.sign()", "direction = gradient"),
    caught_by=("optimum_of_a_linear_model", "walks_as_documented"),
    label="raw gradient without sign",
    hint="Your step is as long as the gradient happens to be. For math.inf its sign is taken.",
)
mutant_edit(
    PGD,
    ("adv + alpha * direction - x", "adv - alpha * direction - x"),
    caught_by="optimum_of_a_linear_model",
    label="minimises",
    hint="Your steps go down: the loss of y falls.",
)
mutant_edit(
    PGD,
    ("    for _ in range(restarts):", "    model.train()\n    for _ in range(restarts):"),
    ("with torch.no_grad(), evaluating(model):", "with torch.no_grad():"),
    caught_by="leaves_nothing_but_its_result",
    label="training mode left on",
    hint="The model is asked in training mode when the end points are compared.",
)
mutant_edit(
    PGD,
    ("better = losses > highest", "better = torch.full((len(x),), bool(losses.mean() > highest.mean()))"),
    caught_by="best_restart_of_each_example",
    label="the best restart of the batch",
    hint="You keep the restart with the highest mean. Each example has a best restart of its own.",
)
mutant_edit(
    PGD,
    ("better = losses > highest", "better = torch.ones(len(x), dtype=torch.bool)"),
    caught_by="best_restart_of_each_example",
    label="the last restart",
    hint="Your result is that of the last restart, whatever the others reached.",
)
mutant_edit(
    PGD,
    ("better = losses > highest", "better = (losses < highest) | (highest == -math.inf)"),
    caught_by="best_restart_of_each_example",
    label="the worst restart",
    hint="You keep the restart with the lowest loss.",
)
mutant_edit(
    PGD,
    (".clamp(0, 1)\n        with", "\n        with"),
    caught_by="stays_in_ball_and_box",
    label="not clipped to the box",
    hint="Your points leave [0, 1].",
)
mutant_edit(
    PGD,
    (".clamp(0, 1).to(x.dtype)", ".to(x.dtype)"),
    caught_by="stays_in_ball_and_box",
    label="the start is not clipped",
    hint="Your start leaves [0, 1], and the model is asked there.",
)
mutant_edit(
    PGD,
    ("gradient.flatten(1).norm(dim=1).reshape(-1, *[1] * (x.ndim - 1))", "gradient.norm()"),
    caught_by="walks_as_documented",
    label="the length of the whole batch",
    hint="For norm=2 you divide by the length of the batch's gradient. Each example's own has to become 1.",
)
mutant_edit(
    PGD,
    ("            if norm == math.inf:", "            if norm in (2, math.inf):"),
    caught_by=("optimum_of_a_linear_model", "walks_as_documented"),
    label="the sign for both norms",
    hint="For norm=2 you step along the sign of the gradient.",
)
mutant_edit(
    PGD,
    ("direction = gradient / length.clamp_min(torch.finfo(x.dtype).tiny)", "direction = gradient / length"),
    caught_by="finds_what_was_planted",
    label="divides by a length of 0",
    hint="Where the gradient is 0, norm=2 divides by 0.",
)
mutant_edit(
    PGD,
    ("range(steps)", "range(steps + 1)"),
    caught_by=("stays_in_ball_and_box", "walks_as_documented"),
    label="a step too many",
    hint="You make one step more than `steps`.",
)
mutant_edit(
    PGD,
    ("    for _ in range(restarts):", "    for _ in range(1):"),
    caught_by="best_restart_of_each_example",
    label="restarts are ignored",
    hint="There is one start only.",
)
mutant_edit(
    PGD,
    ("    for _ in range(restarts):", "    start = random_in_ball(x.shape, eps, norm, gen)\n    for _ in range(restarts):"),
    ("(x + random_in_ball(x.shape, eps, norm, gen))", "(x + start)"),
    caught_by="best_restart_of_each_example",
    label="all restarts from one start",
    hint="All restarts begin at the same point.",
)
mutant_edit(
    PGD,
    (
        "random_in_ball(x.shape, eps, norm, gen)",
        "random_in_ball(x.shape, eps, norm, torch.Generator().manual_seed(torch.initial_seed()))",
    ),
    caught_by=("leaves_nothing_but_its_result", "best_restart_of_each_example"),
    label="gen is not used",
    hint="Your starts do not come from gen.",
)
mutant_edit(
    PGD,
    ("random_in_ball(x.shape, eps, norm, gen)", "random_in_ball(x.shape, 0.1 * eps, norm, gen)"),
    caught_by="starts_anywhere_in_the_ball",
    label="starts close to x",
    hint="Your starts fill only a part of the ball.",
)
mutant_edit(
    PGD,
    ("random_in_ball(x.shape, eps, norm, gen)", "random_in_ball(x.shape, eps, math.inf, gen)"),
    caught_by=("stays_in_ball_and_box", "starts_anywhere_in_the_ball"),
    label="a cube for both norms",
    hint="For norm=2 your start is drawn from a cube, whose corners lie outside the ball.",
)
mutant_edit(
    PGD,
    ("_, gradient = loss_gradient(model, adv, y)", "_, gradient = loss_gradient(model, x, y)"),
    caught_by=("walks_as_documented", "stays_in_ball_and_box"),
    label="always the gradient at x",
    hint="You ask for the gradient at x at every step. It is wanted where you are.",
)


@alternative(PGD, label="all restarts in one batch")
def pgd(model, x, y, eps, alpha, steps, restarts, norm, gen):
    b = len(x)
    xs, ys = torch.cat([x] * restarts), y.repeat(restarts)
    adv = torch.clamp(xs + random_in_ball(xs.shape, eps, norm, gen).to(x.dtype), 0, 1)
    for _ in range(steps):
        g = loss_gradient(model, adv, ys)[1]
        if norm == 2:
            n = g.reshape(len(g), -1).norm(dim=1)
            n = torch.where(n > 0, n, torch.ones_like(n))
            g = g / n.view([-1] + [1] * (x.dim() - 1))
        else:
            g = torch.sign(g)
        adv = torch.clamp(xs + project(adv + alpha * g - xs, eps, norm), 0, 1)
    with torch.no_grad(), evaluating(model):
        end = F.cross_entropy(model(adv), ys, reduction="none").reshape(restarts, b)
    return adv.reshape(restarts, *x.shape)[end.argmax(0), torch.arange(b)].clone()


@alternative(PGD, label="keeps delta, and the best point on the way")
def pgd(model, x, y, eps, alpha, steps, restarts, norm, gen):
    best = x.clone()
    top = torch.full((len(x),), float("-inf"), dtype=torch.float64)

    def keep(point, value):
        m = value.double() > top
        best[m] = point[m]
        top[m] = value.double()[m]

    for _ in range(restarts):
        delta = (x + random_in_ball(tuple(x.shape), eps, norm, gen)).clamp(0, 1).to(x.dtype) - x
        for _ in range(steps):
            value, g = loss_gradient(model, x + delta, y)
            keep(x + delta, value)
            if norm == math.inf:
                delta = (delta + alpha * g.sign()).clamp(-eps, eps)
            else:
                size = g.flatten(1).norm(dim=1).clamp_min(1e-30).view(-1, *(1,) * (g.dim() - 1))
                delta = delta + alpha * g / size
                size = delta.flatten(1).norm(dim=1).clamp_min(1e-30).view(-1, *(1,) * (g.dim() - 1))
                delta = delta * torch.clamp(eps / size, max=1.0)
            delta = (x + delta).clamp(0, 1) - x
        with evaluating(model), torch.no_grad():
            keep(x + delta, cross_entropy(model(x + delta), y))
    return best


# -- margin_loss, dlr_loss, targeted_dlr -----------------------------------------------------------------------------------

mutant_edit(
    LOSSES,
    ("logits.masked_fill(own, -math.inf).amax(dim=1) - logits[own]", "logits.amax(dim=1) - logits[own]"),
    caught_by="margin_values",
    label="the largest of all classes",
    hint="Your maximum is over all classes, y included: the margin is never negative.",
)
mutant_edit(
    LOSSES,
    (
        "logits.masked_fill(own, -math.inf).amax(dim=1) - logits[own]",
        "logits[own] - logits.masked_fill(own, -math.inf).amax(dim=1)",
    ),
    caught_by="margin_values",
    label="the sign",
    hint="Your margin is positive where the model is right. An attack climbs, so it should be positive where the model is wrong.",
)
mutant_edit(
    LOSSES,
    ("masked_fill(own, -math.inf)", "masked_fill(own, 0.0)"),
    caught_by="margin_values",
    label="y is replaced by 0",
    hint="You put 0 in the place of y. Where all other logits are negative, that is the largest.",
)
mutant_edit(
    LOSSES,
    ("masked_fill(own, -math.inf)", "masked_fill(own, -10.0)"),
    caught_by="margin_values",
    label="y is replaced by -10",
    hint="You put a number in the place of y which may be larger than the other logits.",
)
mutant_edit(
    LOSSES,
    (
        "return logits.masked_fill(own, -math.inf).amax(dim=1) - logits[own]",
        "return (logits.masked_fill(own, -math.inf).amax(dim=1) - logits[own]).clamp_max(0)",
    ),
    caught_by="margin_values",
    label="cut at 0",
    hint="Your margin stops at 0.",
)
mutant_edit(
    LOSSES,
    (
        "return logits.masked_fill(own, -math.inf).amax(dim=1) - logits[own]",
        "logits = logits.log_softmax(dim=1)\n    return logits.masked_fill(own, -math.inf).logsumexp(dim=1) - logits[own]",
    ),
    caught_by="margin_values",
    label="log odds",
    hint="You take all other classes together. The margin is to the best of them.",
)
mutant_edit(
    LOSSES,
    (
        "margin_loss(logits, y) / (ordered[:, 0] - ordered[:, 2] + 1e-12)",
        "margin_loss(logits, y) / (ordered[:, 0] - ordered[:, 1] + 1e-12)",
    ),
    caught_by="dlr_values",
    label="DLR with the second largest",
    hint="Your gap is between the first and the second logit. Then the loss of a right answer is always -1.",
)
mutant_edit(
    LOSSES,
    ("margin_loss(logits, y) / (ordered[:, 0] - ordered[:, 2] + 1e-12)", "margin_loss(logits, y)"),
    caught_by=("dlr_values", "free_of_shift_and_scale"),
    label="DLR without the gap",
    hint="Your DLR loss grows with the scale of the logits: nothing divides it.",
)
mutant_edit(
    LOSSES,
    ("margin_loss(logits, y) / (ordered[:, 0]", "margin_loss(logits, y) / (logits.gather(1, y[:, None])[:, 0]"),
    caught_by="dlr_values",
    label="the gap from y",
    hint="Your gap begins at the logit of y, not at the largest one: it changes its sign.",
)
mutant_edit(
    LOSSES,
    ("margin_loss(logits, y) / (ordered", "-margin_loss(logits, y) / (ordered"),
    caught_by=("dlr_values", "free_of_shift_and_scale"),
    label="the sign of DLR",
    hint="Your DLR loss is negative where the model is wrong.",
)
mutant_edit(
    LOSSES,
    ("(ordered[:, 0] - ordered[:, 2] + 1e-12)", "(ordered[:, 0] - ordered[:, 2])"),
    caught_by="gradients_of_the_losses",
    label="0 divided by 0",
    hint="Where the three largest logits are equal, your DLR loss is not a number.",
)
mutant_edit(
    LOSSES,
    ("(ordered[:, 0] - ordered[:, 2] + 1e-12)", "(ordered[:, 0] - ordered[:, 2] + 1e-12).detach()"),
    caught_by="gradients_of_the_losses",
    label="the gap is detached",
    hint="No gradient flows through your gap.",
)
mutant_edit(
    LOSSES,
    ("(ordered[:, 2] + ordered[:, 3]) / 2", "ordered[:, 2]"),
    caught_by="targeted_values",
    label="targeted: the third only",
    hint="The targeted gap is to the mean of the third and the fourth largest.",
)
mutant_edit(
    LOSSES,
    ("(ordered[:, 2] + ordered[:, 3]) / 2", "(ordered[:, 2] + ordered[:, 3])"),
    caught_by="targeted_values",
    label="targeted: a sum for a mean",
    hint="You subtract the sum of the third and the fourth largest, not their mean.",
)
mutant_edit(
    LOSSES,
    (
        "logits.gather(1, target[:, None]) - logits.gather(1, y[:, None])",
        "logits.gather(1, y[:, None]) - logits.gather(1, target[:, None])",
    ),
    caught_by="targeted_values",
    label="targeted: y minus target",
    hint="Your targeted loss falls as the target gains on y.",
)
mutant_edit(
    LOSSES,
    ("if logits.shape[1] < 4:", "if logits.shape[1] < 3:"),
    caught_by="edges_of_the_losses",
    label="three classes for four",
    hint="targeted_dlr with 3 classes should be refused.",
)


@mutant(
    LOSSES,
    caught_by="dlr_values",
    label="y is left out of the order",
    hint="You order the logits without y. The gap counts all classes.",
)
def dlr_loss(logits: Tensor, y: Tensor) -> Tensor:
    if logits.shape[1] < 3:
        raise ValueError
    others = logits.scatter(1, y[:, None], -math.inf).sort(dim=1, descending=True).values
    return margin_loss(logits, y) / (others[:, 0] - others[:, 1] + 1e-12)


@alternative(LOSSES, label="the two largest and who they are")
def margin_loss(logits, y):
    if not len(logits):
        return logits.sum(1)
    top, place = logits.topk(2, dim=1)
    other = torch.where(place[:, 0] == y, top[:, 1], top[:, 0])
    return other - logits[torch.arange(len(y)), y]


@alternative(LOSSES, label="topk, by indices")
def dlr_loss(logits, y):
    if logits.size(1) < 3:
        raise ValueError("k")
    z, i = torch.topk(logits, 3)
    right = (i[:, 0] == y).to(logits.dtype)
    best = z[:, 1] * right + z[:, 0] * (1 - right)
    own = logits.gather(1, y.unsqueeze(1)).squeeze(1)
    return -(own - best) / (z[:, 0] - z[:, 2] + 1e-12)


@alternative(LOSSES, label="sorted upwards")
def targeted_dlr(logits, y, target):
    if logits.shape[-1] < 4:
        raise ValueError("k")
    z = torch.sort(logits, dim=-1).values
    n = torch.arange(len(y))
    return -(logits[n, y] - logits[n, target]) / (z[:, -1] - 0.5 * (z[:, -3] + z[:, -4]) + 1e-12)
