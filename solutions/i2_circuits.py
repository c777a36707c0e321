"""The reference for `i2_circuits`: find, explain and test circuits in small transformers.

The docstrings are the task: a student sees them with the signatures, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Head = tuple[int, int]  # (layer, number of the head in its layer), both from 0
Edit = Callable[[str, Tensor], Tensor | None]


@dataclass(frozen=True)
class Config:
    """The sizes of one Transformer. d_mlp=0: attention only. norm: RMS norms before every part and at the end."""

    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    d_vocab: int
    n_ctx: int
    d_mlp: int = 0
    norm: bool = False


class Block(nn.Module):
    """The weights of one layer, head by head, and of its MLP if there is one."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        h, d, e, m = cfg.n_heads, cfg.d_model, cfg.d_head, cfg.d_mlp
        self.W_Q, self.W_K, self.W_V = (nn.Parameter(torch.randn(h, d, e) * d**-0.5) for _ in range(3))
        self.W_O = nn.Parameter(torch.randn(h, e, d) * (h * e) ** -0.5)
        if m:
            self.W_in, self.b_in = nn.Parameter(torch.randn(d, m) * d**-0.5), nn.Parameter(torch.zeros(m))
            self.W_out, self.b_out = nn.Parameter(torch.randn(m, d) * m**-0.5), nn.Parameter(torch.zeros(d))


class Transformer(nn.Module):
    """A decoder that shows everything and lets everything be edited on the way.

    Vectors are rows, so x @ W applies W. Parameters: W_E (v d), W_pos (c d), W_U (d v); in blocks[l]: W_Q,
    W_K, W_V (h d e), W_O (h e d), and with an MLP W_in (d m), b_in, W_out (m d), b_out.
    """

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        self.cfg = cfg
        self.W_E = nn.Parameter(torch.randn(cfg.d_vocab, cfg.d_model))
        self.W_pos = nn.Parameter(torch.randn(cfg.n_ctx, cfg.d_model))
        self.W_U = nn.Parameter(torch.randn(cfg.d_model, cfg.d_vocab) * cfg.d_model**-0.5)
        self.blocks = nn.ModuleList(Block(cfg) for _ in range(cfg.n_layers))

    def norm(self, x: Tensor) -> Tensor:
        """Divide each vector by its root mean square, if the config asks for norms."""
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) if self.cfg.norm else x

    def forward(self, tokens: Tensor, edit: Edit | None = None) -> Tensor:
        """Return the logits. At every point of the list, `edit(name, value)` may look, and may return a replacement.

        Shapes: tokens (b t), int64 -> logits (b t v). With l the layer, the points are, in the order in which
        they come:
            embed                                                (b t d)    token plus position
            blocks.l.q_in, blocks.l.k_in, blocks.l.v_in          (b t h d)  what each head reads, before its norm
            blocks.l.scores (before mask and softmax), .pattern  (b h t t)  query by key
            blocks.l.head_out                                    (b t h d)  what each head adds to the stream
            blocks.l.mlp_in, blocks.l.mlp_out                    (b t d)    only with an MLP; mlp_in is before its norm
            final                                                (b t d)    the stream that the final norm and W_U read
        """

        def at(name: str, value: Tensor) -> Tensor:
            new = edit(name, value) if edit is not None else None
            return value if new is None else new

        t = tokens.shape[1]
        closed = torch.ones(t, t, dtype=torch.bool, device=tokens.device).triu(1)
        x = at("embed", self.W_E[tokens] + self.W_pos[:t])
        for layer, w in enumerate(self.blocks):
            heads = x[:, :, None].expand(-1, -1, self.cfg.n_heads, -1)
            q, k, v = (
                torch.einsum("b t h d, h d e -> b t h e", self.norm(at(f"blocks.{layer}.{kind}_in", heads)), matrix)
                for kind, matrix in (("q", w.W_Q), ("k", w.W_K), ("v", w.W_V))
            )
            scores = torch.einsum("b q h e, b k h e -> b h q k", q, k) / math.sqrt(self.cfg.d_head)
            scores = at(f"blocks.{layer}.scores", scores)
            pattern = at(f"blocks.{layer}.pattern", scores.masked_fill(closed, -math.inf).softmax(-1))
            mixed = torch.einsum("b h q k, b k h e -> b q h e", pattern, v)
            out = at(f"blocks.{layer}.head_out", torch.einsum("b t h e, h e d -> b t h d", mixed, w.W_O))
            x = x + out.sum(2)
            if self.cfg.d_mlp:
                hidden = torch.relu(self.norm(at(f"blocks.{layer}.mlp_in", x)) @ w.W_in + w.b_in)
                x = x + at(f"blocks.{layer}.mlp_out", hidden @ w.W_out + w.b_out)
        return self.norm(at("final", x)) @ self.W_U


