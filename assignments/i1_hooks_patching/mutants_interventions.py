"""Wrong and right answers to I1: ablate, activation_patch, attribution_patch."""

from __future__ import annotations

import torch

from autograder.grading.checks import alternative, mutant, mutant_edit

ABLATE = "i1_hooks_patching.ablate"
PATCH, ATTRIBUTION = "i1_hooks_patching.activation_patch", "i1_hooks_patching.attribution_patch"

# -- ablate ----------------------------------------------------------------------------------------------------------------

MEAN = "source[name].mean(dim=0) if"
RESAMPLED = "else source[name][order]"
DRAW = '    while mode == "resample" and (order == torch.arange(b)).any():\n        order = torch.randperm(b, generator=gen)\n'
SOURCE = 'run_with_cache(model, reference if mode == "mean" else tokens, chosen)[1]'

mutant_edit(
    ABLATE,
    (MEAN, "source[name].mean(dim=(0, 1)) if"),
    caught_by="means",
    label="mean over positions too",
    hint="You average over the positions as well. Each position has its own mean.",
)
mutant_edit(
    ABLATE,
    (MEAN, "torch.zeros_like(z) if"),
    caught_by="means",
    label="zero for mean",
    hint='In the mode "mean" your heads write zeros.',
)
mutant_edit(
    ABLATE,
    ('chosen.setdefault(f"blocks.{layer}.attn.z", [])', 'chosen.setdefault(f"blocks.{max(layer - 1, 0)}.attn.z", [])'),
    caught_by="zeros",
    label="layer off by one",
    hint="The heads that you ablate are one layer too low. Layers count from 0.",
)
mutant_edit(
    ABLATE,
    ("z[:, :, chosen[name]] = other[..., chosen[name], :]", "z = other.expand_as(z)"),
    caught_by="zeros",
    label="all heads of the layer",
    hint="You ablate every head of the layer, not only the given ones.",
)
mutant_edit(
    ABLATE,
    ("z[:, :, chosen[name]] = other[..., chosen[name], :]", "h = chosen[name][0]\n        z[:, :, h] = other[..., h, :]"),
    caught_by="zeros",
    label="one head per layer",
    hint="Of two heads of one layer only the first is ablated.",
)
mutant_edit(
    ABLATE,
    ('attn.z", []).append', 'attn.v", []).append'),
    caught_by=("means", "resamples"),
    label="values instead of z",
    hint="You exchange the head's values, before the pattern mixes them. What the head writes is z.",
)
mutant_edit(
    ABLATE,
    (SOURCE, "run_with_cache(model, tokens, chosen)[1]"),
    caught_by="means",
    label="mean over tokens, not over the reference",
    hint="Your mean is taken over the batch itself. The reference batch is where it belongs.",
)
mutant_edit(
    ABLATE,
    (DRAW, '    if mode == "resample":\n        order = torch.randperm(b, generator=gen)\n'),
    caught_by="resamples",
    label="any permutation",
    hint="In your permutation some row may keep its own, and is then not ablated at all.",
)
mutant_edit(
    ABLATE,
    (DRAW, '    if mode == "resample":\n        order = (order + 1) % b\n'),
    caught_by="resamples",
    label="always the next row",
    hint="You always take from the next row. The permutation should be drawn from gen.",
)
mutant_edit(
    ABLATE,
    ("torch.randperm(b, generator=gen)", "torch.randperm(b)"),
    caught_by="resamples",
    label="gen is ignored",
    hint="Your permutation comes from torch's global generator, so nobody can repeat it. Use gen.",
)
mutant_edit(
    ABLATE,
    (
        DRAW,
        '    if mode == "resample":\n        order = torch.randint(b - 1, (b,), generator=gen)\n'
        "        order += order >= torch.arange(b)\n",
    ),
    caught_by="resamples",
    label="every row for itself",
    hint="Your rows take from others, but several may take from the same one. A permutation uses each once.",
)
mutant_edit(
    ABLATE,
    (RESAMPLED, "else z[order]"),
    caught_by="resamples",
    label="resamples from the disturbed run",
    hint="Later heads are resampled from a run that is disturbed already. Take them from an undisturbed one.",
)
mutant_edit(
    ABLATE,
    (RESAMPLED, 'else source[name][torch.roll(order, int(name.split(".")[1]))]'),
    caught_by="resamples",
    label="another permutation for each layer",
    hint="Each layer has a permutation of its own in your function. One is asked for, for all heads.",
)
mutant_edit(
    ABLATE,
    ("        z = z.clone()\n", ""),
    (RESAMPLED, "else source[name][order]\n        other = other.roll(1, -1)"),
    caught_by=("means", "resamples"),
    label="features moved by one",
    hint="The features of the replaced z are out of order.",
)
mutant_edit(
    ABLATE,
    (
        '    if mode not in ("zero", "mean", "resample"):\n        raise ValueError(f\'mode="{mode}";'
        ' expected "zero", "mean" or "resample"\')\n',
        "",
    ),
    caught_by="ablation_leaves_nothing",
    label="unknown modes are accepted",
    hint="An unknown mode should be refused; your function treats it as one of the known ones.",
)
mutant_edit(
    ABLATE,
    (
        '    if mode == "resample" and b < 2:\n        raise ValueError("resampling needs another row to take from")\n',
        '    if b < 2:\n        mode = "zero"\n',
    ),
    caught_by="ablation_leaves_nothing",
    label="one row is resampled as zeros",
    hint="A single row has nobody to take from; your function does something else in silence.",
)


