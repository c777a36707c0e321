"""The lesson of T1 as its reader meets it: it runs, its checks tell right from wrong, and every exercise is complete."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from autograder.authoring.build import build
from autograder.authoring.lesson import LessonCell, read_lesson
from autograder.course import load as load_course
from autograder.grading.bundle import load_bundle
from solutions import t1_attention as reference

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "assignments" / "t1_attention"
CELLS = read_lesson(FOLDER / "lesson.py").cells
TEXTS = [c.source for c in CELLS if c.kind == "text"]
HINT = r"<details><summary>Hint (\d): [^<]+</summary>\n\n(.+?)\n\n</details>"
# Points per exercise as in the curriculum (T1.1 to T1.11), by the main name.
POINTS = {
    "causal_mask": 6,
    "attention": 14,
    "MultiHeadAttention": 16,
    "sinusoidal": 6,
    "rope": 10,
    "RMSNorm": 10,
    "MLP": 6,
    "GPT": 14,
    "param_count": 6,
    "hand_set_previous_token_head": 12,
    "online_softmax_attention": 0,
}
CHECK_OF = {"MultiHeadAttention": "multi_head_attention", "RMSNorm": "rms_norm", "MLP": "mlp", "GPT": "gpt"}


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"t1_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


CHECKS = load(FOLDER / "checks.py")


def names_of(cell: LessonCell) -> tuple[str, ...]:
    (imported,) = ast.parse(cell.source).body
    assert isinstance(imported, ast.ImportFrom)
    return tuple(a.name for a in imported.names)


EXERCISES = {names_of(c)[0]: c for c in CELLS if c.kind == "exercise"}


def check(name: str) -> Callable[..., None]:
    run: Callable[..., None] = getattr(CHECKS, f"check_{CHECK_OF.get(name, name)}")
    return run


def with_wrong(name: str, **wrong: Any) -> list[Any]:
    """The definitions of one exercise, the given ones in place of the reference's."""
    assert set(wrong) <= set(names_of(EXERCISES[name]))
    return [wrong.get(n, getattr(reference, n)) for n in names_of(EXERCISES[name])]


def test_the_whole_lesson_runs_within_a_minute_of_processor_time():
    """An author and a student can run everything, offline, without a screen, on a modest machine."""
    limit = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_CPU, (60, 60))"
    program = f"{limit}; runpy.run_path(sys.argv[1], run_name='__main__')"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(FOLDER / "lesson.py")],
        env=env,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stderr == ""
    # What the prose says of the experiments is what they show.
    assert "the output at an earlier position moved by at most 0.0\n" in run.stdout
    assert "step  0: loss 4.16\n" in run.stdout
    assert "124,383,744 parameters\n" in run.stdout


@pytest.mark.parametrize("name", POINTS)
def test_the_reference_passes_every_visible_check(name, capsys):
    """A check takes the imported names in the import's order, and says that all is well in one short line."""
    check(name)(*with_wrong(name))

    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("ok  ")


@pytest.mark.parametrize("name", POINTS)
def test_a_stub_fails_every_visible_check(name):
    """Nobody reads "ok" before writing anything."""

    def stub(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        check(name)(*[stub for _ in names_of(EXERCISES[name])])


def no_scale_for(d: int) -> Callable[..., Any]:
    return lambda q, k, v, mask=None, scale=None: reference.attention(q, k, v, mask, (1 / d if scale is None else scale))


def softmax_over_queries(q, k, v, mask=None, scale=None):
    scores = q @ k.mT * (scale or q.shape[-1] ** -0.5)
    pattern = scores.masked_fill(~mask, -torch.inf).softmax(-2) if mask is not None else scores.softmax(-2)
    return pattern @ v, pattern


def masked_after_softmax(q, k, v, mask=None, scale=None):
    pattern = reference.attention(q, k, v, None, scale)[1]
    pattern = pattern if mask is None else pattern.masked_fill(~mask, 0)
    return pattern @ v, pattern


def nan_for_an_empty_row(q, k, v, mask=None, scale=None):
    scores = q @ k.mT * (scale or q.shape[-1] ** -0.5)
    pattern = (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1)
    return pattern @ v, pattern


def heads(causal: bool = True, tiled: bool = False, width: str = "head", ahead: int = 0) -> type[nn.Module]:
    """A multi-head attention with the given slip."""

    class Heads(reference.MultiHeadAttention):
        def forward(self, x):
            b, t, d_model = x.shape
            rows = [n * self.d_head for n in (self.n_heads, self.n_kv_heads, self.n_kv_heads)]
            q, k, v = (y.view(b, t, -1, self.d_head).transpose(1, 2) for y in self.qkv(x).split(rows, -1))
            group = self.n_heads // self.n_kv_heads
            k, v = (y.repeat(1, group, 1, 1) if tiled else y.repeat_interleave(group, 1) for y in (k, v))
            mask = torch.ones(t, t, dtype=torch.bool).tril(ahead if causal else t)
            scale = (self.d_head if width == "head" else d_model) ** -0.5
            return self.out(F.scaled_dot_product_attention(q, k, v, mask, scale=scale).transpose(1, 2).reshape(b, t, -1))

    return Heads


def sine_table(n: int, d: int, blocks: bool = False, first: int = 0, twice: bool = False) -> Any:
    if d % 2:
        raise ValueError
    exponent = torch.arange(0, d, 2) / d * (2 if twice else 1)
    angle = torch.arange(first, first + n)[:, None] / 10000**exponent
    return torch.cat([angle.sin(), angle.cos()], -1) if blocks else torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)


