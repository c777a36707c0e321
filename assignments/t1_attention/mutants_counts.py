"""Wrong and right answers to T1's numbers from a config: param_count, flops_per_token, hand_set_previous_token_head.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit

COUNTS, HAND_SET = "t1_attention.param_count", "t1_attention.hand_set_previous_token_head"

# -- param_count -----------------------------------------------------------------------------------------------------------

QKV = "    attn = d * (cfg.n_heads + 2 * n_kv_heads) * d_head + d * d\n    mlp = 3 * d * cfg.d_mlp if"

mutant_edit(
    COUNTS,
    ("(0 if cfg.tied else cfg.d_vocab * d)", "cfg.d_vocab * d"),
    caught_by="parameters_of_every_option",
    label="a tied matrix counts twice",
    hint="You count a tied matrix twice.",
)
mutant_edit(
    COUNTS,
    (" + (0 if cfg.tied else cfg.d_vocab * d)", ""),
    caught_by="parameters_of_plain_models",
    label="the unembedding is forgotten",
    hint="Without tying there is one more matrix of d_vocab times d_model.",
)
mutant_edit(
    COUNTS,
    (" + cfg.d_mlp + d\n", "\n"),
    caught_by="parameters_of_plain_models",
    label="biases are forgotten",
    hint="Your count lacks the biases of the feed-forward layers.",
)
mutant_edit(
    COUNTS,
    (" + cfg.d_mlp + d\n", " + cfg.d_mlp\n"),
    caught_by="parameters_of_plain_models",
    label="one bias of two",
    hint="Your count has one bias per feed-forward layer. There are two.",
)
mutant_edit(
    COUNTS,
    ("3 * d * cfg.d_mlp if", "3 * d * cfg.d_mlp + 2 * cfg.d_mlp + d if"),
    caught_by="parameters_of_every_option",
    label="biases in swiglu",
    hint="You count biases in swiglu. It has none.",
)
mutant_edit(
    COUNTS,
    ("3 * d * cfg.d_mlp if", "2 * d * cfg.d_mlp if"),
    caught_by="parameters_of_every_option",
    label="two matrices in swiglu",
    hint="You count two matrices in swiglu.",
)
mutant_edit(
    COUNTS,
    (" + 2 * d) + d", ") + d"),
    caught_by="parameters_of_plain_models",
    label="the blocks' norms are forgotten",
    hint="Your count lacks the norms of the blocks.",
)
mutant_edit(
    COUNTS,
    (" + 2 * d) + d", " + d) + d"),
    caught_by="parameters_of_plain_models",
    label="one norm per block",
    hint="You count one norm per block. There are two.",
)
mutant_edit(
    COUNTS,
    (" + 2 * d) + d", " + 2 * d)"),
    caught_by="parameters_of_plain_models",
    label="the final norm is forgotten",
    hint="Your count lacks the final norm.",
)
mutant_edit(
    COUNTS,
    (" + 2 * d) + d", " + 4 * d) + 2 * d"),
    caught_by="parameters_of_plain_models",
    label="norms with a bias",
    hint="Your norms have two vectors each, as in LayerNorm. RMSNorm has one.",
)
mutant_edit(
    COUNTS,
    ("(cfg.d_vocab + cfg.n_ctx) * d", "cfg.d_vocab * d"),
    caught_by="parameters_of_plain_models",
    label="the positions are forgotten",
    hint="Your count lacks the learned positions.",
)
mutant_edit(
    COUNTS,
    (QKV, QKV.replace("2 * n_kv_heads", "2 * cfg.n_heads")),
    caught_by="parameters_of_every_option",
    label="shared key/value heads count in full",
    hint="You count as many key/value heads as query heads.",
)
mutant_edit(
    COUNTS,
    (QKV, QKV.replace("2 * n_kv_heads", "n_kv_heads")),
    caught_by="parameters_of_plain_models",
    label="keys or values are forgotten",
    hint="You count two projections in attention where there are three.",
)
mutant_edit(
    COUNTS,
    (QKV, QKV.replace(" + d * d\n", "\n")),
    caught_by="parameters_of_plain_models",
    label="the output projection is forgotten",
    hint="Your attention has no output projection.",
)
mutant_edit(
    COUNTS,
    (QKV, QKV.replace(" + d * d\n", " + d * d + 4 * d\n")),
    caught_by="parameters_of_plain_models",
    label="biases in attention",
    hint="You count biases in attention. It has none.",
)
mutant_edit(
    COUNTS,
    (QKV, QKV.replace("3 * d * cfg.d_mlp if", "12 * d * d if")),
    (" else 2 * d * cfg.d_mlp + cfg.d_mlp + d\n", " else 8 * d * d + 5 * d\n"),
    caught_by="parameters_of_plain_models",
    label="a feed-forward layer of width 4 d",
    hint="You take the feed-forward layer for 4 d_model wide. The config says how wide it is.",
)
mutant_edit(
    COUNTS,
    ("embeddings + cfg.n_layers *", "embeddings +"),
    caught_by="parameters_of_plain_models",
    label="one block",
    hint="You count one block.",
)
mutant_edit(
    COUNTS,
    ("return embeddings + cfg", "return cfg"),
    caught_by="parameters_of_plain_models",
    label="without embeddings",
    hint="You leave the embeddings out, as the paper does. Here everything counts.",
)


@alternative(COUNTS, label="build the model and ask it")
def param_count(cfg: GPTConfig) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in GPT(cfg).parameters())


@alternative(COUNTS, label="matrix by matrix")
def param_count(cfg):
    kv = cfg.n_heads if cfg.n_kv_heads is None else cfg.n_kv_heads
    width = cfg.d_model / cfg.n_heads
    total = 0
    for _ in range(cfg.n_layers):
        total += cfg.d_model + cfg.d_model
        total += cfg.n_heads * width * cfg.d_model + 2 * kv * width * cfg.d_model + cfg.d_model**2
        if cfg.mlp_kind in ("gelu", "gelu_tanh"):
            total += (cfg.d_model + 1) * cfg.d_mlp + (cfg.d_mlp + 1) * cfg.d_model
        else:
            total += cfg.d_model * cfg.d_mlp * 3
    total += cfg.d_vocab * cfg.d_model * (1 if cfg.tied else 2)
    return total + cfg.n_ctx * cfg.d_model + cfg.d_model


# -- flops_per_token -------------------------------------------------------------------------------------------------------

mutant_edit(
    COUNTS,
    (" + scores_and_average)", ")"),
    caught_by="operations_of_plain_models",
    label="the term that grows with t is missing",
    hint="Your count does not depend on t. Which products do?",
)
mutant_edit(
    COUNTS,
    ("scores_and_average = 2 * t * d", "scores_and_average = t * d"),
    caught_by="operations_of_plain_models",
    label="scores or average",
    hint="You count the scores or the average of the values. Both are products that grow with t.",
)
mutant_edit(
    COUNTS,
    ("scores_and_average = 2 * t * d", "scores_and_average = (t + 1) * d"),
    caught_by="operations_of_plain_models",
    label="only the causal half",
    hint="You count the visible half of the scores. All of them are computed, and half of them masked.",
)
mutant_edit(
    COUNTS,
    ("scores_and_average = 2 * t * d", "scores_and_average = 2 * t * d_head"),
    caught_by="operations_of_plain_models",
    label="one head's scores",
    hint="You count the scores of one head.",
)
mutant_edit(
    COUNTS,
    ("scores_and_average = 2 * t * d", "scores_and_average = 2 * t * n_kv_heads * d_head"),
    caught_by="operations_of_every_option",
    label="shared heads save scores",
    hint="You count scores per key/value head. Every query head has scores of its own.",
)
mutant_edit(
    COUNTS,
    ("scores_and_average = 2 * t * d", "scores_and_average = 2 * t * t * d"),
    caught_by="operations_of_plain_models",
    label="quadratic in t",
    hint="Your count per token grows with the square of t. That is the count of the whole sequence.",
)
mutant_edit(
    COUNTS,
    ("return 2 * (", "return 2 * t * ("),
    caught_by="operations_of_plain_models",
    label="of the whole sequence",
    hint="You count the operations of all t tokens. They are to be divided by t.",
)
mutant_edit(
    COUNTS,
    ("return 2 * (", "return ("),
    caught_by="operations_of_plain_models",
    label="a multiply-add is one",
    hint="You count a multiplication and its addition as one operation.",
)
mutant_edit(
    COUNTS,
    ("return 2 * (", "return 6 * ("),
    caught_by="operations_of_plain_models",
    label="forward and backward",
    hint="You count the backward pass too: 6 operations per parameter. Only the forward pass is asked for.",
)
mutant_edit(
    COUNTS,
    (" + d * cfg.d_vocab)", ")"),
    caught_by="operations_of_plain_models",
    label="the product with the unembedding is forgotten",
    hint="You leave out the unembedding. It is a matrix product for every token.",
)
mutant_edit(
    COUNTS,
    (" + d * cfg.d_vocab)", " + 2 * d * cfg.d_vocab)"),
    caught_by="operations_of_plain_models",
    label="the lookup counts as a product",
    hint="You count the embedding as a product. It is looked up.",
)
mutant_edit(
    COUNTS,
    (" + d * cfg.d_vocab)", " + (0 if cfg.tied else d * cfg.d_vocab))"),
    caught_by="operations_of_every_option",
    label="tying saves the unembedding",
    hint="You leave the unembedding out when it is tied. Tying saves memory, not work.",
)
mutant_edit(
    COUNTS,
    ('(3 if cfg.mlp_kind == "swiglu" else 2)', "2"),
    caught_by="operations_of_every_option",
    label="two products in swiglu",
    hint="You count two products in swiglu.",
)


@mutant(
    COUNTS,
    caught_by="operations_of_plain_models",
    label="two per parameter",
    hint="You count two operations per parameter. Embeddings are no products, and attention has products without parameters.",
)
def flops_per_token(cfg: GPTConfig, t: int) -> float:
    return 2 * param_count(cfg)


@mutant(
    COUNTS,
    caught_by="operations_of_every_option",
    label="n_kv_heads is ignored",
    hint="You count as many key/value heads as query heads.",
)
def flops_per_token(cfg: GPTConfig, t: int) -> float:
    d, m = cfg.d_model, cfg.d_mlp
    mlp = (3 if cfg.mlp_kind == "swiglu" else 2) * d * m
    return 2 * (cfg.n_layers * (4 * d * d + mlp + 2 * t * d) + d * cfg.d_vocab)


@alternative(COUNTS, label="from the parameters, less what is no product")
def flops_per_token(cfg: GPTConfig, t: int) -> float:
    d = cfg.d_model
    biases = 0 if cfg.mlp_kind == "swiglu" else cfg.d_mlp + d
    rest = cfg.n_layers * (2 * d + biases) + d + cfg.n_ctx * d + (0 if cfg.tied else cfg.d_vocab * d)
    return 2.0 * (param_count(cfg) - rest) + 4.0 * cfg.n_layers * d * t


@alternative(COUNTS, label="product by product over the whole sequence")
def flops_per_token(cfg, t):
    def product(n, m, k):
        return 2 * n * m * k

    e, kv = cfg.d_model // cfg.n_heads, cfg.n_kv_heads or cfg.n_heads
    block = product(t, cfg.d_model, (cfg.n_heads + 2 * kv) * e) + product(t, cfg.d_model, cfg.d_model)
    block += cfg.n_heads * (product(t, e, t) + product(t, t, e))
    block += (3 if cfg.mlp_kind == "swiglu" else 2) * product(t, cfg.d_model, cfg.d_mlp)
    return (cfg.n_layers * block + product(t, cfg.d_model, cfg.d_vocab)) // t


# -- hand_set_previous_token_head ------------------------------------------------------------------------------------------

SCALE = "30 * math.sqrt(d_head) * (2 / d + cfg.eps)"

mutant_edit(
    HAND_SET,
    ("w_q[: n - 1, position]", "w_q[:n, position]"),
    ("torch.eye(n)[1:]", "torch.eye(n)"),
    caught_by="repeats_the_token_before",
    label="attends to itself",
    hint="Your head looks at the position itself: the key of i answers the query of i.",
)
mutant_edit(
    HAND_SET,
    ("w_q[: n - 1, position]", "w_q[1:n, position]"),
    ("torch.eye(n)[1:]", "torch.eye(n)[:-1]"),
    caught_by="repeats_the_token_before",
    label="asks for the next position",
    hint="Your queries ask for the next position, which the mask hides: one of query and key is shifted the wrong way.",
)
mutant_edit(
    HAND_SET,
    ("torch.eye(n)[1:]", "torch.eye(n)[1:] * (torch.arange(n) <= n // 2)"),
    caught_by="at_every_length",
    label="set for the first half of the positions only",
    hint="Your head works for the first positions only. Longer sequences have later ones.",
)
mutant_edit(
    HAND_SET,
    ("torch.eye(n)[1:]", "torch.eye(n)[1:] * (torch.arange(n) == n - 1)"),
    caught_by=("repeats_the_token_before", "at_every_length"),
    label="works for one length only",
    hint="Your head works at the last position of the longest sequence only.",
)
mutant_edit(
    HAND_SET,
    ("torch.eye(n)[1:]", "torch.eye(n)[1:] * (torch.arange(n) < n - 1)"),
    caught_by="at_every_length",
    label="the last position is forgotten",
    hint="Your head works everywhere but at the very last position.",
)
mutant_edit(
    HAND_SET,
    (SCALE, "1.0"),
    caught_by="repeats_the_token_before",
    label="scores that are too weak",
    hint="Your head looks at the right place, but not enough: the score must be far above the others.",
)
mutant_edit(
    HAND_SET,
    (SCALE, "4 * math.sqrt(d_head) * (2 / d + cfg.eps)"),
    caught_by="repeats_the_token_before",
    label="scores that are a little too weak",
    hint="Your head gives the position before most of its attention, but less than 0.99.",
)
mutant_edit(
    HAND_SET,
    (SCALE, "10 * math.sqrt(d_head) * 2 / d"),
    caught_by="in_every_config",
    label="eps is forgotten",
    hint="Your score is strong enough for a small eps only. What does the norm do to a vector with two ones?",
)
mutant_edit(
    HAND_SET,
    (SCALE, "1e38"),
    caught_by="repeats_the_token_before",
    label="scores that overflow",
    hint="Your scores are so strong that they overflow in float32.",
)
mutant_edit(
    HAND_SET,
    (SCALE, "-30 * math.sqrt(d_head) * (2 / d + cfg.eps)"),
    caught_by="repeats_the_token_before",
    label="the sign of the score",
    hint="Your head looks anywhere but at the position before: the sign of the score is wrong.",
)
mutant_edit(
    HAND_SET,
    ('state["unembed.weight"][:, answer] = torch.eye(v)', 'state["unembed.weight"][:, token] = torch.eye(v)'),
    caught_by="repeats_the_token_before",
    label="unembeds the token itself",
    hint="Your logits repeat the token itself: the unembedding reads the subspace of the embedding.",
)
mutant_edit(
    HAND_SET,
    (
        '    state["unembed.weight"][:, answer]',
        '    state["unembed.weight"][:, token] = math.sqrt(d) * torch.eye(v)\n    state["unembed.weight"][:, answer]',
    ),
    caught_by="repeats_the_token_before",
    label="unembeds both tokens",
    hint="Your logits show the token itself beside the one before, and stronger.",
)
mutant_edit(
    HAND_SET,
    ("w_v[:v, token] = torch.eye(v)", "w_v[:v, token] = torch.eye(v) / math.sqrt(d)"),
    ("[answer, :v] = torch.eye(v)", "[token, :v] = torch.eye(v)"),
    ('["unembed.weight"][:, answer]', '["unembed.weight"][:, token]'),
    caught_by="repeats_the_token_before",
    label="writes where the token itself stands",
    hint="Your head writes into the subspace where the token itself stands already, and that one is stronger.",
)
mutant_edit(
    HAND_SET,
    ("w_v[:v, token] = torch.eye(v)", "w_v[: min(n, v), position] = torch.eye(n)[: min(n, v)]"),
    caught_by="repeats_the_token_before",
    label="copies the position",
    hint="Your values carry the position. They should carry the token.",
)
mutant_edit(
    HAND_SET,
    ("w_q[: n - 1, position]", "w_q[:v, token] = torch.eye(v)\n    w_q[: n - 1, position]"),
    ("w_k[:n, position] = torch.eye(n)", "w_k[:n, position] = torch.eye(n)\n    w_k[:v, token] = 200 * torch.eye(v)"),
    caught_by="looks_at_places_not_tokens",
    label="equal tokens attract each other",
    hint="Your head is drawn to tokens that equal its own.",
)
mutant_edit(
    HAND_SET,
    ('        if "norm" in name:', "        if False:"),
    caught_by="repeats_the_token_before",
    label="norm weights of 0",
    hint="Your norms multiply by 0: nothing gets through.",
)
mutant_edit(
    HAND_SET,
    ("name: torch.zeros_like(p) for name", "name: 40 * p for name"),
    caught_by="repeats_the_token_before",
    label="the rest stays random",
    hint="You leave the other weights random. What they add to the stream gets in the way.",
)
mutant_edit(
    HAND_SET,
    ("torch.zeros_like(p) for name, p", '(p * 30 if name > "blocks.1" and name < "blocks.9" else torch.zeros_like(p)) for name, p'),
    caught_by="in_every_config",
    label="later blocks stay random",
    hint="You leave the later blocks random. They should add nothing.",
)
mutant_edit(
    HAND_SET,
    ("GPT(cfg).state_dict()", "GPT(replace(cfg, n_kv_heads=None)).state_dict()"),
    ("cfg.n_kv_heads or cfg.n_heads", "cfg.n_heads"),
    ("    d, v, n =", "    from dataclasses import replace\n\n    d, v, n ="),
    caught_by="in_every_config",
    label="shared key/value heads are forgotten",
    hint="Your rows of qkv are those without shared key/value heads.",
)
mutant_edit(
    HAND_SET,
    ("w_v[:v, token]", "w_v[-v:, token]"),
    caught_by="repeats_the_token_before",
    label="the values of another head",
    hint="You set the values of another head than the one that looks back.",
)
mutant_edit(
    HAND_SET,
    ("[answer, :v] = torch.eye(v)", "[answer, -v:] = torch.eye(v)"),
    caught_by="repeats_the_token_before",
    label="the output columns of another head",
    hint="Your output projection reads the columns of another head.",
)
mutant_edit(
    HAND_SET,
    ("    return state", "    return {name: w for name, w in state.items() if w.any()}"),
    caught_by="repeats_the_token_before",
    label="only the weights that are not 0",
    hint="Your dict lacks the weights that are 0. A state dict names them all.",
)
mutant_edit(
    HAND_SET,
    ("w_v[:v, token] = torch.eye(v)", "w_v[:v, token] = torch.eye(v).roll(1, 0)"),
    caught_by="repeats_the_token_before",
    label="another token",
    hint="Your head looks at the right place but names another token.",
)


@mutant(
    HAND_SET,
    caught_by="repeats_the_token_before",
    label="an untrained model",
    hint="That is an untrained model.",
)
def hand_set_previous_token_head(cfg: GPTConfig) -> dict[str, Tensor]:
    return GPT(cfg).state_dict()


@mutant(
    HAND_SET,
    caught_by=("repeats_the_token_before", "in_every_config"),
    label="head 1 does the work",
    hint="Another head than head 0 looks back.",
)
def hand_set_previous_token_head(cfg: GPTConfig) -> dict[str, Tensor]:
    d, v, n, e, kv = cfg.d_model, cfg.d_vocab, cfg.n_ctx, cfg.d_model // cfg.n_heads, cfg.n_kv_heads or cfg.n_heads
    s = {name: torch.ones_like(p) if "norm" in name else torch.zeros_like(p) for name, p in GPT(cfg).state_dict().items()}
    a, b = (1 if cfg.n_heads > 1 else 0), (kv - 1 if kv > 1 else 0)
    qkv = s["blocks.0.attn.qkv.weight"]
    s["tok_emb.weight"][:, :v], s["pos_emb.weight"][:, v : v + n] = torch.eye(v), torch.eye(n)
    qkv[a * e : a * e + n - 1, v : v + n] = 30 * torch.eye(n)[1:]
    qkv[d + b * e : d + b * e + n, v : v + n] = torch.eye(n)
    qkv[d + (kv + b) * e : d + (kv + b) * e + v, :v] = torch.eye(v)
    s["blocks.0.attn.out.weight"][v + n : 2 * v + n, a * e : a * e + v] = torch.eye(v)
    s["unembed.weight"][:, v + n : 2 * v + n] = torch.eye(v)
    return s


@mutant(
    HAND_SET,
    caught_by=("repeats_the_token_before", "at_every_length"),
    label="positions on one line",
    hint="Your positions are numbers on a line: the farthest is always the strongest. What makes one distance the best?",
)
def hand_set_previous_token_head(cfg: GPTConfig) -> dict[str, Tensor]:
    d, v, n, kv = cfg.d_model, cfg.d_vocab, cfg.n_ctx, cfg.n_kv_heads or cfg.n_heads
    s = {name: torch.ones_like(p) if "norm" in name else torch.zeros_like(p) for name, p in GPT(cfg).state_dict().items()}
    s["tok_emb.weight"][:, :v] = torch.eye(v)
    s["pos_emb.weight"][:, v] = torch.arange(n) / n
    qkv = s["blocks.0.attn.qkv.weight"]
    qkv[0, v], qkv[d, v] = 100.0, 100.0
    qkv[d + kv * (d // cfg.n_heads) :][:v, :v] = torch.eye(v)
    s["blocks.0.attn.out.weight"][v + n : 2 * v + n, :v] = torch.eye(v)
    s["unembed.weight"][:, v + n : 2 * v + n] = torch.eye(v)
    return s


@alternative(HAND_SET, label="positions on a circle")
def hand_set_previous_token_head(cfg: GPTConfig) -> dict[str, Tensor]:
    d, v, n, e, kv = cfg.d_model, cfg.d_vocab, cfg.n_ctx, cfg.d_model // cfg.n_heads, cfg.n_kv_heads or cfg.n_heads
    zeros = {name: torch.zeros(p.shape) for name, p in GPT(cfg).named_parameters()}
    s = {name: w + 1 if "norm" in name else w for name, w in zeros.items()}
    turn = 2 * math.pi / (n + 1)
    where = turn * torch.arange(n)
    s["tok_emb.weight"][:, :v] = torch.eye(v)
    s["pos_emb.weight"][:, v : v + 2] = torch.stack([where.cos(), where.sin()], -1)
    back = torch.tensor([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    qkv = s["blocks.0.attn.qkv.weight"]
    # Two unit vectors make up the stream, so the norm multiplies by a constant; neighbours differ by 1 - cos(turn).
    qkv[:2, v : v + 2] = 40 / (1 - math.cos(turn)) * math.sqrt(e) * (2 / d + cfg.eps) * back
    qkv[d : d + 2, v : v + 2] = torch.eye(2)
    qkv[d + kv * e : d + kv * e + v, :v] = torch.eye(v)
    s["blocks.0.attn.out.weight"][v + 2 : 2 * v + 2, :v] = torch.eye(v)
    s["unembed.weight"][:, v + 2 : 2 * v + 2] = torch.eye(v)
    return s


@alternative(HAND_SET, label="another basis of the stream, float64, names by hand")
def hand_set_previous_token_head(cfg):
    d, v, n = cfg.d_model, cfg.d_vocab, cfg.n_ctx
    e, kv = d // cfg.n_heads, cfg.n_kv_heads or cfg.n_heads
    basis = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64)).Q
    tok, pos, ans = basis[:v], basis[v : v + n], basis[v + n : v + n + v]
    s = {"tok_emb.weight": 5 * tok, "pos_emb.weight": 5 * pos, "unembed.weight": ans, "norm_f.weight": torch.ones(d).double()}
    gain = 5 / math.sqrt(50 / d + cfg.eps)
    for i in range(cfg.n_layers):
        b = f"blocks.{i}."
        qkv, out = torch.zeros((cfg.n_heads + 2 * kv) * e, d).double(), torch.zeros(d, d).double()
        if i == 0:
            qkv[: n - 1], qkv[d : d + n] = 50 * math.sqrt(e) / gain**2 * pos[1:], pos
            qkv[d + kv * e : d + kv * e + v] = 3 * tok
            out[:, :v] = ans.T
        s |= {b + "attn.qkv.weight": qkv, b + "attn.out.weight": out}
        s |= {b + "norm1.weight": torch.ones(d).double(), b + "norm2.weight": torch.ones(d).double()}
        s |= {b + "mlp.up.weight": torch.randn(cfg.d_mlp, d), b + "mlp.down.weight": torch.zeros(d, cfg.d_mlp)}
        if cfg.mlp_kind == "swiglu":
            s[b + "mlp.gate.weight"] = torch.randn(cfg.d_mlp, d)
        else:
            s |= {b + "mlp.up.bias": torch.randn(cfg.d_mlp), b + "mlp.down.bias": torch.zeros(d)}
    return s


@alternative(HAND_SET, label="set inside a model, whose own state dict is returned")
def hand_set_previous_token_head(cfg: GPTConfig) -> dict[str, Tensor]:
    m, d, v, n = GPT(cfg), cfg.d_model, cfg.d_vocab, cfg.n_ctx
    e, kv = d // cfg.n_heads, cfg.n_kv_heads or cfg.n_heads
    with torch.no_grad():
        for name, p in m.named_parameters():
            p.copy_(torch.ones_like(p) if "norm" in name else torch.zeros_like(p))
        a = m.blocks[0].attn
        m.tok_emb.weight[:, n : n + v], m.pos_emb.weight[:, :n] = torch.eye(v), torch.eye(n)
        for i in range(1, n):
            a.qkv.weight[i, i] = a.qkv.weight[d + i, i - 1] = 6 * e**0.25 * math.sqrt(2 / d + cfg.eps)
        a.qkv.weight[d + kv * e : d + kv * e + v, n : n + v] = torch.eye(v)
        a.out.weight[n + v : n + 2 * v, :v] = torch.eye(v)
        m.unembed.weight[:, n + v : n + 2 * v] = torch.eye(v)
    return m.state_dict()


@alternative(HAND_SET, label="the parameters themselves, the token itself taken away again")
def hand_set_previous_token_head(cfg):
    m, d, v, n = GPT(cfg), cfg.d_model, cfg.d_vocab, cfg.n_ctx
    e, kv, params = d // cfg.n_heads, cfg.n_kv_heads or cfg.n_heads, dict(m.named_parameters())
    for name, p in params.items():
        p.data = torch.full_like(p, float("norm" in name))
    a = m.blocks[0].attn
    m.tok_emb.weight.data[:, :v], m.pos_emb.weight.data[:, v : v + n] = torch.eye(v), torch.eye(n)
    for i in range(1, n):
        a.qkv.weight.data[i, v + i] = 30 * math.sqrt(e) * (2 / d + cfg.eps)
        a.qkv.weight.data[d + i, v + i - 1] = 1
    a.qkv.weight.data[d + kv * e : d + kv * e + v, :v] = torch.eye(v)
    a.out.weight.data[:v, :v] = 9 * torch.eye(v)  # beside the token itself, and louder
    m.unembed.weight.data[:, :v] = torch.eye(v)
    return params


alternative_edit(
    HAND_SET,
    ('["unembed.weight"][:, answer] = torch.eye(v)', '["unembed.weight"][:, answer] = 7 * torch.eye(v) - 1'),
    (SCALE, "1000.0"),
    label="very strong scores, and an unembedding with an offset",
)
