"""The reference for `t2_language_model`: from bytes to tokens, from tokens to batches, from logits to text.

The docstrings are the task: a student sees them with the signatures, and nothing else.
"""

from __future__ import annotations

import copy
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Model = Callable[[Tensor], Tensor]  # tokens (b t), int64 -> the next token's logits at every position (b t v)


def pieces(text: bytes) -> list[bytes]:
    """Cut a text into the pieces that merges must not cross: a piece begins at every whitespace byte, and at the start.

    Joined, the pieces are the text: pieces(b"to be,  or") is [b"to", b" be,", b" ", b" or"].
    """
    return re.findall(rb"\s?\S+|\s", text)


def train_bpe(text: bytes, vocab_size: int, specials: Sequence[bytes] = ()) -> tuple[dict[int, bytes], list[tuple[bytes, bytes]]]:
    """Learn a byte-level BPE: return (vocab, merges), merges in the order in which they were learned.

    Wherever a special token stands in the text it is cut out (at each place the longest one; what is left on
    either side are separate texts), and the rest is cut by `pieces`. Every piece starts as single bytes.
    Then, again and again, the pair of neighbouring tokens with the highest count in all pieces is merged
    everywhere, from left to right.

    Counts: the number of merges that the pair would bring, so overlapping places count as they are merged:
        (a, a) once in aaa, twice in aaaa. Of several pairs with the highest count the largest one is merged,
        as Python compares tuples of bytes: (b"b", b"a") before (b"a", b"z").
    vocab: ids 0 to 255 are the single bytes, then come the specials in the given order, then one token per
        merge. Learning stops when vocab has vocab_size entries, or when no pair is left.
    Raises: ValueError when vocab_size is less than 256 + len(specials).
    Source: Sennrich et al. 2016, section 3.2, there for characters, with ties and overlaps left to the program.
    """
    if vocab_size < 256 + len(specials):
        raise ValueError(f"vocab_size={vocab_size}: 256 bytes and {len(specials)} special tokens do not fit")

    def pair_counts(word: list[bytes]) -> Counter[tuple[bytes, bytes]]:
        found: Counter[tuple[bytes, bytes]] = Counter()
        counted_at: dict[tuple[bytes, bytes], int] = {}
        for i, pair in enumerate(pairwise(word)):
            if counted_at.get(pair) != i - 1:
                found[pair] += 1
                counted_at[pair] = i
        return found

    def merged(word: list[bytes], pair: tuple[bytes, bytes]) -> list[bytes]:
        out: list[bytes] = []
        i = 0
        while i < len(word):
            here = tuple(word[i : i + 2]) == pair
            out.append(word[i] + word[i + 1] if here else word[i])
            i += 2 if here else 1
        return out

    longest_first = sorted(specials, key=len, reverse=True)
    parts = re.split(b"|".join(re.escape(s) for s in longest_first), text) if specials else [text]
    often = Counter(piece for part in parts for piece in pieces(part))
    words = [[bytes([byte]) for byte in piece] for piece in often]
    times = list(often.values())
    counts: Counter[tuple[bytes, bytes]] = Counter()
    where: defaultdict[tuple[bytes, bytes], set[int]] = defaultdict(set)
    for w, word in enumerate(words):
        for pair, n in pair_counts(word).items():
            counts[pair] += n * times[w]
            where[pair].add(w)
    vocab = {i: bytes([i]) for i in range(256)} | {256 + i: s for i, s in enumerate(specials)}
    merges: list[tuple[bytes, bytes]] = []
    while counts and len(vocab) < vocab_size:
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        vocab[len(vocab)] = best[0] + best[1]
        # Only the words that hold the pair change: theirs are the only counts to be taken again.
        for w in where.pop(best):
            for pair, n in pair_counts(words[w]).items():
                counts[pair] -= n * times[w]
                if not counts[pair]:
                    del counts[pair]
                if pair != best:
                    where[pair].discard(w)
            words[w] = merged(words[w], best)
            for pair, n in pair_counts(words[w]).items():
                counts[pair] += n * times[w]
                where[pair].add(w)
    return vocab, merges