class OffsetIgnored(reference.LearnedPos):
    def forward(self, t, offset=0):
        return super().forward(t)


class NeverLearned(reference.LearnedPos):
    def forward(self, t, offset=0):
        return super().forward(t, offset).detach()


def half_split(x, positions, theta=10000.0):
    half = torch.cat([reference.rope(torch.stack(x.chunk(2, -1), -1).flatten(-2), positions, theta)], -1)
    return torch.cat([half[..., 0::2], half[..., 1::2]], -1)


class GateSwapped(reference.MLP):
    def forward(self, x):
        return self.down(F.silu(self.up(x)) * self.gate(x)) if self.kind == "swiglu" else super().forward(x)


class SigmoidGelu(reference.MLP):
    def forward(self, x):
        h = self.up(x)
        return super().forward(x) if self.kind == "swiglu" else self.down(h * torch.sigmoid(1.702 * h))


class MeanSubtracted(reference.RMSNorm):
    def forward(self, x):
        return super().forward(x - x.mean(-1, keepdim=True))


class EpsOutside(reference.RMSNorm):
    def forward(self, x):
        return (x / (x.float().square().mean(-1, keepdim=True).sqrt() + self.eps) * self.weight).to(x.dtype)


class HalfPrecision(reference.RMSNorm):
    def forward(self, x):
        return x / (x.square().mean(-1, keepdim=True) + self.eps).sqrt() * self.weight.to(x.dtype)


class AlwaysPost(reference.Block):
    def __init__(self, cfg, pre_norm=True):
        super().__init__(cfg, False)


class NormOnTheStream(reference.Block):
    def forward(self, x):
        x = self.norm1(x)
        x = self.norm2(x + self.attn(x))
        return x + self.mlp(x)


class NormForgotten(reference.Block):
    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(x) if self.pre_norm else self.norm2(x + self.mlp(x))


def gpt(
    final_norm: bool = True, first: int = 0, offset_used: bool = True, copied: bool = False, flat: bool = False, refuses: Any = None
) -> type[nn.Module]:
    """A GPT with the given slip."""

    class Model(reference.GPT):
        def __init__(self, cfg):
            super().__init__(cfg)
            if copied and cfg.tied:
                self.unembed.weight = nn.Parameter(self.tok_emb.weight.detach().clone())
            for name, p in self.named_parameters():
                if flat and name.endswith(("out.weight", "down.weight")):
                    nn.init.normal_(p, std=0.02)

        def forward(self, tokens, pos_offset=0):
            if refuses and tokens.shape[1] + pos_offset > len(self.pos_emb.weight):
                raise refuses
            x = self.tok_emb(tokens) + self.pos_emb(tokens.shape[1], first + (pos_offset if offset_used else 0))
            for block in self.blocks:
                x = block(x)
            return self.unembed(self.norm_f(x) if final_norm else x)

    return Model


def hand_set(change: Callable[[dict[str, Any], Any], None]) -> Callable[[Any], dict[str, Any]]:
    """The reference's weights, changed."""

    def hand_set_previous_token_head(cfg):
        state = reference.hand_set_previous_token_head(cfg)
        change(state, cfg)
        return state

    return hand_set_previous_token_head


def looks_at_itself(state, cfg):
    rows = state["blocks.0.attn.qkv.weight"]
    rows[: cfg.n_ctx] = 1000 * rows[cfg.d_model : cfg.d_model + cfg.n_ctx]


def too_soft(state, cfg):
    state["blocks.0.attn.qkv.weight"][: cfg.d_model] *= 0.1


def token_still_heard(state, cfg):
    state["unembed.weight"] += 3 * state["tok_emb.weight"]


