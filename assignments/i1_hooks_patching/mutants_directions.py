"""Wrong and right answers to I1: integrated_gradients, steering_vector with steer."""

from __future__ import annotations

import torch

from autograder.grading.checks import alternative, mutant, mutant_edit

GRADIENTS, STEER = "i1_hooks_patching.integrated_gradients", "i1_hooks_patching.steering_vector"

# -- integrated_gradients --------------------------------------------------------------------------------------------------

SHARE = "(1 - (k + 0.5) / steps)"
QUADRATIC = "exact_for_quadratics"

mutant_edit(
    GRADIENTS,
    ("x - way * (1 - (k + 0.5) / steps)", "x + 0.0 * way"),
    caught_by=QUADRATIC,
    label="gradient at x only",
    hint="You take the gradient at x alone. It is to be averaged over the whole way.",
)
mutant_edit(
    GRADIENTS,
    (SHARE, "(1 - k / steps)"),
    caught_by=QUADRATIC,
    label="left ends of the steps",
    hint="You take the gradient at the left end of each step, and so lean towards the baseline.",
)
mutant_edit(
    GRADIENTS,
    (SHARE, "(1 - (k + 1) / steps)"),
    caught_by=QUADRATIC,
    label="right ends of the steps",
    hint="You take the gradient at the right end of each step, and so lean towards x.",
)
mutant_edit(
    GRADIENTS,
    ("way = x - baseline.detach()", "way = x"),
    caught_by=(QUADRATIC, "baselines_and_blind_spots"),
    label="the baseline is ignored",
    hint="Your line begins at 0, whatever the baseline.",
)
mutant_edit(
    GRADIENTS,
    ("return way * total / steps", "return x * total / steps"),
    caught_by=QUADRATIC,
    label="multiplied by x",
    hint="You multiply by x. The way that was gone is from the baseline to x.",
)
mutant_edit(
    GRADIENTS,
    ("return way * total / steps", "return total / steps"),
    caught_by=QUADRATIC,
    label="not multiplied by the way",
    hint="You return mean gradients. An attribution is a gradient times a way.",
)
mutant_edit(
    GRADIENTS,
    ("return way * total / steps", "return way * total"),
    caught_by=QUADRATIC,
    label="a sum in place of a mean",
    hint="Your attributions grow with the number of steps.",
)
mutant_edit(
    GRADIENTS,
    ("return way * total / steps", "return way.abs() * total / steps"),
    caught_by=QUADRATIC,
    label="the size of the way",
    hint="You lose the sign of the way from baseline to x.",
)
mutant_edit(
    GRADIENTS,
    ("f(point).sum()", "f(point).mean()"),
    caught_by=QUADRATIC,
    label="mean over the rows",
    hint="Your attributions shrink when there are more rows: the gradient of a mean over them is taken.",
)
mutant_edit(
    GRADIENTS,
    ("for k in range(steps):", "for k in range(max(steps, 2)):"),
    ("return way * total / steps", "return way * total / max(steps, 2)"),
    (SHARE, "(1 - k / (max(steps, 2) - 1))"),
    ("total += torch", "total += (0.5 if k in (0, max(steps, 2) - 1) else 1) * max(steps, 2) / (max(steps, 2) - 1) * torch"),
    caught_by="points_on_the_line",
    label="ends included (trapezoid)",
    hint="You use the trapezoid rule, which asks for the gradient at both ends of the line.",
)
mutant_edit(
    GRADIENTS,
    (SHARE, "(1 - (k + 0.5) / steps) ** 2"),
    caught_by=QUADRATIC,
    label="points crowd at one end",
    hint="Your points are not evenly spread along the line.",
)
mutant_edit(
    GRADIENTS,
    ("    way = x - baseline.detach()", "    x -= baseline.detach()\n    way = x"),
    (SHARE, "(1 - (k + 0.5) / steps) + baseline.detach()"),
    caught_by="inputs_stay_as_they_are",
    label="x is changed in place",
    hint="Your function changes x in place.",
)
mutant_edit(
    GRADIENTS,
    ("total = torch.zeros_like(x)", "total = torch.zeros_like(x, requires_grad=True) + 0"),
    caught_by="inputs_stay_as_they_are",
    label="the result carries a graph",
    hint="Your result carries a graph.",
)
mutant_edit(
    GRADIENTS,
    ("way = x - baseline.detach()", "way = x - baseline.detach().expand_as(x)[:1]"),
    caught_by=QUADRATIC,
    label="the first row's baseline for all",
    hint="Every row has its own baseline; you use the first one for all.",
)


@mutant(GRADIENTS, caught_by="points_on_the_line", hint="You ask f with random points of the line. The rule is a fixed one.")
def integrated_gradients(f, x, baseline, steps):
    """random points in antithetic pairs"""
    x, baseline = x.detach(), baseline.detach()
    total = torch.zeros_like(x)
    for _ in range(steps):
        u = torch.rand(len(x), *[1] * (x.ndim - 1), dtype=x.dtype)
        for share in (u, 1 - u):
            point = (baseline + share * (x - baseline)).requires_grad_()
            total += torch.autograd.grad(f(point).sum(), point)[0] / 2
    return (x - baseline) * total / steps


