"""Wrong and right answers to R2: ibp with ball_box, crown, verify_exact, ibp_train."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from autograder.grading.checks import alternative, alternative_edit, mutant_edit

IBP, CROWN = "r2_defences.ibp", "r2_defences.crown"
EXACT, TRAIN = "r2_defences.verify_exact", "r2_defences.ibp_train"


class Residual:
    """Stands for the given class, which the variants use."""


# -- ibp -------------------------------------------------------------------------------------------------------------------

mutant_edit(
    IBP,
    ("F.linear(radius, net.weight.abs())", "F.linear(radius, net.weight)"),
    caught_by="exact_for_one_layer",
    label="w instead of its size",
    hint="For the width of the interval you use the weights with their signs, so that widths cancel.",
)
mutant_edit(
    IBP,
    ("    middle = net(centre)\n    return middle - spread, middle + spread", "    return net(lo), net(hi)"),
    caught_by="exact_for_one_layer",
    label="lo and hi straight through",
    hint="You send lo and hi through the layer as they are. A negative weight makes the larger input give the smaller output.",
)
mutant_edit(
    IBP,
    (
        "    middle = net(centre)\n    return middle - spread, middle + spread",
        "    a, b = net(lo), net(hi)\n    return torch.minimum(a, b), torch.maximum(a, b)",
    ),
    caught_by="exact_for_one_layer",
    label="lo and hi straight through, sorted",
    hint="You compare the outputs at two opposite corners of the box. The worst corner is mostly another one.",
)
mutant_edit(
    IBP,
    (
        "    if isinstance(net, nn.ReLU | nn.Flatten):\n        return net(lo), net(hi)",
        "    if isinstance(net, nn.Flatten):\n        return net(lo), net(hi)\n"
        "    if isinstance(net, nn.ReLU):\n        c, r = net((lo + hi) / 2), (hi - lo) / 2\n"
        "        return c - r, c + r",
    ),
    caught_by="layer_after_layer",
    label="relu on the centre",
    hint="You apply ReLU to the centre of the interval and keep its width. ReLU moves the two ends.",
)
mutant_edit(
    IBP,
    ("return (x - eps).clamp(0, 1), (x + eps).clamp(0, 1)", "return x - eps, x + eps"),
    caught_by="box_and_unknown_layers",
    label="box not clamped",
    hint="Your box holds pixels below 0 and above 1. The bound is sound, but of more images than there are.",
)
mutant_edit(
    IBP,
    ("return (x - eps).clamp(0, 1), (x + eps).clamp(0, 1)", "return (x - eps).clamp(0, 1), (x + eps)"),
    caught_by="box_and_unknown_layers",
    label="box clamped below only",
    hint="Your box holds pixels above 1.",
)
mutant_edit(
    IBP,
    (
        "F.conv2d(radius, net.weight.abs(), None, net.stride, net.padding, net.dilation, net.groups)",
        "F.conv2d(radius, net.weight.abs(), net.bias, net.stride, net.padding, net.dilation, net.groups)",
    ),
    caught_by="convolutions",
    label="the bias in the width too",
    hint="For convolutions your bias counts twice: for the middle, and for the width.",
)
mutant_edit(
    IBP,
    ("F.linear(radius, net.weight.abs())", "F.linear(radius, net.weight.abs(), net.bias)"),
    caught_by=("exact_for_one_layer", "layer_after_layer"),
    label="the bias in the width of a linear layer",
    hint="Your bias counts for the width of the interval. It moves an interval, it does not widen it.",
)
mutant_edit(
    IBP,
    (
        "F.conv2d(radius, net.weight.abs(), None, net.stride, net.padding, net.dilation, net.groups)",
        "F.conv2d(radius, net.weight.abs(), None, net.stride, net.padding)",
    ),
    caught_by="convolutions",
    label="dilation and groups forgotten",
    hint="The width of your interval ignores the convolution's dilation and groups.",
)
mutant_edit(
    IBP,
    (
        "F.conv2d(radius, net.weight.abs(), None, net.stride, net.padding, net.dilation, net.groups)",
        "F.conv2d(radius, net.weight, None, net.stride, net.padding, net.dilation, net.groups)",
    ),
    caught_by="convolutions",
    label="signed kernel for the width",
    hint="For convolutions the width of your interval uses weights with their signs.",
)
mutant_edit(
    IBP,
    ("return lo + low, hi + high", "return low, high"),
    caught_by="layer_after_layer",
    label="the skip is forgotten",
    hint="For a residual block you return the bounds of its body, without x.",
)
mutant_edit(
    IBP,
    ("return lo + low, hi + high", "return hi + low, lo + high"),
    caught_by=("layer_after_layer", "holds_for_every_sample"),
    label="the skip with its ends exchanged",
    hint="For a residual block you add the upper end of x to the lower bound of the body.",
)
mutant_edit(
    IBP,
    ("centre, radius = (lo + hi) / 2, (hi - lo) / 2", "centre, radius = (lo + hi) / 2, (hi - lo)"),
    caught_by="exact_for_one_layer",
    label="the whole width as radius",
    hint="Your intervals are twice as wide as they need be in each layer.",
)
mutant_edit(
    IBP,
    ('        raise TypeError(f"no interval rule for a layer of type {type(net).__name__}")', "        return net(lo), net(hi)"),
    caught_by="box_and_unknown_layers",
    label="unknown layers pass",
    hint="A layer that you have no rule for is applied to both ends. For most layers that bounds nothing.",
)
mutant_edit(
    IBP,
    ("F.linear(radius, net.weight.abs())", "F.linear(radius, net.weight.abs()).detach()"),
    caught_by="trains_through_the_bounds",
    label="the width is detached",
    hint="No gradient flows through the width of your intervals, so training could not make them narrower.",
)


@alternative(IBP, label="positive and negative weights")
def ibp(net, lo, hi):
    if type(net) is nn.Sequential:
        for part in net.children():
            lo, hi = ibp(part, lo, hi)
    elif type(net) is Residual:
        a, b = ibp(net.body, lo, hi)
        lo, hi = lo + a, hi + b
    elif type(net) is nn.ReLU:
        lo, hi = F.relu(lo), F.relu(hi)
    elif type(net) is nn.Flatten:
        lo, hi = lo.flatten(start_dim=1), hi.flatten(start_dim=1)
    elif type(net) is nn.Linear:
        up, down = net.weight.clamp(min=0), net.weight.clamp(max=0)
        bias = 0 if net.bias is None else net.bias
        lo, hi = lo @ up.T + hi @ down.T + bias, hi @ up.T + lo @ down.T + bias
    elif type(net) is nn.Conv2d:
        up, down = net.weight.clamp(min=0), net.weight.clamp(max=0)

        def run(z, w, bias=None):
            return F.conv2d(z, w, bias, stride=net.stride, padding=net.padding, dilation=net.dilation, groups=net.groups)

        lo, hi = run(lo, up, net.bias) + run(hi, down), run(hi, up, net.bias) + run(lo, down)
    else:
        raise TypeError(type(net))
    return lo, hi


@alternative(IBP, label="a copy of the layer with positive weights; the box by minimum and maximum")
def ibp(net, lo, hi):
    if isinstance(net, (nn.Linear, nn.Conv2d)):
        mid, rad = 0.5 * (hi + lo), 0.5 * (hi - lo)
        spread = torch.func.functional_call(
            net, {n: p.abs() if n == "weight" else p * 0 for n, p in net.named_parameters()}, (rad,)
        )
        out = net(mid)
        return out - spread, out + spread
    if isinstance(net, Residual):
        inner = ibp(net.body, lo, hi)
        return lo + inner[0], hi + inner[1]
    if isinstance(net, nn.Sequential):
        bounds = (lo, hi)
        for k in range(len(net)):
            bounds = ibp(net[k], *bounds)
        return bounds
    if isinstance(net, (nn.ReLU, nn.Flatten)):
        return net(lo), net(hi)
    raise TypeError("unknown layer")


@alternative(IBP, label="the box by torch.minimum")
def ball_box(x, eps):
    return torch.maximum(x - eps, torch.zeros_like(x)), torch.minimum(x + eps, torch.ones_like(x))


# -- crown -----------------------------------------------------------------------------------------------------------------

mutant_edit(
    CROWN,
    ("A = rising * below + falling * above", "A = rising * above + falling * below"),
    ("total = total + (falling * offset).sum(-1)", "total = total + (rising * offset).sum(-1)"),
    caught_by="holds_on_every_pattern",
    label="upper and lower lines exchanged",
    hint="Your lines are exchanged: for a lower bound a rising coefficient needs the line below the ReLU.",
)
mutant_edit(
    CROWN,
    ("(low >= 0).to(x.dtype))", "0.5)"),
    caught_by="exact_without_a_bend",
    label="a slope of one half where nothing is in doubt",
    hint="Where a ReLU is surely on or surely off your line is not the ReLU itself.",
)
mutant_edit(
    CROWN,
    ("(low >= 0).to(x.dtype))", "0.0)"),
    caught_by="exact_without_a_bend",
    label="neurons that are surely on are switched off",
    hint="A neuron that is surely on passes its input; you set it to 0.",
)
mutant_edit(
    CROWN,
    ("unstable = (low < 0) & (high > 0)", "unstable = high > low"),
    caught_by=("exact_without_a_bend", "holds_on_every_pattern"),
    label="every neuron is treated as in doubt",
    hint="You use the formula for a ReLU in doubt for all of them. Its slope may then exceed 1, or be negative.",
)
mutant_edit(
    CROWN,
    ("                if layer.bias is not None:\n                    total = total + A @ layer.bias\n", ""),
    caught_by="exact_without_a_bend",
    label="biases dropped",
    hint="Your bounds leave out the biases.",
)
mutant_edit(
    CROWN,
    (
        "total = total + A @ layer.bias\n                A = A @ layer.weight",
        "total = total\n                A = A @ layer.weight\n"
        "            if isinstance(layer, nn.Linear) and layer.bias is not None and i == n - 1:\n"
        "                total = total + A.new_zeros(()) + C.new_zeros(())",
    ),
    caught_by=("exact_without_a_bend", "as_tight_as_documented"),
    label="biases dropped, verbosely",
    hint="No bias enters your bounds.",
)
mutant_edit(
    CROWN,
    ("total = total + (falling * offset).sum(-1)", "total = total"),
    caught_by="as_tight_as_documented",
    label="the upper line without its offset",
    hint="Your upper line goes through the origin. It has to pass through (l, 0) and (u, u).",
)
mutant_edit(
    CROWN,
    (
        "        low, high = lower(eye, i), -lower(-eye, i)\n",
        "        low, high = centre, centre\n        for past in layers[:i]:\n"
        "            if isinstance(past, nn.Linear):\n"
        "                spread = (high - low) / 2 @ past.weight.abs().T\n"
        "                mid = past((high + low) / 2)\n"
        "                low, high = (mid - spread, mid + spread)\n            else:\n"
        "                low, high = low.clamp(min=0), high.clamp(min=0)\n",
    ),
    caught_by=("holds_on_every_pattern", "as_tight_as_documented"),
    label="intermediate bounds at the centre only",
    hint="Your bounds of the hidden layers are those at x itself. They have to hold in the whole ball.",
)
mutant_edit(
    CROWN,
    (
        "        low, high = lower(eye, i), -lower(-eye, i)\n",
        "        low, high = centre - eps, centre + eps\n        for past in layers[:i]:\n"
        "            if isinstance(past, nn.Linear):\n"
        "                spread = (high - low) / 2 @ past.weight.abs().T\n"
        "                mid = past((high + low) / 2)\n"
        "                low, high = (mid - spread, mid + spread)\n            else:\n"
        "                low, high = low.clamp(min=0), high.clamp(min=0)\n",
    ),
    caught_by="as_tight_as_documented",
    label="intermediate bounds by intervals",
    hint="Your bounds of the hidden layers come from interval arithmetic. They hold, but are looser than "
    "those that crown gives itself.",
)
mutant_edit(
    CROWN,
    ("low, high = lower(eye, i), -lower(-eye, i)", "low, high = lower(eye, i), lower(eye, i).abs() + 1"),
    caught_by=("holds_on_every_pattern", "as_tight_as_documented"),
    label="a guess for the upper bound",
    hint="Your upper bounds of the hidden layers are not bounds.",
)
mutant_edit(
    CROWN,
    ("low, high = lower(eye, i), -lower(-eye, i)", "low, high = lower(eye, i), lower(-eye, i)"),
    caught_by=("holds_on_every_pattern", "as_tight_as_documented", "exact_without_a_bend"),
    label="the upper bound without its sign",
    hint="An upper bound on z is minus a lower bound on -z. You forget the first minus.",
)
mutant_edit(
    CROWN,
    (
        "below = torch.where(unstable, (high > -low).to(x.dtype), slope)",
        "below = torch.where(unstable, torch.zeros_like(low), slope)",
    ),
    caught_by="as_tight_as_documented",
    label="the line below is always 0",
    hint="Below a ReLU in doubt you always take 0. Where it is mostly on, the line z lies closer.",
)
mutant_edit(
    CROWN,
    ("below = torch.where(unstable, (high > -low).to(x.dtype), slope)", "below = slope"),
    caught_by="as_tight_as_documented",
    label="the line below is parallel to the one above",
    hint="Below a ReLU in doubt you take a line parallel to the upper one. Sound, but another method (Weng et al. 2018).",
)
mutant_edit(
    CROWN,
    ("(high > -low).to(x.dtype)", "(high < -low).to(x.dtype)"),
    caught_by="as_tight_as_documented",
    label="the adaptive slope turned round",
    hint="You take the line z where the neuron is mostly off, and 0 where it is mostly on.",
)
mutant_edit(
    CROWN,
    ("- eps * A.abs().sum(-1)", "- eps * A.square().sum(-1).sqrt()"),
    caught_by="exact_without_a_bend",
    label="the dual norm of another ball",
    hint="At the input you minimise over a Euclidean ball. Every pixel may move by eps here.",
)
mutant_edit(
    CROWN,
    ("- eps * A.abs().sum(-1)", "+ eps * A.abs().sum(-1)"),
    caught_by=("exact_without_a_bend", "holds_on_every_pattern"),
    label="maximises over the ball",
    hint="At the input you take the largest value over the ball.",
)


mutant_edit(
    CROWN,
    ("    centre = x.flatten(1)\n", "    centre = x\n"),
    caught_by="edges_of_crown",
    label="images are not flattened",
    hint="Images with channels, rows and columns are not flattened. nn.Flatten in the network has no other effect.",
)
mutant_edit(
    CROWN,
    (
        "for layer in net if not isinstance(layer, nn.Flatten)]",
        "for layer in list(net)[: len(net) - isinstance(net[-1], nn.ReLU)] if not isinstance(layer, nn.Flatten)]",
    ),
    caught_by="edges_of_crown",
    label="a ReLU at the end is left out",
    hint="A network may end in ReLU. You leave that one out.",
)
mutant_edit(
    CROWN,
    ("    return lower(C, len(layers))\n", "    return lower(C, len(layers)) - eps * C.abs().sum(-1) * 10\n"),
    caught_by=("tighter_than_intervals_on_average", "as_tight_as_documented"),
    label="far below",
    hint="Your bound holds, but lies far below the documented one.",
)


@alternative(CROWN, label="one example at a time, matrices from input to output")
def crown(net, x, eps, C):
    affine = []
    for layer in net:
        if isinstance(layer, nn.Linear):
            bias = torch.zeros(layer.out_features, dtype=x.dtype) if layer.bias is None else layer.bias
            affine.append(("affine", layer.weight, bias))
        elif isinstance(layer, nn.ReLU):
            affine.append(("relu", None, None))
    answers = []
    for k in range(x.shape[0]):
        z = x[k].reshape(-1)
        lines = {}

        def bound(c, upto, z=z, lines=lines):
            constant = torch.zeros(c.shape[0], dtype=x.dtype)
            for j in range(upto - 1, -1, -1):
                kind, w, b = affine[j]
                if kind == "affine":
                    constant = constant + c @ b
                    c = c @ w
                else:
                    low_slope, up_slope, up_offset = lines[j]
                    constant = constant + torch.where(c < 0, c * up_offset, 0 * c).sum(1)
                    c = torch.where(c < 0, c * up_slope, c * low_slope)
            return c @ z + constant - c.abs().sum(1) * eps

        d = len(z)
        for j, (kind, w, _) in enumerate(affine):
            if kind == "affine":
                d = w.shape[0]
                continue
            both = bound(torch.cat([torch.eye(d, dtype=x.dtype), -torch.eye(d, dtype=x.dtype)]), j)
            low, up = both[:d], -both[d:]
            lower_line, upper_line, offset = (
                torch.zeros(d, dtype=x.dtype),
                torch.zeros(d, dtype=x.dtype),
                torch.zeros(d, dtype=x.dtype),
            )
            for i in range(d):
                if low[i] >= 0:
                    lower_line[i] = upper_line[i] = 1
                elif up[i] > 0:
                    lower_line[i] = 1 if up[i] > -low[i] else 0
                    upper_line[i] = up[i] / (up[i] - low[i])
                    offset[i] = -upper_line[i] * low[i]
            lines[j] = (lower_line, upper_line, offset)
        answers.append(bound(C[k], len(affine)))
    return torch.stack(answers)


alternative_edit(
    CROWN,
    ("rising, falling = A.clamp(min=0), A.clamp(max=0)", "rising, falling = (A + A.abs()) / 2, (A - A.abs()) / 2"),
    ("total = total + A @ layer.bias", "total = total + torch.einsum('bmi,i->bm', A, layer.bias)"),
    ("A = A @ layer.weight", "A = torch.einsum('bmi,ij->bmj', A, layer.weight)"),
    label="einsum, signs by the absolute value",
)

# -- verify_exact ----------------------------------------------------------------------------------------------------------

mutant_edit(
    EXACT,
    (
        "centres, radius = (open_ones[:, None] + radius * halves).flatten(0, 1), radius / 2",
        "centres, radius = (open_ones[:, None] + radius * halves[:-1]).flatten(0, 1), radius / 2",
    ),
    caught_by="agrees_with_enumeration",
    label="drops a branch",
    hint="One part of each part that you split is never looked at.",
)
mutant_edit(
    EXACT,
    (
        "halves = torch.tensor(list(itertools.product((-0.5, 0.5), repeat=len(x))), dtype=x.dtype)",
        "halves = torch.tensor(list(itertools.product((-0.25, 0.25), repeat=len(x))), dtype=x.dtype)",
    ),
    caught_by="agrees_with_enumeration",
    label="the parts do not cover the ball",
    hint="The parts into which you split lie too close to the middle: the rim of the ball is never looked at.",
)
mutant_edit(
    EXACT,
    (
        "halves = torch.tensor(list(itertools.product((-0.5, 0.5), repeat=len(x))), dtype=x.dtype)",
        "halves = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=len(x))), dtype=x.dtype)",
    ),
    caught_by="agrees_with_enumeration",
    label="counterexample outside the ball",
    hint="Some of the points that you try lie outside of the ball.",
)
mutant_edit(
    EXACT,
    (
        '            if spent + len(centres) > budget:\n                return "timeout", None\n',
        "            if spent + len(centres) > budget:\n                break\n",
    ),
    caught_by="says_so_when_the_budget_ends",
    label="robust when the budget ends",
    hint="When your budget ends you say robust. Nothing was proved then.",
)
mutant_edit(
    EXACT,
    (
        '            if spent + len(centres) > budget:\n                return "timeout", None\n',
        '            if spent + len(centres) > budget:\n                return "falsified", centres[0]\n',
    ),
    caught_by="says_so_when_the_budget_ends",
    label="falsified when the budget ends",
    hint="When your budget ends you say falsified. A bound below 0 is no counterexample.",
)
mutant_edit(
    EXACT,
    (
        "            open_ones = centres[(bounds <= 0).any(dim=1)]",
        "            if (bounds <= 0).any():\n"
        '                return "falsified", centres[(bounds <= 0).any(dim=1)][0]\n'
        "            open_ones = centres[:0]",
    ),
    caught_by="agrees_with_enumeration",
    label="a negative bound taken for a counterexample",
    hint="You take a lower bound below 0 for a mistake. A bound may be loose: only a point proves a mistake.",
)
mutant_edit(
    EXACT,
    ("(bounds <= 0).any(dim=1)", "(bounds <= 0).all(dim=1)"),
    caught_by="agrees_with_enumeration",
    label="one class is enough",
    hint="You close a part when one of the other classes is excluded. All of them must be.",
)
mutant_edit(
    EXACT,
    ("if spent + len(centres) > budget:", "if spent > budget:"),
    caught_by="says_so_when_the_budget_ends",
    label="one round beyond the budget",
    hint="You look at the budget after it is spent: with budget = 0 something is proved all the same.",
)
mutant_edit(
    EXACT,
    (
        '            if wrong.any():\n                return "falsified", centres[wrong][0]\n',
        '            if wrong.any():\n                return "falsified", x\n',
    ),
    caught_by="agrees_with_enumeration",
    label="x for the counterexample",
    hint="The point that you return is x itself, where the label is right.",
)


mutant_edit(
    EXACT,
    ("repeat=len(x)", "repeat=2"),
    caught_by="other_numbers_of_inputs",
    label="two inputs only",
    hint="You split into four parts, whatever the number of inputs is. With d of them there are two to the d.",
)


@alternative(EXACT, label="breadth first, one box at a time, a random probe in each")
def verify_exact(net, x, eps, label, budget):
    gen = torch.Generator().manual_seed(0)
    d = len(x)
    with torch.no_grad():
        k = net(x[None]).shape[1]
        C = torch.stack([F.one_hot(torch.tensor(label), k) - F.one_hot(torch.tensor(j), k) for j in range(k) if j != label])
        C = C.to(x.dtype)[None]
        stack, used = [(x.clone(), float(eps))], 0
        while stack:
            c, r = stack.pop(0)
            probe = c + r * (2 * torch.rand(d, generator=gen).to(x.dtype) - 1)
            for z in (c, probe):
                out = net(z[None])[0]
                if out.argmax() != label and out.max() > out[label]:
                    return "falsified", z
            if used >= budget:
                return "timeout", None
            used += 1
            if not (crown(net, c[None], r, C) > 0).all():
                for code in range(2**d):
                    sign = torch.tensor([1.0 if code >> i & 1 else -1.0 for i in range(d)], dtype=x.dtype)
                    stack.append((c + sign * r / 2, r / 2))
    return ("robust", None)


alternative_edit(
    EXACT,
    (
        "halves = torch.tensor(list(itertools.product((-0.5, 0.5), repeat=len(x))), dtype=x.dtype)",
        "steps = [torch.tensor([-2.0, 0.0, 2.0], dtype=x.dtype) / 3] * len(x)\n"
        "    halves = torch.cartesian_prod(*steps).reshape(-1, len(x))",
    ),
    ("radius / 2\n", "radius / 3\n"),
    label="thirds instead of halves",
)

# -- ibp_train -------------------------------------------------------------------------------------------------------------

mutant_edit(
    TRAIN,
    ("r = min(1.0, max(0, epoch - schedule.warm_up + 1) / schedule.ramp)", "r = 1.0"),
    caught_by="as_the_schedule_says",
    label="no ramp",
    hint="You train with the full radius from the first epoch. The network may never learn to tell the classes apart.",
)
mutant_edit(
    TRAIN,
    (
        "low, high = ibp(net, *ball_box(x[part], r * eps))",
        "low, high = ibp(net, *ball_box(x[part], r * eps))\n"
        "            low, high = net(ball_box(x[part], r * eps)[0]), net(ball_box(x[part], r * eps)[1])",
    ),
    caught_by="as_the_schedule_says",
    label="trains on bounds that do not hold",
    hint="Your worst logits come from the network at lo and at hi. These are no bounds, so what they certify does not hold.",
)
mutant_edit(
    TRAIN,
    (
        "torch.where(F.one_hot(y[part], low.shape[1]).bool(), low, high)",
        "torch.where(F.one_hot(y[part], low.shape[1]).bool(), high, low)",
    ),
    caught_by=("as_the_schedule_says", "certified_on_hidden_digits"),
    label="the best logits for the worst",
    hint="Your worst logits are the best ones: high for the label, low for the others.",
)
mutant_edit(
    TRAIN,
    ("torch.where(F.one_hot(y[part], low.shape[1]).bool(), low, high)", "low"),
    caught_by="as_the_schedule_says",
    label="lower bounds for all classes",
    hint="You take the lower bound of every class. For the others the worst is the upper one.",
)
mutant_edit(
    TRAIN,
    ("kappa = 1 - r * (1 - schedule.kappa)", "kappa = schedule.kappa"),
    caught_by="as_the_schedule_says",
    label="the weight does not follow the ramp",
    hint="Your clean loss has its final weight from the beginning.",
)
mutant_edit(
    TRAIN,
    (
        "loss = kappa * F.cross_entropy(net(x[part]), y[part]) + (1 - kappa) * F.cross_entropy(worst, y[part])",
        "loss = (1 - kappa) * F.cross_entropy(net(x[part]), y[part]) + kappa * F.cross_entropy(worst, y[part])",
    ),
    caught_by="as_the_schedule_says",
    label="weights exchanged",
    hint="kappa weighs the worst-case loss in your answer. It is the weight of the clean one.",
)
mutant_edit(
    TRAIN,
    (
        "kappa * F.cross_entropy(net(x[part]), y[part]) + (1 - kappa) * F.cross_entropy(worst, y[part])",
        "F.cross_entropy(net(x[part]), y[part])",
    ),
    caught_by=("as_the_schedule_says", "certified_on_hidden_digits"),
    label="clean training only",
    hint="You train on the clean loss alone. The network is right, and almost nothing of it can be certified.",
)
mutant_edit(
    TRAIN,
    ("            opt.zero_grad()\n", ""),
    caught_by="as_the_schedule_says",
    label="no zero_grad",
    hint="Gradients of earlier batches are never removed.",
)
mutant_edit(
    TRAIN,
    (".split(schedule.batch):", ".split(schedule.batch)[: max(1, len(x) // schedule.batch)]:"),
    caught_by="every_image_every_epoch",
    label="the last batch dropped",
    hint="The last, smaller batch of each epoch is left out.",
)
mutant_edit(
    TRAIN,
    ("torch.randperm(len(x), generator=gen)", "torch.randint(len(x), (len(x),), generator=gen)"),
    caught_by=("every_image_every_epoch", "as_the_schedule_says"),
    label="drawn with replacement",
    hint="Your batches are drawn with replacement: some images come twice in an epoch, and others never.",
)
mutant_edit(
    TRAIN,
    ("torch.randperm(len(x), generator=gen)", "torch.randperm(len(x))"),
    caught_by="training_leaves_nothing_behind",
    label="order from the global generator",
    hint="Your order comes from torch's global generator, so it does not follow from the seed.",
)
mutant_edit(
    TRAIN,
    ("torch.randperm(len(x), generator=gen)", "torch.arange(len(x))"),
    caught_by="training_leaves_nothing_behind",
    label="always the same order",
    hint="Your batches are the same in every epoch.",
)
mutant_edit(
    TRAIN,
    (
        "    for epoch in range(schedule.epochs):\n",
        "    for epoch in range(schedule.epochs):\n        opt = torch.optim.Adam(net.parameters(), lr=schedule.lr)\n",
    ),
    caught_by="as_the_schedule_says",
    label="a new optimiser in each epoch",
    hint="You make a new Adam in each epoch, and its averages begin anew.",
)
mutant_edit(
    TRAIN,
    ("max(0, epoch - schedule.warm_up + 1)", "max(0, epoch - schedule.warm_up)"),
    caught_by="as_the_schedule_says",
    label="the ramp begins an epoch late",
    hint="Your ramp begins one epoch late, and never reaches its end in a schedule that just suffices.",
)
mutant_edit(
    TRAIN,
    (
        "    for epoch in range(schedule.epochs):\n",
        "    order = torch.randperm(len(x), generator=gen)\n    for epoch in range(schedule.epochs):\n",
    ),
    ("torch.randperm(len(x), generator=gen).split", "order.split"),
    caught_by="every_image_every_epoch",
    label="one order for all epochs",
    hint="You draw one order and use it in every epoch. Each epoch should draw its own.",
)
mutant_edit(
    TRAIN,
    (
        "        for part in torch.randperm(len(x), generator=gen).split(schedule.batch):\n",
        "        for k, part in enumerate(torch.randperm(len(x), generator=gen).split(schedule.batch)):\n"
        "            step = epoch * -(-len(x) // schedule.batch) + k\n"
        "            r = min(1.0, max(0, step - schedule.warm_up + 1) / schedule.ramp)\n"
        "            kappa = 1 - r * (1 - schedule.kappa)\n",
    ),
    caught_by="as_the_schedule_says",
    label="the ramp counts steps",
    hint="Your warm-up and ramp count steps. They are numbers of epochs, each of as many steps as there are batches.",
)
mutant_edit(
    TRAIN,
    (
        "    for epoch in range(schedule.epochs):\n",
        "    for epoch in range(schedule.epochs):\n        opt.param_groups[0]['lr'] = schedule.lr * 0.1 ** (epoch // 10)\n",
    ),
    caught_by="as_the_schedule_says",
    label="the rate falls",
    hint="Your learning rate falls during the training. The schedule gives one rate for the whole run.",
)


@alternative(TRAIN, label="numpy's order, the worst logits by scatter")
def ibp_train(net, data, eps, schedule):
    import numpy as np

    x, y = data
    order = np.random.default_rng(schedule.seed)
    opt = torch.optim.Adam(list(net.parameters()), lr=schedule.lr, betas=(0.9, 0.999), eps=1e-8)
    for e in range(schedule.epochs):
        r = 0.0 if e < schedule.warm_up else min((e - schedule.warm_up + 1) / schedule.ramp, 1.0)
        kappa = (1 - r) * 1.0 + r * schedule.kappa
        perm = torch.from_numpy(order.permutation(len(y)))
        for start in range(0, len(y), schedule.batch):
            rows = perm[start : start + schedule.batch]
            xb, yb = x[rows], y[rows]
            opt.zero_grad(set_to_none=True)
            box = ball_box(xb, eps * r)
            low, high = ibp(net, box[0], box[1])
            worst = high.scatter(1, yb[:, None], low.gather(1, yb[:, None]))
            clean, hard = nn.CrossEntropyLoss()(net(xb), yb), nn.CrossEntropyLoss()(worst, yb)
            (clean * kappa + hard * (1 - kappa)).backward()
            opt.step()


alternative_edit(
    TRAIN,
    ("torch.where(F.one_hot(y[part], low.shape[1]).bool(), low, high)", "high - F.one_hot(y[part], low.shape[1]) * (high - low)"),
    ("(1 - kappa) * F.cross_entropy(worst, y[part])", "(1 - kappa) * F.nll_loss(worst.log_softmax(1), y[part])"),
    label="worst logits by subtraction",
)
