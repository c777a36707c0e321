"""Wrong and right answers to I2, intervening: path_patch, circuit_metrics, prune_edges."""

from __future__ import annotations

import torch

from autograder.grading.checks import alternative, alternative_edit, mutant_edit

PATCH, METRICS, PRUNE = "i2_circuits.path_patch", "i2_circuits.circuit_metrics", "i2_circuits.prune_edges"
EDGE, KINDS, SEVERAL, MLPS, DIRECT, BACK = (
    "one_edge_between_heads",
    "every_kind_of_input",
    "several_receivers",
    "through_mlps_or_not",
    "straight_to_the_logits",
    "nothing_flows_backwards",
)


def _patch(*edits: tuple[str, str], by: str | tuple[str, ...] = (EDGE,), label: str, hint: str) -> None:
    mutant_edit(PATCH, *edits, caught_by=by, label=label, hint=hint)


FREEZE = (
    "            value = old[name].clone()\n"
    '            if name == f"blocks.{layer}.head_out":\n'
    "                value[:, :, h] = new[name][:, :, h]\n"
    "            return value\n"
)
_patch(
    ("        value[:, :, heads] = noted[name][:, :, heads]\n        return value", "        return noted[name]"),
    label="receivers are not restricted",
    hint="All heads of the receiver's layer hear the sender, not the receivers only.",
    by=(EDGE, KINDS),
)
_patch(
    ("            value = old[name].clone()\n", "            value = new[name].clone()\n"),
    label="frozen to clean",
    hint="In your first run the other heads are frozen to the clean run; the ground is the corrupted one.",
)
_patch(
    ("_, new = run_with_cache(model, clean)", "_, new = run_with_cache(model, corrupt)"),
    ("_, old = run_with_cache(model, corrupt)", "_, old = run_with_cache(model, clean)"),
    label="clean and corrupt exchanged in the caches",
    hint="Your two caches are exchanged.",
)
_patch(
    ("return model(corrupt, receive)", "return model(clean, receive)"),
    label="the second run is the clean one",
    hint="Your second run is on the clean prompt.",
)
_patch(
    ("_, noted = run_with_cache(model, corrupt, freeze)", "_, noted = run_with_cache(model, clean, freeze)"),
    label="the first run is the clean one",
    hint="Your first run is on the clean prompt: its embeddings are clean, too.",
)
_patch(
    (
        FREEZE,
        '            if name == f"blocks.{layer}.head_out":\n'
        "                value = value.clone()\n"
        "                value[:, :, h] = new[name][:, :, h]\n"
        "            return value\n",
    ),
    label="nothing is frozen",
    hint="The other heads are not frozen: what they make of the sender's message reaches the receivers, too.",
    by=(SEVERAL, EDGE),
)
_patch(
    ("                value[:, :, h] = new[name][:, :, h]\n", "                value = new[name]\n"),
    label="the whole layer sends",
    hint="All heads of the sender's layer speak as in the clean run.",
)
_patch(
    ("                value[:, :, h] = new[name][:, :, h]\n", "                value[:, -1, h] = new[name][:, -1, h]\n"),
    label="the last position sends only",
    hint="Your sender speaks at the last position only.",
)
_patch(
    ("                value[:, :, h] = new[name][:, :, h]\n", "                value[:, :, h] = 0\n"),
    label="the sender is silenced",
    hint="Your sender is silent; it should say what it says in the clean run.",
)
_patch(
    ("    layer, h = sender\n", "    h, layer = sender\n"),
    label="layer and head exchanged",
    hint="You read the sender as (head, layer).",
)
_patch(
    ('f"blocks.{at}.{kind}_in"', 'f"blocks.{at}.q_in"'),
    label="queries always",
    hint="Your receivers always hear through their queries.",
    by=(KINDS, EDGE),
)
_patch(
    ('if name == f"blocks.{at}.{kind}_in"', 'if name.startswith(f"blocks.{at}.") and name.endswith("_in") and "mlp" not in name'),
    label="all three inputs",
    hint="Your receivers hear through queries, keys and values at once.",
    by=(KINDS, EDGE),
)
_patch(
    ("        value[:, :, heads] = noted[name][:, :, heads]\n", "        value[:, :, heads] = new[name][:, :, heads]\n"),
    label="receivers read the clean run",
    hint="Your receivers read everything as in the clean run, not only what the sender changed.",
)
_patch(
    ("heads = [number for at, number in receivers if", "heads = [number for at, number in receivers[:1] if"),
    label="one receiver only",
    hint="Only the first of your receivers hears the sender.",
    by=(SEVERAL,),
)
_patch(
    ('if name == f"blocks.{at}.{kind}_in"]', 'if name.endswith(f".{kind}_in")]'),
    label="the receiver's number in every layer",
    hint="Heads of the receiver's number hear the sender in every layer.",
    by=(EDGE, SEVERAL),
)
_patch(
    ("    _, noted = run_with_cache(model, corrupt, freeze)\n", "    return model(corrupt, freeze)\n"),
    label="stops after the first run",
    hint="You return the logits of the first run, in which later heads are frozen.",
    by=(EDGE, KINDS),
)
_patch(
    ('return old[name] if name.endswith("mlp_out") and freeze_mlps else None', "return None"),
    label="MLPs are never frozen",
    hint="Your MLPs are recomputed also with freeze_mlps=True.",
    by=(MLPS,),
)
_patch(
    (
        'return old[name] if name.endswith("mlp_out") and freeze_mlps else None',
        'return old[name] if name.endswith("mlp_out") else None',
    ),
    label="MLPs are always frozen",
    hint="Your MLPs are frozen also with freeze_mlps=False.",
    by=(MLPS,),
)
_patch(
    ("freeze_mlps: bool = True", "freeze_mlps: bool = False"),
    label="another default",
    hint="Your MLPs are recomputed by default.",
    by=(MLPS,),
)
_patch(
    (
        'return old[name] if name.endswith("mlp_out") and freeze_mlps else None',
        'return new[name] if name.endswith("mlp_out") and freeze_mlps else None',
    ),
    label="MLPs frozen to clean",
    hint="Your MLPs are frozen to the clean run.",
    by=(MLPS,),
)
_patch(
    (
        '        if kind == "logits":\n            return noted[name] if name == "final" else None\n',
        '        if kind == "logits":\n            return new[name] if name == f"blocks.{layer}.head_out" else None\n',
    ),
    label="to the logits by every way",
    hint='With kind "logits" the sender is heard by later heads, too; only the direct way counts.',
    by=(DIRECT, MLPS),
)
_patch(
    (
        '        if kind == "logits":\n            return noted[name] if name == "final" else None\n',
        '        if kind == "logits":\n            return None\n',
    ),
    label="nothing reaches the logits",
    hint='With kind "logits" your result is that of the corrupted run.',
    by=(DIRECT,),
)
_patch(
    ('if name == "final" else None\n        heads', 'if name == "final" and not model.cfg.norm else None\n        heads'),
    label="nothing reaches the logits of a model with norms",
    hint="For a model with norms nothing of the sender reaches your logits.",
    by=(DIRECT,),
)
_patch(
    ('        raise ValueError(f\'kind is {kind!r}, expected "q", "k", "v" or "logits"\')', "        return model(corrupt)"),
    label="any kind is accepted",
    hint="Your function accepts a kind that is none of the four.",
    by=(BACK,),
)
_patch(
    ("return model(corrupt, receive)", "out = model(corrupt, receive)\n    model.blocks[0].W_O[0] *= 0.5\n    return out"),
    label="the model is changed",
    hint="Your function changes the model's weights.",
    by=(BACK, EDGE, KINDS),
)
_patch(
    ("return model(corrupt, receive)", "return model(corrupt, receive) - model(corrupt)"),
    label="the effect in place of the logits",
    hint="You return the change of the logits; the logits themselves are asked for.",
    by=(EDGE, BACK),
)

