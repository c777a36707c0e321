"""Your functions in; an "ok" line, or an AssertionError that guesses the slip, out. Practice, never a score.

Every check tries a handful of small cases. The checks that score try many more, so an "ok" here is encouragement, not proof.
Needs torch only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

I64, F64 = torch.int64, torch.float64
IS_NAME, IS_FILLER = range(1, 13), range(13, 21)


@dataclass(frozen=True)
class Sizes:
    """Has the fields of Config, so that the checks need nothing from your notebook but what they check."""

    n_layers: int = 2
    n_heads: int = 2
    d_model: int = 6
    d_head: int = 3
    d_vocab: int = 8
    n_ctx: int = 9
    d_mlp: int = 0
    norm: bool = False


class Toy(nn.Module):
    """A model with the parameters and points of Transformer, attention only and without norms, in float64."""

    def __init__(self, cfg: Sizes = Sizes(), seed: int = 0) -> None:
        super().__init__()
        self.cfg = cfg
        gen = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=gen, dtype=F64) / shape[-1] ** 0.25, requires_grad=False)

        self.W_E, self.W_pos = draw(cfg.d_vocab, cfg.d_model), draw(cfg.n_ctx, cfg.d_model)
        self.W_U = draw(cfg.d_model, cfg.d_vocab)
        self.blocks = nn.ModuleList()
        for _ in range(cfg.n_layers):
            block = nn.Module()
            for name in ("W_Q", "W_K", "W_V"):
                setattr(block, name, draw(cfg.n_heads, cfg.d_model, cfg.d_head))
            block.W_O = draw(cfg.n_heads, cfg.d_head, cfg.d_model)
            self.blocks.append(block)

    def norm(self, x: Tensor) -> Tensor:
        return x

    def forward(self, tokens: Tensor, edit: Callable[[str, Tensor], Tensor | None] | None = None) -> Tensor:
        def at(name: str, x: Tensor) -> Tensor:
            new = None if edit is None else edit(name, x)
            return x if new is None else new

        t = tokens.shape[1]
        x = at("embed", self.W_E[tokens] + self.W_pos[:t])
        for n, w in enumerate(self.blocks):
            heads = x.unsqueeze(2).expand(-1, -1, self.cfg.n_heads, -1)
            read = {kind: at(f"blocks.{n}.{kind}_in", heads).transpose(1, 2) for kind in "qkv"}
            q, k, v = read["q"] @ w.W_Q, read["k"] @ w.W_K, read["v"] @ w.W_V
            scores = at(f"blocks.{n}.scores", q @ k.mT / math.sqrt(self.cfg.d_head))
            pattern = at(f"blocks.{n}.pattern", scores.masked_fill(torch.ones(t, t).triu(1) > 0, -math.inf).softmax(-1))
            x = x + at(f"blocks.{n}.head_out", (pattern @ v @ w.W_O).transpose(1, 2)).sum(2)
        return at("final", x) @ self.W_U


def check_repeated_batch(repeated_batch: Callable[..., tuple[Tensor, Tensor, Tensor]]) -> None:
    result = repeated_batch(50, 12, 9, 2, 4, _gen(0))
    assert isinstance(result, (tuple, list)), "repeated_batch must return a tuple."
    assert len(result) == 3, "repeated_batch must return three tensors: tokens, periods, mask."
    tokens = _tensor(result[0], "tokens", (50, 12), I64)
    periods, mask = _tensor(result[1], "periods", (50,), I64), _tensor(result[2], "mask", (50, 12), torch.bool)
    assert not tokens[:, 0].any(), "Position 0 must be BOS, token 0, in every row."
    assert tokens[:, 1:].min() >= 1, "BOS, token 0, occurs inside a block."
    found = sorted(set(periods.tolist()))
    assert found == [2, 3, 4], f"50 rows with periods from 2 to 4: {found} occur. Does each row draw its own, both ends included?"
    for row, p in zip(tokens.tolist(), periods.tolist(), strict=True):
        bad = [i for i in range(p + 1, 12) if row[i] != row[i - p]]
        assert not bad, (
            f"period {p}, row {row}: token {bad[0]} differs from the one {p} places before it. Where does the block begin?"
        )
    first = [int(m.nonzero()[0]) - p for m, p in zip(mask, periods.tolist(), strict=True)]
    assert set(first) == {2}, f"The mask opens at p + {first[0]}. Whose earlier copy must be there before one can predict?"
    _same(mask, torch.arange(12) >= periods[:, None] + 2, "mask")
    again = repeated_batch(50, 12, 9, 2, 4, _gen(0))[0]
    assert torch.equal(tokens, again), "The same generator gives another batch. Does every draw take generator=gen?"
    _ok("repeated_batch")


def check_head_scores(head_scores: Callable[..., tuple[Tensor, Tensor, Tensor]]) -> None:
    periods, t = torch.tensor([3, 4]), 11
    for number, (name, back) in enumerate((("previous", lambda p: 1), ("duplicate", lambda p: p), ("induction", lambda p: p - 1))):
        patterns = torch.zeros(2, 1, t, t, dtype=F64)
        for row, p in enumerate(periods.tolist()):
            for i in range(t):
                shift = back(p)
                patterns[row, 0, i, i - shift if i >= (1 if number == 0 else p + 1) else 0] = 1
        scores = head_scores(patterns, periods)
        assert len(scores) == 3, "head_scores must return three tensors."
        got = float(_tensor(scores[number], name, (1,), F64)[0])
        assert abs(got - 1) < 1e-9, (
            f'A head that looks along the stripe "{name}" in every query that has one scores {got:.3f}, not 1 (periods 3 and 4, '
            f"t={t}). Which key belongs to query i, and which queries count?"
        )
    uniform = torch.ones(t, t, dtype=F64).tril()
    uniform = (uniform / uniform.sum(-1, keepdim=True)).expand(2, 1, t, t)
    lengths = [1 / (i + 1) for p in (3, 4) for i in range(p + 1, t)]
    got, want = float(head_scores(uniform, periods)[2][0]), sum(lengths) / len(lengths)
    assert abs(got - want) < 1e-9, f"Uniform attention: induction {got:.4f}, expected {want:.4f}. Does every query count the same?"
    none = head_scores(uniform, torch.tensor([20, 20]))[1]
    assert not none.isnan().any(), "No row repeats: the score is nan. What is the mean of nothing, by the docstring?"
    _ok("head_scores")


def check_ov_circuit(ov_circuit: Callable[..., tuple[Tensor, Tensor]], copying_score: Callable[..., float]) -> None:
    model = Toy()
    for layer, h in ((0, 0), (1, 1)):
        left, right = _pair(ov_circuit(model, (layer, h)), "ov_circuit(model, head)")
        _tensor(left, "left (8 tokens, d_head 3)", (8, 3), F64)
        _tensor(right, "right (d_head 3, 8 tokens)", (3, 8), F64)
        block = model.blocks[layer]
        moved = model.W_E[5] @ block.W_V[h] @ block.W_O[h] @ model.W_U
        _close(
            (left @ right)[5], moved, f"row 5 of left @ right for head {(layer, h)}: what attending to token 5 adds to the logits"
        )
    eye = torch.eye(4, dtype=F64)
    quarter = torch.tensor([[0.0, -1], [1, 0]], dtype=F64)
    for said, left, right, want in (
        ("of the identity", eye, eye, 1.0),
        ("of minus the identity", eye, -eye, -1.0),
        ("of a rotation by a quarter", torch.eye(2, dtype=F64), quarter, 0.0),
        ("of diag(3, -1)", torch.diag(torch.tensor([3.0, -1], dtype=F64)), torch.eye(2, dtype=F64), 0.5),
        ("of zeros", eye, 0 * eye, 0.0),
    ):
        got = float(copying_score(left, right))
        assert abs(got - want) < 1e-6, f"copying_score {said} is {got:.3f}, expected {want}. Sum over sum of magnitudes?"
    _ok("ov_circuit, copying_score")


def check_qk_circuit(qk_circuit: Callable[..., tuple[Tensor, Tensor]]) -> None:
    model = Toy()
    seen = {}

    def look(name: str, value: Tensor) -> None:
        seen[name] = value

    model.W_pos.zero_()
    left, right = _pair(qk_circuit(model, (0, 1), "token"), "qk_circuit(model, head, kind)")
    scores = _tensor(left, "left", (8, 3), F64) @ _tensor(right, "right", (3, 8), F64)
    model(torch.tensor([[2, 7]]), look)
    want = seen["blocks.0.scores"][0, 1]
    _close(scores[7, 2], want[1, 0], "the score of a query at token 7 and a key at token 2, against a run of the model")
    _close(scores[2, 7], want[0, 1], "the score of a query at token 2 and a key at token 7")
    model = Toy()
    model.W_E.zero_()
    left, right = qk_circuit(model, (0, 0), "position")
    model(torch.zeros(1, 9, dtype=I64), look)
    _close(left @ right, seen["blocks.0.scores"][0, 0], "scores of all pairs of positions, against a run of the model")
    try:
        qk_circuit(model, (0, 0), "words")
    except ValueError:
        return _ok("qk_circuit")
    raise AssertionError('kind="words" must raise ValueError.')


def check_composition(composition: Callable[..., float], composition_baseline: Callable[..., float]) -> None:
    model = Toy(Sizes(d_model=8, d_head=2))
    basis = torch.eye(8, dtype=F64)
    model.blocks[0].W_O[0] = basis[:2]  # writes features 0 and 1
    for kind, name in (("Q", "W_Q"), ("K", "W_K"), ("V", "W_V")):
        for other in ("W_Q", "W_K", "W_V"):
            getattr(model.blocks[1], other)[1] = basis[:, :2] if other == name else basis[:, 4:6]
        got = {k: float(composition(model, (0, 0), (1, 1), k)) for k in "QKV"}
        for k, x in got.items():
            want = float(k == kind)
            assert abs(x - want) < 0.5, (
                f'A pair wired through {kind} only: composition "{k}" is {x:.2f}. Who reads on which side of QK?'
            )
    for first, second in (((1, 0), (0, 0)), ((0, 0), (0, 1))):
        try:
            composition(model, first, second, "K")
        except ValueError:
            continue
        raise AssertionError(f"composition of {first} and {second}, which does not come later, must raise ValueError.")
    thin, full = (float(composition_baseline(24, e, 40, _gen(1))) for e in (2, 24))
    assert 0.15 < thin < 0.26, (
        f"Strangers of width 2 in a stream of 24: {thin:.3f}, about 0.20 is expected. Are the maps products of thin ones?"
    )
    assert 0.2 < full < 0.35, f"Strangers of width 24 in a stream of 24: {full:.3f}, about 0.29 is expected."
    _ok("composition, composition_baseline")


def check_ioi_dataset(ioi_dataset: Callable[..., dict[str, Tensor]]) -> None:
    templates = ("A and B had a F , S gave the F to", "A and B were at the F , then S lent a F to")
    data = ioi_dataset(60, templates, _gen(0))
    keys = {"clean", "corrupt", "io", "s", "io_at", "s1_at", "s2_at", "end", "template"}
    assert isinstance(data, dict), "ioi_dataset must return a dict."
    assert set(data) == keys, f"ioi_dataset must return the keys {sorted(keys)}."
    n_words = [len(text.split()) for text in templates]
    for which in ("clean", "corrupt"):
        _tensor(data[which], which, (60, max(n_words)), I64)
    firsts = set()
    for i in range(60):
        row = {key: x[i] for key, x in data.items()}
        words, clean = templates[int(row["template"])].split(), row["clean"].tolist()
        what = f"row {i} ({clean})"
        assert int(row["end"]) == len(words) - 1, f"{what}: end is {int(row['end'])}; the last word stands at {len(words) - 1}."
        assert not any(clean[len(words) :]), f"{what}: behind the last word there must be PAD, 0."
        for key, at in (("io", "io_at"), ("s", "s1_at"), ("s", "s2_at")):
            assert clean[int(row[at])] == int(row[key]), f"{what}: {at} does not point at {key}."
        assert int(row["s2_at"]) == words.index("S"), f"{what}: s2_at is not where S comes again."
        assert clean.count(int(row["io"])) == 1, f"{what}: IO must come once."
        assert all(clean[n] in IS_FILLER for n, w in enumerate(words) if w == "F"), f"{what}: F must become a filler."
        slots = [n for n, w in enumerate(words) if w in "ABS"]
        moved = [n for n, (a, b) in enumerate(zip(clean, row["corrupt"].tolist(), strict=True)) if a != b]
        assert moved == slots, f"{what}: the corrupted prompt differs at {moved}, expected the three names at {slots}."
        five = [*row["corrupt"][slots].tolist(), int(row["io"]), int(row["s"])]
        assert len(set(five)) == 5, f"{what}: the corrupted names, IO and S must be five names."
        assert all(n in IS_NAME for n in five), f"{what}: the corrupted names, IO and S must be five names."
        firsts.add(bool(row["io_at"] < row["s1_at"]))
    assert firsts == {True, False}, "In 60 rows the order of the names is always the same. Is there a coin?"
    _ok("ioi_dataset")


def check_logit_difference(logit_difference: Callable[..., Tensor]) -> None:
    logits = torch.arange(24.0, dtype=F64).reshape(2, 3, 4) ** 2
    got = _tensor(
        logit_difference(logits, torch.tensor([3, 0]), torch.tensor([1, 2]), torch.tensor([0, 2])), "the result", (2,), F64
    )
    _close(got, torch.tensor([9.0 - 1, 400.0 - 484], dtype=F64), "two rows with ends 0 and 2: IO minus S, each row at its own end")
    _ok("logit_difference")


def check_path_patch(path_patch: Callable[..., Tensor]) -> None:
    model = Toy(Sizes(n_heads=3))
    clean, corrupt = torch.tensor([[1, 5, 2, 7]]), torch.tensor([[1, 3, 2, 4]])
    new, old = _cache(model, clean), _cache(model, corrupt)
    message = (new["blocks.0.head_out"] - old["blocks.0.head_out"])[:, :, 1]
    plain = model(corrupt)
    got = _tensor(path_patch(model, clean, corrupt, (0, 1), [], "logits"), "the logits", (1, 4, 8), F64)
    _close(
        got - plain,
        message @ model.W_U,
        "(0, 1) -> logits: what the sender says differently, times W_U. Is the rest frozen to corrupt?",
    )
    block = model.blocks[1]
    through = old["blocks.1.pattern"][:, 2] @ (message @ block.W_V[2] @ block.W_O[2]) @ model.W_U
    got = path_patch(model, clean, corrupt, (0, 1), [(1, 2)], "v")
    _close(
        got - plain,
        through,
        "(0, 1) -> values of (1, 2): where that head looks stays, what it moves changes. Does another head hear it?",
    )
    for sender, receiver in (((1, 0), (0, 1)), ((1, 0), (1, 1))):
        got = path_patch(model, clean, corrupt, sender, [receiver], "q")
        _close(got, plain, f"{sender} -> {receiver}, which does not come later: the corrupted run's logits")
    try:
        path_patch(model, clean, corrupt, (0, 0), [(1, 0)], "z")
    except ValueError:
        return _ok("path_patch")
    raise AssertionError('kind="z" must raise ValueError.')


def check_circuit_metrics(circuit_metrics: Callable[..., tuple[float, float, Any]]) -> None:
    model = Toy(Sizes(n_layers=1))
    for name in ("W_Q", "W_K", "W_V", "W_O"):
        getattr(model.blocks[0], name)[1] = getattr(model.blocks[0], name)[0]
    data = _prompts(12)
    every = [(0, 0), (0, 1)]
    for circuit, want, said in (
        (every, (1.0, 0.0), "all heads"),
        ([], (0.0, 1.0), "no head"),
        ([(0, 1)], (0.5, 0.5), "one of two twins"),
    ):
        faithful, complete, minimal = circuit_metrics(model, circuit, data)
        for name, got, expected in (("faithfulness", faithful, want[0]), ("completeness", complete, want[1])):
            assert abs(float(got) - expected) < 1e-9, f"{name} of {said} is {float(got):.3f}, expected {expected}."
        assert len(minimal) == len(circuit), f"minimality of {said} needs {len(circuit)} numbers, one per head."
    assert abs(float(minimal[0]) - 0.5) < 1e-9, f"minimality of the one twin is {float(minimal[0]):.3f}, expected 0.5."
    _ok("circuit_metrics")


def check_prune_edges(prune_edges: Callable[..., set[tuple[str, str]]]) -> None:
    model, data = Toy(), _prompts(8)
    assert set(prune_edges(model, data, 1e9)) == set(), "tau=1e9: every edge should go."
    model.blocks[1].W_O.zero_()  # layer 1 says nothing
    found = set(prune_edges(model, data, 1e-9))
    want = {("embed", "logits"), ("0.0", "logits"), ("0.1", "logits"), ("embed", "0.0"), ("embed", "0.1")}
    assert found == want, (
        f"Layer 1 is silent, tau=1e-9: left are {sorted(found)}, expected {sorted(want)}. "
        "An edge that changes nothing goes; is a removed edge given the corrupted message?"
    )
    _ok("prune_edges")


def check_find_the_heads(find_the_heads: Callable[..., tuple[dict[str, list[tuple[int, int]]], Tensor]]) -> None:
    model = Toy()
    model.blocks[0].W_O[1] = 0
    tokens = torch.tensor([[0, 3, 5, 2, 3, 5, 2, 3, 5], [0, 1, 4, 1, 4, 1, 4, 1, 4], [0, 7, 6, 2, 7, 6, 2, 7, 6]])
    periods = torch.tensor([3, 2, 3])
    mask = torch.arange(9) >= periods[:, None] + 2
    roles, effects = _pair(find_the_heads(model, tokens, periods, mask), "find_the_heads(...)")
    assert set(roles) == {"previous", "duplicate", "induction"}, 'roles must have the keys "previous", "duplicate", "induction".'
    _tensor(effects, "effects", (2, 2), F64)
    assert abs(float(effects[0, 1])) < 1e-12, (
        f"Head (0, 1) writes zeros; its effect is {float(effects[0, 1]):.3g}. Which head is ablated?"
    )

    def worth(logits: Tensor) -> Tensor:
        found = logits.log_softmax(-1)
        return torch.stack([found[r, i - 1, tokens[r, i]] for r in range(3) for i in range(9) if mask[r, i]]).mean()

    out = _cache(model, tokens)["blocks.1.head_out"]
    changed = out.clone()
    changed[:, :, 0] = out[:, :, 0].mean(0)
    want = worth(model(tokens)) - worth(model(tokens, lambda name, x: changed if name == "blocks.1.head_out" else None))
    _close(effects[1, 0], want, "the effect of head (1, 0): mean log-probability where the mask is open, plain minus ablated")
    _ok("find_the_heads")


def _prompts(n: int) -> dict[str, Tensor]:
    gen = _gen(3)
    drawn = {key: torch.randint(8, (n, 5), generator=gen) for key in ("clean", "corrupt")}
    io = torch.randint(8, (n,), generator=gen)
    places = {key: torch.randint(5, (n,), generator=gen) for key in ("io_at", "s1_at", "s2_at")}
    template, end = torch.arange(n) % 2, 4 - torch.arange(n) % 2
    return {**drawn, **places, "io": io, "s": (io + 3) % 8, "end": end, "template": template}


def _cache(model: nn.Module, tokens: Tensor) -> dict[str, Tensor]:
    seen: dict[str, Tensor] = {}

    def look(name: str, value: Tensor) -> None:
        seen[name] = value

    model(tokens, look)
    return seen


def _gen(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _pair(value: Any, what: str) -> tuple[Any, Any]:
    assert isinstance(value, (tuple, list)), f"{what} must return a pair."
    assert len(value) == 2, f"{what} must return a pair, not {len(value)} things."
    return value[0], value[1]


def _tensor(value: Any, what: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    assert isinstance(value, Tensor), f"{what} must be a tensor, not {type(value).__name__}."
    assert tuple(value.shape) == shape, f"{what} has shape {tuple(value.shape)}, expected {shape}."
    assert value.dtype == dtype, f"{what} has dtype {value.dtype}, expected {dtype}."
    return value


def _same(value: Tensor, want: Tensor, what: str) -> None:
    assert torch.equal(value, want), f"{what} differs, first at {(value != want).nonzero()[0].tolist()}."


def _close(value: Tensor, want: Tensor, what: str) -> None:
    gap = float((value - want).abs().max())
    assert gap < 1e-9, f"{what} is off by {gap:.3g}."


def _ok(what: str) -> None:
    print(f"ok  {what}")
