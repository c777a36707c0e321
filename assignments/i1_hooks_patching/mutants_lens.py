"""Wrong and right answers to I1: logit_lens, direct_logit_attribution, fold_layernorm."""

from __future__ import annotations

import copy

import torch
from torch import nn

from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit

LENS, DLA = "i1_hooks_patching.logit_lens", "i1_hooks_patching.direct_logit_attribution"
FOLD = "i1_hooks_patching.fold_layernorm"

# -- logit_lens ------------------------------------------------------------------------------------------------------------

READ = "model.unembed(model.norm_f(torch.stack(streams)))"
FIRST = '[cache["blocks.0.resid_pre"]] + '

mutant_edit(
    LENS,
    (READ, "model.unembed(torch.stack(streams))"),
    caught_by="ends_in_the_logits",
    label="no norm",
    hint="You unembed the stream as it is. The model normalises it first.",
)
mutant_edit(
    LENS,
    ('cache[f"blocks.{i}.resid_post"]', 'cache[f"blocks.{i}.resid_pre"]'),
    caught_by="ends_in_the_logits",
    label="the stream before each block, twice for the first",
    hint="You read the stream before each block. The last block's work never appears.",
)
mutant_edit(
    LENS,
    (FIRST, ""),
    caught_by="ends_in_the_logits",
    label="no entry for the embeddings",
    hint="The entry for the embeddings alone is missing.",
)
mutant_edit(
    LENS,
    ('cache["blocks.0.resid_pre"]', 'cache["tok_emb"]'),
    caught_by="every_entry",
    label="positions forgotten",
    hint="Your first entry knows the token, not its position: the stream holds both from the start.",
)
mutant_edit(
    LENS,
    ('cache[f"blocks.{i}.resid_post"]', 'cache[f"blocks.{i}.resid_mid"]'),
    caught_by="ends_in_the_logits",
    label="the stream before the feed-forward layer",
    hint="You read the stream between attention and feed-forward layer.",
)
mutant_edit(
    LENS,
    (READ, "model.norm_f(torch.stack(streams)) @ model.unembed.weight.T"),
    caught_by="cache_stays_and_bias_counts",
    label="the unembedding's bias is left out",
    hint="You use the unembedding's weight only. Where it has a bias, that counts too.",
)
mutant_edit(
    LENS,
    (READ, "model.unembed(model.norm_f(torch.stack(streams)) - model.norm_f.bias)"),
    caught_by="ends_in_the_logits",
    label="the norm's bias is left out",
    hint="The final norm has a bias, which your lens takes away.",
)
mutant_edit(
    LENS,
    (READ, "model.unembed(model.norm_f(torch.stack(streams).cumsum(0)))"),
    caught_by="ends_in_the_logits",
    label="streams are summed up once more",
    hint="The stream at a block already holds all that was written before. You sum it up once more.",
)
mutant_edit(
    LENS,
    (READ, "model.unembed(model.norm_f(torch.stack(streams))).log_softmax(-1)"),
    caught_by="ends_in_the_logits",
    label="log-probabilities",
    hint="You return log-probabilities. Logits are asked for.",
)
mutant_edit(
    LENS,
    (READ, "model.unembed(model.norm_f(torch.stack(streams[::-1])))"),
    caught_by=("ends_in_the_logits", "every_entry"),
    label="from the last to the first",
    hint="Your entries are in the wrong order: the last one should equal the logits.",
)


@mutant(
    LENS,
    caught_by=("every_entry", "statistics_of_its_own"),
    hint="You scale every entry by the deviation of the final stream. Each stream has its own.",
)
def logit_lens(cache, model):
    """statistics of the last stream for all"""
    streams = torch.stack([cache["blocks.0.resid_pre"]] + [cache[f"blocks.{i}.resid_post"] for i in range(len(model.blocks))])
    if model.cfg.norm == "none":
        return model.unembed(streams)
    last = streams[-1]
    centred = streams - streams.mean(-1, keepdim=True)
    scale = (last.var(-1, unbiased=False, keepdim=True) + model.norm_f.eps).sqrt()
    return model.unembed(centred / scale * model.norm_f.weight + model.norm_f.bias)