alternative_edit(
    PATCH,
    (
        "        value = value.clone()\n        value[:, :, heads] = noted[name][:, :, heads]\n        return value",
        "        mine = torch.tensor([n in heads for n in range(value.shape[2])])\n"
        "        return torch.where(mine[:, None], noted[name], value)",
    ),
    label="torch.where",
)


@alternative(PATCH, label="the message is added to what receivers read")
@torch.no_grad()
def path_patch(model, clean, corrupt, sender, receivers, kind, freeze_mlps=True):
    if kind not in {"q", "k", "v", "logits"}:
        raise ValueError(kind)
    layer, number = sender
    _, on_clean = run_with_cache(model, clean)
    _, on_corrupt = run_with_cache(model, corrupt)
    point = f"blocks.{layer}.head_out"
    message = (on_clean[point] - on_corrupt[point])[:, :, number]
    news = {}  # by layer: what the stream has in excess when that layer reads it
    for at in range(layer + 1, model.cfg.n_layers + 1):
        mlp = f"blocks.{at - 1}.mlp_out"
        if mlp in on_corrupt and not freeze_mlps:
            block, x = model.blocks[at - 1], on_corrupt[f"blocks.{at - 1}.mlp_in"] + message
            again = torch.relu(model.norm(x) @ block.W_in + block.b_in) @ block.W_out + block.b_out
            message = message + again - on_corrupt[mlp]
        news[at] = message

    def edit(name, value):
        if kind == "logits":
            return on_corrupt["final"] + news[model.cfg.n_layers] if name == "final" else None
        for at, n in receivers:
            if name == f"blocks.{at}.{kind}_in" and at in news:
                value = value.clone()
                value[:, :, n] = on_corrupt[name][:, :, n] + news[at]
        return value

    return model(corrupt, edit)