class Tokenizer:
    """Turn bytes into token ids and back, with a vocabulary and merges as `train_bpe` returns them.

    vocab maps ids to bytes, and the ids may be any integers. merges are in the order in which they were
    learned: their rank. specials are tokens of vocab, too.
    Source: Sennrich et al. 2016, section 3.2.
    """

    def __init__(self, vocab: dict[int, bytes], merges: Sequence[tuple[bytes, bytes]], specials: Sequence[bytes] = ()) -> None:
        self.vocab = dict(vocab)
        self.ids = {token: i for i, token in vocab.items()}
        self.rank = {tuple(pair): i for i, pair in enumerate(merges)}
        self.longest = max([1, *map(len, specials)])
        longest_first = sorted(specials, key=len, reverse=True)
        self.special = re.compile(b"|".join(re.escape(s) for s in longest_first) if specials else b"(?!)")

    def encode(self, text: bytes) -> list[int]:
        """Return the token ids of a text; any bytes are a text, valid UTF-8 or not.

        Special tokens are found first, from left to right, at each place the longest one; each becomes its
        own id. What lies between them is cut by `pieces`, and within each piece, starting from single bytes,
        the pair of neighbours with the lowest rank is merged, again and again, until no pair of neighbours is
        among the merges.
        """
        out: list[int] = []
        start = 0
        for match in self.special.finditer(text):
            out += self._plain(text[start : match.start()])
            out.append(self.ids[match.group()])
            start = match.end()
        return out + self._plain(text[start:])

    def decode(self, ids: Sequence[int]) -> bytes:
        """Return the bytes that the ids stand for: decode(encode(text)) == text, whatever the text."""
        return b"".join(self.vocab[i] for i in ids)

    def encode_iter(self, read: Callable[[], bytes]) -> Iterator[int]:
        """Yield the ids of a text that arrives in chunks: read() returns the next chunk, and b"" when there are no more.

        The ids are those of encode(the whole text), wherever the chunks were cut: within a piece, a character
        or a special token. They are yielded while reading goes on: only the unfinished end of the text may be
        held back, never the whole.
        """
        waiting = b""
        while chunk := read():
            waiting += chunk
            # Special tokens are recognised at places from where the longest of them would fit.
            decided = len(waiting) - self.longest + 1
            start = 0
            for match in self.special.finditer(waiting):
                if match.start() >= decided:
                    break
                yield from self._plain(waiting[start : match.start()])
                yield self.ids[match.group()]
                start = match.end()
            # A piece is finished when the next one has begun.
            spaces = [m.start() for m in re.finditer(rb"\s", waiting[start : max(start, decided)])]
            end = start + (spaces[-1] if spaces else 0)
            yield from self._plain(waiting[start:end])
            waiting = waiting[end:]
        yield from self.encode(waiting)

    def _plain(self, text: bytes) -> list[int]:
        return [self.ids[token] for piece in pieces(text) for token in self._merge(piece)]

    def _merge(self, piece: bytes) -> list[bytes]:
        word = [bytes([byte]) for byte in piece]
        while len(word) > 1:
            best = min(pairwise(word), key=lambda pair: self.rank.get(pair, math.inf))
            if best not in self.rank:
                break
            i, out = 0, []
            while i < len(word):
                here = tuple(word[i : i + 2]) == best
                out.append(word[i] + word[i + 1] if here else word[i])
                i += 2 if here else 1
            word = out
        return word


