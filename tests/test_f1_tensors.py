"""F1: the lesson runs and is complete, its visible checks tell right from wrong, its hidden checks hold on a draw.

The full proof of the hidden checks is `bootcamp check f1_tensors` (20 seeds); here one draw stands for them.
"""

from __future__ import annotations

import ast
import importlib.util
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import einops
import pytest
import torch

from autograder.authoring.build import build
from autograder.authoring.lesson import LessonCell, read_lesson
from autograder.course import load
from autograder.grading.bundle import Bundle, load_bundle
from autograder.grading.draw import rng_for
from autograder.grading.gate import report
from autograder.sandbox.inprocess import open_in_process
from solutions import f1_tensors as reference

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "assignments" / "f1_tensors"
CELLS = read_lesson(FOLDER / "lesson.py").cells
TEXTS = [c.source for c in CELLS if c.kind == "text"]
HINT = r"<details><summary>Hint (\d): [^<]+</summary>\n\n(.+?)\n\n</details>"
# As in the curriculum (F1.1 to F1.10).
POINTS = {
    "pairwise_sq_dists": 8,
    "bilinear": 8,
    "patchify": 10,
    "masked_mean": 10,
    "logsumexp": 10,
    "next_token_logprobs": 12,
    "sliding_windows": 12,
    "scatter_mean": 10,
    "pad_ragged": 8,
    "einsum2": 12,
}
COURSE = """\
title = "One assignment"

[[assignment]]
id = "f1_tensors"
title = "Tensors, einsum, indexing"
track = "foundations"
week = 1
"""


def names_of(cell: LessonCell) -> tuple[str, ...]:
    (imported,) = ast.parse(cell.source).body
    assert isinstance(imported, ast.ImportFrom)
    return tuple(a.name for a in imported.names)


EXERCISES = {names_of(c)[0]: c for c in CELLS if c.kind == "exercise"}


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"f1_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # dataclasses look their module up
    spec.loader.exec_module(found)
    return found


CHECKS = module(FOLDER / "checks.py")


def visible(name: str, **wrong: Any) -> None:
    """Run the exercise's visible check on the reference, with the given definitions in place of its own."""
    run: Callable[..., None] = getattr(CHECKS, f"check_{name}")
    run(*[wrong.get(n, getattr(reference, n)) for n in names_of(EXERCISES[name])])


@cache
def bundle(tmp: Path) -> Bundle:
    """Build the assignment by itself, so that this file holds before and after its entry in course.toml."""
    root = tmp / "course"
    (root / "assignments").mkdir(parents=True)
    (root / "assignments" / "course.toml").write_text(COURSE, "utf-8")
    (root / "assignments" / "f1_tensors").symlink_to(FOLDER)
    (root / "solutions").symlink_to(ROOT / "solutions")
    course = load(root)
    build(course, course.root / "release", ["f1_tensors"])
    return load_bundle(course.assignment("f1_tensors"), variants=True)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundle(tmp_path_factory.getbasetemp() / "f1")


# -- the lesson ------------------------------------------------------------------------------------------------------------