@torch.no_grad()
def run_with_cache(model: Transformer, tokens: Tensor, edit: Edit | None = None) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the logits and every point's value, after the edit if there is one. No gradients."""
    cache: dict[str, Tensor] = {}

    def keep(name: str, value: Tensor) -> Tensor:
        new = edit(name, value) if edit is not None else None
        cache[name] = value if new is None else new
        return cache[name]

    return model(tokens, keep), cache


# Words of the toy language. A template is a text in which A and B stand for the two names, S for the one that comes again,
# and F for any filler. PAD fills a shorter row on its right.
PAD = 0
NAMES = dict(
    zip(("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hana", "Ivo", "Jana", "Kofi", "Lena"), range(1, 13), strict=True)
)
FILLERS = dict(zip(("shop", "park", "school", "river", "ball", "book", "coin", "lamp"), range(13, 21), strict=True))
WORDS = dict(
    zip(
        ("when", "then", "and", "went", "to", "the", "while", "had", ",", "gave", "a", "lent", "got", "from", "at", "were"),
        range(21, 37),
        strict=True,
    )
)
VOCABULARY = {"<pad>": PAD, **NAMES, **FILLERS, **WORDS}
TEMPLATES = (
    "when A and B went to the F , S gave a F to",
    "A and B were at the F , then S lent a F to",
    "while A and B had a F , S gave the F to",
    "then A got a F from B , S lent the F to",
)


def repeated_batch(b: int, t: int, vocab: int, min_period: int, max_period: int, gen: torch.Generator) -> tuple[Tensor, ...]:
    """Draw rows in which a random block repeats, each row with a period of its own: return (tokens, periods, mask).

    Position 0 of every row is the BOS token, 0. Behind it the row repeats a block of p random tokens until it
    is full, so that token i equals token i - p for every i > p. The period p is uniform over min_period, ...,
    max_period (both included) and independent from row to row; the tokens of the block are independent and
    uniform over 1, ..., vocab - 1. `mask` says which tokens a lookup can predict: it is True at i where the
    token before, i - 1, has an earlier copy in the row's first block, i.e. at i >= p + 2. Token p + 1 is a
    copy too, but what stands before it is seen for the first time. All randomness comes from `gen`.

    Shapes: -> tokens (b t) int64, periods (b) int64, mask (b t) bool.
    Source: Olsson et al. 2022, "Argument 4" and the definition of their repeated random sequences.
    """
    periods = torch.randint(min_period, max_period + 1, (b,), generator=gen)
    block = torch.randint(1, vocab, (b, max_period), generator=gen)
    place = torch.arange(t - 1) % periods[:, None]
    tokens = torch.cat([torch.zeros(b, 1, dtype=torch.int64), block.gather(1, place)], dim=1)
    mask = torch.arange(t) >= periods[:, None] + 2
    return tokens, periods, mask