def get_batch(tokens: Tensor, batch: int, ctx: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw random windows of ctx tokens, and for every token in them the one that follows it.

    The starts are drawn from `generator` only, independently and with replacement, each start being equally
    likely for which x and y lie within the tokens. y[i, j] is the token behind x[i, j] in the text.

    Shapes: tokens (n), any integer dtype -> x, y (batch ctx), int64.
    Raises: ValueError when there is no such start: n <= ctx.
    Source: common practice, as in get_batch of nanoGPT (Karpathy 2022).
    """
    n_starts = len(tokens) - ctx
    if n_starts < 1:
        raise ValueError(f"{len(tokens)} tokens hold no window of {ctx} and the token behind it")
    start = torch.randint(n_starts, (batch, 1), generator=generator)
    window = tokens.long()[start + torch.arange(ctx + 1)]
    return window[:, :-1], window[:, 1:]


def lm_loss(logits: Tensor, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean cross-entropy of the next token, over all targets that count.

    logits[:, i] predict tokens[:, i + 1]; so the last logits predict nothing, and the first token is nobody's
    target. mask says of each token whether it counts as a target (None: all do); the first column is never
    looked at. The mean is over all targets of the batch together, whichever row they stand in. Where none
    counts, the loss is 0 and so is every gradient.

    Shapes: logits (b t v), tokens (b t) int64, mask (b t) bool -> a tensor without dimensions, in the dtype
        of logits.
    Source: Radford et al. 2018, section 3.1, equation 1.
    """
    targets = tokens[:, 1:]
    loss = F.cross_entropy(logits[:, :-1].transpose(1, 2), targets, reduction="none")
    counts = torch.ones_like(targets, dtype=torch.bool) if mask is None else mask[:, 1:]
    return loss.masked_fill(~counts, 0.0).sum() / counts.sum().clamp(min=1)


def apply_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Sharpen (below 1) or flatten (above 1) a distribution by dividing its logits by the temperature.

    At temperature 0 the largest logit of each row is left as it is and all others become -inf; of several
    largest ones the one with the lowest index is left. The input is not modified.

    Shapes: logits (... v) -> (... v).
    Raises: ValueError when the temperature is negative.
    Source: Holtzman et al. 2020, section 3.3.
    """
    if temperature < 0:
        raise ValueError(f"temperature={temperature} is negative")
    if temperature == 0:
        rest = torch.ones_like(logits, dtype=torch.bool).scatter(-1, logits.argmax(-1, keepdim=True), False)
        return logits.masked_fill(rest, -math.inf)
    return logits / temperature


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k largest logits of each row and set the others to -inf.

    A logit is kept exactly when fewer than k logits of its row are larger than it: all that tie with the k-th
    are kept. With k of v or more everything is kept. The input is not modified.

    Shapes: logits (... v) -> (... v).
    Raises: ValueError when k is less than 1.
    Source: Fan et al. 2018, section 5.4.
    """
    if k < 1:
        raise ValueError(f"k={k}: at least one token must be left")
    kth = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < kth, -math.inf)


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the smallest set of most probable tokens whose probabilities sum to p or more; set the others to -inf.

    So the token that crosses p is kept, and there is always at least one. Which of several equally probable
    tokens are kept is left open. At p = 1 everything is kept, however improbable. The input is not modified.

    Shapes: logits (... v), in which some may be -inf already -> (... v).
    Raises: ValueError when p is below 0 or above 1.
    Source: Holtzman et al. 2020, section 3.1, equations 2 and 3.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p={p} is no probability")
    if p == 1:
        return logits.clone()
    largest_first, order = logits.softmax(-1).sort(dim=-1, descending=True)
    before = largest_first.cumsum(-1) - largest_first
    dropped = before >= p
    dropped[..., 0] = False
    return logits.masked_fill(dropped.scatter(-1, order, dropped), -math.inf)