FAITHFUL, ONE, ENDS, SHARED, TWINS = (
    "faithful_and_complete",
    "one_head_at_a_time",
    "everything_and_nothing",
    "rows_of_a_template_share_a_mean",
    "a_gap_in_completeness",
)


def _metrics(*edits: tuple[str, str], by: str | tuple[str, ...] = (FAITHFUL,), label: str, hint: str) -> None:
    mutant_edit(METRICS, *edits, caught_by=by, label=label, hint=hint)


_metrics(
    ("return torch.where(keep[:, None], value, means[name])", "return torch.where(keep[:, None], value, torch.zeros_like(value))"),
    label="zero ablation",
    hint="You replace heads by zeros; it is their mean over the corrupted prompts.",
)
_metrics(
    (
        'same = data["template"][:, None] == data["template"]',
        'same = torch.ones(len(data["end"]), len(data["end"]), dtype=torch.bool)',
    ),
    label="the mean over all templates",
    hint="Your mean runs over all templates: a position then means different words.",
    by=(FAITHFUL, SHARED),
)
_metrics(
    ('_, cache = run_with_cache(model, data["corrupt"])', '_, cache = run_with_cache(model, data["clean"])'),
    label="the mean over the clean prompts",
    hint="Your means are those of the clean prompts: they still know the answer.",
)
_metrics(
    ('means = {name: torch.einsum("a b, b t h d -> a t h d", share, x) for', "means = {name: x for"),
    label="the row's own partner",
    hint="You replace heads by their output on the row's own corrupted prompt, without averaging.",
)
_metrics(
    (
        'torch.einsum("a b, b t h d -> a t h d", share, x) for',
        'torch.einsum("a b, b t h d -> a t h d", share, x).mean(1, keepdim=True).expand_as(x) for',
    ),
    label="the mean over positions",
    hint="Your mean runs over positions, too.",
)
_metrics(
    ("torch.where(keep[:, None], value, means[name])", "torch.where(keep[:, None], means[name], value)"),
    label="ablates what is kept",
    hint="You ablate the heads that should be kept.",
)
_metrics(
    ('model(data["clean"], ablate)', 'model(data["corrupt"], ablate)'),
    label="runs on the corrupted prompts",
    hint="Your F runs on the corrupted prompts.",
)
_metrics(
    (
        "    return (alone - nothing) / effect, (f(everything - inside) - nothing) / effect, minimality",
        "    return (f(everything - inside) - nothing) / effect, (alone - nothing) / effect, minimality",
    ),
    label="faithfulness and completeness exchanged",
    hint="Your faithfulness and completeness are exchanged.",
    by=(FAITHFUL, ENDS),
)
_metrics(
    ("return (alone - nothing) / effect,", "return alone / whole,"),
    label="a share of the whole, not of the effect",
    hint="Your faithfulness does not subtract what is there without any head.",
    by=(FAITHFUL, ENDS),
)
_metrics(
    ("return (alone - nothing) / effect,", "return (whole - alone) / effect,"),
    label="what is missing",
    hint="Your faithfulness is the share that is missing.",
    by=(FAITHFUL, ENDS),
)
_metrics(
    ("return (alone - nothing) / effect,", "return effect / (alone - nothing),"),
    by=(FAITHFUL, TWINS),
    label="the fraction upside down",
    hint="Your faithfulness is upside down.",
)
_metrics(
    ("(f(everything - inside) - nothing) / effect, minimality", "1 - (f(everything - inside) - nothing) / effect, minimality"),
    label="completeness is one minus",
    hint="Your completeness is one minus the share that is left.",
    by=(FAITHFUL, ENDS),
)
_metrics(
    ("(f(everything - inside) - nothing) / effect, minimality", "(alone - f(everything - inside)) / effect, minimality"),
    label="completeness against the circuit",
    hint="Your completeness compares with the circuit; it is what is left above nothing.",
)
_metrics(
    ("(alone - f(inside - {head})) / effect for head in circuit", "(whole - f(everything - {head})) / effect for head in circuit"),
    by=(ONE,),
    label="taken from the whole model",
    hint="For minimality you take heads from the whole model, not from the circuit.",
)
_metrics(
    (
        "(alone - f(inside - {head})) / effect for head in circuit",
        "(alone - f(inside - {head})) / effect for head in sorted(circuit)",
    ),
    by=(ONE,),
    label="sorted heads",
    hint="Your minimality has another order than the circuit.",
)
_metrics(
    ("(alone - f(inside - {head})) / effect for head in circuit", "(f({head}) - nothing) / effect for head in circuit"),
    by=(ONE,),
    label="each head alone",
    hint="For minimality you keep one head alone; you should take one out.",
)
_metrics(
    ("(alone - f(inside - {head})) / effect for head in circuit", "(f(inside - {head}) - alone) / effect for head in circuit"),
    by=(ONE,),
    label="minimality with the sign reversed",
    hint="Your minimality has the wrong sign.",
)
_metrics(
    (
        "(alone - f(inside - {head})) / effect for head in circuit",
        "(alone - f(inside - {head})) / (alone - nothing) for head in circuit",
    ),
    by=(ONE,),
    label="a share of the circuit's effect",
    hint="Your minimality is a share of the circuit's own effect; it is one of the whole model's.",
)
_metrics(
    ("(alone - f(inside - {head})) / effect for head in circuit", "(alone - f(inside - {head})) for head in circuit"),
    by=(ONE,),
    label="minimality in logits",
    hint="Your minimality is not divided by the whole effect.",
)
_metrics(
    (
        "keep = torch.tensor([(layer, h) in kept for h in range(value.shape[2])])",
        "keep = torch.tensor([any(k[1] == h for k in kept) for h in range(value.shape[2])])",
    ),
    label="the layer is ignored",
    hint="You keep a head's number in every layer.",
)
_metrics(
    (
        "keep = torch.tensor([(layer, h) in kept for h in range(value.shape[2])])",
        "keep = torch.tensor([any(k[0] == layer for k in kept)] * value.shape[2])",
    ),
    label="whole layers are kept",
    hint="You keep whole layers.",
)
_metrics(
    ('data["io"], data["s"], data["end"]', 'data["io"], data["s"], torch.full_like(data["end"], data["clean"].shape[1] - 1)'),
    label="read at the last column",
    hint="Your logit difference is read at the last column.",
)
_metrics(
    ("return float(logit_difference(", "return float(torch.sigmoid(logit_difference("),
    ('data["end"]).mean())', 'data["end"])).mean())'),
    label="a probability in place of a logit difference",
    hint="Your F is a mean probability; it is the mean logit difference.",
)