def head_scores(patterns: Tensor, periods: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Say how much each head attends along three stripes: return (previous, duplicate, induction).

    The rows are repeated sequences as of `repeated_batch`: a BOS at position 0, then period p of that row.
        previous: from query i to key i - 1, for every i >= 1.
        duplicate: from query i to key i - p, the last copy of the same token, for every i >= p + 1.
        induction: from query i to key i - p + 1, what followed the last copy, for every i >= p + 1.
    A score is the mean of the attention over all the queries of all the rows together, each query counting
    the same (a row with a shorter period has more of them). Where no row has any query of a
    kind, the score is 0.

    Shapes: patterns (b h t t), query by key; periods (b), int64 -> three tensors (h), in the dtype of patterns.
    Source: Olsson et al. 2022, "Head activation evaluators".
    """
    b, _, t, _ = patterns.shape
    query = torch.arange(t).expand(b, t)

    def along(key: Tensor, counts: Tensor) -> Tensor:
        at = key.clamp(0, t - 1)[:, None, :, None].expand(-1, patterns.shape[1], -1, 1)
        found = patterns.gather(3, at)[..., 0]
        return found.masked_fill(~counts[:, None], 0).sum((0, 2)) / counts.sum().clamp(min=1)

    p = periods[:, None]
    repeats = query >= p + 1
    return along(query - 1, query >= 1), along(query - p, repeats), along(query - p + 1, repeats)


def ov_circuit(model: Transformer, head: Head) -> tuple[Tensor, Tensor]:
    """Return the head's whole way from token to logits as a product of two thin matrices, (left, right).

    left @ right is W_E W_V W_O W_U of this head, without positions and norms: entry (i, j) says how much
    attending to token i raises the logit of token j. The v x v product itself is never formed.

    Shapes: -> left (v e), right (e v), with e = d_head.
    Source: Elhage et al. 2021, "Splitting attention head terms into query-key and output-value circuits".
    """
    layer, h = head
    w = model.blocks[layer]
    return model.W_E @ w.W_V[h], w.W_O[h] @ model.W_U


def copying_score(left: Tensor, right: Tensor) -> float:
    """Return the sum of the eigenvalues of left @ right over the sum of their magnitudes: 1 copies, -1 avoids copying.

    Eigenvalues may be complex; they come in conjugate pairs, so the sum is real. The v x v product is never
    formed: the eigenvalues of left @ right that are not 0 are those of right @ left. If all are 0, the score
    is 0.

    Shapes: left (v e), right (e v).
    Source: Elhage et al. 2021, "Summarizing OV/QK matrices".
    """
    values = torch.linalg.eigvals(right @ left)
    total = values.abs().sum()
    return (values.real.sum() / total).item() if total > 0 else 0.0


def qk_circuit(model: Transformer, head: Head, kind: str) -> tuple[Tensor, Tensor]:
    """Return the scores that a head gives to pairs of tokens or of positions, as two thin matrices (left, right).

    With kind="token", entry (i, j) of left @ right is the score, scaled by 1 / sqrt(d_head), of a query at
    token i and a key at token j, as far as it comes from the token embeddings alone. With kind="position" it
    is the same for positions i and j. Norms are left out; the causal mask too.

    Shapes: -> left (n e), right (e n), with n the number of tokens or of positions.
    Raises: ValueError when kind is neither.
    Source: Elhage et al. 2021, "Splitting attention head terms into query-key and output-value circuits".
    """
    if kind not in ("token", "position"):
        raise ValueError(f'kind is {kind!r}, expected "token" or "position"')
    layer, h = head
    w, table = model.blocks[layer], model.W_E if kind == "token" else model.W_pos
    return table @ w.W_Q[h] / math.sqrt(model.cfg.d_head), (table @ w.W_K[h]).T


def composition(model: Transformer, first: Head, second: Head, kind: str) -> float:
    """Say how much of what the second head reads lies where the first head writes, from 0 to 1.

    With OV = W_V W_O and QK = W_Q W_K^T (both d x d), rows being vectors, it is the Frobenius norm of a
    product, divided by the product of the two Frobenius norms:
        kind="Q": the first head's OV, then what the second one's queries see: OV QK.
        kind="K": the first head's OV, then what the second one's keys see: OV QK^T.
        kind="V": the first head's OV, then the second one's OV.
    Raises: ValueError when kind is something else, or when the second head does not stand in a later layer.
    Source: Elhage et al. 2021, "Two-layer attention-only transformers", the formula for composition.
    """
    if kind not in ("Q", "K", "V"):
        raise ValueError(f'kind is {kind!r}, expected "Q", "K" or "V"')
    if second[0] <= first[0]:
        raise ValueError(f"{second} does not come in a later layer than {first}: nothing can be composed")
    a, b = model.blocks[first[0]], model.blocks[second[0]]
    f, s = first[1], second[1]
    writes = a.W_V[f] @ a.W_O[f]
    reads = {
        "Q": b.W_Q[s] @ b.W_K[s].T,
        "K": b.W_K[s] @ b.W_Q[s].T,
        "V": b.W_V[s] @ b.W_O[s],
    }[kind]
    return ((writes @ reads).norm() / (writes.norm() * reads.norm())).item()


def composition_baseline(d_model: int, d_head: int, n: int, gen: torch.Generator) -> float:
    """Return the mean composition of n pairs of heads that know nothing of each other.

    For each pair draw A, C (d_model x d_head) and B, D (d_head x d_model) with independent normal entries;
    the two maps are A B and C D, and their composition is the ratio of Frobenius norms as in `composition`,
    for (A B)(C D). All randomness comes from `gen`.

    Source: Elhage et al. 2021, the footnote on composition of random matrices.
    """
    total = 0.0
    for _ in range(n):
        a, c = (torch.randn(d_model, d_head, generator=gen, dtype=torch.float64) for _ in range(2))
        b, d = (torch.randn(d_head, d_model, generator=gen, dtype=torch.float64) for _ in range(2))
        first, second = a @ b, c @ d
        total += float((first @ second).norm() / (first.norm() * second.norm()))
    return total / n


def ioi_dataset(n: int, templates: Sequence[str], gen: torch.Generator) -> dict[str, Tensor]:
    """Draw n prompts in which one name comes twice and the other one is the answer, and their corrupted partners.

    For each row independently: a template, uniform; two different names, uniform over ordered pairs; one of
    them is S, the subject, who comes twice, the other one IO, the indirect object and the answer. With
    probability 1/2 the order of the first two names (the slots A and B) is IO, S, otherwise S, IO. Every F is
    a filler of its own, uniform over FILLERS. The corrupted prompt has the same template and the same
    fillers, but three names (at the slots A, B and S) that differ from each other and from IO and S of its
    row, uniform among those. Rows shorter than the longest of the given templates are filled with PAD on the
    right. Words are numbered by VOCABULARY. All randomness comes from `gen`.

    Returns a dict:
        clean, corrupt (n t): the prompts, int64, where t is the number of words of the longest of the given
        templates.
        io, s (n): the two names, as tokens.
        io_at, s1_at, s2_at, end (n): positions of IO, of the first and the second S, and of the last word of
        the prompt.
        template (n): which of the given templates, from 0.
    Source: Wang et al. 2022, section 2 and appendix A ("ABC" is their name for the corrupted prompts).
    """
    t = max(len(text.split()) for text in templates)
    names, fillers = torch.tensor(list(NAMES.values())), torch.tensor(list(FILLERS.values()))
    rows: list[dict[str, Tensor]] = []
    for _ in range(n):
        which = int(torch.randint(len(templates), (), generator=gen))
        words = templates[which].split()
        drawn = names[torch.randperm(len(names), generator=gen)[:5]]
        io, s, new = drawn[0], drawn[1], drawn[2:]
        io_first = bool(torch.randint(2, (), generator=gen))
        clean_names = {"A": io, "B": s, "S": s} if io_first else {"A": s, "B": io, "S": s}
        corrupt_names = dict(zip("ABS", new, strict=True))
        clean, corrupt = torch.full((2, t), PAD)
        for i, word in enumerate(words):
            if word == "F":
                clean[i] = corrupt[i] = fillers[int(torch.randint(len(fillers), (), generator=gen))]
            else:
                clean[i] = clean_names[word] if word in clean_names else VOCABULARY[word]
                corrupt[i] = corrupt_names[word] if word in corrupt_names else VOCABULARY[word]
        first, second = words.index("A"), words.index("B")
        at = (first, second) if io_first else (second, first)
        places = {"io_at": at[0], "s1_at": at[1], "s2_at": words.index("S"), "end": len(words) - 1, "template": which}
        row = {"clean": clean, "corrupt": corrupt, "io": io, "s": s, **{key: torch.tensor(x) for key, x in places.items()}}
        rows.append(row)
    return {key: torch.stack([row[key] for row in rows]) for key in ("clean", "corrupt", "io", "s", *places)}


def logit_difference(logits: Tensor, io: Tensor, s: Tensor, end: Tensor) -> Tensor:
    """Return, for each row, the logit of its IO token minus that of its S token, at that row's end position.

    Shapes: logits (b t v); io, s, end (b), int64 -> (b).
    Source: Wang et al. 2022, section 2.
    """
    last = logits[torch.arange(len(end)), end]
    return (last.gather(1, io[:, None]) - last.gather(1, s[:, None]))[:, 0]


@torch.no_grad()
def path_patch(
    model: Transformer,
    clean: Tensor,
    corrupt: Tensor,
    sender: Head,
    receivers: Sequence[Head],
    kind: str,
    freeze_mlps: bool = True,
) -> Tensor:
    """Return the logits of the corrupted run if only one connection carried what it carries in the clean run.

    The connection leads from the output of `sender` to the input of the `receivers`: to what their queries,
    keys or values read, for kind "q", "k", "v"; with kind "logits" it leads to the final stream, and
    `receivers` is ignored.
        1. Run on `corrupt`, with every head's output frozen to its own in the corrupted run, but the sender's
           to its own in the clean run. With freeze_mlps=True the MLPs are frozen to the corrupted run too;
           otherwise they are recomputed, and the connections through MLPs are included. Note what each
           receiver reads in this run.
        2. Run on `corrupt` again; let each receiver read, at its `kind` input, what was noted, and nothing
           else be edited. Everything behind the receivers follows from it.
    Norms are never frozen: each is recomputed from what it is given. The model's parameters stay as they are,
    and no gradient is recorded.

    Shapes: clean, corrupt (b t) -> logits (b t v).
    Raises: ValueError when kind is none of the four.
    Source: Wang et al. 2022, section 3.1; Goldowsky-Dill et al. 2023.
    """
    if kind not in ("q", "k", "v", "logits"):
        raise ValueError(f'kind is {kind!r}, expected "q", "k", "v" or "logits"')
    _, new = run_with_cache(model, clean)
    _, old = run_with_cache(model, corrupt)
    layer, h = sender

    def freeze(name: str, value: Tensor) -> Tensor | None:
        if name.endswith("head_out"):
            value = old[name].clone()
            if name == f"blocks.{layer}.head_out":
                value[:, :, h] = new[name][:, :, h]
            return value
        return old[name] if name.endswith("mlp_out") and freeze_mlps else None

    _, noted = run_with_cache(model, corrupt, freeze)

    def receive(name: str, value: Tensor) -> Tensor | None:
        if kind == "logits":
            return noted[name] if name == "final" else None
        heads = [number for at, number in receivers if name == f"blocks.{at}.{kind}_in"]
        if not heads:
            return None
        value = value.clone()
        value[:, :, heads] = noted[name][:, :, heads]
        return value

    return model(corrupt, receive)


@torch.no_grad()
def circuit_metrics(model: Transformer, circuit: Sequence[Head], data: dict[str, Tensor]) -> tuple[float, float, list[float]]:
    """Test a claimed circuit by taking heads away: return (faithfulness, completeness, minimality).

    F(K) is the mean logit difference over the clean prompts of `data` (made by `ioi_dataset`) when every head
    outside the set K is mean-ablated: its output is replaced, at each position, by its mean over the
    *corrupted* prompts of the same template as the row's. Everything else is computed as usual. M is the set
    of all heads, {} the empty set.
        faithfulness = (F(circuit) - F({})) / (F(M) - F({})): how much of the behaviour the circuit restores
            alone. 1 for M.
        completeness = (F(M without circuit) - F({})) / (F(M) - F({})): how much is left without it. 0 if
            nothing is.
        minimality, one number per head of the circuit, in its order:
            (F(circuit) - F(circuit without the head)) / (F(M) - F({})).

    Source: Wang et al. 2022, section 4 (here as shares of the whole effect, and one head at a time).
    """
    same = data["template"][:, None] == data["template"]
    share = same.to(model.W_E.dtype) / same.sum(1, keepdim=True)
    _, cache = run_with_cache(model, data["corrupt"])
    means = {name: torch.einsum("a b, b t h d -> a t h d", share, x) for name, x in cache.items() if name.endswith("head_out")}

    def f(kept: set[Head]) -> float:
        def ablate(name: str, value: Tensor) -> Tensor | None:
            if not name.endswith("head_out"):
                return None
            layer = int(name.split(".")[1])
            keep = torch.tensor([(layer, h) in kept for h in range(value.shape[2])])
            return torch.where(keep[:, None], value, means[name])

        return float(logit_difference(model(data["clean"], ablate), data["io"], data["s"], data["end"]).mean())

    everything = {(layer, h) for layer in range(model.cfg.n_layers) for h in range(model.cfg.n_heads)}
    inside = set(circuit)
    whole, nothing, alone = f(everything), f(set()), f(inside)
    effect = whole - nothing
    minimality = [(alone - f(inside - {head})) / effect for head in circuit]
    return (alone - nothing) / effect, (f(everything - inside) - nothing) / effect, minimality


@torch.no_grad()
def prune_edges(model: Transformer, data: dict[str, Tensor], tau: float) -> set[tuple[str, str]]:
    """Remove every connection that the model can do without, from the output backwards; return those that are left.

    The model has attention layers only. Senders are "embed" and the heads, written "0.1" for head 1 of layer
    0; receivers are the heads (queries, keys and values together) and "logits". There is an edge (sender,
    receiver) from every sender to every receiver behind it: "embed" and all heads to "logits", "embed" and
    the heads of earlier layers to each head. A receiver reads the sum, over all senders before it, of what
    the sender writes in the present run on data["clean"] where the edge is there, and of what it writes in
    the ordinary run on data["corrupt"] where the edge has been removed.

    Go through the receivers once: "logits" first, then the heads from the last layer to the first, and in a
    layer from the highest number to the lowest. For each, go through its senders in the same order (heads of
    the latest layer first, in a layer from the highest number down, "embed" last). Remove the edge; if that
    raises the mean over the rows of KL(full model || pruned model), taken between the next-token
    distributions at each row's data["end"], by less than tau over its value before this removal, the edge
    stays removed; otherwise it is put back.

    Raises: ValueError when the model has an MLP.
    Source: Conmy et al. 2023, algorithm 1 (ACDC).
    """
    cfg = model.cfg
    if cfg.d_mlp:
        raise ValueError("the model has an MLP; this search knows attention layers only")
    rows, end = torch.arange(len(data["end"])), data["end"]
    _, old = run_with_cache(model, data["corrupt"])
    # From the output backwards: the order of both loops.
    heads = [(layer, h) for layer in reversed(range(cfg.n_layers)) for h in reversed(range(cfg.n_heads))]

    def senders(receiver: Head | None) -> list[Head | None]:
        return [*(s for s in heads if receiver is None or s[0] < receiver[0]), None]

    def written(cache: dict[str, Tensor], sender: Head | None) -> Tensor:
        return cache["embed"] if sender is None else cache[f"blocks.{sender[0]}.head_out"][:, :, sender[1]]

    def log_probs(edges: set[tuple[Head | None, Head | None]]) -> Tensor:
        now: dict[str, Tensor] = {}

        def read(receiver: Head | None) -> Tensor:
            return sum(written(now if (s, receiver) in edges else old, s) for s in senders(receiver))

        def edit(name: str, value: Tensor) -> Tensor | None:
            if name == "embed" or name.endswith("head_out"):
                now[name] = value
            if name.endswith("_in"):
                layer = int(name.split(".")[1])
                return torch.stack([read((layer, h)) for h in range(cfg.n_heads)], dim=2)
            return read(None) if name == "final" else None

        return model(data["clean"], edit)[rows, end].log_softmax(-1)

    edges = {(s, r) for r in [None, *heads] for s in senders(r)}
    full = log_probs(edges)

    def divergence(kept: set[tuple[Head | None, Head | None]]) -> float:
        return float((full.exp() * (full - log_probs(kept))).sum(-1).mean())

    current = 0.0
    for receiver in [None, *heads]:
        for sender in senders(receiver):
            fewer = edges - {(sender, receiver)}
            found = divergence(fewer)
            if found - current < tau:
                edges, current = fewer, found

    def name(node: Head | None, otherwise: str) -> str:
        return otherwise if node is None else f"{node[0]}.{node[1]}"

    return {(name(s, "embed"), name(r, "logits")) for s, r in edges}


@torch.no_grad()
def find_the_heads(model: Transformer, tokens: Tensor, periods: Tensor, mask: Tensor) -> tuple[dict[str, list[Head]], Tensor]:
    """Find which heads of an unknown model make it repeat sequences, and prove it: return (roles, effects).

    The batch is one of `repeated_batch`. `effects[l, h]` is what head (l, h) is worth: the mean
    log-probability that the model gives to the right next token, over all positions i for which mask[:, i +
    1] is True, minus the same mean when the head is mean-ablated (its output is replaced, at each position,
    by its mean over the rows of the batch in the unedited run). `roles` has the keys "previous", "duplicate"
    and "induction"; each lists the heads, in ascending order, whose score of that name (see `head_scores`) is
    at least 0.4 *and* whose effect is at least 0.05. A head that looks the part and has no effect is a decoy
    and is not listed.

    Shapes: tokens (b t), periods (b), mask (b t) -> effects (n_layers n_heads).
    """
    logits, cache = run_with_cache(model, tokens)

    def worth(logits: Tensor) -> float:
        found = logits[:, :-1].log_softmax(-1).gather(2, tokens[:, 1:, None])[..., 0]
        return float(found[mask[:, 1:]].mean())

    base = worth(logits)
    effects = torch.zeros(model.cfg.n_layers, model.cfg.n_heads, dtype=logits.dtype)
    roles: dict[str, list[Head]] = {"previous": [], "duplicate": [], "induction": []}
    for layer in range(model.cfg.n_layers):
        point = f"blocks.{layer}.head_out"
        scores = dict(zip(roles, head_scores(cache[f"blocks.{layer}.pattern"], periods), strict=True))
        for h in range(model.cfg.n_heads):

            def ablate(name: str, value: Tensor, point: str = point, h: int = h) -> Tensor | None:
                if name != point:
                    return None
                value = value.clone()
                value[:, :, h] = cache[point][:, :, h].mean(0)
                return value

            effects[layer, h] = base - worth(model(tokens, ablate))
            for role, heads in roles.items():
                if scores[role][h] >= 0.4 and effects[layer, h] >= 0.05:
                    heads.append((layer, h))
    return roles, effects