@mutant(
    GRADIENTS,
    caught_by=("sums_to_the_difference", "exact_for_quadratics"),
    hint="You use the difference of f along each input alone. Inputs act together.",
)
def integrated_gradients(f, x, baseline, steps):
    """one input at a time"""
    x, baseline = x.detach(), baseline.detach().expand_as(x.detach())
    flat, base = x.flatten(1), baseline.flatten(1)
    out = torch.zeros_like(flat)
    for j in range(flat.shape[1]):
        moved = base.clone()
        moved[:, j] = flat[:, j]
        out[:, j] = (f(moved.reshape(x.shape)) - f(base.reshape(x.shape))).detach()
    return out.reshape(x.shape)


@alternative(GRADIENTS, label="Gauss-Legendre")
def integrated_gradients(f, x, baseline, steps):
    import numpy

    nodes, weights = numpy.polynomial.legendre.leggauss(steps)
    x, start = x.detach(), baseline.detach().expand_as(x.detach())
    mean = torch.zeros_like(x)
    for node, weight in zip(nodes, weights):
        point = torch.lerp(start, x, float((node + 1) / 2)).detach().requires_grad_()
        with torch.enable_grad():
            f(point).sum().backward()
        mean = mean + float(weight) / 2 * point.grad
    return (x - start) * mean


@alternative(GRADIENTS, label="all points in one batch")
def integrated_gradients(f, x, baseline, steps):
    x = x.detach()
    start = torch.broadcast_to(baseline.detach(), x.shape)
    share = (torch.arange(steps, dtype=x.dtype) + 0.5) / steps
    points = start + share.reshape(-1, *[1] * x.ndim) * (x - start)
    points = points.flatten(0, 1).clone().requires_grad_()
    with torch.enable_grad():
        (slope,) = torch.autograd.grad(f(points).sum(), points)
    return (x - start) * slope.unflatten(0, (steps, len(x))).mean(0)


# -- steering_vector and steer ---------------------------------------------------------------------------------------------

POOLED = "[1][site][mask].mean(dim=0)"