@mutant(LENS, caught_by="cache_stays_and_bias_counts", hint="You normalise the cache's own tensors in place.")
def logit_lens(cache, model):
    """centres in place"""
    streams = [cache["blocks.0.resid_pre"]] + [cache[f"blocks.{i}.resid_post"] for i in range(len(model.blocks))]
    out = torch.stack([model.unembed(model.norm_f(s)) for s in streams])
    for s in streams:
        s -= s.mean(-1, keepdim=True)
    return out


@alternative(LENS, label="layer by layer, from the streams before blocks")
def logit_lens(cache, model):
    n = len(model.blocks)
    entries = []
    for i in range(n + 1):
        stream = cache[f"blocks.{i}.resid_pre"] if i < n else cache[f"blocks.{n - 1}.resid_post"]
        entries.append(model.unembed(model.norm_f(stream)))
    return torch.stack(entries, dim=0)


@alternative(LENS, label="the embeddings added up, the norm by hand")
def logit_lens(cache, model):
    streams = [cache["blocks.0.resid_pre"].clone()]
    for i in range(model.cfg.n_layers):
        streams.append(cache[f"blocks.{i}.resid_post"])
    x = torch.stack(streams)
    if isinstance(model.norm_f, nn.LayerNorm):
        x = x - x.mean(-1, keepdim=True)
        x = x / torch.sqrt(x.square().mean(-1, keepdim=True) + model.norm_f.eps)
        x = x * model.norm_f.weight + model.norm_f.bias
    return torch.nn.functional.linear(x, model.unembed.weight, model.unembed.bias)


# -- direct_logit_attribution ----------------------------------------------------------------------------------------------

PART = "(written - written.mean(dim=-1, keepdim=True)) * model.norm_f.weight @ towards / deviation"
SUM = "parts_sum_to_the_difference"

