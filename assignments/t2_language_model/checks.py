"""Your functions in; an "ok" line, or an AssertionError that guesses the slip, out. Needs torch only.

These are quick checks of a few cases, for practice. The checks that score are stricter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

INF = math.inf


@dataclass(frozen=True)
class Config:
    """What sample reads."""

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    stop: int | None = None
    n_ctx: int | None = None


@dataclass(frozen=True)
class Sizes:
    """What CachedLM reads."""

    d_model: int = 8
    n_heads: int = 2
    n_layers: int = 2
    d_vocab: int = 7
    n_ctx: int = 10
    positions: str = "learned"


def check_train_bpe(train_bpe: Callable[..., Any]) -> None:
    vocab, merges = _pair(train_bpe(b"ab ab ab cd cd", 260), "train_bpe(...)")
    slips = {
        (b"b", b" "): "Does a merge reach across a space? The space begins the next piece.",
        (b" ", b"a"): "Two pairs are equally frequent here: which one is larger?",
        (b"a", b" "): "Does a merge reach across a space?",
    }
    first = tuple(merges[0]) if merges else None
    assert first == (b"a", b"b"), (
        f"'ab ab ab cd cd': the first merge is {first}, not (b'a', b'b'). {slips.get(first, 'What is counted?')}"
    )
    second = tuple(merges[1]) if len(merges) > 1 else None
    message = f"'ab ab ab cd cd': the second merge is {second}, not (b'c', b'd')."
    assert second == (b"c", b"d"), f"{message} Three pairs come twice: which one is the largest, as Python compares pairs of bytes?"
    want = [(b"a", b"b"), (b"c", b"d"), (b" ", b"cd"), (b" ", b"ab")]
    assert [tuple(m) for m in merges] == want, f"'ab ab ab cd cd': merges {merges}. After a merge, who are the new neighbours?"
    assert len(vocab) == 260, f"vocab_size=260 and vocab has {len(vocab)} entries."
    assert vocab.get(97) == b"a", "vocab[97] is not b'a'. The ids 0 to 255 are the bytes."
    assert vocab.get(256) == b"ab", f"vocab[256] is {vocab.get(256)}, not b'ab': the first merge of a vocabulary without specials."
    merges = train_bpe(b"aaa aaa bc bc bc", 257)[1]
    slip = "How many merges are possible in aaa?" if list(merges) == [(b"a", b"a")] else "Which pair comes three times?"
    assert [tuple(m) for m in merges] == [(b"b", b"c")], f"'aaa aaa bc bc bc': the first merge is {merges}. {slip}"
    vocab, merges = train_bpe(b"x<|e|>yx<|e|>yxy", 258, [b"<|e|>"])
    assert vocab.get(256) == b"<|e|>", f"vocab[256] is {vocab.get(256)}: the specials come right behind the bytes."
    assert len(merges) == 1, f"vocab_size=258 with a special token: {len(merges)} merges. The special counts, too."
    inside = set(merges[0][0] + merges[0][1]) & set(b"<|e>")
    assert not inside, f"With the special token <|e|> you merge {merges[0]}: special tokens are cut out before anything is counted."
    slip = "What stands on either side of a special token are separate texts."
    assert tuple(merges[0]) == (b"y", b"x"), f"x<|e|>yx<|e|>yxy with the special token <|e|>: you merge {merges[0]} first. {slip}"
    few = train_bpe(b"ab", 300)[1]
    assert len(few) == 1, f"'ab' with vocab_size=300: {len(few)} merges, one is possible. Then learning stops."
    _raises(ValueError, lambda: train_bpe(b"ab", 256, [b"<|e|>"]), "vocab_size=256 with a special token")
    _ok("train_bpe")


def check_tokenizer(Tokenizer: Callable[..., Any]) -> None:
    merges = [(b"b", b"c"), (b"a", b"b"), (b"a", b"bc"), (b"c", b"c"), (b" ", b"a")]
    tokens = [bytes([i]) for i in range(256)] + [a + b for a, b in merges] + [b"<a>", b"<a><b>"]
    vocab = {2 * i + 1: token for i, token in enumerate(tokens)}  # ids are whatever vocab says
    t = Tokenizer(vocab, merges, [b"<a>", b"<a><b>"])

    def words(text: bytes) -> list[bytes | None]:
        ids = t.encode(text)
        assert isinstance(ids, list), f"encode gives {type(ids).__name__}, not a list. Did you forget `return`?"
        return [vocab.get(i) for i in ids]

    single = t.encode(b"x")
    assert single == [241], f"vocab[241] is b'x', and encode(b'x') gives {single}. The ids are those of vocab, not the bytes."
    for text, want, slip in (
        (b"abc", [b"abc"], "Merge until no pair of neighbours is among the merges."),
        (b"abcc", [b"abc", b"c"], "The lowest rank first, not the leftmost or the longest pair."),
        (b"ab ab", [b"ab", b" ", b"ab"], "A piece begins at the space; in it the pair that was learned first is merged first."),
    ):
        got = words(text)
        assert None not in got, f"encode({text!r}) holds an id that vocab does not know. Is a byte taken for its id?"
        assert got == want, f"encode({text!r}) gives {got}, not {want}. {slip}"
    got = words(b"x<a><b><a>")
    assert got == [b"x", b"<a><b>", b"<a>"], f"encode(b'x<a><b><a>') gives {got}. At each place the longest special token wins."
    for text in (b"", b"\xff\x00 \xc3", "añ b\n".encode(), b"<a", b"  <a> "):
        back = t.decode(t.encode(text))
        assert isinstance(back, bytes), f"decode gives {type(back).__name__}, not bytes."
        assert back == text, f"decode(encode({text!r})) is {back!r}."
    text = b"abcc <a><b>ab<a> abc <a"
    for size in (1, 2, 5, 100):
        chunks = [text[i : i + size] for i in range(0, len(text), size)]
        n_read = 0

        def read(chunks: list[bytes] = chunks) -> bytes:
            nonlocal n_read
            n_read += 1
            return chunks[n_read - 1] if n_read <= len(chunks) else b""

        got = [vocab.get(i) for i in t.encode_iter(read)]
        want = words(text)
        assert got == want, f"chunks of {size}: encode_iter gives {got}, encode {want}. What may the next chunk still change?"
    n_read, chunks = 0, [b"ab "] * 50
    for _ in t.encode_iter(lambda: read(chunks)):
        break
    assert n_read < 40, f"{n_read} of 50 chunks were read before the first id came. Only the unfinished end has to wait."
    _ok("Tokenizer")


def check_get_batch(get_batch: Callable[..., Any]) -> None:
    tokens, gen = torch.arange(10, 16), torch.Generator().manual_seed(0)
    x, y = _pair(get_batch(tokens, 400, 3, gen), "get_batch(...)")
    _tensor(x, "x", (400, 3), torch.int64)
    _tensor(y, "y", (400, 3), torch.int64)
    assert torch.equal(x[:, 1:], x[:, :1] + torch.arange(1, 3)), f"The text counts upwards, and a row of x is {x[0].tolist()}."
    guess = "Is it x itself?" if torch.equal(x, y) else "Which way is it shifted?"
    assert torch.equal(y, x + 1), f"x begins with {x[0].tolist()}, y with {y[0].tolist()}: a target is the token behind. {guess}"
    starts = sorted(set((x[:, 0] - 10).tolist()))
    assert len(starts) > 1, f"All 400 windows start at place {starts[0]}. Is there a draw per row?"
    assert starts == [0, 1, 2], f"6 tokens, ctx=3: windows start at {starts}, and should at 0, 1 and 2. How many starts are there?"
    a, b = (get_batch(tokens, 40, 3, torch.Generator().manual_seed(s))[0] for s in (1, 1))
    assert torch.equal(a, b), "The same generator state gives another batch. From where do you draw?"
    c = get_batch(tokens, 40, 3, torch.Generator().manual_seed(2))[0]
    assert not torch.equal(a, c), "Another generator state gives the same batch. Is the generator used?"
    small = get_batch(torch.arange(5, dtype=torch.uint8), 2, 2, gen)[0]
    assert small.dtype == torch.int64, f"Tokens of dtype uint8 give x of dtype {small.dtype}; int64 is asked for."
    _raises(ValueError, lambda: get_batch(tokens, 2, 6, gen), "6 tokens, ctx=6: the last token has no target")
    _ok("get_batch")


def check_lm_loss(lm_loss: Callable[..., Any]) -> None:
    # The token is predicted with certainty, one place ahead.
    tokens = torch.tensor([[0, 1, 2, 0], [1, 1, 2, 2]])
    sure = torch.full((2, 4, 3), -50.0, dtype=torch.float64)
    sure[:, :-1].scatter_(2, tokens[:, 1:, None], 50.0)
    loss = _tensor(lm_loss(sure, tokens), "lm_loss(...)", (), torch.float64)
    assert float(loss) < 1e-6, f"Every next token is predicted with certainty, and the loss is {float(loss):.3g}. Are they shifted?"
    flat = torch.zeros(2, 4, 3, dtype=torch.float64)
    slips = {
        6 * math.log(3): "Is it a sum?",
        0.75 * math.log(3): "How many targets has a row of 4 tokens?",
        math.log(3) / math.log(2): "In bits?",
    }
    _near(float(lm_loss(flat, tokens)), math.log(3), "The loss of flat logits over 3 tokens", slips)
    half = sure.clone()
    half[0] = 0.0
    mask = torch.tensor([[True, True, False, False], [True, True, True, True]])
    slips = {0.5 * math.log(3): "Are the rows averaged first?", 2 / 4 * math.log(3): "Is the mask shifted with the targets?"}
    slips[1 / 6 * math.log(3)] = "Is the mean over the targets that count?"
    message = "One flat target and three certain ones count: the loss"
    _near(float(lm_loss(half, tokens, mask)), math.log(3) / 4, message, slips)
    first = mask.clone()
    first[:, 0] = False
    slip = "The first token is nobody's target."
    assert torch.equal(lm_loss(half, tokens, mask), lm_loss(half, tokens, first)), (
        f"The mask's first column changes the loss. {slip}"
    )
    none = lm_loss(flat, tokens, torch.zeros(2, 4, dtype=torch.bool))
    assert float(none) == 0, f"Where nothing counts the loss is {float(none)}, not 0."
    large = lm_loss(sure * 100, tokens.flip(1))
    assert math.isfinite(float(large)), (
        f"For logits of 5000 the loss is {float(large)}. Is a logarithm taken of a probability of 0?"
    )
    leaf = flat.clone().requires_grad_()
    loss = lm_loss(leaf, tokens)
    assert loss.requires_grad, "No gradient flows through the loss. Is something detached?"
    _ok("lm_loss")


def check_apply_temperature(apply_temperature: Callable[..., Any], top_k: Callable[..., Any], top_p: Callable[..., Any]) -> None:
    z = torch.tensor([[2.0, 4.0, -INF], [1.0, 1.0, 0.5]])
    before = z.clone()
    got = _tensor(apply_temperature(z, 2.0), "apply_temperature(...)", (2, 3))
    assert float(got[0, 1]) == 2.0, f"A logit of 4 at temperature 2 becomes {float(got[0, 1]):g}, not 2. Divide or multiply?"
    cold = apply_temperature(z, 0.0)
    assert not cold.isnan().any(), "At temperature 0 there are NaNs: nothing is divided there."
    assert cold.isfinite().tolist() == [[False, True, False], [True, False, False]], (
        f"At temperature 0 the rows keep {cold.isfinite().sum(1).tolist()} tokens. One each: the first of the largest."
    )
    _raises(ValueError, lambda: apply_temperature(z, -1.0), "temperature -1")
    z2 = torch.tensor([[3.0, 1.0, 2.0, 2.0], [-10.0, -30.0, -20.0, -40.0]])
    got = top_k(z2, 2).isfinite().tolist()
    slips = {1: "Is the k-th itself lost?", 2: "Two logits tie for the second place: both stay.", 4: "What is left out?"}
    assert got[0] == [True, False, True, True], (
        f"top_k of (3, 1, 2, 2), k=2 keeps {sum(got[0])}, not 3. {slips.get(sum(got[0]), '')}"
    )
    assert got[1] == [True, False, True, False], (
        f"top_k, k=2, second row: keeps {sum(got[1])}. Has each row a threshold of its own?"
    )
    assert torch.equal(top_k(z2, 9), z2), "k=9 of 4 tokens: everything stays."
    _raises(ValueError, lambda: top_k(z2, 0), "k=0")
    probs = torch.tensor([[0.1, 0.5, 0.15, 0.25], [0.97, 0.01, 0.01, 0.01]])
    got = top_p(probs.log(), 0.6).isfinite().tolist()
    slips = {
        (False, True, False, False): "0.5 is less than 0.6: the token that crosses p is needed, too.",
        (True, True, False, False): "Are they put back in their own order?",
    }
    slip = slips.get(tuple(got[0]), "From the largest down, until p is reached.")
    message = f"Probabilities (0.1, 0.5, 0.15, 0.25), p=0.6: kept {got[0]}. {slip}"
    assert got[0] == [False, True, False, True], message
    assert got[1] == [True, False, False, False], (
        f"Probabilities (0.97, ...), p=0.6: {sum(got[1])} are kept. Has each row its own nucleus?"
    )
    assert top_p(probs.log(), 0.0).isfinite().sum(1).tolist() == [1, 1], "p=0: each row keeps one token."
    sharp = torch.tensor([0.0, 30.0, 60.0])
    assert torch.equal(top_p(sharp, 1.0), sharp), "p=1 lost a token: in float32 a sum can reach 1 too early."
    _raises(ValueError, lambda: top_p(sharp, 1.5), "p=1.5")
    for f, value in ((apply_temperature, 0.0), (top_k, 1), (top_p, 0.5)):
        f(z, value)
        assert torch.equal(z, before), "The logits were changed in place."
    _ok("apply_temperature, top_k, top_p")


def check_sample(sample: Callable[..., Any]) -> None:
    gen = torch.Generator().manual_seed(0)

    def count_up(tokens: Tensor) -> Tensor:
        return torch.nn.functional.one_hot((tokens + 1) % 5, 5).double() * 100

    prompt = torch.tensor([[4, 3, 1], [0, 0, 2]])
    got = _tensor(sample(count_up, prompt, 4, Config(temperature=0.0), gen), "sample(...)", (2, 7), torch.int64)
    assert torch.equal(got[:, :3], prompt), "The result does not begin with the prompt."
    slip = "Are these the logits of the first position?" if int(got[0, 3]) == 0 else "Is each token given the ones before it?"
    assert got[:, 3:].tolist() == [[2, 3, 4, 0], [3, 4, 0, 1]], (
        f"A model that counts up continues 1 by {got[0, 3:].tolist()}. {slip}"
    )
    got = sample(count_up, torch.tensor([[4, 3, 1], [4, 0, 2]]), 4, Config(temperature=0.0, stop=4), gen)
    assert got.shape == (2, 7), f"With a stop token the shape is {tuple(got.shape)}, not (2, 7)."
    slips = {
        (4, 4, 4, 4): "A stop token in the prompt ends nothing.",
        (2, 3, 3, 3): "One row's end is not the other's.",
        (2, 3, 4, 0): "What follows on the stop token?",
    }
    row = tuple(got[0, 3:].tolist())
    assert row == (2, 3, 4, 4), f"stop=4: the first row continues with {row}, not (2, 3, 4, 4). {slips.get(row, '')}"
    assert got[1, 3:].tolist() == [3, 4, 4, 4], f"stop=4: the second row continues with {got[1, 3:].tolist()}, not [3, 4, 4, 4]."
    widths: list[int] = []

    def watched(tokens: Tensor) -> Tensor:
        widths.append(tokens.shape[1])
        return torch.nn.functional.one_hot(tokens[:, :1].expand_as(tokens), 9).double() * 100

    got = sample(watched, torch.tensor([[1, 2, 3, 4, 5]]), 2, Config(temperature=0.0, n_ctx=3), gen)
    assert max(widths) <= 3, f"n_ctx=3, and the model was given {max(widths)} tokens."
    assert got[0, 5:].tolist() == [3, 4], (
        f"n_ctx=3: the model should see 3 4 5, then 4 5 and the new one. It saw a window from {got[0, 5:].tolist()}."
    )

    def table(tokens: Tensor) -> Tensor:
        z = torch.zeros(*tokens.shape, 3, dtype=torch.float64)
        z[:, -1] = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()
        return z

    got = sample(table, torch.zeros(4000, 2, dtype=torch.int64), 2, Config(), gen)[:, 2:]
    share = torch.bincount(got[:, 0] * 3 + got[:, 1], minlength=9) / 4000
    law = [a * b for a, b in product((0.5, 0.3, 0.2), repeat=2)]
    worst = max(range(9), key=lambda i: abs(float(share[i]) - law[i]))
    said = f"4000 rows: the pair {divmod(worst, 3)} makes up {float(share[worst]):.3f} of them, expected {law[worst]:.3f}"
    # Five standard deviations of a share of a quarter are 0.034.
    assert abs(float(share[worst]) - law[worst]) < 0.035, f"{said}. Is every token drawn, and drawn anew?"
    got = sample(table, torch.zeros(4000, 2, dtype=torch.int64), 1, Config(temperature=0.5, top_p=0.85), gen)[:, 2]
    share = float((got == 0).double().mean())
    slip = "First the temperature, then the nucleus." if share < 0.7 else "Is top_p applied?"
    assert abs(share - 25 / 34) < 0.035, (
        f"temperature=0.5, top_p=0.85: token 0 makes up {share:.2f}, expected {25 / 34:.2f}. {slip}"
    )
    a, b = (sample(table, prompt % 3, 30, Config(), torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(a, b), "The same generator state gives another text. From where do you draw?"
    _ok("sample")


def check_penalties(penalties: Callable[..., Any]) -> None:
    z = torch.tensor([[2.0, -2.0, 1.0, 0.5], [2.0, -2.0, 1.0, 0.5]], dtype=torch.float64)
    history, kept = torch.tensor([[0, 1, 1, 1], [2, 3, 3, 3]]), z.clone()
    got = _tensor(penalties(z, history, repetition=2.0), "penalties(...)", (2, 4), torch.float64)
    assert torch.equal(z, kept), "The logits were changed in place."
    _near(float(got[0, 0]), 1.0, "repetition=2, a logit of 2 that was used", {4.0: "Is it multiplied?", 0.0: "Is it subtracted?"})
    slips = {-1.0: "Divided, a negative logit becomes more likely.", -16.0: "Once, however often the token came.", -4 / 3: ""}
    _near(float(got[0, 1]), -4.0, "repetition=2, a logit of -2 that was used", slips)
    assert float(got[0, 2]) == 1.0, (
        f"A token that was not used in this row went from 1 to {float(got[0, 2]):g}. Whose history is it?"
    )
    got = penalties(z, history, frequency=0.5)
    _near(
        float(got[0, 1]),
        -3.5,
        "frequency=0.5, a token that came three times, logit -2",
        {-2.5: "Once per occurrence.", -0.5: "Which sign?"},
    )
    got = penalties(z, history, presence=0.5)
    _near(
        float(got[0, 1]),
        -2.5,
        "presence=0.5, a token that came three times, logit -2",
        {-3.5: "Once, if it came at all.", -1.5: "Which sign?"},
    )
    got = penalties(z, history, repetition=2.0, frequency=1.0, presence=0.5)
    _near(
        float(got[1, 3]),
        -3.25,
        "all three, logit 0.5, three times",
        {-6.0: "Repetition is applied first.", -2.75: "Is presence there?"},
    )
    for pad in (3, -7):
        padded = torch.where(history == 3, pad, history)
        got = penalties(z, padded, repetition=2.0, frequency=1.0, pad=pad)
        assert float(got[1, 3]) == 0.5, f"pad={pad}: padding was counted, as token 3."
        assert float(got[1, 0]) == 2.0, f"pad={pad}: padding was counted, as token 0."
    _near(float(penalties(z, torch.zeros(2, 1, dtype=torch.int64), frequency=1.0)[0, 0]), 1.0, "token 0 in the history, no pad", {})
    _ok("penalties")


def check_beam_search(beam_search: Callable[..., Any]) -> None:
    table = torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def model(tokens: Tensor) -> Tensor:
        return table[tokens] + torch.arange(tokens.shape[1])[:, None] * table[0] / 7

    prompt = torch.tensor([[0, 2], [3, 1]])
    tokens, scores = _pair(beam_search(model, prompt, 1, 3), "beam_search(...)")
    _tensor(tokens, "tokens, 1 beam, n=3,", (2, 1, 5), torch.int64)
    _tensor(scores, "scores, 1 beam,", (2, 1))
    greedy, total = prompt, torch.zeros(2, dtype=torch.float64)
    for _ in range(3):
        logp, best = model(greedy)[:, -1].log_softmax(-1).max(-1)
        greedy, total = torch.cat([greedy, best[:, None]], 1), total + logp
    assert torch.equal(tokens[:, 0], greedy), f"One beam should be greedy: {tokens[0, 0].tolist()}, expected {greedy[0].tolist()}."
    slip = "Are these log probabilities, each given its own past?"
    assert torch.allclose(scores[:, 0].double(), total), (
        f"One beam: score {float(scores[0, 0]):.4f}, expected {float(total[0]):.4f}. {slip}"
    )
    for stop, alpha in ((None, 0.0), (1, 0.0), (1, 1.5)):
        want = _all_hypotheses(model, prompt[0].tolist(), 3, alpha, stop)
        tokens, scores = beam_search(model, prompt, 64, 3, length_penalty=alpha, stop=stop)
        found = [tuple(row) for row, s in zip(tokens[0].tolist(), scores[0].tolist(), strict=True) if s > -INF]
        case = f"64 beams, 4 tokens, n=3, stop={stop}, length_penalty={alpha:g}"
        slip = (
            "With how many hypotheses does the search begin?"
            if len(found) > len(set(found))
            else "Is each one extended by all tokens?"
        )
        slip = slip if stop is None else "What ends with stop is kept as it is, and filled with stop."
        assert len(found) == len(set(found)), f"{case}: a hypothesis comes twice. {slip}"
        assert set(found) == set(want), f"{case}: {len(found)} hypotheses, expected {len(want)}, or others. {slip}"
        best = max(want, key=lambda w: want[w])
        said = f"{case}: the best is {found[0]} with {float(scores[0, 0]):.4f}, expected {best} with {want[best]:.4f}"
        assert found[0] == best, f"{said}. Which tokens count towards the length?"
        assert abs(float(scores[0, 0]) - want[best]) < 1e-4, f"{said}. Which tokens count towards the length?"
    few = beam_search(model, prompt, 3, 3)[0]
    assert few.shape == (2, 3, 5), f"3 beams, n=3: tokens have shape {tuple(few.shape)}."
    assert torch.equal(few[:, :, :2], prompt[:, None].expand(2, 3, 2)), "Hypotheses must begin with their own row's prompt."
    _ok("beam_search")


def _all_hypotheses(
    model: Callable[[Tensor], Tensor], past: list[int], n: int, alpha: float, stop: int | None
) -> dict[tuple[int, ...], float]:
    found = {}
    for new in product(range(4), repeat=n):
        end = new.index(stop) + 1 if stop in new else n
        cut = [*new[:end], *[stop] * (n - end)]
        logp = model(torch.tensor([past + list(new)]))[0].log_softmax(-1)
        total = sum(float(logp[len(past) - 1 + i, new[i]]) for i in range(end))
        found[tuple(past + cut)] = total / ((5 + end) / 6) ** alpha
    return found


@torch.no_grad()
def check_kv_cache(KVCache: Callable[..., Any], CachedLM: Callable[..., Any]) -> None:
    cache, other = KVCache(), KVCache()
    assert cache.length() == 0, f"A new cache has length {cache.length()}."
    k, v = torch.randn(1, 2, 3, 4), torch.randn(1, 2, 3, 4)
    for layer in (0, 1):
        cache.append(layer, k, v)
    new = torch.randn(1, 2, 1, 4)
    all_k, all_v = _pair(cache.append(0, new, -new), "append(...)")
    _tensor(all_k, "keys after 3 and 1 tokens", (1, 2, 4, 4))
    assert torch.equal(all_k[:, :, :3], k), "append gives other keys for the old tokens. Old ones first?"
    assert torch.equal(all_v[:, :, 3:], -new), "append gives other values for the new token. Are keys and values apart?"
    cache.append(1, new, new)
    assert cache.length() == 4, f"After 3 and 1 tokens in two layers the length is {cache.length()}, not 4."
    assert other.length() == 0, "What one cache got is in another one, too. Is something shared, such as a default value?"
    for positions in ("learned", "rope"):
        torch.manual_seed(0)
        model = CachedLM(Sizes(positions=positions)).double()
        for p in model.parameters():
            p.copy_(torch.randn_like(p) * 0.5)
        tokens = torch.tensor([[3, 1, 4, 1, 5, 2, 6], [2, 0, 1, 3, 2, 5, 0]])
        whole = _tensor(model(tokens), f'logits, positions="{positions}",', (2, 7, 7), torch.float64)
        changed = tokens.clone()
        changed[:, 5:] = 0
        gap = float((model(changed)[:, :5] - whole[:, :5]).abs().max())
        assert gap < 1e-9, f"Without a cache, later tokens change earlier logits by {gap:.2g}. Is there a mask?"
        swapped = model(tokens[:, [1, 0, 2, 3, 4, 5, 6]])[:, 2:]
        gap = float((swapped - whole[:, 2:]).abs().max())
        assert gap > 1e-6, f'positions="{positions}": the order of the first two tokens does not matter. Are positions used?'
        for split in ([1] * 7, [4, 3], [7], [2, 1, 4]):
            cache, parts, start = KVCache(), [], 0
            for n in split:
                parts.append(model(tokens[:, start : start + n], cache))
                start += n
            bad = [i for i, part in enumerate(parts) if part.shape[1] != split[i]]
            assert not bad, f"A chunk of {split[bad[0]]} tokens gives {parts[bad[0]].shape[1]} positions of logits." if bad else ""
            gaps = (torch.cat(parts, 1) - whole).abs().amax((0, 2))
            first = int((gaps > 1e-9).long().argmax())
            slip = (
                "The first chunk is right: where do later tokens stand, and what do they see?"
                if first >= split[0]
                else "Already the first chunk is wrong."
            )
            assert float(gaps.max()) < 1e-9, (
                f'positions="{positions}", chunks {split}: logits differ from position {first} on. {slip}'
            )
        assert cache.length() == 7, f"7 tokens were read, and the cache's length is {cache.length()}."
        again = float((model(tokens) - whole).abs().max())
        assert again < 1e-9, "Without a cache, a second call gives other logits. What is kept?"
        _raises(
            ValueError,
            lambda model=model, cache=cache: model(torch.zeros(2, 4, dtype=torch.int64), cache),
            "7 tokens in the cache, 4 more, n_ctx=10",
        )
        assert cache.length() == 7, f"After the refusal the cache's length is {cache.length()}, not 7 as before."
    _ok("KVCache, CachedLM")


def check_speculative_sample(speculative_sample: Callable[..., Any]) -> None:
    p, q = (torch.tensor(x, dtype=torch.float64) for x in ([0.6, 0.3, 0.1], [0.2, 0.2, 0.6]))
    calls: list[tuple[str, tuple[int, ...]]] = []

    def constant(name: str, law: Tensor) -> Callable[[Tensor], Tensor]:
        def model(tokens: Tensor) -> Tensor:
            calls.append((name, tuple(tokens.shape)))
            return law.log().expand(*tokens.shape, 3)

        return model

    gen, prompt = torch.Generator().manual_seed(0), torch.zeros(6000, 2, dtype=torch.int64)
    tokens, n_new = _pair(
        speculative_sample(constant("target", p), constant("draft", q), prompt, 2, gen), "speculative_sample(...)"
    )
    _tensor(tokens, "tokens, prompt (6000 2), k=2,", (6000, 5), torch.int64)
    _tensor(n_new, "n_new", (6000,), torch.int64)
    asked = [shape for name, shape in calls if name == "target"]
    assert asked == [(6000, 4)], f"The target was asked with tokens of shapes {asked}; once, with (6000, 4), is asked for."
    new, place = tokens[:, 2:], torch.arange(3)
    assert int(n_new.min()) >= 1, "A row got no token. What replaces a rejected first proposal?"
    assert bool(((new == -1) == (place >= n_new[:, None])).all()), (
        "-1 stands behind the n_new new tokens, and nowhere else. What follows a rejection?"
    )
    share = torch.bincount(new[:, 0], minlength=3) / 6000
    slips = (
        "From where is the replacement drawn?"
        if float(share[2]) > 0.13 or float(share[0]) < 0.57
        else "With which probability is a proposal accepted?"
    )
    said = ", ".join(f"{float(s):.3f}" for s in share)
    # Five standard deviations of a share of 0.6 in 6000 are 0.032.
    assert float((share - p).abs().max()) < 0.033, (
        f"Target (0.6, 0.3, 0.1), draft (0.2, 0.2, 0.6): first tokens come as ({said}). {slips}"
    )
    accepted = float((n_new > 1).double().mean())
    # sum of min(p, q) = 0.2 + 0.2 + 0.1
    assert abs(accepted - 0.5) < 0.033, f"The first proposal is accepted in {accepted:.2f} of the rows, expected 0.50."
    _, n_new = speculative_sample(constant("target", p), constant("draft", p), prompt[:50], 3, gen)
    slip = "What comes when all are accepted?" if int(n_new.max()) == 3 else "Equal models: the ratio is 1."
    assert bool((n_new == 4).all()), (
        f"Draft equal to target, k=3: rows get {int(n_new.min())} to {int(n_new.max())} tokens, not 4. {slip}"
    )
    a, b = (
        speculative_sample(constant("target", p), constant("draft", q), prompt, 2, torch.Generator().manual_seed(5))[0]
        for _ in range(2)
    )
    assert torch.equal(a, b), "The same generator state gives another result. From where do you draw?"
    _ok("speculative_sample")


def check_train_char_lm(train_char_lm: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    gen = torch.Generator().manual_seed(0)
    # A text in which every character but the first three follows from the three before it.
    cycle = torch.tensor([0, 1, 2, 0, 3, 1, 4, 0, 2, 4])
    train, val, test = cycle.repeat(60), cycle.repeat(8), cycle.repeat(3)[3:]
    model = train_char_lm(train, val, 5, 60, gen)
    assert isinstance(model, torch.nn.Module), f"train_char_lm gives {type(model).__name__}, not a torch module."
    model.eval()
    noise = torch.randint(5, (250,), generator=gen)
    other = train_char_lm(noise, torch.randint(5, (300,), generator=gen), 5, 120, gen).eval()
    unseen = torch.randint(5, (30, 33), generator=gen)
    with torch.no_grad():
        logits = _tensor(model(test[None, :-1]), "logits of tokens (1 26)", (1, 26, 5))
        loss = float(torch.nn.functional.cross_entropy(logits[0, 3:].double(), test[4:]))
        guess = float(torch.nn.functional.cross_entropy(other(unseen[:, :-1]).double().flatten(0, 1), unseen[:, 1:].flatten()))
    assert loss < 0.7, (
        f"A text that repeats every 10 characters, 60 steps: loss {loss:.2f} (knowing nothing: 1.61). Does the loss fall?"
    )
    said = f"250 random characters to train on: loss {guess:.2f} on others, where knowing nothing gives 1.61"
    # The best state reaches 1.7, the last one 2.0 to 2.3.
    assert guess < 1.85, f"{said}. By which loss do you choose, and is it a copy that you keep?"
    _ok("train_char_lm")


def _pair(value: Any, what: str) -> tuple[Any, Any]:
    assert value is not None, f"{what} is None. Did you forget `return`?"
    assert isinstance(value, Sequence) and len(value) == 2, f"{what} is a {type(value).__name__}, not a pair."  # noqa: PT018
    return value[0], value[1]


def _tensor(value: Any, what: str, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Tensor:
    assert value is not None, f"{what} is None. Did you forget `return`?"
    assert isinstance(value, Tensor), f"{what} is a {type(value).__name__}, not a tensor."
    assert value.shape == shape, f"{what} has shape {tuple(value.shape)}, not {shape}."
    assert dtype is None or value.dtype == dtype, f"{what} has dtype {value.dtype}, not {dtype}."
    return value


def _near(got: float, want: float, what: str, slips: dict[float, str], tolerance: float = 1e-5) -> None:
    if abs(got - want) <= tolerance * max(1, abs(want)):
        return
    guess = next((text for value, text in slips.items() if abs(got - value) < 1e-4), "")
    raise AssertionError(f"{what} is {got:.6g}, and should be {want:.6g}. {guess}".rstrip())


def _raises(error: type[Exception], call: Callable[[], Any], what: str) -> None:
    try:
        call()
    except error:
        return
    except Exception as other:
        found = type(other).__name__
        raise AssertionError(f"{what}, and {found} was raised. The docstring asks for {error.__name__}.") from None
    raise AssertionError(f"{what}, and no {error.__name__} was raised. The docstring asks for one.")


def _ok(names: str) -> None:
    print(f"ok  {names}")