def test_the_whole_lesson_runs_within_a_minute_of_processor_time():
    """An author and a student can run everything, offline, on a modest machine; what the prose says is what it shows."""
    limit = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_CPU, (60, 60))"
    program = f"{limit}; runpy.run_path(sys.argv[1], run_name='__main__')"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(FOLDER / "lesson.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )

    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stderr == ""
    assert "weights with a nan gradient: 8 of 8\n" in run.stdout
    assert "touches 4 of 64 patches, and 16 of 64 rows" in run.stdout
    assert re.search(r'"repeats": perplexity +\d+\.\d+, without the shift +1\.04\n', run.stdout)
    assert "torch.float16   counts to 2048.0\n" in run.stdout
    assert "random order  102,784 entries, 83% of them padding\nsorted        26,720 entries, 34% of them padding\n" in run.stdout
    assert "500 times as many\n" in run.stdout


def test_points_are_the_curriculums():
    """Ten exercises, 100 points, about 4.8 hours."""
    assert {name: cell.options.points for name, cell in EXERCISES.items() if cell.options} == POINTS
    assert sum(POINTS.values()) == 100
    assert sum(cell.options.minutes for cell in EXERCISES.values() if cell.options) == 288


def test_the_prose_has_its_length():
    """3,000 to 5,000 words, the folded hints apart: they are looked up, not read."""
    text = re.sub(HINT, "", "\n\n".join(TEXTS), flags=re.DOTALL)
    for pattern in (r"```.*?```", r"\$\$.*?\$\$", r"\$[^$]*\$", r"!\[[^\]]*\]\([^)]*\)", r"<[^>]+>"):
        text = re.sub(pattern, " ", text, flags=re.DOTALL)
    n_words = len(re.findall(r"\w[\w'’.-]*", text))

    assert 3000 <= n_words <= 5000, n_words


@pytest.mark.parametrize("name", POINTS)
def test_every_exercise_has_its_card_three_hints_and_an_experiment(name):
    """Objective, source with a year, a question for pairs, pseudo-code last; a prediction before the experiment."""
    at = CELLS.index(EXERCISES[name])
    card = CELLS[at - 1].source
    for n in names_of(CELLS[at]):
        assert re.search(rf"### Exercise \d+: .*`{n}`", card)
    assert re.search(r"- \*\*Objective:\*\* \w", card)
    assert re.search(r"- \*\*Source:\*\* .*\b(19|20)\d\d\b", card)
    assert re.search(r"- \*\*Navigator asks:\*\* \w", card)
    assert "**Gotcha.**" in card
    hints = re.findall(HINT, card, flags=re.DOTALL)
    assert [number for number, _ in hints] == ["1", "2", "3"]
    assert ["```" in text for _, text in hints] == [False, False, True]
    assert re.search(r"### Experiment[^\0]+\*\*Predict\s+first:\*\*", CELLS[at + 1].source)
    assert CELLS[at + 2].source.startswith("prediction = ")


def test_no_answer_stands_in_what_students_get():
    """Hints and checks may describe a line of the reference, never contain it."""
    shipped = "\n".join(TEXTS) + (FOLDER / "checks.py").read_text("utf-8")
    tree = ast.parse(Path(reference.__file__).read_text("utf-8"))
    lines = {ast.unparse(n) for n in ast.walk(tree) if isinstance(n, (ast.Assign, ast.AugAssign, ast.Return))}

    assert [line for line in lines if len(line) >= 24 and line in shipped] == []


def test_pictures_are_fresh_described_and_all_used():
    """data/pictures.py makes every picture byte for byte; every one is shown, with words for who cannot see it."""
    drawn = {f"{name}.svg": draw().svg() for name, draw in module(FOLDER / "data" / "pictures.py").PICTURES.items()}
    shown = re.findall(r"!\[([^\]]*)\]\(data/([^)]+)\)", "\n".join(TEXTS))

    assert {p.name: p.read_text("utf-8") for p in (FOLDER / "data").glob("*.svg")} == drawn
    assert {file for _, file in shown} == set(drawn)
    assert all(len(text) > 30 for text, _ in shown)


# -- the visible checks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", POINTS)
def test_the_reference_passes_and_a_stub_fails_every_visible_check(name, capsys):
    """All is well in one short line; and nobody reads "ok" before writing anything."""
    visible(name)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("ok  ")

    def stub(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        visible(name, **dict.fromkeys(names_of(EXERCISES[name]), stub))


def lse(x, dim, keepdim=False, top=None):
    c = x.amax(dim, keepdim=True) if top is None else top
    return ((x - c).exp().sum(dim, keepdim=True).log() + c).squeeze(dim)


def unshifted(logits, tokens):
    return logits.log_softmax(-1).gather(-1, tokens[..., None]).squeeze(-1)[:, :-1]


def copied_windows(x, size, stride):
    return x.unfold(-1, size, stride).clone()


def contiguous_windows(x, size, stride):
    m = (x.shape[-1] - size) // stride + 1
    return x.as_strided((*x.shape[:-1], m, size), (*x.stride()[:-1], stride, 1))


def last_one_wins(values, index, k):
    total = torch.zeros(k, values.shape[1])
    total[index] += values
    return total / torch.bincount(index, minlength=k).clamp(min=1)[:, None]


def mask_by_value(seqs, value, side):
    x, _ = reference.pad_ragged(seqs, value, side)
    return x, x != value


R = reference
# (exercise, what is wrong, what the message must guess)
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("pairwise_sq_dists", {"pairwise_sq_dists": lambda x, y: torch.cdist(x, y)}, "root"),
    ("pairwise_sq_dists", {"pairwise_sq_dists": lambda x, y: (x @ x.T).diag()[:, None] + (y * y).sum(1) - 2 * x @ y.T}, "rounding"),
    ("pairwise_sq_dists", {"pairwise_sq_dists": lambda x, y: R.pairwise_sq_dists(y, x)}, "shape"),
    ("bilinear", {"bilinear": lambda x, w, y, b: R.bilinear(x, w, y, 0 * b)}, "bias"),
    ("bilinear", {"bilinear": lambda x, w, y, b: torch.einsum("bi,oij,cj->bo", x, w, y) + b}, "meet the y of all"),
    ("patchify", {"patchify": lambda x, p: x.reshape(len(x), -1, x.shape[1] * p * p)}, "A reshape alone"),
    ("patchify", {"patchify": lambda x, p: R.patchify(x.mT, p)}, "pixels go down first"),
    ("patchify", {"unpatchify": lambda x, p, h, w: R.unpatchify(x, p, w, h)}, "shape"),
    ("masked_mean", {"masked_mean": lambda x, m: (x * m[..., None]).sum(1) / x.shape[1]}, "divided by t"),
    ("masked_mean", {"masked_mean": lambda x, m: x.masked_fill(~m[..., None], 0).sum(1) / m.sum(1, keepdim=True)}, "0/0"),
    ("masked_mean", {"masked_mean": lambda x, m: (x * m[..., None]).sum(1) / m.sum(1, keepdim=True).clamp(min=1)}, "0 times inf"),
    ("logsumexp", {"logsumexp": lambda x, d, keepdim=False: x.exp().sum(d, keepdim).log()}, "What is subtracted"),
    ("logsumexp", {"logsumexp": lse}, "shape"),
    ("logsumexp", {"logsumexp": lambda x, d, keepdim=False: torch.logsumexp(x, d, keepdim)}, "nan in its gradient"),
    ("logsumexp", {"logsumexp": lambda x, d, keepdim=False: R.logsumexp(x, d, keepdim) - x.amax(d, keepdim)}, "added back"),
    ("next_token_logprobs", {"next_token_logprobs": unshifted}, "speaks of token i"),
    ("next_token_logprobs", {"next_token_logprobs": lambda x, t: -R.next_token_logprobs(x, t)}, "a loss"),
    ("next_token_logprobs", {"next_token_logprobs": lambda x, t: R.next_token_logprobs(x, t).squeeze()}, "shape"),
    ("sliding_windows", {"sliding_windows": copied_windows}, "a copy"),
    ("sliding_windows", {"sliding_windows": contiguous_windows}, "laid out in memory"),
    ("scatter_mean", {"scatter_mean": last_one_wins}, "last of its rows"),
    (
        "scatter_mean",
        {"scatter_mean": lambda v, i, k: R.scatter_mean(v, i, k) * torch.bincount(i, minlength=k)[:, None]},
        "the sum",
    ),
    ("scatter_mean", {"scatter_mean": lambda v, i, k: R.scatter_mean(v, i.sort().values, k)}, "."),
    ("pad_ragged", {"pad_ragged": mask_by_value}, "ask the lengths"),
    ("pad_ragged", {"pad_ragged": lambda s, v, side: R.pad_ragged([x.float() for x in s], v, side)}, "dtype"),
    (
        "pad_ragged",
        {"pad_ragged": lambda s, v, side: R.pad_ragged(s, v, "left" if side == "right" else "right")},
        "the side is where",
    ),
    ("einsum2", {"einsum2": lambda eq, a, b: a @ b}, "shape"),
    ("einsum2", {"einsum2": lambda eq, a, b: torch.einsum(eq, a, b)}, "ValueError"),
]


@pytest.mark.parametrize(("name", "wrong", "guess"), WRONG, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(WRONG)])
def test_a_plausible_wrong_answer_is_told_its_slip(name, wrong, guess):
    """The visible check fails with a message that guesses what went wrong."""
    with pytest.raises(AssertionError, match=f"(?i){guess}"):
        visible(name, **wrong)