mutant_edit(
    STEER,
    (POOLED, "[1][site].flatten(0, 1).mean(dim=0)"),
    caught_by=("places_that_count", "planted_direction"),
    label="uses padding",
    hint="Your means are over all places. The mask says which of them count.",
)
mutant_edit(
    STEER,
    (POOLED, "[1][site].masked_fill(~mask[..., None], 0).flatten(0, 1).mean(dim=0)"),
    caught_by="places_that_count",
    label="padding counts as zeros",
    hint="You divide by the number of all places, padding included.",
)
mutant_edit(
    STEER,
    (POOLED, "[1][site].masked_fill(~mask[..., None], 0).sum(1).div(mask.sum(1, keepdim=True).clamp(min=1)).mean(dim=0)"),
    caught_by="places_that_count",
    label="mean of the texts' means",
    hint="You average each text first. Then a place of a short text counts more than one of a long text.",
)
mutant_edit(
    STEER,
    (POOLED, "[1][site][:, -1].mean(dim=0)"),
    caught_by="difference_of_means",
    label="the last position only",
    hint="You take the last position of each row only.",
)
mutant_edit(
    STEER,
    ("return towards - away", "return away - towards"),
    caught_by="difference_of_means",
    label="from pos to neg",
    hint="Your vector points from the positive texts to the negative ones.",
)
mutant_edit(
    STEER,
    ("return towards - away", "return (towards - away) / (towards - away).norm()"),
    caught_by="difference_of_means",
    label="length 1",
    hint="Your vector has length 1. The difference itself is asked for.",
)
mutant_edit(
    STEER,
    ('    site = f"blocks.{layer}.resid_pre"', '    site = f"blocks.{layer}.resid_post"'),
    caught_by="difference_of_means",
    label="the stream after the block",
    hint="Your vector is read after the block. Steering adds it before the block.",
)
mutant_edit(
    STEER,
    ('    site = f"blocks.{layer}.resid_pre"', '    site = f"blocks.{layer}.norm1"'),
    caught_by="difference_of_means",
    label="the normalised stream",
    hint="Your vector is read behind the norm. It belongs to the stream.",
)
mutant_edit(
    STEER,
    ("return towards - away", "return towards"),
    caught_by="difference_of_means",
    label="the positive mean alone",
    hint="Your vector is the positive texts' mean. What both kinds share has to go.",
)
mutant_edit(
    STEER,
    ("return towards - away", "return (towards - away).requires_grad_()"),
    caught_by="steering_leaves_nothing",
    label="the vector requires gradients",
    hint="Your vector requires gradients.",
)
mutant_edit(
    STEER,
    ('Hooks(model, [(f"blocks.{layer}.resid_pre", add)])', 'Hooks(model, [(f"blocks.{layer}.norm1", add)])'),
    caught_by="adds_everywhere",
    label="adds after the norm",
    hint="You add behind the norm: attention reads it, but the stream itself never holds it.",
)
mutant_edit(
    STEER,
    (
        "where = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask",
        "where = (torch.arange(tokens.shape[1]) == 0).expand_as(tokens) if mask is None else mask",
    ),
    caught_by="adds_everywhere",
    label="position 0 only",
    hint="You add the vector at position 0 only.",
)
mutant_edit(
    STEER,
    (
        "where = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask",
        "where = (torch.arange(tokens.shape[1]) == tokens.shape[1] - 1).expand_as(tokens) if mask is None else mask",
    ),
    caught_by="adds_everywhere",
    label="steers the last position only",
    hint="You add the vector at the last position only.",
)
mutant_edit(
    STEER,
    ("stream + alpha * vector, stream)", "stream + alpha * vector / vector.norm(), stream)"),
    caught_by="adds_everywhere",
    label="the vector is brought to length 1",
    hint="You bring the vector to length 1 before you add it.",
)
mutant_edit(
    STEER,
    ("stream + alpha * vector, stream)", "(1 - alpha) * stream + alpha * vector, stream)"),
    caught_by="adds_everywhere",
    label="mixes instead of adding",
    hint="You take from the stream what you add of the vector.",
)
mutant_edit(
    STEER,
    ("stream + alpha * vector, stream)", "stream + vector, stream)"),
    caught_by="adds_everywhere",
    label="alpha is ignored",
    hint="Your steering does not depend on alpha.",
)
mutant_edit(
    STEER,
    ('Hooks(model, [(f"blocks.{layer}.resid_pre", add)])', 'Hooks(model, [(f"blocks.{layer}.resid_post", add)])'),
    caught_by="adds_everywhere",
    label="adds after the block",
    hint="You add after the block, so the block itself never reads it.",
)
mutant_edit(
    STEER,
    (
        'Hooks(model, [(f"blocks.{layer}.resid_pre", add)])',
        'Hooks(model, [(f"blocks.{i}.resid_pre", add) for i in range(layer, len(model.blocks))])',
    ),
    caught_by="adds_everywhere",
    label="adds before every later block",
    hint="You add the vector again before every later block. In the stream it stays by itself.",
)
mutant_edit(
    STEER,
    ("if mask is None else mask\n\n", "\n\n"),
    caught_by="only_where_the_mask_is",
    label="the mask is ignored",
    hint="You add the vector everywhere, also where the mask is false.",
)
mutant_edit(
    STEER,
    ("if mask is None else mask\n\n", "if mask is None else mask[:1].expand_as(mask)\n\n"),
    caught_by="only_where_the_mask_is",
    label="the first row's mask for all",
    hint="Each row has a mask of its own; you use the first.",
)
mutant_edit(
    STEER,
    (
        "torch.where(where[..., None], stream + alpha * vector, stream)",
        "torch.where(where[..., None], stream + vector.mul_(alpha), stream)",
    ),
    caught_by="steering_leaves_nothing",
    label="scales the caller's vector",
    hint="Your function changes the vector in place.",
)


@mutant(STEER, caught_by="steering_leaves_nothing", hint="Your hook stays on the model after steering.")
def steer(model, tokens, vector, layer, alpha, mask=None):
    """the hook stays"""
    where = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
    model.blocks[layer].resid_pre.register_forward_hook(
        lambda m, a, x: x + alpha * vector * where[..., None] if x.shape[:2] == where.shape else None
    )
    return model(tokens)


@alternative(STEER, label="sums over masks, a hook before the block")
def steering_vector(model, pos, neg, layer, pos_mask, neg_mask):
    means = []
    for tokens, mask in ((pos, pos_mask), (neg, neg_mask)):
        _, cache = run_with_cache(model, tokens)
        stream = cache["blocks.0.resid_pre"] if layer == 0 else cache[f"blocks.{layer - 1}.resid_post"]
        means.append((stream * mask[..., None]).sum((0, 1)) / mask.sum())
    return means[0] - means[1]


@alternative(STEER, label="steering by a hook before the block")
def steer(model, tokens, vector, layer, alpha, mask=None):
    def push(module, args):
        added = alpha * vector if mask is None else alpha * vector * mask[..., None].to(vector.dtype)
        return (args[0] + added,)

    handle = model.blocks[layer].register_forward_pre_hook(push)
    try:
        return model(tokens)
    finally:
        handle.remove()


@alternative(STEER, label="steering row by row")
def steer(model, tokens, vector, layer, alpha, mask=None):
    def add(stream, name):
        out = stream.clone()
        for i in range(out.shape[0]):
            for p in range(out.shape[1]):
                if mask is None or mask[i, p]:
                    out[i, p] = out[i, p] + alpha * vector
        return out

    with torch.no_grad(), Hooks(model, [(f"blocks.{layer}.resid_pre", add)]):
        return model(tokens)