mutant_edit(
    DLA,
    (PART, "written @ towards + 0 * deviation"),
    caught_by=SUM,
    label="the norm is ignored",
    hint="You read each part in the direction of the difference, as if there were no final norm.",
)
mutant_edit(
    DLA,
    (PART, "written * model.norm_f.weight @ towards / deviation"),
    caught_by=SUM,
    label="not centred",
    hint="The final norm takes the mean away from the stream, and so from each part. Yours keep it.",
)
mutant_edit(
    DLA,
    (" * model.norm_f.weight @ towards", " @ towards"),
    caught_by=SUM,
    label="the norm's weight is left out",
    hint="The final norm has a weight per feature, which your parts lack.",
)
mutant_edit(
    DLA,
    ("unbiased=False", "unbiased=True"),
    caught_by=SUM,
    label="deviation with n - 1",
    hint="Your deviation divides by n - 1. LayerNorm divides by n.",
)
mutant_edit(
    DLA,
    (" + model.norm_f.eps)", ")"),
    caught_by=SUM,
    label="eps is left out",
    hint="Your deviation lacks the norm's eps.",
)
mutant_edit(
    DLA,
    (PART, "model.norm_f(written) @ towards - model.norm_f.bias @ towards + 0 * deviation"),
    caught_by=SUM,
    label="each part normalised by itself",
    hint="You normalise each part by its own deviation. Then they no longer sum to anything: there is one deviation, the stream's.",
)
mutant_edit(
    DLA,
    (
        "columns = block.attn.out.weight.unflatten(1, z.shape[1:])",
        "columns = block.attn.out.weight.T.unflatten(1, z.shape[1:]) if z[0].numel() == towards.numel() "
        "else block.attn.out.weight.unflatten(1, (z.shape[2], z.shape[1])).transpose(1, 2)",
    ),
    caught_by=("every_part_is_right", SUM),
    label="columns of attn.out taken in strides",
    hint="Head h owns a run of neighbouring columns of attn.out. You take every n_heads-th column.",
)
mutant_edit(
    DLA,
    (
        'parts[f"blocks.{i}.head.{h}"] = part(z[:, h] @ columns[:, h].T)',
        'parts[f"blocks.{i}.head.{h}"] = part(z[:, h] @ columns[:, h].T + (0 if block.attn.out.bias is '
        "None else block.attn.out.bias))",
    ),
    caught_by=SUM,
    label="the bias of attn.out counted in every head",
    hint="The bias of attn.out is in each of your heads: it is counted once per head.",
)
mutant_edit(
    DLA,
    (
        'parts[f"blocks.{i}.head.{h}"] = part(z[:, h] @ columns[:, h].T)',
        'parts[f"blocks.{i}.head.{h}"] = part(z[:, h] @ columns[:, h].T + (0 if block.attn.out.bias is '
        "None else block.attn.out.bias / z.shape[1]))",
    ),
    ("torch.zeros_like(deviation) if bias is None else part(bias)", "torch.zeros_like(deviation)"),
    caught_by="every_part_is_right",
    label="the bias of attn.out shared among the heads",
    hint="You share the bias of attn.out among the heads. No head computes it: it is a part of its own.",
)
mutant_edit(
    DLA,
    ("constant = model.norm_f.bias @ towards + ", "constant = 0 * model.norm_f.bias @ towards + "),
    caught_by=SUM,
    label="the norm's bias is left out",
    hint="The final norm's bias has a part of its own, which is 0 in your result.",
)
mutant_edit(
    DLA,
    ("model.unembed.weight[tok_a] - model.unembed.weight[tok_b]", "model.unembed.weight[tok_b] - model.unembed.weight[tok_a]"),
    caught_by=SUM,
    label="the other way round",
    hint="Your parts have the sign of logit(tok_b) - logit(tok_a).",
)
mutant_edit(
    DLA,
    ("model.unembed.weight[tok_a] - model.unembed.weight[tok_b]", "model.tok_emb.weight[tok_a] - model.tok_emb.weight[tok_b]"),
    caught_by=SUM,
    label="directions of the embedding",
    hint="You read in the direction of the token embeddings. Logits are made by the unembedding.",
)
mutant_edit(
    DLA,
    ('"pos_emb": part(cache["pos_emb"][pos])', '"pos_emb": part(cache["pos_emb"][0])'),
    caught_by=SUM,
    label="the first position's vector",
    hint="Your position part is that of position 0, whatever position is asked for.",
)
mutant_edit(
    DLA,
    ('final = cache[f"blocks.{len(model.blocks) - 1}.resid_post"][:, pos]', 'final = cache["blocks.0.resid_pre"][:, pos]'),
    caught_by=SUM,
    label="deviation of the first stream",
    hint="The final norm works on the last stream; your deviation is that of an earlier one.",
)
mutant_edit(
    DLA,
    ("(0 if unembed_bias is None else unembed_bias[tok_a] - unembed_bias[tok_b])", "0"),
    caught_by="without_biases_and_with",
    label="the unembedding's bias is left out",
    hint="A folded model's unembedding has a bias. It belongs to the last part.",
)
mutant_edit(
    DLA,
    (
        'part(cache[f"blocks.{i}.mlp"][:, pos])',
        'part(cache[f"blocks.{i}.mlp"][:, pos] - (0 if block.mlp.down.bias is None else block.mlp.down.bias))',
    ),
    caught_by=SUM,
    label="the feed-forward layer without its bias",
    hint="The feed-forward layer's bias is nowhere in your parts.",
)
mutant_edit(
    DLA,
    (
        "deviation = (final.var(dim=-1, unbiased=False) + model.norm_f.eps).sqrt()",
        'written = cache["tok_emb"][:, pos] + cache["pos_emb"][pos] + sum(cache[f"blocks.{i}.mlp"][:, '
        'pos] + block.attn.out(cache[f"blocks.{i}.attn.z"][:, pos].flatten(1)) for i, block in '
        "enumerate(model.blocks))\n    deviation = (written.var(dim=-1, unbiased=False) + "
        "model.norm_f.eps).sqrt()",
    ),
    caught_by="each_part_alone",
    label="the deviation moves with the parts",
    hint="When one part changes, all of yours change: your deviation is computed from the parts, not frozen.",
)