def test_every_exercise_has_two_wrong_answers_or_more():
    """No visible check goes untested."""
    assert {name for name in EXERCISES if sum(n == name for n, _, _ in WRONG) < 2} == set()


@pytest.mark.parametrize("name", POINTS)
def test_visible_checks_accept_every_right_answer(built, name):
    """What the hidden checks accept must not be told that it is wrong."""
    names = names_of(EXERCISES[name])
    for variant in built.variants:
        if variant.exercise != f"f1_tensors.{name}" or variant.caught_by:
            continue
        given: dict[str, Any] = {"math": math}
        exec("\n\n".join(c.source for c in built.setup) + "\n\n" + built.variant_source(variant), given)
        visible(name, **{n: given[n] for n in names})


# -- the hidden checks -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", POINTS)
def test_the_gate_is_passed(built, name):
    """Reference and alternatives pass, mutants die, the stub and senseless answers earn nothing: on one draw."""
    found = report(built, built.manifest.exercise(f"f1_tensors.{name}"), b"sample", 1)

    assert found.faults == ()
    assert sum(v.is_mutant for v in found.variants) >= 15
    assert sum(not v.is_mutant for v in found.variants) >= 3


@pytest.mark.parametrize("name", POINTS)
def test_hints_speak_to_students_and_never_twice(built, name):
    """A hint is a sentence, and not the same for two slips of one exercise; so is what a check says of itself."""
    variants = [v for v in built.variants if v.exercise == f"f1_tensors.{name}"]
    hints = [v.hint for v in variants if v.caught_by]

    assert len(set(hints)) == len(hints)
    assert len({v.label for v in variants}) == len(variants)
    assert all(h.endswith((".", "?")) for h in hints)
    assert all(c.doc.endswith(".") and "\n" not in c.doc for c in built.checks[f"f1_tensors.{name}"])


def test_einsum_is_put_back_after_it_was_watched(built):
    """The check takes the place of torch's own function in one process with us: nothing of that may stay, whatever happens."""
    (check,) = (c for c in built.checks["f1_tensors.einsum2"] if c.name == "without_einsum")
    (cheat,) = (v for v in built.variants if v.label == "einops.einsum")
    program = built.program({cheat.exercise: built.variant_source(cheat)})
    with open_in_process(program) as box, pytest.raises(AssertionError, match="through einops"):
        check.run(box.student, rng_for(b"sample", "0", check.exercise, check.name))

    x = torch.arange(4.0).reshape(2, 2)
    assert torch.equal(einops.einsum(x, x, "i j, j k -> i k"), x @ x)