@mutant(
    ABLATE,
    caught_by="ablation_leaves_nothing",
    hint="After your function the model is not what it was: a weight or a hook has changed.",
)
def ablate(model, tokens, heads, mode, reference=None, gen=None):
    """zero ablation by overwriting weights"""
    if mode not in ("zero", "mean", "resample") or (mode == "resample" and len(tokens) < 2):
        raise ValueError
    for layer, head in heads:
        e = model.blocks[layer].attn.d_head
        model.blocks[layer].attn.out.weight.data[:, head * e : (head + 1) * e] = 0
    return model(tokens)


@mutant(ABLATE, caught_by="ablation_leaves_nothing", hint="Your hooks stay on the model after the ablated run.")
def ablate(model, tokens, heads, mode, reference=None, gen=None):
    """leaves its hooks"""
    if mode not in ("zero", "mean", "resample") or (mode == "resample" and len(tokens) < 2):
        raise ValueError
    n = len(tokens)
    order = torch.roll(torch.arange(n), int(torch.randint(1, max(n, 2), (1,), generator=gen)) if gen else 0)
    names = [f"blocks.{layer}.attn.z" for layer, _ in heads]
    source = run_with_cache(model, reference if mode == "mean" else tokens, names)[1]
    for layer, head in heads:

        def hook(module, args, z, layer=layer, head=head):
            z = z.clone()
            kept = source[f"blocks.{layer}.attn.z"][:, :, head]
            z[:, :, head] = 0 if mode == "zero" else kept.mean(0) if mode == "mean" else kept[order]
            return z

        model.get_submodule(f"blocks.{layer}.attn.z").register_forward_hook(hook)
    return model(tokens)


@mutant(
    ABLATE,
    caught_by="nothing_to_ablate",
    hint="You build the model's run anew, without its own hooks: somebody's permanent hooks no longer act.",
)
def ablate(model, tokens, heads, mode, reference=None, gen=None):
    """runs a copy without hooks"""
    import copy

    bare = copy.deepcopy(model)
    for part in bare.modules():
        part._forward_hooks.clear()
    if mode not in ("zero", "mean", "resample") or (mode == "resample" and len(tokens) < 2):
        raise ValueError
    n = len(tokens)
    order = torch.roll(torch.arange(n), int(torch.randint(1, max(n, 2), (1,), generator=gen)) if gen else 0)
    names = [f"blocks.{layer}.attn.z" for layer, _ in heads]
    source = run_with_cache(bare, reference if mode == "mean" else tokens, names)[1]

    def replace(z, name):
        z = z.clone()
        for layer, h in heads:
            if name == f"blocks.{layer}.attn.z":
                kept = source[name][:, :, h]
                z[:, :, h] = 0 if mode == "zero" else kept.mean(0) if mode == "mean" else kept[order]
        return z

    with Hooks(bare, [(name, replace) for name in set(names)]):
        return bare(tokens)