alternative_edit(
    METRICS,
    (
        '    same = data["template"][:, None] == data["template"]\n'
        "    share = same.to(model.W_E.dtype) / same.sum(1, keepdim=True)\n",
        "",
    ),
    (
        'means = {name: torch.einsum("a b, b t h d -> a t h d", share, x) for name, x in '
        'cache.items() if name.endswith("head_out")}',
        'means = {}\n    for name in [n for n in cache if n.endswith("head_out")]:\n        means[name] = cache[name].clone()\n'
        '        for kind in data["template"].unique():\n            rows = data["template"] == kind\n'
        "            means[name][rows] = cache[name][rows].mean(dim=0)",
    ),
    label="means in a loop over templates",
)


@alternative(METRICS, label="ablating a set instead of keeping one; minimality as a tensor")
@torch.no_grad()
def circuit_metrics(model, circuit, data):
    n_layers, n_heads = model.cfg.n_layers, model.cfg.n_heads
    _, corrupted = run_with_cache(model, data["corrupt"])

    def score(removed):
        def edit(name, value):
            part = name.split(".")
            if part[-1] != "head_out":
                return None
            value = value.clone()
            for head in range(n_heads):
                if (int(part[1]), head) in removed:
                    for row in range(len(value)):
                        alike = data["template"] == data["template"][row]
                        value[row, :, head] = corrupted[name][alike][:, :, head].mean(0)
            return value

        logits = model(data["clean"], edit)
        rows = torch.arange(len(logits))
        at_end = logits[rows, data["end"]]
        return (at_end[rows, data["io"]] - at_end[rows, data["s"]]).mean()

    every = [(i, j) for i in range(n_layers) for j in range(n_heads)]
    outside = [head for head in every if head not in circuit]
    floor, top = score(every), score([])
    circuit_only = score(outside)
    shares = [(circuit_only - score([*outside, head])) / (top - floor) for head in circuit]
    minimality = torch.stack(shares) if shares else torch.zeros(0)
    return ((circuit_only - floor) / (top - floor)).item(), ((score(list(circuit)) - floor) / (top - floor)).item(), minimality


