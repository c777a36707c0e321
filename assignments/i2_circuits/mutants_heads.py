"""Wrong and right answers to I2, the open lab: find_the_heads."""

from __future__ import annotations

import torch

from autograder.grading.checks import alternative, alternative_edit, mutant_edit

FIND = "i2_circuits.find_the_heads"
BOTH, DECOYS, WORTH, ALONE = "both_mechanisms", "decoys_are_left_out", "what_each_head_is_worth", "leaves_the_model_alone"


def _find(*edits: tuple[str, str], by: str | tuple[str, ...], label: str, hint: str) -> None:
    mutant_edit(FIND, *edits, caught_by=by, label=label, hint=hint)


RULE = "if scores[role][h] >= 0.4 and effects[layer, h] >= 0.05:"
_find(
    (RULE, "if scores[role][h] >= 0.4:"),
    by=(BOTH, DECOYS),
    label="by attention alone",
    hint="You name heads by where they look; a decoy looks there, too, and has no effect.",
)
_find(
    (RULE, "if effects[layer, h] >= 0.05:"),
    by=(BOTH, DECOYS),
    label="by effect alone",
    hint="You name heads by their effect; where they look says which role they have.",
)
_find(
    (RULE, "if scores[role][h] >= 0.4 or effects[layer, h] >= 0.05:"),
    by=(BOTH, DECOYS),
    label="score or effect",
    hint="One kind of evidence is enough for you; both are needed.",
)
_find(
    (RULE, "if scores[role][h] >= 0.4 and effects[layer, h] <= -0.05:"),
    by=(BOTH, DECOYS),
    label="the effect's sign",
    hint="You name heads without which the model is better.",
)
_find(
    (RULE, "if scores[role][h] == scores[role].max() and effects[layer, h] >= 0.05:"),
    by=BOTH,
    label="one head per layer and role",
    hint="You name at most the one head of a layer that scores highest; several heads may share a role.",
)
_find(
    (
        "    return roles, effects",
        "    return {'previous': [(0, 0)], 'duplicate': [(0, 1)], 'induction': [(1, 0), (1, 1)]}, effects",
    ),
    by=(BOTH, DECOYS),
    label="hard-coded heads",
    hint="Your heads are always the same; they are shuffled in every model.",
)
_find(
    ("    return roles, effects", "    return {r: v[:1] for r, v in roles.items()}, effects"),
    by=BOTH,
    label="one head per role",
    hint="You name one head per role; there may be more.",
)
_find(
    ("    return roles, effects", "    return {r: v[::-1] for r, v in roles.items()}, effects"),
    by=BOTH,
    label="descending order",
    hint="Your lists are in descending order.",
)
_find(
    ("    return roles, effects", "    return {r: [(h, l) for l, h in v] for r, v in roles.items()}, effects"),
    by=(BOTH, DECOYS),
    label="head before layer",
    hint="Your heads are named (number, layer).",
)
_find(
    ("zip(roles, head_scores", "zip(('duplicate', 'previous', 'induction'), head_scores"),
    by=(BOTH, DECOYS),
    label="scores under wrong names",
    hint="Your previous and duplicate scores are exchanged.",
)
_find(
    ("value[:, :, h] = cache[point][:, :, h].mean(0)", "value[:, :, h] = 0"),
    by=WORTH,
    label="zero ablation",
    hint="You replace the head by zeros; it is the mean over the rows.",
)
_find(
    ("value[:, :, h] = cache[point][:, :, h].mean(0)", "value[:, :, h] = cache[point][:, :, h].mean((0, 1))"),
    by=WORTH,
    label="the mean over positions, too",
    hint="Your mean runs over positions, too; it is taken position by position.",
)
_find(
    ("value[:, :, h] = cache[point][:, :, h].mean(0)", "value[:, :, h] = cache[point][:, :, h].roll(1, 0)"),
    by=WORTH,
    label="another row's output",
    hint="You replace the head by another row's output; it is the mean over the rows.",
)
_find(
    ("value[:, :, h] = cache[point][:, :, h].mean(0)", "value[:] = cache[point].mean(0)"),
    by=WORTH,
    label="the whole layer is ablated",
    hint="You ablate all heads of the layer at once.",
)
_find(
    ("point: str = point, h: int = h", "point: str = point, h: int = 0"),
    by=(WORTH, BOTH),
    label="always head 0",
    hint="Your edit ablates head 0 of every layer, whichever head is meant.",
)
_find(
    ("base - worth(model(tokens, ablate))", "worth(model(tokens, ablate)) - base"),
    by=(WORTH, BOTH),
    label="effects with the sign reversed",
    hint="Your effects have the wrong sign: a head that helps has a positive one.",
)
_find(
    ("found[mask[:, 1:]]", "found[mask[:, :-1]]"),
    by=WORTH,
    label="the mask is not shifted",
    hint="Your mask is not shifted: logits at i speak of token i + 1.",
)
_find(
    ("return float(found[mask[:, 1:]].mean())", "return float(found.mean())"),
    by=WORTH,
    label="all positions count",
    hint="You count all positions; most of the first copy cannot be predicted.",
)
_find(
    ("return float(found[mask[:, 1:]].mean())", "return float((found * mask[:, 1:]).sum(1).div(mask[:, 1:].sum(1)).mean())"),
    by=WORTH,
    label="row means first",
    hint="You average per row first; every position counts the same.",
)
_find(
    ("log_softmax(-1).gather", "softmax(-1).gather"),
    by=WORTH,
    label="probabilities",
    hint="Your effects are differences of probabilities; log-probabilities are asked for.",
)
_find(
    ("logits[:, :-1].log_softmax(-1).gather", "logits[:, :-1].gather"),
    by=WORTH,
    label="logits",
    hint="Your effects are differences of logits; log-probabilities are asked for.",
)
_find(
    ("gather(2, tokens[:, 1:, None])", "gather(2, tokens[:, :-1, None])"),
    by=WORTH,
    label="the present token",
    hint="You look at the log-probability of the present token; the next one is meant.",
)
_find(
    (
        "    logits, cache = run_with_cache(model, tokens)\n",
        "    logits, cache = run_with_cache(model, tokens)\n    model.W_U.data *= 0.5\n",
    ),
    by=(ALONE, WORTH),
    label="the model is changed",
    hint="Your function changes the model's weights.",
)
_find(
    (
        "effects = torch.zeros(model.cfg.n_layers, model.cfg.n_heads, dtype=logits.dtype)",
        "effects = torch.zeros(model.cfg.n_layers, model.cfg.n_heads, dtype=logits.dtype) + 0.0",
    ),
    ("effects[layer, h] = base", "effects[0, h] = base"),
    ("effects[layer, h] >= 0.05", "effects[0, h] >= 0.05"),
    by=(WORTH,),
    label="effects of the last layer only",
    hint="Your effects have one filled row only.",
)