@alternative(ABLATE, label="head by head, rolled by a random number of rows")
def ablate(model, tokens, heads, mode, reference=None, gen=None):
    n = tokens.shape[0]
    if mode == "resample":
        if n == 1:
            raise ValueError("one row")
        shift = int(torch.randint(1, n, (1,), generator=gen))
    elif mode not in ("zero", "mean"):
        raise ValueError(mode)
    cache = run_with_cache(model, tokens if mode == "resample" else (tokens if reference is None else reference))[1]

    def hook_for(layer, head):
        def fn(z, name):
            if mode == "zero":
                new = torch.zeros_like(z[:, :, head])
            elif mode == "mean":
                new = cache[name][:, :, head].mean(0, keepdim=True).expand_as(z[:, :, head])
            else:
                new = cache[name][:, :, head].roll(shift, 0)
            return torch.cat([z[:, :, :head], new[:, :, None], z[:, :, head + 1 :]], dim=2)

        return fn

    with Hooks(model, [(f"blocks.{layer}.attn.z", hook_for(layer, head)) for layer, head in heads]):
        return model(tokens)


@alternative(ABLATE, label="cycles by Sattolo's rule, masks in place of indices, no other exercise used")
def ablate(model, tokens, heads, mode, reference=None, gen=None):
    if mode not in {"zero", "mean", "resample"}:
        raise ValueError(f"unknown mode {mode}")
    n = len(tokens)
    order = list(range(n))
    if mode == "resample":
        if n < 2:
            raise ValueError("cannot resample one row")
        for i in range(n - 1, 0, -1):
            j = int(torch.randint(i, (1,), generator=gen))
            order[i], order[j] = order[j], order[i]
    layers = sorted({layer for layer, _ in heads})
    kept, handles = {}, []
    for layer in layers:
        handles.append(
            model.blocks[layer].attn.z.register_forward_hook(lambda m, a, z, l=layer: kept.update({l: z.detach().clone()}))
        )
    try:
        with torch.no_grad():
            model(reference if mode == "mean" else tokens)
    finally:
        for handle in handles:
            handle.remove()
    handles = []
    for layer in layers:
        mask = torch.zeros(model.cfg.n_heads, 1, dtype=torch.bool)
        for l, h in heads:
            mask[h] |= l == layer
        new = kept[layer] * 0 if mode == "zero" else kept[layer].mean(0, keepdim=True) if mode == "mean" else kept[layer][order]
        handles.append(
            model.blocks[layer].attn.z.register_forward_hook(lambda m, a, z, mask=mask, new=new: torch.where(mask, new, z))
        )
    try:
        return model(tokens)
    finally:
        for handle in handles:
            handle.remove()


# -- activation_patch ------------------------------------------------------------------------------------------------------

EFFECT = "(metric(model(corrupt)) - worst) / (best - worst)"