@alternative(DLA, label="one direction, and einsum")
def direct_logit_attribution(cache, model, pos, tok_a, tok_b):
    u = model.unembed.weight[tok_a] - model.unembed.weight[tok_b]
    w = model.norm_f.weight * u
    w = w - w.mean()
    x = cache[f"blocks.{model.cfg.n_layers - 1}.resid_post"][:, pos]
    x = x - x.mean(1, keepdim=True)
    w = w / torch.sqrt(x.pow(2).mean(1, keepdim=True) + model.norm_f.eps)
    b = len(x)
    out = {"tok_emb": (cache["tok_emb"][:, pos] * w).sum(1), "pos_emb": w @ cache["pos_emb"][pos]}
    for i in range(model.cfg.n_layers):
        attn = model.blocks[i].attn
        e = model.cfg.d_head
        for h in range(model.cfg.n_heads):
            rows = attn.out.weight[:, h * e : (h + 1) * e]
            out[f"blocks.{i}.head.{h}"] = torch.einsum("be,de,bd->b", cache[f"blocks.{i}.attn.z"][:, pos, h], rows, w)
        out[f"blocks.{i}.attn_bias"] = w @ attn.out.bias if attn.out.bias is not None else w.new_zeros(b)
        out[f"blocks.{i}.mlp"] = (cache[f"blocks.{i}.mlp"][:, pos] * w).sum(1)
    last = (model.norm_f.bias * u).sum()
    if model.unembed.bias is not None:
        last = last + model.unembed.bias[tok_a] - model.unembed.bias[tok_b]
    out["final_bias"] = last.repeat(b)
    return out


@alternative(DLA, label="parts as differences of the norm, which is linear when frozen")
def direct_logit_attribution(cache, model, pos, tok_a, tok_b):
    last = cache[f"blocks.{len(model.blocks) - 1}.resid_post"][:, pos]
    sd = torch.sqrt(torch.var(last, dim=1, correction=0) + model.norm_f.eps)

    def read(v):
        v = v.expand(len(last), -1)
        v = (v - v.mean(1, keepdim=True)) / sd[:, None] * model.norm_f.weight
        logits = v @ model.unembed.weight.T
        return logits[:, tok_a] - logits[:, tok_b]

    parts = {"tok_emb": read(cache["tok_emb"][:, pos]), "pos_emb": read(cache["pos_emb"][pos][None])}
    for i, block in enumerate(model.blocks):
        z = cache[f"blocks.{i}.attn.z"][:, pos]
        for h in range(z.shape[1]):
            alone = torch.zeros_like(z)
            alone[:, h] = z[:, h]
            parts[f"blocks.{i}.head.{h}"] = read(alone.flatten(1) @ block.attn.out.weight.T)
        bias = torch.zeros_like(last[0]) if block.attn.out.bias is None else block.attn.out.bias
        parts[f"blocks.{i}.attn_bias"] = read(bias[None])
        parts[f"blocks.{i}.mlp"] = read(cache[f"blocks.{i}.mlp"][:, pos])
    const = model.unembed(model.norm_f.bias)
    parts["final_bias"] = (const[tok_a] - const[tok_b]).expand(len(last))
    return parts


# -- fold_layernorm --------------------------------------------------------------------------------------------------------

PAIRS = "[(block.norm1, block.attn.qkv), (block.norm2, block.mlp.up)]"