PLANTED, GREEDY, TWIN, HUGE, LIMITS = (
    "planted_circuits",
    "greedy_from_the_output",
    "one_of_two_twins",
    "no_threshold_and_a_huge_one",
    "knows_its_limits",
)


def _prune(*edits: tuple[str, str], by: str | tuple[str, ...] = (GREEDY,), label: str, hint: str) -> None:
    mutant_edit(PRUNE, *edits, caught_by=by, label=label, hint=hint)


_prune(
    ("            if found - current < tau:", "            if found < tau:"),
    label="compares with the full model",
    hint="You compare each removal with the full model: damage that was done before counts against every later edge.",
)
_prune(
    ("edges, current = fewer, found", "edges = fewer"),
    label="the current value is never updated",
    hint="Your current value stays 0 after removals.",
)
_prune(
    ("fewer = edges - {(sender, receiver)}", "fewer = edges - {(sender, r) for r in [None, *heads]}"),
    by=(GREEDY, PLANTED),
    label="removes nodes",
    hint="You remove all edges of a sender at once; edges go one by one.",
)
_prune(
    ("(full.exp() * (full - log_probs(kept))).sum(-1).mean()", "(log_probs(kept).exp() * (log_probs(kept) - full)).sum(-1).mean()"),
    label="the divergence the other way",
    hint="Your divergence is KL(pruned || full); it is KL(full || pruned).",
)
_prune(
    ("(full.exp() * (full - log_probs(kept))).sum(-1).mean()", "(full - log_probs(kept)).abs().sum(-1).mean()"),
    label="not a divergence",
    hint="You add up differences of log-probabilities, without weighing them.",
)
_prune(
    ("(full.exp() * (full - log_probs(kept))).sum(-1).mean()", "(full.exp() * (full - log_probs(kept))).sum(-1).sum()"),
    label="a sum over rows",
    hint="Your divergence is a sum over rows; it is their mean.",
)
_prune(
    (
        '_, old = run_with_cache(model, data["corrupt"])',
        '_, old = run_with_cache(model, data["corrupt"])\n    old = {k: torch.zeros_like(v) for k, v in old.items()}',
    ),
    by=(GREEDY,),
    label="removed senders are silent",
    hint="Your removed edges carry nothing; they carry what the sender says on the corrupted prompt.",
)
_prune(
    ('_, old = run_with_cache(model, data["corrupt"])', '_, old = run_with_cache(model, data["clean"])'),
    by=(GREEDY, PLANTED),
    label="removed edges carry the clean run",
    hint="Your removed edges carry what the sender says on the clean prompt.",
)
_prune(
    ('model(data["clean"], edit)[rows, end]', 'model(data["clean"], edit)[:, -1]'),
    label="read at the last column",
    hint="Your predictions are read at the last column.",
)
_prune(
    ("written(now if (s, receiver) in edges else old, s)", "written(now if (s, receiver) not in edges else old, s)"),
    by=(GREEDY, PLANTED),
    label="edges that are there carry the corrupted run",
    hint="Your edges carry the corrupted message while they are there, and the clean one when removed.",
)
_prune(
    ("for s in senders(receiver))", "for s in senders(receiver)[:-1])"),
    by=(GREEDY, PLANTED),
    label="the embedding is not heard",
    hint="Your receivers do not hear the embedding.",
)
_prune(
    (
        "    heads = [(layer, h) for layer in reversed(range(cfg.n_layers)) for h in reversed(range(cfg.n_heads))]",
        "    heads = [(layer, h) for layer in range(cfg.n_layers) for h in range(cfg.n_heads)]",
    ),
    by=(GREEDY, TWIN),
    label="from the first layer on",
    hint="Your search begins with the first layer; it begins at the output.",
)
_prune(
    (
        "    heads = [(layer, h) for layer in reversed(range(cfg.n_layers)) for h in reversed(range(cfg.n_heads))]",
        "    heads = [(layer, h) for layer in reversed(range(cfg.n_layers)) for h in range(cfg.n_heads)]",
    ),
    by=(GREEDY, TWIN),
    label="heads in ascending order",
    hint="You go through the heads of a layer from the lowest number up.",
)
_prune(
    (
        "return [*(s for s in heads if receiver is None or s[0] < receiver[0]), None]",
        "return [None, *(s for s in heads if receiver is None or s[0] < receiver[0])]",
    ),
    by=(GREEDY,),
    label="the embedding first",
    hint="You try the embedding's edge first; it comes last.",
)
_prune(
    ("    for receiver in [None, *heads]:\n        for sender", "    for receiver in [*heads, None]:\n        for sender"),
    by=(GREEDY, TWIN),
    label="the logits last",
    hint="Your search comes to the logits last; it begins there.",
)
_prune(
    ("s[0] < receiver[0]), None]", "s[0] == receiver[0] - 1), None]"),
    by=(GREEDY, PLANTED),
    label="neighbouring layers only",
    hint="In your graph heads hear the layer before them only.",
)
_prune(
    (
        'return otherwise if node is None else f"{node[0]}.{node[1]}"',
        'return otherwise if node is None else f"{node[1]}.{node[0]}"',
    ),
    by=(GREEDY, PLANTED),
    label="names with head and layer exchanged",
    hint="Your names have the head's number first.",
)
_prune(
    (
        'return {(name(s, "embed"), name(r, "logits")) for s, r in edges}',
        'return {(name(r, "logits"), name(s, "embed")) for s, r in edges}',
    ),
    by=(GREEDY, PLANTED),
    label="receiver first",
    hint="Your pairs have the receiver first.",
)
_prune(
    (
        'return {(name(s, "embed"), name(r, "logits")) for s, r in edges}',
        "every = {(s, r) for r in [None, *heads] for s in senders(r)}\n"
        '    return {(name(s, "embed"), name(r, "logits")) for s, r in every - edges}',
    ),
    by=(GREEDY, PLANTED, HUGE),
    label="the removed edges",
    hint="You return the edges that were removed.",
)
_prune(
    ("            if found - current < tau:", "            if found - current > tau:"),
    by=(GREEDY, PLANTED, HUGE),
    label="removes what matters",
    hint="You remove the edges that raise the divergence by more than tau.",
)
_prune(
    ("            if found - current < tau:", "            if abs(found - current) < tau:"),
    by=("what_helps_goes_too",),
    label="improvements stay",
    hint="A removal that lowers the divergence stays undone in your search.",
)
_prune(
    ("    if cfg.d_mlp:\n", "    if False:\n"),
    by=(LIMITS,),
    label="MLPs are ignored",
    hint="Your search accepts a model with an MLP, and ignores what it writes.",
)
_prune(
    ("    cfg = model.cfg\n", "    cfg = model.cfg\n    model.W_U.mul_(2)\n"),
    by=(LIMITS,),
    label="the model is changed",
    hint="Your function changes the model's weights.",
)
_prune(
    ("            if found - current < tau:", "            if found - current < tau and len(edges) > 1:"),
    by=(HUGE,),
    label="the last edge stays",
    hint="Your search always leaves one edge.",
)