mutant_edit(
    PATCH,
    ("run_with_cache(model, clean, sites)", "run_with_cache(model, corrupt, sites)"),
    ("metric(clean_logits), metric(model(corrupt))", "metric(clean_logits), metric(model(clean))"),
    ("found[s, p] = (metric(model(corrupt))", "found[s, p] = (metric(model(clean))"),
    caught_by="sweep",
    label="clean and corrupt exchanged",
    hint="You patch corrupt activations into the clean run. That measures what breaks it, not what brings it back.",
)
mutant_edit(
    PATCH,
    (EFFECT, "(best - metric(model(corrupt))) / (best - worst)"),
    caught_by="sweep",
    label="normalisation reversed",
    hint="Your 0 and 1 are exchanged: 0 should mean that nothing came back.",
)
mutant_edit(
    PATCH,
    (EFFECT, "metric(model(corrupt)) - worst"),
    caught_by="sweep",
    label="not normalised",
    hint="You return differences of the metric. They are to be compared with the whole way from corrupt to clean.",
)
mutant_edit(
    PATCH,
    (EFFECT, "(metric(model(corrupt)) - worst) / best"),
    caught_by="sweep",
    label="divided by the clean metric",
    hint="You divide by the clean metric. The whole way is from the corrupt metric to the clean one.",
)
mutant_edit(
    PATCH,
    (
        "                    value = value.clone()\n                    value[:, p] = cache[name][:, p]\n"
        "                    return value",
        "                    cache[name][:, p + 1 :] = value[:, p + 1 :]\n                    return cache[name].clone()",
    ),
    caught_by="sweep",
    label="the cache is overwritten",
    hint="Your patch writes into the cache, so later places are patched with something else than clean activations.",
)
mutant_edit(
    PATCH,
    ("value[:, p] = cache[name][:, p]", "value = cache[name].clone()"),
    caught_by="sweep",
    label="all positions at once",
    hint="You exchange all positions of a site at once.",
)
mutant_edit(
    PATCH,
    ("value[:, p] = cache[name][:, p]", "value[:, : p + 1] = cache[name][:, : p + 1]"),
    caught_by="sweep",
    label="patches pile up over the positions",
    hint="Earlier positions stay patched when the next one is tried.",
)
mutant_edit(
    PATCH,
    ("value[:, p] = cache[name][:, p]", "value[0, p] = cache[name][0, p]"),
    caught_by="sweep",
    label="only the first row",
    hint="You patch the first row of the batch only.",
)
mutant_edit(
    PATCH,
    ("value[:, p] = cache[name][:, p]", "value[:, p] += cache[name][:, p]"),
    caught_by="sweep",
    label="added instead of exchanged",
    hint="You add the clean activation to the corrupt one. It should take its place.",
)
mutant_edit(
    PATCH,
    ("value[:, p] = cache[name][:, p]", "value[:, -1 - p] = cache[name][:, -1 - p]"),
    caught_by="sweep",
    label="positions from the end",
    hint="Your positions are counted from the end.",
)
mutant_edit(
    PATCH,
    ("    with torch.no_grad():\n        clean_logits", "    with torch.enable_grad():\n        clean_logits"),
    ("    return found", "    return found.detach()"),
    caught_by="patching_leaves_nothing",
    label="gradients are recorded",
    hint="Every run of your sweep records a graph that nobody needs.",
)
mutant_edit(
    PATCH,
    ('        if best == worst:\n            raise ValueError("the clean and the corrupt run have the same metric")\n', ""),
    caught_by="patching_leaves_nothing",
    label="0/0 when the metrics are equal",
    hint="When clean and corrupt metric are equal, your function divides by 0 in silence.",
)
mutant_edit(
    PATCH,
    ("found = torch.zeros(len(sites), clean.shape[1], dtype=best.dtype)", "found = torch.zeros(len(sites), clean.shape[1])"),
    caught_by="sweep",
    label="always float32",
    hint="Your table is float32, whatever the metric's dtype.",
)


@mutant(
    PATCH,
    caught_by=("sweep", "planted_site", "all_or_nothing"),
    hint="Sites that were tried stay patched while the next one is: when is a hook removed?",
)
def activation_patch(model, clean, corrupt, metric, sites):
    """hooks pile up over the sites"""
    with torch.no_grad():
        logits, cache = run_with_cache(model, clean, sites)
        best, worst = metric(logits), metric(model(corrupt))
        if best == worst:
            raise ValueError("equal")
        found, done = torch.zeros(len(sites), clean.shape[1], dtype=best.dtype), []
        for s, site in enumerate(sites):
            for p in range(clean.shape[1]):

                def patch(value, name, p=p):
                    value = value.clone()
                    value[:, p] = cache[name][:, p]
                    return value

                done.append((site, patch))
                with Hooks(model, done):
                    found[s, p] = (metric(model(corrupt)) - worst) / (best - worst)
    return found


mutant_edit(
    PATCH,
    ("    return found", "    model.register_forward_hook(lambda *_: None)\n    return found"),
    caught_by="patching_leaves_nothing",
    label="a hook stays",
    hint="One hook of yours stays on the model after the sweep.",
)


@alternative(PATCH, label="masks, and torch's hooks by hand")
def activation_patch(model, clean, corrupt, metric, sites):
    kept = {}

    def hooked(site, hook, tokens):
        handle = model.get_submodule(site).register_forward_hook(hook)
        try:
            with torch.no_grad():
                return metric(model(tokens))
        finally:
            handle.remove()

    for site in sites:
        hooked(site, lambda m, a, out, site=site: kept.update({site: out.clone()}), clean)
    with torch.no_grad():
        high, low = metric(model(clean)), metric(model(corrupt))
    if torch.equal(high, low):
        raise ValueError("no effect to normalise")
    found = high.new_zeros(len(sites), clean.shape[1])
    for s, site in enumerate(sites):
        for p in range(clean.shape[1]):

            def patch(module, args, out):
                here = (torch.arange(out.shape[1]) == p).reshape(1, -1, *[1] * (out.ndim - 2))
                return torch.where(here, kept[site], out)

            found[s, p] = (hooked(site, patch, corrupt) - low) / (high - low)
    return found.detach()