def one_pass(reset: bool = False, short: bool = True, stable: bool = True) -> Callable[..., Any]:
    """A one-pass attention with the given slip."""

    def run(q, k, v, block):
        top, total, mixed = torch.full_like(q[..., :1], -torch.inf), 0.0, 0.0
        for s in range(0, k.shape[-2] if short else k.shape[-2] // block * block, block):
            scores = q @ k[..., s : s + block, :].mT * q.shape[-1] ** -0.5
            new = torch.maximum(top, scores.amax(-1, keepdim=True)) if stable else torch.zeros_like(top)
            shrink = 1.0 if reset or not stable else (top - new).exp()
            weights = (scores - new).exp()
            total = total * shrink + weights.sum(-1, keepdim=True)
            mixed = mixed * shrink + weights @ v[..., s : s + block, :]
            top = new
        return (
            torch.zeros_like(q[..., :1]) + mixed / total
            if not isinstance(mixed, float)
            else q.new_zeros(*q.shape[:-1], v.shape[-1])
        )

    return run


GPT = reference.GPT  # as in a notebook, where it stands beside the function that sets weights by hand
MASK, ROPE, COUNT, FLOPS = reference.causal_mask, reference.rope, reference.param_count, reference.flops_per_token
# (exercise, what is wrong, what the message must guess)
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("causal_mask", {"causal_mask": lambda q, k, offset=0: MASK(q, k, offset - 1)}, "its own key"),
    ("causal_mask", {"causal_mask": lambda q, k, offset=0: MASK(q, k)}, "use the offset"),
    ("causal_mask", {"causal_mask": lambda q, k, offset=0: MASK(k, q).T}, "Rows are queries"),
    ("causal_mask", {"causal_mask": lambda q, k, offset=0: MASK(q, k, k - q)}, "how many keys there are does not"),
    ("causal_mask", {"causal_mask": lambda q, k, offset=0: MASK(q, k, offset).float()}, "dtype"),
    ("causal_mask", {"causal_mask": lambda q, k, offset=0: None}, "forget `return`"),
    ("attention", {"attention": no_scale_for(4)}, "its root"),
    ("attention", {"attention": no_scale_for(1)}, "scaled at all"),
    ("attention", {"attention": lambda q, k, v, mask=None, scale=None: reference.attention(q, k, v, mask)}, "`scale` ignored"),
    ("attention", {"attention": softmax_over_queries}, "over the keys"),
    ("attention", {"attention": masked_after_softmax}, "Which comes first"),
    ("attention", {"attention": nan_for_an_empty_row}, "nan"),
    (
        "attention",
        {"attention": lambda q, k, v, m=None, scale=None: reference.attention(q, k, v, None if m is None else ~m, scale)},
        "True means",
    ),
    ("MultiHeadAttention", {"MultiHeadAttention": heads(width="model")}, "scale for d_model"),
    ("MultiHeadAttention", {"MultiHeadAttention": heads(causal=False)}, "Who may look"),
    ("MultiHeadAttention", {"MultiHeadAttention": heads(ahead=1)}, "Who may look"),
    ("MultiHeadAttention", {"MultiHeadAttention": heads(tiled=True)}, "neighbours"),
    ("sinusoidal", {"sinusoidal": lambda n, d: sine_table(n, d, blocks=True)}, "two blocks"),
    ("sinusoidal", {"sinusoidal": lambda n, d: sine_table(n, d, first=1)}, "At position 0"),
    ("sinusoidal", {"sinusoidal": lambda n, d: sine_table(n, d, twice=True)}, "in twice"),
    ("sinusoidal", {"LearnedPos": OffsetIgnored}, "rows 1 and 2"),
    ("sinusoidal", {"LearnedPos": NeverLearned}, "gradient"),
    (
        "rope",
        {"rope": lambda x, p, theta=1e4: ROPE(x, torch.arange(x.shape[-2]), theta)},
        "given positions used",
    ),
    ("rope", {"rope": lambda x, p, theta=1e4: ROPE(x, -p, theta)}, "Counter-clockwise"),
    ("rope", {"rope": lambda x, p, theta=1e4: ROPE(x, p + 1, theta)}, "count as 1"),
    ("rope", {"rope": lambda x, p, theta=1e4: ROPE(x, p, theta**0.5)}, "factor 2 missing"),
    ("rope", {"rope": half_split}, "neighbours are pairs"),
    ("MLP", {"MLP": GateSwapped}, "Which of the two branches"),
    ("MLP", {"MLP": SigmoidGelu}, "1.702"),
    ("RMSNorm", {"RMSNorm": MeanSubtracted}, "mean subtracted"),
    ("RMSNorm", {"RMSNorm": EpsOutside}, "outside the root"),
    ("RMSNorm", {"RMSNorm": HalfPrecision}, "300 squared"),
    ("RMSNorm", {"Block": AlwaysPost}, "on the stream itself"),
    ("RMSNorm", {"Block": NormOnTheStream}, "on the stream itself"),
    ("RMSNorm", {"Block": NormForgotten}, "mlp should read a normalised stream"),
    ("GPT", {"GPT": gpt(final_norm=False)}, "final norm"),
    ("GPT", {"GPT": gpt(first=1)}, "Where does a text begin"),
    ("GPT", {"GPT": gpt(offset_used=False)}, "should not be used"),
    ("GPT", {"GPT": gpt(copied=True)}, "one Parameter"),
    ("GPT", {"GPT": gpt(flat=True)}, "write into the stream"),
    ("GPT", {"GPT": gpt(refuses=IndexError)}, "IndexError was raised. The docstring asks for ValueError"),
    ("param_count", {"param_count": lambda cfg: COUNT(CHECKS.replace(cfg, tied=False))}, "one matrix"),
    ("param_count", {"param_count": lambda cfg: COUNT(cfg) - cfg.n_layers * (cfg.d_mlp + cfg.d_model)}, "biases"),
    ("param_count", {"flops_per_token": lambda cfg, t: FLOPS(cfg, 0)}, "does not depend on t"),
    ("param_count", {"flops_per_token": lambda cfg, t: FLOPS(cfg, t) - 2 * cfg.n_layers * t * cfg.d_model}, "besides the scores"),
    ("hand_set_previous_token_head", {"hand_set_previous_token_head": hand_set(looks_at_itself)}, "It looks at itself"),
    ("hand_set_previous_token_head", {"hand_set_previous_token_head": hand_set(too_soft)}, "too little"),
    ("hand_set_previous_token_head", {"hand_set_previous_token_head": hand_set(token_still_heard)}, "only the value"),
    ("hand_set_previous_token_head", {"hand_set_previous_token_head": hand_set(lambda s, c: s.pop("norm_f.weight"))}, "lacks"),
    ("online_softmax_attention", {"online_softmax_attention": one_pass(reset=True)}, "rescaled"),
    ("online_softmax_attention", {"online_softmax_attention": one_pass(short=False)}, "last block lost"),
    ("online_softmax_attention", {"online_softmax_attention": one_pass(stable=False)}, "subtracted before exp"),
]