mutant_edit(
    FOLD,
    (PAIRS, "[(block.norm1, block.attn.qkv)]"),
    caught_by="norms_do_nothing",
    label="only attention",
    hint="The norm before the feed-forward layer is as it was.",
)
mutant_edit(
    FOLD,
    ("readers = [(folded.norm_f, folded.unembed)]", "readers = []"),
    caught_by="norms_do_nothing",
    label="the unembedding is skipped",
    hint="The final norm is as it was. The unembedding reads it.",
)
mutant_edit(
    FOLD,
    ("folded = copy.deepcopy(model)", "folded = model"),
    caught_by="the_original_stays",
    label="changes the given model",
    hint="You fold the given model itself.",
)
mutant_edit(
    FOLD,
    ("folded = copy.deepcopy(model)", "folded = copy.copy(model)"),
    caught_by="the_original_stays",
    label="a shallow copy",
    hint="Your copy is shallow: it has the same submodules, so the given model changes with it.",
)
mutant_edit(
    FOLD,
    (
        "            linear.bias = nn.Parameter(moved if linear.bias is None else linear.bias + "
        "moved)\n            linear.weight *= norm.weight\n",
        "            linear.weight *= norm.weight\n            moved = linear.weight @ norm.bias\n      "
        "      linear.bias = nn.Parameter(moved if linear.bias is None else linear.bias + moved)\n",
    ),
    caught_by="same_logits",
    label="the weight first, then the bias",
    hint="You move the norm's bias through a matrix that is scaled already. The bias is added after the norm's weight, not before.",
)
mutant_edit(
    FOLD,
    (
        "linear.bias = nn.Parameter(moved if linear.bias is None else linear.bias + moved)",
        "linear.bias = linear.bias if linear.bias is None else nn.Parameter(linear.bias + moved)",
    ),
    caught_by="same_logits",
    label="no bias where there was none",
    hint="Where a linear map has no bias, the norm's bias is lost.",
)
mutant_edit(
    FOLD,
    ("linear.weight *= norm.weight", "linear.weight *= norm.weight.mean()"),
    caught_by="same_logits",
    label="one scale for all features",
    hint="Each feature has a scale of its own: column by column of what reads it.",
)
mutant_edit(
    FOLD,
    ("linear.bias + moved)", "linear.bias + norm.bias.mean())"),
    caught_by="same_logits",
    label="the bias is not sent through the matrix",
    hint="The norm's bias has to go through the linear map before it can be added to that map's bias.",
)
mutant_edit(
    FOLD,
    (
        "    if folded.unembed.weight is folded.tok_emb.weight:\n        folded.unembed.weight = "
        "nn.Parameter(folded.unembed.weight.detach().clone())\n",
        "",
    ),
    caught_by=("same_logits", "float32_stays_float32"),
    label="a tied matrix stays tied",
    hint="With a tied matrix you scale the embedding along with the unembedding.",
)
mutant_edit(
    FOLD,
    ("            linear.weight -= linear.weight.mean(dim=0)\n", ""),
    caught_by="writes_are_centred",
    label="writers are not centred",
    hint="What attention and feed-forward layers write still has a mean.",
)
mutant_edit(
    FOLD,
    ("linear.weight -= linear.weight.mean(dim=0)", "linear.weight -= linear.weight.mean(dim=1, keepdim=True)"),
    caught_by=("same_logits", "writes_are_centred"),
    label="centred over the wrong axis",
    hint="You centre each row of the matrices that write. A row makes one feature; the mean is over the features.",
)
mutant_edit(
    FOLD,
    ("                linear.bias -= linear.bias.mean()\n", "                pass\n"),
    caught_by="writes_are_centred",
    label="biases are not centred",
    hint="The matrices that write are centred, their biases are not.",
)
mutant_edit(
    FOLD,
    ("            embedding.weight -= embedding.weight.mean(dim=1, keepdim=True)\n", "            pass\n"),
    caught_by="writes_are_centred",
    label="embeddings are not centred",
    hint="The embeddings write into the stream as well.",
)
mutant_edit(
    FOLD,
    ("embedding.weight -= embedding.weight.mean(dim=1, keepdim=True)", "embedding.weight -= embedding.weight.mean(dim=0)"),
    caught_by=("same_logits", "writes_are_centred"),
    label="embeddings centred over the tokens",
    hint="You centre the embeddings over the vocabulary. The stream's mean is over the features of one vector.",
)
mutant_edit(
    FOLD,
    ("moved if linear.bias is None else", "moved.double() if linear.bias is None else"),
    caught_by="float32_stays_float32",
    label="new biases are float64",
    hint="The biases that you add have another dtype than the model.",
)
mutant_edit(
    FOLD,
    ("            norm.weight.fill_(1.0)\n            norm.bias.zero_()\n", ""),
    caught_by="same_logits",
    label="folded twice over",
    hint="The norms still scale and shift, so everything is done twice.",
)