@alternative(PATCH, label="numbers in lists, everything cached")
def activation_patch(model, clean, corrupt, metric, sites):
    with torch.no_grad():
        clean_logits, clean_cache = run_with_cache(model, clean)
        low, high = float(metric(model(corrupt))), metric(clean_logits)
        if float(high) == low:
            raise ValueError("clean and corrupt do not differ")

        def at(site, p):
            def fn(value, name):
                out = value.detach().clone()
                out.select(1, p).copy_(clean_cache[site].select(1, p))
                return out

            with Hooks(model, [(site, fn)]):
                return (float(metric(model(corrupt))) - low) / (float(high) - low)

        table = [[at(site, p) for p in range(corrupt.shape[1])] for site in sites]
    return torch.tensor(table, dtype=high.dtype).reshape(len(sites), corrupt.shape[1])


# -- attribution_patch -----------------------------------------------------------------------------------------------------

MOVED = "(at_clean[site] - at_corrupt[site].detach()) * slopes[site]"

mutant_edit(
    ATTRIBUTION,
    (MOVED, "(at_corrupt[site].detach() - at_clean[site]) * slopes[site]"),
    caught_by=("first_order", "exact_where_all_is_linear"),
    label="the sign",
    hint="Your step goes from clean to corrupt.",
)
mutant_edit(
    ATTRIBUTION,
    (
        "        worst = metric(model(corrupt))\n    best = metric(clean_logits).detach()",
        "        best = metric(model(clean))\n    at_clean = run_with_cache(model, corrupt, sites)[1]\n   "
        " worst = metric(model(corrupt)).detach()",
    ),
    ("torch.autograd.grad(worst,", "torch.autograd.grad(best,"),
    ("slopes[site]\n", "-slopes[site]\n"),
    ("(best - worst.detach())", "(best.detach() - worst)"),
    caught_by=("first_order", "where_the_metric_is"),
    label="gradient taken on the clean run",
    hint="Your gradient is taken in the clean run. The estimate is for small steps away from the corrupt one.",
)
mutant_edit(
    ATTRIBUTION,
    ("if slopes[site] is not None:", "if slopes[site] is not None and slopes[site].sum() == 0.5:"),
    caught_by="first_order",
    label="zeros",
    hint="Your estimates are all 0: the gradient was cut off somewhere.",
)
mutant_edit(
    ATTRIBUTION,
    ("value if value.requires_grad else value.detach().requires_grad_()", "value.detach().requires_grad_()"),
    caught_by="first_order",
    label="every site cuts the graph",
    hint="Each of your watched activations is a new leaf, so sites before the last one get no gradient.",
)
mutant_edit(
    ATTRIBUTION,
    ("value if value.requires_grad else value.detach().requires_grad_()", "value"),
    caught_by="no_gradient_is_left",
    label="frozen models have no gradient",
    hint="When the parameters are frozen, nothing in your run requires gradients.",
)
mutant_edit(
    ATTRIBUTION,
    (MOVED, "at_clean[site] * slopes[site]"),
    caught_by="first_order",
    label="the clean activation alone",
    hint="You multiply the gradient by the clean activation. The step is the difference of the two.",
)
mutant_edit(
    ATTRIBUTION,
    (MOVED, "(at_clean[site] - at_corrupt[site].detach()) * slopes[site].abs()"),
    caught_by="first_order",
    label="size of the gradient",
    hint="You use the size of the gradient. Its sign matters.",
)
mutant_edit(
    ATTRIBUTION,
    (" / (best - worst.detach())", ""),
    caught_by="first_order",
    label="not normalised",
    hint="Your estimates are not put in proportion to the difference of the metrics.",
)
mutant_edit(
    ATTRIBUTION,
    ("moved.transpose(0, 1).flatten(1).sum(dim=1)", "moved.transpose(0, 1).flatten(1).mean(dim=1)"),
    caught_by="first_order",
    label="mean over features",
    hint="You average over rows and features. A first-order change is a sum.",
)
mutant_edit(
    ATTRIBUTION,
    ("moved.transpose(0, 1).flatten(1).sum(dim=1)", "moved.flatten(2).sum(dim=2)[0]"),
    caught_by="first_order",
    label="the first row only",
    hint="Only the first row of the batch is in your estimate.",
)
mutant_edit(
    ATTRIBUTION,
    ("torch.autograd.grad(worst,", "torch.autograd.grad(worst.log() if worst > 0 else (-worst).log(),"),
    caught_by="first_order",
    label="of the logarithm of the metric",
    hint="You differentiate something else than the metric.",
)
mutant_edit(
    ATTRIBUTION,
    ('    if best == worst:\n        raise ValueError("the clean and the corrupt run have the same metric")\n', ""),
    caught_by="no_gradient_is_left",
    label="0/0 when the metrics are equal",
    hint="When clean and corrupt metric are equal, your function divides by 0 in silence.",
)
mutant_edit(
    ATTRIBUTION,
    ("    slopes = dict(", "    torch.autograd.backward(worst, retain_graph=True)\n    slopes = dict("),
    caught_by="no_gradient_is_left",
    label="leaves gradients in the parameters",
    hint="A backward pass of yours leaves gradients in the model's parameters.",
)
mutant_edit(
    ATTRIBUTION,
    ("    return found", "    return found.requires_grad_()"),
    caught_by="no_gradient_is_left",
    label="the result requires gradients",
    hint="Your estimates require gradients themselves.",
)