@pytest.mark.parametrize(("name", "wrong", "guess"), WRONG, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(WRONG)])
def test_a_plausible_wrong_answer_is_told_its_slip(name, wrong, guess):
    """The visible check fails with a message that guesses what went wrong."""
    with pytest.raises(AssertionError, match=guess):
        check(name)(*with_wrong(name, **wrong))


def test_every_exercise_has_two_wrong_answers_or_more():
    """No visible check goes untested."""
    assert {name: sum(n == name for n, _, _ in WRONG) >= 2 for name in EXERCISES} == dict.fromkeys(EXERCISES, True)


def test_right_answers_of_another_kind_pass_the_visible_checks(tmp_path):
    """What the hidden checks accept, the visible ones do not scold: neither may ask for one way of writing it."""
    for name in ("assignments", "solutions"):
        (tmp_path / name).symlink_to(ROOT / name)
    course = load_course(tmp_path)
    build(course, tmp_path / "release", ["t1_attention"])
    bundle = load_bundle(course.assignment("t1_attention"), variants=True)
    scolded = {}
    for variant in (v for v in bundle.variants if not v.caught_by):
        names: dict[str, Any] = {}
        for cell in bundle.program({variant.exercise: bundle.variant_source(variant)}):
            exec(compile(cell.source, cell.label, "exec"), names)
        exercise = bundle.manifest.exercise(variant.exercise)
        try:
            check(exercise.name)(*[names[n] for n in exercise.names])
        except Exception as e:
            scolded[variant.label] = f"{type(e).__name__}: {e}"

    assert scolded == {}
    assert {v.exercise for v in bundle.variants if not v.caught_by} == {e.id for e in bundle.manifest.exercises}


def test_weights_by_hand_are_checked_on_the_readers_own_gpt():
    """The check carries no model, so it must say when there is none to run the weights on."""
    lonely: dict[str, Any] = {}
    exec("def hand_set_previous_token_head(cfg):\n    return {}", lonely)

    with pytest.raises(AssertionError, match="Run the cell that defines GPT"):
        check("hand_set_previous_token_head")(lonely["hand_set_previous_token_head"])