alternative_edit(
    PRUNE,
    (
        "return float((full.exp() * (full - log_probs(kept))).sum(-1).mean())",
        'return float(torch.nn.functional.kl_div(log_probs(kept), full, log_target=True, reduction="batchmean"))',
    ),
    label="torch's kl_div",
)


@alternative(PRUNE, label="names throughout, the stream corrected by differences")
@torch.no_grad()
def prune_edges(model, data, tau):
    c = model.cfg
    if c.d_mlp > 0:
        raise ValueError("no MLPs")
    _, base = run_with_cache(model, data["corrupt"])
    layer_of = {"embed": -1, "logits": c.n_layers}
    layer_of |= {f"{i}.{j}": i for i in range(c.n_layers) for j in range(c.n_heads)}
    nodes = [f"{i}.{j}" for i in range(c.n_layers - 1, -1, -1) for j in range(c.n_heads - 1, -1, -1)]

    def said(cache, node):
        if node == "embed":
            return cache["embed"]
        return cache[f"blocks.{node.split('.')[0]}.head_out"][:, :, int(node.split(".")[1])]

    def predict(gone):
        heard = {}

        def edit(name, value):
            if name == "embed" or name.endswith("head_out"):
                heard[name] = value
                return None
            value = value.clone()
            for sender, receiver in gone:
                if receiver == "logits" and name == "final":
                    value = value - said(heard, sender) + said(base, sender)
                elif name.endswith("_in") and name.split(".")[1] == receiver.split(".")[0]:
                    value[:, :, int(receiver.split(".")[1])] += said(base, sender) - said(heard, sender)
            return value if name == "final" or name.endswith("_in") else None

        logits = model(data["clean"], edit)
        return torch.log_softmax(logits[range(len(logits)), data["end"]], dim=1)

    reference, gone, now = predict([]), [], 0.0
    left = []
    for receiver in ["logits", *nodes]:
        for sender in [n for n in nodes if layer_of[n] < layer_of[receiver]] + ["embed"]:
            trial = predict([*gone, (sender, receiver)])
            kl = (reference.exp() * (reference - trial)).sum(1).mean().item()
            if kl - now < tau:
                gone, now = [*gone, (sender, receiver)], kl
            else:
                left.append((sender, receiver))
    return set(left)