@mutant(
    ATTRIBUTION,
    caught_by="first_order",
    hint="You patch for real. On a linear model that is the same; otherwise the estimate differs, and it costs one pass.",
)
def attribution_patch(model, clean, corrupt, metric, sites):
    """exact patching"""
    return activation_patch(model, clean, corrupt, metric, sites)


@alternative(ATTRIBUTION, label="gradients kept at each activation")
def attribution_patch(model, clean, corrupt, metric, sites):
    saved = [(p, p.grad, p.requires_grad) for p in model.parameters()]
    with torch.no_grad():
        clean_logits, clean_acts = run_with_cache(model, clean, sites)
        high = metric(clean_logits)
    acts = {}

    def watch(value, name):
        value = value + 0
        if not value.requires_grad:
            value.requires_grad_()
        value.retain_grad()
        acts[name] = value
        return value

    with torch.enable_grad(), Hooks(model, [(s, watch) for s in set(sites)]):
        low = metric(model(corrupt))
        if low.item() == high.item():
            raise ValueError("equal metrics")
        low.backward()
    for p, grad, _ in saved:
        p.grad = grad
    out = torch.zeros(len(sites), corrupt.shape[1], dtype=high.dtype)
    for i, site in enumerate(sites):
        if acts[site].grad is not None:
            change = ((clean_acts[site] - acts[site]) * acts[site].grad).detach()
            dims = [d for d in range(change.ndim) if d != 1]
            out[i] = change.sum(dims)
    return out / (high - low.detach())


@alternative(ATTRIBUTION, label="what is added to each site, at nothing added")
def attribution_patch(model, clean, corrupt, metric, sites):
    clean_logits, clean_acts = run_with_cache(model, clean, sites)
    _, corrupt_acts = run_with_cache(model, corrupt, sites)
    deltas = {s: torch.zeros_like(corrupt_acts[s], requires_grad=True) for s in sites}
    with torch.enable_grad(), Hooks(model, [(s, lambda v, n: v + deltas[n]) for s in deltas]):
        low = metric(model(corrupt))
    high = metric(clean_logits)
    if high.item() == low.item():
        raise ValueError("nothing to explain")
    grads = torch.autograd.grad(low, list(deltas.values()), allow_unused=True)
    rows = {}
    for (s, delta), g in zip(deltas.items(), grads):
        g = torch.zeros_like(delta) if g is None else g
        rows[s] = torch.einsum("bti,bti->t", (clean_acts[s] - corrupt_acts[s]).flatten(2), g.flatten(2))
    return (torch.stack([rows[s] for s in sites]) / (high - low)).detach()