alternative_edit(
    FIND,
    (
        "                value = value.clone()\n"
        "                value[:, :, h] = cache[point][:, :, h].mean(0)\n"
        "                return value",
        "                mine = torch.arange(value.shape[2]) == h\n"
        "                return torch.where(mine[:, None], cache[point].mean(0, keepdim=True), value)",
    ),
    label="torch.where",
)


@alternative(FIND, label="effects first, cross entropy, roles afterwards")
@torch.no_grad()
def find_the_heads(model, tokens, periods, mask):
    targets, counted = tokens[:, 1:], mask[:, 1:]

    def loss(logits):
        return torch.nn.functional.cross_entropy(logits[:, :-1][counted], targets[counted])

    plain, cache = run_with_cache(model, tokens)
    means = {k: v.mean(dim=0) for k, v in cache.items() if k.endswith("head_out")}
    layers, heads = range(model.cfg.n_layers), range(model.cfg.n_heads)

    def without(layer, head):
        def edit(name, value):
            if name == f"blocks.{layer}.head_out":
                parts = list(value.unbind(2))
                parts[head] = means[name][:, head].expand_as(parts[head])
                return torch.stack(parts, 2)

        return model(tokens, edit)

    effects = torch.stack([torch.stack([loss(without(i, j)) - loss(plain) for j in heads]) for i in layers])
    table = [head_scores(cache[f"blocks.{i}.pattern"], periods) for i in layers]
    roles = {}
    for n, role in enumerate(("previous", "duplicate", "induction")):
        roles[role] = [(i, j) for i in layers for j in heads if table[i][n][j] >= 0.4 and effects[i, j] >= 0.05]
    return roles, effects
