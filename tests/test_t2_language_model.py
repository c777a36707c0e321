"""T2's hidden checks, its visible checks' guesses and its shipped networks; what all lessons share is in test_lessons_run.py.

The full proof is `bootcamp check t2_language_model` (20 seeds); here one draw stands for them, and of the mutants a sample.
"""

from __future__ import annotations

import ast
import json
from functools import cache
from types import ModuleType

import numpy as np
import pytest
import torch

from tests.lesson_checks import refused, rejected
from tests.lesson_world import ROOT, lesson, load_module
from tests.sample import ALL, sampled

ID = "t2_language_model"
T2 = lesson(ID)
# Points as in the curriculum (T2.1 to T2.11), by the exercise's main name.
POINTS = {
    "train_bpe": 12,
    "Tokenizer": 10,
    "get_batch": 6,
    "lm_loss": 8,
    "apply_temperature": 12,
    "sample": 10,
    "penalties": 6,
    "beam_search": 10,
    "KVCache": 16,
    "speculative_sample": 10,
    "train_char_lm": 0,
}
COSTLY = ("train_char_lm",)  # a second per run: of its mutants a few are sampled
ALLOWED_IMPORTS = {
    "__future__",
    "collections",
    "collections.abc",
    "itertools",
    "math",
    "operator",
    "typing",
    "numpy",
    "torch",
    "autograder.grading.checks",
    "autograder.grading.compare",
    "autograder.grading.law",
    "autograder.sandbox.student",
}
# (exercise, label of a mutant, what the visible check must guess)
TOLD = [
    ("train_bpe", "overlapping pairs counted twice", "How many merges are possible in aaa"),
    ("train_bpe", "ties by first seen", "which one is the largest"),
    ("train_bpe", "merges within and across special tokens", "cut out before"),
    ("train_bpe", "specials are removed and the gap is closed", "separate texts"),
    ("Tokenizer", "greedy longest match instead of merge rank", "learned first is merged first"),
    ("Tokenizer", "the shorter special wins", "longest special"),
    ("Tokenizer", "a chunk boundary splits a merge", "next chunk still change"),
    ("Tokenizer", "reads the whole text first", "Only the unfinished end"),
    ("Tokenizer", "a byte's id is the byte", "not the bytes"),
    ("get_batch", "the last window is never used", "How many starts"),
    ("get_batch", "the same start for the whole batch", "a draw per row"),
    ("get_batch", "y equals x", "Is it x itself"),
    ("lm_loss", "no shift", "Are they shifted"),
    ("lm_loss", "sums", "Is it a sum"),
    ("lm_loss", "0 / 0 without targets", "not 0"),
    ("apply_temperature", "the temperature multiplies", "Divide or multiply"),
    ("apply_temperature", "top_p drops the crossing token", "crosses p"),
    ("apply_temperature", "the threshold of top_k is shared by the batch", "threshold of its own"),
    ("apply_temperature", "places in the sorted order, not tokens", "their own order"),
    ("sample", "samples from the first position", "first position"),
    ("sample", "crops from the wrong end", "should see"),
    ("sample", "a stop in the prompt counts", "ends nothing"),
    ("sample", "one random number for all rows", "drawn anew"),
    ("penalties", "divides negative logits, too", "more likely"),
    ("penalties", "presence uses counts", "if it came at all"),
    ("penalties", "penalises padding", "padding was counted"),
    ("beam_search", "finished beams are extended", "kept as it is"),
    ("beam_search", "the same hypothesis in every beam", "With how many"),
    ("beam_search", "the length penalty counts the prompt", "towards the length"),
    ("KVCache", "positions restart at 0", "where do later tokens stand"),
    ("KVCache", "all caches share one dictionary", "shared"),
    ("KVCache", "no mask within a chunk", "Is there a mask"),
    ("speculative_sample", "resamples from the target", "From where is the replacement"),
    ("speculative_sample", "keeps tokens after a rejection", "What follows a rejection"),
    ("speculative_sample", "the additional token is missing", "What comes when all are accepted"),
    ("train_char_lm", "returns the last weights", "By which loss do you choose"),
    ("train_char_lm", "no step is taken", "Does the loss fall"),
]
every_exercise = pytest.mark.parametrize("name", POINTS)


@every_exercise
def test_points_are_the_curriculums(name: str) -> None:
    """Eleven exercises with the points of the list."""
    assert T2.points[name] == POINTS[name]
    assert list(T2.points) == list(POINTS)