@dataclass(frozen=True)
class SampleConfig:
    """How to sample: the filters are applied in this order, and None leaves one out."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    stop: int | None = None  # the token that ends a row
    n_ctx: int | None = None  # how many tokens the model can take; None: any number


def sample(model: Model, prompt: Tensor, n: int, cfg: SampleConfig, generator: torch.Generator) -> Tensor:
    """Continue every row of the prompt by n tokens, each drawn from the model's filtered distribution.

    The distribution is the softmax of the logits at the last position, after temperature, top_k and top_p.
    The model is given the whole row so far, but never more than its last cfg.n_ctx tokens. All randomness
    comes from `generator`, and rows are drawn independently. A row that has drawn cfg.stop is finished: the
    rest of it is filled with cfg.stop, while the others go on. A stop token in the prompt finishes nothing.
    When every row is finished the model is not asked again.

    Shapes: prompt (b t) int64, t >= 1 -> (b t+n) int64, the prompt first. The prompt is not modified.
    Source: Radford et al. 2018, equation 1, read as a recipe: one token after the other, each given those
        before it.
    """
    tokens = prompt
    finished = torch.zeros(len(prompt), 1, dtype=torch.bool)
    for done in range(n):
        if finished.all():
            rest = prompt.new_full((len(prompt), n - done), 0 if cfg.stop is None else cfg.stop)
            return torch.cat([tokens, rest], dim=1)
        logits = model(tokens if cfg.n_ctx is None else tokens[:, -cfg.n_ctx :])[:, -1]
        logits = apply_temperature(logits, cfg.temperature)
        logits = logits if cfg.top_k is None else top_k(logits, cfg.top_k)
        logits = logits if cfg.top_p is None else top_p(logits, cfg.top_p)
        drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)
        if cfg.stop is not None:
            drawn = drawn.masked_fill(finished, cfg.stop)
            finished = finished | (drawn == cfg.stop)
        tokens = torch.cat([tokens, drawn], dim=1)
    return tokens.clone()


def penalties(
    logits: Tensor,
    history: Tensor,
    repetition: float = 1.0,
    frequency: float = 0.0,
    presence: float = 0.0,
    pad: int | None = None,
) -> Tensor:
    """Make tokens that stand in a row's history less likely in that row, in three ways, applied in this order.

    repetition: a logit above 0 is divided by it, one below 0 multiplied.
    frequency: is subtracted once for every time the token stands in the history.
    presence: is subtracted once if it stands there at all.
    Entries of the history that equal `pad` are no tokens: they are not counted. All others are token ids. The
    inputs are not modified.

    Shapes: logits (b v), history (b t) int64, t may be 0 -> (b v).
    Source: Keskar et al. 2019, section 4.1, for repetition, there divided whatever the sign; the other two as
        in OpenAI's API reference (2023): logit - count * frequency - (count > 0) * presence.
    """
    counted = torch.ones_like(history, dtype=torch.bool) if pad is None else history != pad
    count = torch.zeros_like(logits).scatter_add(1, history.masked_fill(~counted, 0), counted.to(logits.dtype))
    there = count > 0
    repelled = torch.where(logits > 0, logits / repetition, logits * repetition)
    return torch.where(there, repelled, logits) - count * frequency - there.to(logits.dtype) * presence


def beam_search(
    model: Model, prompt: Tensor, beams: int, n: int, length_penalty: float = 0.0, stop: int | None = None
) -> tuple[Tensor, Tensor]:
    """Search for the continuations of up to n tokens with the highest scores: return (tokens, scores), best first.

    A hypothesis is finished when it ends with `stop`, or when it has n new tokens. Its score is the sum of
    the log probabilities of its new tokens (`stop` counts, the prompt does not), divided by ((5 + m) / 6) **
    length_penalty, where m is the number of its new tokens. At every step all hypotheses that are not
    finished are extended by every token, the finished ones stay as they are, and of all these together the
    `beams` with the highest scores are kept: row by row, each hypothesis once.

    Behind `stop`, tokens are filled with `stop`. Where there are fewer hypotheses than beams, the places that
    are left come last, with score -inf and any tokens. A token whose logit is -inf makes no hypothesis.

    Shapes: prompt (b t) int64 -> tokens (b beams t+n) int64, scores (b beams) in the dtype of the logits. The
        prompt is not modified.
    Source: Graves 2012, section 2.6 and algorithm 1; Wu et al. 2016, section 7, equation 14, for the length
        penalty.
    """
    b = len(prompt)
    tokens = prompt[:, None].repeat(1, beams, 1)
    scores = torch.zeros(b, beams)
    total: Tensor | None = None
    length = torch.zeros(b, beams, dtype=torch.int64)
    finished = torch.zeros(b, beams, dtype=torch.bool)
    for _ in range(n):
        logp = model(tokens.flatten(0, 1))[:, -1].log_softmax(-1).unflatten(0, (b, beams))
        if total is None:
            # One hypothesis to begin with: the prompt. The other beams are empty places.
            total = logp.new_full((b, beams), -math.inf)
            total[:, 0] = 0.0
        if stop is not None:
            # A finished hypothesis has one way to go on: another stop, which costs nothing.
            logp = logp.masked_fill(finished[..., None], -math.inf)
            logp[..., stop] = logp[..., stop].masked_fill(finished, 0.0)
        longer = length + ~finished
        sums = total[..., None] + logp
        scores, best = (sums / ((5 + longer[..., None].to(sums.dtype)) / 6) ** length_penalty).flatten(1).topk(beams)
        parent, token = best // logp.shape[-1], best % logp.shape[-1]
        total = sums.flatten(1).gather(1, best)
        length = longer.gather(1, parent)
        finished = finished.gather(1, parent) | (token == stop if stop is not None else False)
        tokens = torch.cat([tokens.gather(1, parent[..., None].expand_as(tokens)), token[..., None]], dim=-1)
    return tokens, scores


@dataclass(frozen=True)
class LMConfig:
    """The sizes and choices that define one decoder."""

    d_model: int
    n_heads: int
    n_layers: int
    d_vocab: int
    n_ctx: int  # how many positions there are
    positions: str = "learned"  # "learned": a table, added to the embeddings; "rope": queries and keys are rotated


def rope(x: Tensor, positions: Tensor) -> Tensor:
    """Rotate neighbouring features of queries or keys by angles in proportion to the position.

    Shapes: x (b h t d), d even; positions (t) -> (b h t d).
    Source: Su et al. 2021, section 3.4.2 (exercise 5 of T1).
    """
    angle = positions[:, None] * 10000.0 ** (-torch.arange(0, x.shape[-1], 2, dtype=torch.float64) / x.shape[-1])
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)


class BlockParts(nn.Module):
    """The parts of one pre-norm block, without the attention between them."""

    def __init__(self, cfg: LMConfig) -> None:
        super().__init__()
        self.n_heads = cfg.n_heads
        self.norm1 = nn.RMSNorm(cfg.d_model, eps=1e-5)
        self.qkv = nn.Linear(cfg.d_model, 3 * cfg.d_model, bias=False)
        self.out = nn.Linear(cfg.d_model, cfg.d_model, bias=False)
        self.norm2 = nn.RMSNorm(cfg.d_model, eps=1e-5)
        self.up = nn.Linear(cfg.d_model, 4 * cfg.d_model)
        self.down = nn.Linear(4 * cfg.d_model, cfg.d_model)

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values of the stream. Shapes: x (b t d_model) -> three times (b h t d)."""
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def add(self, x: Tensor, mixed: Tensor) -> Tensor:
        """Add to the stream what attention found, then what the feed-forward layer makes of it.

        Shapes: x (b t d_model), mixed (b h t d) -> (b t d_model).
        """
        x = x + self.out(mixed.transpose(1, 2).flatten(-2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class LMParts(nn.Module):
    """Everything that a decoder has parameters for: tok_emb, pos_emb (None with "rope"), blocks, norm_f, unembed."""

    def __init__(self, cfg: LMConfig) -> None:
        super().__init__()
        self.cfg = cfg
        self.tok_emb = nn.Embedding(cfg.d_vocab, cfg.d_model)
        self.pos_emb = nn.Embedding(cfg.n_ctx, cfg.d_model) if cfg.positions == "learned" else None
        self.blocks = nn.ModuleList(BlockParts(cfg) for _ in range(cfg.n_layers))
        self.norm_f = nn.RMSNorm(cfg.d_model, eps=1e-5)
        self.unembed = nn.Linear(cfg.d_model, cfg.d_vocab, bias=False)
        for p in self.parameters():
            if p.ndim == 2:
                nn.init.normal_(p, std=0.06)


class KVCache:
    """The keys and values of all tokens so far, layer by layer. A new cache is empty, and knows no other cache.

    Source: Shazeer 2019, section 2.4 (incremental decoding).
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Tensor, Tensor]] = {}

    def append(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add the keys and values of new tokens to a layer, and return all of this layer, oldest first.

        Layers are numbered from 0; their number is not known beforehand. The arguments are not modified, and
        neither is what was returned before.

        Shapes: k, v (b h t d) -> (b h length+t d) each.
        """
        if layer in self._kept:
            older_k, older_v = self._kept[layer]
            k, v = torch.cat([older_k, k], dim=2), torch.cat([older_v, v], dim=2)
        self._kept[layer] = k, v
        return k, v

    def length(self) -> int:
        """Return the number of tokens that every layer holds: 0 at first."""
        return min((k.shape[2] for k, _ in self._kept.values()), default=0)


class CachedLM(LMParts):
    """A decoder that can go on where it stopped: with a cache it needs to be shown new tokens only."""

    def forward(self, tokens: Tensor, cache: KVCache | None = None) -> Tensor:
        """Return the logits of the next token at every position of `tokens`, after what the cache holds.

        The tokens stand behind those in the cache, in the order of arrival, whether they come one at a time,
        in chunks or all at once: the logits are the same. A query sees the keys of its own position and of
        all before it, those in the cache included. Keys and values are computed once, when their token
        arrives, and added to the cache. Without a cache the tokens are the whole text, and nothing is kept.
        Attention is scaled by 1 / sqrt(d) of a head. With cfg.positions "learned", pos_emb is added to
        tok_emb; with "rope", queries and keys are rotated by their position. It works in the dtype of the
        weights.

        Shapes: tokens (b t) int64 -> (b t d_vocab).
        Raises: ValueError when cache and tokens together are longer than cfg.n_ctx; the cache stays as it was.
        Source: Shazeer 2019, section 2.4; Pope et al. 2022 (prefill in chunks).
        """
        start = 0 if cache is None else cache.length()
        t = tokens.shape[1]
        if start + t > self.cfg.n_ctx:
            raise ValueError(f"{start} tokens in the cache and {t} new ones: there are {self.cfg.n_ctx} positions")
        positions = torch.arange(start, start + t)
        x = self.tok_emb(tokens)
        if self.pos_emb is not None:
            x = x + self.pos_emb(positions)
        for layer, block in enumerate(self.blocks):
            q, k, v = block.heads(x)
            if self.pos_emb is None:
                q, k = rope(q, positions), rope(k, positions)
            if cache is not None:
                k, v = cache.append(layer, k, v)
            seen = torch.arange(start + t) <= positions[:, None]
            x = block.add(x, F.scaled_dot_product_attention(q, k, v, attn_mask=seen))
        return self.unembed(self.norm_f(x))


def speculative_sample(target: Model, draft: Model, prompt: Tensor, k: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Carry out one round of speculative sampling for every row: return (tokens, n_new).

    The draft model proposes k tokens, one after the other, each drawn from its own distribution q; it is
    asked k times, about all rows together. The target model is then asked exactly once, about prompt and
    proposals of all rows. In each row the proposals are taken in order: a proposal x is accepted with
    probability min(1, p(x) / q(x)), p being the target's distribution at that place. The first one that is
    not accepted is replaced by a draw from the positive part of p - q, scaled to sum to 1, and ends the row.
    If all k are accepted, one more token is drawn from the target. So every row gets n_new tokens, from 1 to
    k + 1, and they are distributed exactly as if the target alone had drawn them. All randomness comes from
    `generator`; rows are independent.

    Shapes: prompt (b t) int64 -> tokens (b t+k+1) int64, in row i the prompt, n_new[i] tokens, then -1; n_new
        (b) int64. The prompt is not modified.
    Source: Leviathan et al. 2023, section 2.3 and algorithm 1.
    """
    t = prompt.shape[1]
    tokens, proposed = prompt, []
    for _ in range(k):
        proposed.append(draft(tokens)[:, -1].softmax(-1))
        tokens = torch.cat([tokens, torch.multinomial(proposed[-1], 1, generator=generator)], dim=1)
    p = target(tokens)[:, t - 1 :].softmax(-1)
    q = torch.stack([*proposed, torch.zeros_like(p[:, 0])], dim=1)
    new = tokens[:, t:, None]
    chance = torch.rand(new.shape[:2], generator=generator, dtype=p.dtype)
    accepted = chance * q[:, :k].gather(2, new)[..., 0] < p[:, :k].gather(2, new)[..., 0]
    n_accepted = accepted.long().cumprod(dim=1).sum(dim=1)
    # Behind the last proposal q is 0, so that the rest is p itself: the additional token needs no case of its own.
    row = torch.arange(len(prompt))
    rest = (p - q)[row, n_accepted].clamp(min=0.0)
    rest = torch.where(rest.sum(-1, keepdim=True) > 0, rest, p[row, n_accepted])
    last = torch.multinomial(rest, 1, generator=generator)
    place = torch.arange(k + 1)
    out = torch.cat([tokens[:, t:], last], dim=1).masked_fill(place > n_accepted[:, None], -1)
    out = torch.where(place == n_accepted[:, None], last, out)
    return torch.cat([prompt, out], dim=1), n_accepted + 1


def train_char_lm(train: Tensor, val: Tensor, d_vocab: int, steps: int, generator: torch.Generator) -> nn.Module:
    """Train a language model on `train` with at most `steps` optimiser steps, and return the best one on `val`.

    The returned module takes tokens (b t) int64, t up to 32, and returns the logits of the next token at
    every position, (b t d_vocab). Among all the states that it has gone through you choose by the loss on
    `val`: the last one may be overfitted, or diverged. `val` is for choosing only. Which model, which
    optimiser and how many windows per step is up to you; count on about 10 ms of processor time per step. Use
    `generator` for the batches.

    Shapes: train (n), val (m), int64 below d_vocab.
    Source: Prechelt 1998, section 2 (early stopping); Vaswani et al. 2017, section 5.
    """
    torch.manual_seed(0)
    model = CachedLM(LMConfig(d_model=48, n_heads=4, n_layers=1, d_vocab=d_vocab, n_ctx=32))
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    whole = val[: (len(val) - 1) // 32 * 32 + 1]
    judged = torch.stack([whole[:-1].view(-1, 32), whole[1:].view(-1, 32)])
    best, chosen = math.inf, model
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 1e-2 * min(1.0, (step + 1) / 20) * (1 - 0.9 * step / steps)
        x, y = get_batch(train, 16, 32, generator)
        optimiser.zero_grad()
        F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 20 == 19 or step == steps - 1:
            with torch.no_grad():
                loss = float(F.cross_entropy(model(judged[0]).flatten(0, 1), judged[1].flatten()))
            if loss < best:
                best, chosen = loss, copy.deepcopy(model)
    return chosen