@mutant(
    FOLD, caught_by="norms_do_nothing", hint="You take the norms out. They should still centre and scale, with weight 1 and bias 0."
)
def fold_layernorm(model):
    """norms become identities"""
    folded = copy.deepcopy(model)
    for block in folded.blocks:
        block.norm1, block.norm2 = nn.Identity(), nn.Identity()
    return folded


alternative_edit(
    FOLD,
    ("linear.weight -= linear.weight.mean(dim=0)", "linear.weight.copy_(linear.weight - linear.weight.mean(0, keepdim=True))"),
    ("linear.weight *= norm.weight", "linear.weight.copy_(linear.weight @ torch.diag(norm.weight))"),
    label="with matrices",
)


@alternative(FOLD, label="a new model, filled with folded weights")
def fold_layernorm(model):
    state = {name: w.detach().clone() for name, w in model.state_dict().items()}
    new = TinyGPT(model.cfg)
    pairs = {"norm_f": ("unembed", new.unembed)}
    if model.cfg.tied:
        new.unembed.weight = nn.Parameter(torch.zeros_like(new.unembed.weight))
    for i, block in enumerate(new.blocks):
        pairs[f"blocks.{i}.norm1"] = (f"blocks.{i}.attn.qkv", block.attn.qkv)
        pairs[f"blocks.{i}.norm2"] = (f"blocks.{i}.mlp.up", block.mlp.up)
        for name in (f"blocks.{i}.attn.out", f"blocks.{i}.mlp.down"):
            for kind in ("weight", "bias"):
                if f"{name}.{kind}" in state:
                    state[f"{name}.{kind}"] = state[f"{name}.{kind}"] - state[f"{name}.{kind}"].mean(0, keepdim=True)
    for norm, (name, linear) in pairs.items():
        gain, shift, w = state[f"{norm}.weight"], state[f"{norm}.bias"], state[f"{name}.weight"]
        b = state.get(f"{name}.bias", torch.zeros(len(w), dtype=w.dtype)) + (w * shift).sum(1)
        linear.bias = nn.Parameter(torch.zeros_like(b))
        state |= {f"{name}.weight": w * gain, f"{name}.bias": b}
        state |= {f"{norm}.weight": torch.ones_like(gain), f"{norm}.bias": torch.zeros_like(shift)}
    for name in ("tok_emb.weight", "pos_emb.weight"):
        state[name] = state[name] - state[name].mean(1, keepdim=True)
    new.load_state_dict(state)
    return new


@alternative(FOLD, label="matrices that read are centred as well")
def fold_layernorm(model):
    new = copy.deepcopy(model)
    new.unembed.weight = nn.Parameter(new.unembed.weight.data.clone())
    readers = [new.norm_f, *(n for b in new.blocks for n in (b.norm1, b.norm2))]
    linears = [new.unembed, *(l for b in new.blocks for l in (b.attn.qkv, b.mlp.up))]
    for norm, linear in zip(readers, linears):
        shift = linear.weight.data @ norm.bias.data
        if linear.bias is not None:
            shift = shift + linear.bias.data
        w = linear.weight.data * norm.weight.data
        linear.weight = nn.Parameter(w - w.mean(1, keepdim=True))  # the norm's output has mean 0, so this changes nothing
        linear.bias = nn.Parameter(shift)
        norm.weight = nn.Parameter(torch.ones_like(norm.weight))
        norm.bias = nn.Parameter(torch.zeros_like(norm.bias))
    for e in (new.tok_emb, new.pos_emb):
        e.weight = nn.Parameter(e.weight.data - e.weight.data.mean(-1, keepdim=True))
    for b in new.blocks:
        for linear in (b.attn.out, b.mlp.down):
            linear.weight.data = linear.weight.data - linear.weight.data.mean(0, keepdim=True)
            if linear.bias is not None:
                linear.bias.data = linear.bias.data - linear.bias.data.mean()
    return new
