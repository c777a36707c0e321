"""Wrong and right answers to T1's model: RMSNorm, Block, GPT.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit

NORM, GPT_ID = "t1_attention.rms_norm", "t1_attention.gpt"

# -- RMSNorm ---------------------------------------------------------------------------------------------------------------

ROOT = "torch.rsqrt(y.square().mean(dim=-1, keepdim=True) + self.eps)"

mutant_edit(
    NORM,
    ("        y = y * torch", "        y = y - y.mean(dim=-1, keepdim=True)\n        y = y * torch"),
    caught_by="rms_norm_values",
    label="subtracts the mean",
    hint="You subtract the mean first: that is LayerNorm.",
)
mutant_edit(
    NORM,
    (ROOT, "1 / (y.square().mean(dim=-1, keepdim=True).sqrt() + self.eps)"),
    caught_by="rms_norm_eps",
    label="eps outside the root",
    hint="You add eps to the root. It belongs under it.",
)
mutant_edit(
    NORM,
    (ROOT, "1 / (y.square().mean(dim=-1, keepdim=True).sqrt().clamp_min(self.eps))"),
    caught_by="rms_norm_eps",
    label="eps as a lower bound",
    hint="Your eps is a lower bound of the root. It is to be added to the mean of the squares.",
)
mutant_edit(
    NORM,
    (" + self.eps)", " + 1e-5)"),
    caught_by="rms_norm_eps",
    label="eps is ignored",
    hint="Your norm uses the same eps whatever it is given.",
)
mutant_edit(
    NORM,
    ("eps: float = 1e-5", "eps: float = 1e-8"),
    caught_by="rms_norm_eps",
    label="another default eps",
    hint="Your norm has another eps when none is given.",
)
mutant_edit(
    NORM,
    (" + self.eps)", " + self.eps**2)"),
    caught_by="rms_norm_eps",
    label="eps squared",
    hint="You add the square of eps. It is added as it is.",
)
mutant_edit(
    NORM,
    (" + self.eps)", ")"),
    caught_by="rms_norm_eps",
    label="no eps",
    hint="Your norm divides by 0 for the zero vector: where is eps?",
)
mutant_edit(
    NORM,
    ("y.square().mean(dim=-1, keepdim=True)", "y.square().sum(dim=-1, keepdim=True)"),
    caught_by="rms_norm_values",
    label="the sum of the squares",
    hint="You divide by the length of the vector. The M in RMS stands for mean.",
)
mutant_edit(
    NORM,
    ("y.square().mean(dim=-1, keepdim=True)", "y.var(dim=-1, keepdim=True)"),
    caught_by="rms_norm_values",
    label="the variance",
    hint="You divide by the standard deviation. RMSNorm takes the squares of the features themselves.",
)
mutant_edit(
    NORM,
    ("y.square().mean(dim=-1, keepdim=True)", "y.square().mean()"),
    caught_by="rms_norm_values",
    label="one root mean square for all vectors",
    hint="You take one root mean square over the whole tensor. Each vector has its own.",
)
mutant_edit(
    NORM,
    ("y.square().mean(dim=-1, keepdim=True)", "y.abs().mean(dim=-1, keepdim=True).square()"),
    caught_by="rms_norm_values",
    label="the mean absolute value",
    hint="You divide by the mean absolute value. Square first, then the mean, then the root.",
)
mutant_edit(
    NORM,
    ("torch.rsqrt(y.square()", "(y.square()"),
    (" + self.eps)", " + self.eps).reciprocal()"),
    caught_by="rms_norm_values",
    label="no root",
    hint="You divide by the mean square. The R in RMS stands for root.",
)
mutant_edit(
    NORM,
    ("(y * self.weight)", "(y)"),
    caught_by="rms_norm_values",
    label="the weight is not used",
    hint="Your norm has a weight and does not use it.",
)
mutant_edit(
    NORM,
    ("(y * self.weight)", "(y * (1 + self.weight))"),
    ("torch.ones(d)", "torch.zeros(d)"),
    caught_by="rms_norm_values",
    label="one plus the weight",
    hint="You multiply by 1 + weight, as some models do. Here the weight itself multiplies, and begins as ones.",
)
mutant_edit(
    NORM,
    ("y = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x", "y = x"),
    caught_by="rms_norm_half_precision",
    label="computes in float16",
    hint="Your squares overflow in float16. Compute in float32 there.",
)
mutant_edit(
    NORM,
    (".to(x.dtype)", ".to(torch.float16 if x.dtype == torch.float16 else torch.float32)"),
    caught_by="rms_norm_half_precision",
    label="bfloat16 comes back as float32",
    hint="A bfloat16 input comes back as float32.",
)
mutant_edit(
    NORM,
    (".to(x.dtype)", ""),
    caught_by="rms_norm_half_precision",
    label="float16 comes back as float32",
    hint="A float16 input comes back as float32.",
)
mutant_edit(
    NORM,
    ("        y = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x\n        y = y *", "        y = x *"),
    ("torch.rsqrt(y.square().mean(dim=-1, keepdim=True)", "torch.rsqrt(x.square().float().mean(dim=-1, keepdim=True)"),
    caught_by="rms_norm_half_precision",
    label="squares in float16, means in float32",
    hint="You convert to float32 after squaring: then the squares have overflowed already.",
)
mutant_edit(
    NORM,
    ("+ self.eps)", "+ self.eps).detach()"),
    caught_by="rms_norm_learns",
    label="the root mean square is detached",
    hint="Your gradient takes the root mean square for a constant.",
)
mutant_edit(
    NORM,
    ("self.weight = nn.Parameter(torch.ones(d))", 'self.register_buffer("weight", torch.ones(d))'),
    caught_by="rms_norm_values",
    label="a buffer in place of a parameter",
    hint="Your weight is a buffer: no optimizer will find it among the parameters.",
)
mutant_edit(
    NORM,
    ("        return (y * self.weight)", "        return (y * self.weight.data)"),
    caught_by="rms_norm_learns",
    label="the weight's data",
    hint="No gradient reaches your weight: .data leaves the graph.",
)


@mutant(
    NORM,
    caught_by="rms_norm_values",
    label="torch's LayerNorm",
    hint="That is a LayerNorm, with a bias and without the mean.",
)
class RMSNorm(nn.LayerNorm):
    pass


@alternative(NORM, label="torch's own function")
class RMSNorm(nn.Module):
    def __init__(self, d: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.d, self.eps = d, eps
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x.float(), (self.d,), self.weight, self.eps).type_as(x)


@alternative(NORM, label="by a norm and a root, always through float32")
class RMSNorm(torch.nn.Module):
    def __init__(self, d, eps=1e-5):
        super().__init__()
        self._eps, self._d = eps, d
        self.weight = torch.nn.Parameter(torch.full((d,), 1.0))

    def forward(self, x):
        y = x.to(torch.float32)
        ms = torch.einsum("...d,...d->...", y, y).unsqueeze(-1) / self._d
        return (self.weight * (y / torch.sqrt(ms + self._eps))).to(dtype=x.dtype)


@alternative(NORM, label="rounded to float16 before the weight")
class RMSNorm(nn.Module):
    def __init__(self, d: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x: Tensor) -> Tensor:
        y = x.float()
        y = y / (y.pow(2).mean(-1, keepdim=True) + self.eps) ** 0.5
        return y.type_as(x) * self.weight.type_as(x)


# -- Block -----------------------------------------------------------------------------------------------------------------

mutant_edit(
    NORM,
    ("        if self.pre_norm:", "        if False:"),
    caught_by="pre_norm_block",
    label="post-norm always",
    hint="Your block normalises the sums also when pre_norm is True.",
)
mutant_edit(
    NORM,
    ("        if self.pre_norm:", "        if True:"),
    caught_by="post_norm_block",
    label="pre-norm always",
    hint="Your block ignores pre_norm=False.",
)
mutant_edit(
    NORM,
    ("pre_norm: bool = True", "pre_norm: bool = False"),
    caught_by="pre_norm_block",
    label="another default",
    hint="Your block is post-norm by default.",
)
mutant_edit(
    NORM,
    ("            x = x + self.attn(self.norm1(x))\n", "            x = self.norm1(x)\n            x = x + self.attn(x)\n"),
    caught_by="pre_norm_block",
    label="the norm is applied to the residual itself",
    hint="You normalise the stream itself. Only what the sublayer reads is normalised.",
)
mutant_edit(
    NORM,
    ("return x + self.mlp(self.norm2(x))", "x = self.norm2(x)\n            return x + self.mlp(x)"),
    caught_by="pre_norm_block",
    label="the second norm is applied to the residual itself",
    hint="Before the feed-forward layer you normalise the stream itself. Only what the sublayer reads is normalised.",
)
mutant_edit(
    NORM,
    ("return x + self.mlp(self.norm2(x))", "return x + self.mlp(self.norm1(x))"),
    caught_by="pre_norm_block",
    label="one norm for both",
    hint="Your feed-forward layer reads through norm1.",
)
mutant_edit(
    NORM,
    ("return x + self.mlp(self.norm2(x))", "return x + self.mlp(x)"),
    caught_by="pre_norm_block",
    label="the second norm is missing",
    hint="Your feed-forward layer reads the stream without a norm.",
)
mutant_edit(
    NORM,
    ("            x = x + self.attn(self.norm1(x))\n", "            x = self.attn(self.norm1(x))\n"),
    caught_by="pre_norm_block",
    label="no residual around attention",
    hint="Your attention replaces the stream. It should add to it.",
)
mutant_edit(
    NORM,
    ("return x + self.mlp(self.norm2(x))", "return self.mlp(self.norm2(x))"),
    caught_by="pre_norm_block",
    label="no residual around the feed-forward layer",
    hint="Your feed-forward layer replaces the stream. It should add to it.",
)
mutant_edit(
    NORM,
    (
        "            x = x + self.attn(self.norm1(x))\n            return x + self.mlp(self.norm2(x))",
        "            return x + self.attn(self.norm1(x)) + self.mlp(self.norm2(x))",
    ),
    caught_by="pre_norm_block",
    label="both sublayers side by side",
    hint="Your sublayers both read the block's input. The second one should read what the first one added.",
)
mutant_edit(
    NORM,
    (
        "            x = x + self.attn(self.norm1(x))\n            return x + self.mlp(self.norm2(x))",
        "            x = x + self.mlp(self.norm2(x))\n            return x + self.attn(self.norm1(x))",
    ),
    caught_by="pre_norm_block",
    label="the feed-forward layer first",
    hint="Your feed-forward layer comes before attention.",
)
mutant_edit(
    NORM,
    (
        "            x = x + self.attn(self.norm1(x))\n            return x + self.mlp",
        "            y = x + self.attn(self.norm1(x))\n            x, y = y, x\n            return y + self.mlp",
    ),
    caught_by="pre_norm_block",
    label="the second residual comes from the input",
    hint="What attention added is lost: your second residual starts from the block's input.",
)
mutant_edit(
    NORM,
    ("return x + self.mlp(self.norm2(x))", "return x + self.norm2(self.mlp(x))"),
    caught_by="pre_norm_block",
    label="normalises what the sublayer returns",
    hint="You normalise what the feed-forward layer returns, instead of what it reads.",
)
mutant_edit(
    NORM,
    ("x = self.norm1(x + self.attn(x))", "x = x + self.norm1(self.attn(x))"),
    caught_by="post_norm_block",
    label="post-norm of the sublayer only",
    hint="With pre_norm=False you normalise what attention returns. The sum is to be normalised.",
)
mutant_edit(
    NORM,
    ("x = self.norm1(x + self.attn(x))", "x = x + self.attn(x)"),
    caught_by="post_norm_block",
    label="post-norm at the end only",
    hint="With pre_norm=False only your second sum is normalised.",
)
mutant_edit(
    NORM,
    ("        x = self.norm1(x + self.attn(x))", "        x = self.norm1(x + self.attn(self.norm1(x)))"),
    caught_by="post_norm_block",
    label="norms before and after",
    hint="With pre_norm=False your attention still reads a normalised stream.",
)
mutant_edit(
    NORM,
    ("self.norm1 = RMSNorm(cfg.d_model, cfg.eps)", "self.norm1 = RMSNorm(cfg.d_model)"),
    caught_by="block_reads_its_config",
    label="eps is not handed on",
    hint="Your first norm does not get the config's eps.",
)
mutant_edit(
    NORM,
    ("cfg.n_heads, cfg.n_kv_heads)", "cfg.n_heads)"),
    caught_by="block_reads_its_config",
    label="n_kv_heads is not handed on",
    hint="Your attention does not get the config's n_kv_heads.",
)
mutant_edit(
    NORM,
    ("cfg.d_mlp, cfg.mlp_kind)", "cfg.d_mlp)"),
    caught_by="block_reads_its_config",
    label="mlp_kind is not handed on",
    hint="Your feed-forward layer does not get the config's kind.",
)
mutant_edit(
    NORM,
    ("cfg.d_mlp, cfg.mlp_kind)", "4 * cfg.d_model, cfg.mlp_kind)"),
    caught_by="pre_norm_block",
    label="four times as wide, always",
    hint="Your feed-forward layer is 4 d_model wide whatever d_mlp says.",
)


@alternative(NORM, label="one path, the norms put where they belong")
class Block(nn.Module):
    def __init__(self, cfg: GPTConfig, pre_norm: bool = True) -> None:
        super().__init__()
        self.pre = pre_norm
        self.attn = MultiHeadAttention(n_heads=cfg.n_heads, d_model=cfg.d_model, n_kv_heads=cfg.n_kv_heads)
        self.mlp = MLP(cfg.d_model, cfg.d_mlp, kind=cfg.mlp_kind)
        self.norm1, self.norm2 = (RMSNorm(cfg.d_model, eps=cfg.eps) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for norm, layer in ((self.norm1, self.attn), (self.norm2, self.mlp)):
            read = norm(x) if self.pre else x
            x = x + layer(read)
            x = x if self.pre else norm(x)
        return x


@alternative(NORM, label="the additions written out")
class Block(nn.Module):
    def __init__(self, cfg, pre_norm=True):
        super().__init__()
        self.norm1 = RMSNorm(cfg.d_model, cfg.eps)
        self.norm2 = RMSNorm(cfg.d_model, cfg.eps)
        self.attn = MultiHeadAttention(cfg.d_model, cfg.n_heads, cfg.n_kv_heads)
        self.mlp = MLP(cfg.d_model, cfg.d_mlp, cfg.mlp_kind)
        self.forward = self._before if pre_norm else self._after

    def _before(self, x):
        middle = self.attn(self.norm1(x)).add(x)
        return self.mlp(self.norm2(middle)).add(middle)

    def _after(self, x):
        middle = self.norm1(torch.add(self.attn(x), x))
        return self.norm2(torch.add(self.mlp(middle), middle))


# -- GPT -------------------------------------------------------------------------------------------------------------------

mutant_edit(
    GPT_ID,
    ("self.unembed(self.norm_f(x))", "self.unembed(x)"),
    caught_by="logits_of_a_small_model",
    label="the final norm is forgotten",
    hint="Your stream goes into the unembedding without the final norm.",
)
mutant_edit(
    GPT_ID,
    ("self.unembed(self.norm_f(x))", "self.unembed(self.norm_f(x)).softmax(-1)"),
    caught_by="logits_of_a_small_model",
    label="probabilities for logits",
    hint="You return probabilities. Logits come before the softmax.",
)
mutant_edit(
    GPT_ID,
    ("self.unembed(self.norm_f(x))", "self.unembed(self.norm_f(x)).log_softmax(-1)"),
    caught_by="logits_of_a_small_model",
    label="log-probabilities for logits",
    hint="You return log-probabilities. Logits come before the softmax.",
)
mutant_edit(
    GPT_ID,
    ("self.unembed(self.norm_f(x))", "self.unembed(self.norm_f(x))[:, -1]"),
    caught_by="logits_of_a_small_model",
    label="the last position only",
    hint="You return the logits of the last position only.",
)
mutant_edit(
    GPT_ID,
    ("self.pos_emb(tokens.shape[1], pos_offset)", "self.pos_emb(tokens.shape[1], pos_offset + 1)"),
    caught_by="logits_of_a_small_model",
    label="positions start at 1",
    hint="Your first token stands at position 1.",
)
mutant_edit(
    GPT_ID,
    ("self.pos_emb(tokens.shape[1], pos_offset)", "self.pos_emb(tokens.shape[1])"),
    caught_by=("positions_from_an_offset", "too_long_is_refused"),
    label="the offset is ignored",
    hint="Your positions are the same for every pos_offset.",
)
mutant_edit(
    GPT_ID,
    ("self.pos_emb(tokens.shape[1], pos_offset)", "self.pos_emb.weight[pos_offset : pos_offset + tokens.shape[0], None]"),
    caught_by="logits_of_a_small_model",
    label="positions along the batch",
    hint="Your positions count the sequences of the batch, not the tokens of a sequence.",
)
mutant_edit(
    GPT_ID,
    (" + self.pos_emb(tokens.shape[1], pos_offset)", ""),
    caught_by="logits_of_a_small_model",
    label="no positions",
    hint="Your model does not know where its tokens stand.",
)
mutant_edit(
    GPT_ID,
    ("self.pos_emb(tokens.shape[1], pos_offset)", "self.pos_emb(1, pos_offset)"),
    caught_by="logits_of_a_small_model",
    label="one position for all tokens",
    hint="All of your tokens stand at the same position.",
)
mutant_edit(
    GPT_ID,
    (
        "self.pos_emb(tokens.shape[1], pos_offset)",
        "self.pos_emb.weight[torch.arange(tokens.shape[1]).add(pos_offset).clamp_max(len(self.pos_emb.weight) - 1)]",
    ),
    caught_by="too_long_is_refused",
    label="positions stop at the last one",
    hint="Beyond n_ctx your tokens all stand at the last position. The docstring asks for a ValueError.",
)
mutant_edit(
    GPT_ID,
    ("self.tok_emb(tokens) +", "self.tok_emb(tokens := tokens[:, : len(self.pos_emb.weight)]) +"),
    caught_by="too_long_is_refused",
    label="too long a sequence is cut",
    hint="You cut too long a sequence in silence. The docstring asks for a ValueError.",
)
mutant_edit(
    GPT_ID,
    ("self.unembed.weight = self.tok_emb.weight", "self.unembed.weight.data = self.tok_emb.weight.data.clone()"),
    caught_by="tied_matrix_is_one",
    label="tied weights are copied, not shared",
    hint="Your tied matrices start equal and then go their own ways: they are two parameters.",
)
mutant_edit(
    GPT_ID,
    ("self.unembed.weight = self.tok_emb.weight", "self.unembed.weight.data = self.tok_emb.weight.data"),
    caught_by="tied_matrix_is_one",
    label="tied by their data: two parameters over one storage",
    hint="Your tied matrices share their numbers, but are two parameters: an optimizer would step twice.",
)
mutant_edit(
    GPT_ID,
    ("        if cfg.tied:\n            self.unembed.weight = self.tok_emb.weight\n", ""),
    caught_by="tied_matrix_is_one",
    label="never tied",
    hint="Your model ignores cfg.tied.",
)
mutant_edit(
    GPT_ID,
    ("        if cfg.tied:\n            self", "        if True:\n            self"),
    caught_by="logits_of_a_small_model",
    label="always tied",
    hint="Your matrices are tied even when cfg.tied is False.",
)
mutant_edit(
    GPT_ID,
    (
        "            self.unembed.weight = self.tok_emb.weight\n",
        "            self.unembed = lambda x: x @ self.tok_emb.weight.detach().T\n",
    ),
    ("self.unembed = nn.Linear", "unembed = nn.Linear"),
    ("        if cfg.tied:\n", "        if not cfg.tied:\n            self.unembed = unembed\n        if cfg.tied:\n"),
    caught_by="tied_matrix_is_one",
    label="tied, but without a gradient through the unembedding",
    hint="Your tied matrix learns from the embedding only: its use at the end is detached.",
)
mutant_edit(
    GPT_ID,
    ("for _ in range(cfg.n_layers)", "for _ in range(1)"),
    caught_by="logits_of_a_small_model",
    label="one block",
    hint="Your model has one block, whatever n_layers says.",
)
mutant_edit(
    GPT_ID,
    ("nn.ModuleList(Block(cfg) for _ in range(cfg.n_layers))", "nn.ModuleList([Block(cfg)] * cfg.n_layers)"),
    caught_by="logits_of_a_small_model",
    label="one block, used n_layers times",
    hint="Your blocks are one block, repeated: they share their weights.",
)
mutant_edit(
    GPT_ID,
    ("for block in self.blocks:", "for block in reversed(self.blocks):"),
    caught_by="logits_of_a_small_model",
    label="the blocks in reverse",
    hint="Your blocks run from the last to the first.",
)
mutant_edit(
    GPT_ID,
    ("Block(cfg) for", "Block(cfg, pre_norm=False) for"),
    caught_by="logits_of_a_small_model",
    label="post-norm blocks",
    hint="Your blocks are post-norm.",
)
mutant_edit(
    GPT_ID,
    ("            x = block(x)", "            x = x + block(x)"),
    caught_by="logits_of_a_small_model",
    label="a residual around every block",
    hint="You add the stream once more around every block. The block has its residuals inside.",
)
mutant_edit(
    GPT_ID,
    ("self.norm_f = RMSNorm(cfg.d_model, cfg.eps)", "self.norm_f = RMSNorm(cfg.d_model)"),
    caught_by="gpt_reads_its_config",
    label="the final norm has an eps of its own",
    hint="Your final norm does not get the config's eps.",
)
mutant_edit(
    GPT_ID,
    ("x = self.tok_emb(tokens) +", "x = self.tok_emb(tokens) * self.tok_emb.embedding_dim**0.5 +"),
    caught_by="logits_of_a_small_model",
    label="token embeddings scaled up",
    hint="You scale the token embeddings by the root of d_model. Not here.",
)
mutant_edit(
    GPT_ID,
    ("cfg.d_vocab, bias=False)", "cfg.d_vocab)"),
    caught_by="logits_of_a_small_model",
    label="a bias in the unembedding",
    hint="Your unembedding has a bias.",
)
mutant_edit(
    GPT_ID,
    ("        x = self.tok_emb(tokens) +", "        x = F.dropout(self.tok_emb(tokens), 0.1) +"),
    caught_by="logits_of_a_small_model",
    label="with dropout",
    hint="The same tokens give other logits each time. There is no dropout here.",
)
mutant_edit(
    GPT_ID,
    ("        x = self.tok_emb(tokens) +", "        pos_offset += getattr(self, 'seen', 0)\n        x = self.tok_emb(tokens) +"),
    ("        for block in", "        self.seen = min(1, len(self.pos_emb.weight) - tokens.shape[1])\n        for block in"),
    caught_by="logits_of_a_small_model",
    label="positions remembered from call to call",
    hint="Your model counts positions on from the last call. Only pos_offset may move them.",
)
mutant_edit(
    GPT_ID,
    ("std=0.02 / math.sqrt(2 * cfg.n_layers)", "std=0.02"),
    caught_by="first_weights",
    label="not scaled by depth",
    hint="All of your matrices begin with the same deviation. Those that write into the stream should begin smaller.",
)
mutant_edit(
    GPT_ID,
    ("math.sqrt(2 * cfg.n_layers)", "math.sqrt(cfg.n_layers)"),
    caught_by="first_weights",
    label="scaled by the root of n_layers",
    hint="You count one addition to the stream per block. How many are there?",
)
mutant_edit(
    GPT_ID,
    ("math.sqrt(2 * cfg.n_layers)", "(2 * cfg.n_layers)"),
    caught_by="first_weights",
    label="scaled by the depth without a root",
    hint="You divide by the number of additions itself. Variances add up, not deviations.",
)
mutant_edit(
    GPT_ID,
    ("math.sqrt(2 * cfg.n_layers)", "math.sqrt(2 * cfg.d_model)"),
    caught_by="first_weights",
    label="scaled by the width",
    hint="What writes into the stream is scaled by the width in your model. It should be the depth.",
)
mutant_edit(
    GPT_ID,
    ('("attn.out.weight", "mlp.down.weight")', '("attn.out.weight",)'),
    caught_by="first_weights",
    label="the feed-forward layer is forgotten",
    hint="Your feed-forward layers write into the stream too, but are not scaled.",
)
mutant_edit(
    GPT_ID,
    ('("attn.out.weight", "mlp.down.weight")', '("attn.qkv.weight", "mlp.up.weight")'),
    caught_by="first_weights",
    label="the wrong matrices are scaled",
    hint="You scale the matrices that read from the stream. It is the other ones.",
)
mutant_edit(
    GPT_ID,
    ("                nn.init.zeros_(p)\n", "                nn.init.normal_(p, std=0.02)\n"),
    caught_by="first_weights",
    label="random biases",
    hint="Your biases begin at random.",
)
mutant_edit(
    GPT_ID,
    ("            elif p.ndim == 2:\n                nn.init.normal_(p, std=0.02)\n", ""),
    caught_by="first_weights",
    label="the other matrices keep torch's first values",
    hint="Most of your matrices keep what torch gave them.",
)
mutant_edit(
    GPT_ID,
    ("            elif p.ndim == 2:", '            elif p.ndim == 2 and "gate" not in name:'),
    caught_by="first_weights",
    label="the gate keeps torch's first values",
    hint="Your gates keep what torch gave them.",
)
mutant_edit(
    GPT_ID,
    ("nn.init.normal_(p, std=0.02)", "nn.init.uniform_(p, -0.02 * 3**0.5, 0.02 * 3**0.5)"),
    caught_by="first_weights",
    label="uniform first weights",
    hint="Your matrices begin with uniform numbers.",
)
mutant_edit(
    GPT_ID,
    ("        self.tok_emb = nn", "        torch.manual_seed(0)\n        self.tok_emb = nn"),
    caught_by="first_weights",
    label="a seed inside",
    hint="Every model of yours begins with the same weights: a seed is set inside, and spoils the caller's random numbers too.",
)
mutant_edit(
    GPT_ID,
    ("nn.init.normal_(p, std=0.02)", "nn.init.xavier_normal_(p)"),
    caught_by="first_weights",
    label="Xavier's deviation",
    hint="Your matrices begin with Xavier's deviation.",
)


@alternative(GPT_ID, label="the embedding's matrix at the end, positions gathered, first values by kind of module")
class GPT(nn.Module):
    def __init__(self, cfg: GPTConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.tok_emb = nn.Embedding(cfg.d_vocab, cfg.d_model)
        self.pos_emb = LearnedPos(cfg.n_ctx, cfg.d_model)
        self.blocks = nn.Sequential(*[Block(cfg, pre_norm=True) for _ in range(cfg.n_layers)])
        self.norm_f = RMSNorm(cfg.d_model, eps=cfg.eps)
        if not cfg.tied:
            self.unembed = nn.Linear(cfg.d_model, cfg.d_vocab, bias=False)
        self.apply(self._first)
        for name, p in self.named_parameters():
            if name.endswith(("out.weight", "down.weight")):
                p.data.normal_(0, 0.02 * (2 * cfg.n_layers) ** -0.5)

    def _first(self, m: nn.Module) -> None:
        if isinstance(m, (nn.Linear, nn.Embedding)):
            torch.nn.init.normal_(m.weight, mean=0.0, std=0.02)
            if getattr(m, "bias", None) is not None:
                torch.nn.init.zeros_(m.bias)

    def forward(self, tokens: Tensor, pos_offset: int = 0) -> Tensor:
        t = tokens.size(1)
        if t + pos_offset > self.cfg.n_ctx:
            raise ValueError(f"{t} tokens from {pos_offset} on do not fit into {self.cfg.n_ctx}")
        where = torch.arange(pos_offset, pos_offset + t)
        x = self.norm_f(self.blocks(self.tok_emb(tokens) + self.pos_emb.weight[where][None]))
        return x @ (self.tok_emb if self.cfg.tied else self.unembed).weight.t()


@alternative(GPT_ID, label="tied the other way round, names of the blocks by hand")
class GPT(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.n_ctx = cfg.n_ctx
        self.unembed = nn.Linear(cfg.d_model, cfg.d_vocab, bias=False)
        self.tok_emb = nn.Embedding(cfg.d_vocab, cfg.d_model)
        if cfg.tied:
            self.tok_emb.weight = self.unembed.weight
        self.pos_emb, self.norm_f = LearnedPos(cfg.n_ctx, cfg.d_model), RMSNorm(cfg.d_model, cfg.eps)
        self.blocks = nn.ModuleList()
        for _ in range(cfg.n_layers):
            self.blocks.append(Block(cfg))
        small = 0.02 / (2 * cfg.n_layers) ** 0.5
        for w in (self.unembed.weight, self.tok_emb.weight, self.pos_emb.weight):
            nn.init.normal_(w, std=0.02)
        for block in self.blocks:
            for layer, std in ((block.attn.qkv, 0.02), (block.attn.out, small), (block.mlp.down, small), (block.mlp.up, 0.02)):
                nn.init.normal_(layer.weight, std=std)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            if hasattr(block.mlp, "gate"):
                nn.init.normal_(block.mlp.gate.weight, std=0.02)

    def forward(self, tokens, pos_offset=0):
        if pos_offset + tokens.shape[-1] > self.n_ctx:
            raise ValueError("too long")
        x = self.tok_emb(tokens)
        x = x + self.pos_emb(tokens.shape[-1], offset=pos_offset).expand_as(x)
        for block in self.blocks:
            x = block(x)
        return F.linear(self.norm_f(x), self.unembed.weight)


alternative_edit(GPT_ID, ("self.tok_emb(tokens)", "self.tok_emb.weight[tokens]"), label="embeddings by index")