def test_points_are_the_curriculums():
    """Eleven exercises, 100 points, the bonus without any."""
    assert {name: cell.options.points for name, cell in EXERCISES.items() if cell.options} == POINTS
    assert sum(POINTS.values()) == 100


def test_an_exercise_uses_only_what_stands_above_it():
    """A student who works from top to bottom can run every check: a Block needs the MLP first."""
    order = [n for cell in EXERCISES.values() for n in names_of(cell)]
    tree = {
        d.name: d
        for d in ast.parse(Path(reference.__file__).read_text("utf-8")).body
        if isinstance(d, (ast.FunctionDef, ast.ClassDef))
    }
    for place, name in enumerate(order):
        used = {n.id for n in ast.walk(tree[name]) if isinstance(n, ast.Name)} & set(order)
        assert used <= set(order[: place + 1]), f"{name} uses {used - set(order[: place + 1])}, which comes later"


def words(text: str) -> int:
    """Count words of prose: no code, formula, picture or markup."""
    for pattern in (r"```.*?```", r"\$\$.*?\$\$", r"\$[^$]*\$", r"!\[[^\]]*\]\([^)]*\)", r"<[^>]+>"):
        text = re.sub(pattern, " ", text, flags=re.DOTALL)
    return len(re.findall(r"\w[\w'’.-]*", text))


def test_the_prose_can_be_read_in_half_an_hour():
    """3,000 to 5,000 words, the folded hints apart: they are looked up, not read."""
    read = re.sub(HINT, "", "\n\n".join(TEXTS), flags=re.DOTALL)

    assert 3000 <= words(read) <= 5000, words(read)


@pytest.mark.parametrize("name", POINTS)
def test_every_exercise_has_its_card_and_three_hints(name):
    """Difficulty, importance, minutes, objective, source with a year, a question for pairs; the last hint is pseudo-code."""
    cell = EXERCISES[name]
    before = CELLS[CELLS.index(cell) - 1]
    assert before.kind == "text"
    assert cell.options is not None
    card = before.source
    for n in names_of(cell):
        assert re.search(rf"### Exercise \d+: .*`{n}`", card)
    dots = "●" * cell.options.difficulty + "○" * (5 - cell.options.difficulty)
    weight = "●" * cell.options.importance + "○" * (5 - cell.options.importance)
    assert f"- Difficulty {dots} · importance {weight} · about {cell.options.minutes} minutes" in card
    assert re.search(r"- \*\*Objective:\*\* \w", card)
    assert re.search(r"- \*\*Source:\*\* .*\b(19|20)\d\d\b", card)
    assert re.search(r"- \*\*Navigator asks:\*\* \w", card)
    hints = re.findall(HINT, card, flags=re.DOTALL)
    assert [number for number, _ in hints] == ["1", "2", "3"]
    assert ["```" in text for _, text in hints] == [False, False, True]


def test_every_experiment_asks_for_a_prediction_first():
    """Text with the question, a cell for the guess, then the experiment."""
    asked = [i for i, c in enumerate(CELLS) if c.kind == "text" and "### Experiment" in c.source]
    assert len(asked) == len(EXERCISES)
    for i in asked:
        assert re.search(r"\*\*Predict\s+first:\*\*", CELLS[i].source)
        assert CELLS[i + 1].source.startswith("prediction = ")
        assert (CELLS[i + 1].kind, CELLS[i + 2].kind) == ("demo", "demo")


def test_no_answer_stands_in_what_students_get():
    """Hints and checks may describe a line of the reference, never contain it."""
    shipped = "\n".join(TEXTS) + (FOLDER / "checks.py").read_text("utf-8")
    bodies = [
        d for d in ast.parse(Path(reference.__file__).read_text("utf-8")).body if isinstance(d, (ast.FunctionDef, ast.ClassDef))
    ]
    lines = {ast.unparse(n) for d in bodies for n in ast.walk(d) if isinstance(n, (ast.Assign, ast.AugAssign, ast.Return))}

    assert [line for line in lines if len(line) >= 24 and line in shipped] == []


def test_pictures_are_fresh_described_and_all_used():
    """data/pictures.py makes every picture byte for byte; every one is shown with a text in its place for who cannot see it."""
    drawn = {f"{name}.svg": draw().svg() for name, draw in load(FOLDER / "data" / "pictures.py").PICTURES.items()}
    shown = re.findall(r"!\[([^\]]*)\]\(data/([^)]+)\)", "\n".join(TEXTS))

    assert {p.name: p.read_text("utf-8") for p in (FOLDER / "data").glob("*.svg")} == drawn
    assert {file for _, file in shown} == set(drawn)
    assert all(len(text) > 30 for text, _ in shown)