@pytest.mark.parametrize(("name", "label", "guess"), TOLD, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(TOLD)])
def test_a_plausible_wrong_answer_is_told_its_slip(name: str, label: str, guess: str) -> None:
    """The visible check fails with a message that guesses what went wrong."""
    with pytest.raises(AssertionError, match=guess):
        T2.visible_of(T2.variant(name, label))


def test_every_exercise_has_two_wrong_answers_or_more() -> None:
    """No visible check goes untested."""
    assert {name: sum(n == name for n, _, _ in TOLD) >= 2 for name in POINTS} == dict.fromkeys(POINTS, True)


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(list(POINTS), 4))
def test_hidden_checks_tell_right_from_wrong(name: str) -> None:
    """On one draw reference and alternatives pass, the stub fails, and each mutant is rejected in words that may be shown."""
    mutants, others = T2.variants(name, right=False), T2.variants(name, right=True)
    assert len(mutants) >= 10
    assert len(others) >= 2
    assert refused(T2, name) == []
    for other in others:
        assert refused(T2, name, other) == [], other.label
    for mutant in mutants[:: 1 if ALL or name not in COSTLY else 4]:
        assert rejected(T2, mutant), f"survives: {mutant.label}"


@every_exercise
def test_checks_are_few_and_every_one_can_fail(name: str) -> None:
    """Three to seven checks, a core one and others; a mutant names each, and each says in a sentence what it holds."""
    found = T2.hidden(name)
    named = {n for v in T2.variants(name, right=False) for n in v.caught_by}
    assert 3 <= len(found) <= 7
    assert 1 <= sum(c.core for c in found) < len(found)
    assert {c.name for c in found} == named
    assert all(c.doc.endswith(".") and "\n" not in c.doc for c in found)


@every_exercise
def test_mutants_have_hints_of_their_own(name: str) -> None:
    """A hint is what a student reads whose outputs match: sentences, and no two mutants share a label."""
    mutants = T2.variants(name, right=False)
    assert all(m.hint.endswith((".", "?")) and 15 < len(m.hint) <= 600 for m in mutants)
    assert len({m.label for m in mutants}) == len(mutants)


@pytest.mark.parametrize("path", sorted(T2.folder.glob("hidden*.py")), ids=lambda p: p.stem)
def test_oracles_stand_alone(path) -> None:
    """Hidden checks import no solution: an oracle that shares the reference's code would share its mistakes."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in getattr(node, "names", [])]
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            assert all(n in ALLOWED_IMPORTS or n.startswith("torch.") for n in names), names


@cache
def training() -> ModuleType:
    return load_module(ROOT / "assignments" / ID / "train.py")


def recorded() -> dict:
    return json.loads((T2.folder / "data" / "lm.json").read_text("utf-8"))


def shipped(name: str) -> torch.nn.Module:
    """Return a network as students get it: without pickle."""
    said = recorded()[name]
    cfg = T2.reference.LMConfig(
        said["d_model"], said["n_heads"], said["n_layers"], len(recorded()["letters"]), 256, said["positions"]
    )
    net = T2.reference.CachedLM(cfg)
    with np.load(T2.folder / "data" / "lm.npz", allow_pickle=False) as file:
        net.load_state_dict({k.split("/")[1]: torch.from_numpy(file[k]).float() for k in file.files if k.startswith(f"{name}/")})
    return net.eval()


@pytest.mark.parametrize("name", ["large", "small"])
def test_shipped_networks_have_the_recorded_loss(name: str) -> None:
    """lm.json tells the truth about lm.npz, and the text that it was measured on is made by the script, from a seed."""
    assert training().quality(shipped(name)) == pytest.approx(recorded()[name]["validation loss"], abs=0.002)


@pytest.mark.parametrize("name", ["large", "small"])
def test_the_script_makes_the_first_steps_again(name: str) -> None:
    """Training from the seed goes through the recorded losses; BOOTCAMP_TEST_ALL=1 trains to the end and compares the quality."""
    n_threads = torch.get_num_threads()
    try:
        model, losses = training().train(training().RECIPES[name], None if ALL else 12)
        first = recorded()[name]["first losses"][:12]
        # Bit for bit on the machine where it was trained; elsewhere rounding differs, and training amplifies it.
        assert losses[:12] == pytest.approx(first, abs=0.02)
        if ALL:
            assert training().quality(model) == pytest.approx(recorded()[name]["validation loss"], abs=0.03)
    finally:
        torch.set_num_threads(n_threads)
