"""I2: its visible checks name the slip, its hidden checks hold on a draw, its planted models are what they say.

The full proof of the hidden checks is `bootcamp check i2_circuits` (20 seeds); here one draw stands for them.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from autograder.grading.gate import report
from autograder.grading.verdict import Status
from autograder.sandbox.inprocess import open_in_process
from solutions import i2_circuits as reference
from tests.lesson_world import lesson, load_module, outcome
from tests.sample import ALL, sampled

I2 = lesson("i2_circuits")
# As in the curriculum (I2.1 to I2.11).
POINTS = {
    "repeated_batch": 6,
    "head_scores": 10,
    "ov_circuit": 10,
    "qk_circuit": 8,
    "composition": 8,
    "ioi_dataset": 8,
    "logit_difference": 4,
    "path_patch": 14,
    "circuit_metrics": 12,
    "prune_edges": 10,
    "find_the_heads": 10,
}
SAMPLE = sampled(list(POINTS), 4)


def test_points_are_the_curriculums() -> None:
    """Eleven exercises, 100 points, about 8.4 hours."""
    assert I2.points == POINTS
    assert sum(cell.options.minutes for cell in I2.exercises.values() if cell.options) == 504


# (exercise, which of its mutants, what the visible check's message must say)
WRONG = [
    ("repeated_batch", "one period for the batch", "Does each row draw its own"),
    ("repeated_batch", "the mask begins at p + 1", "Whose earlier copy"),
    ("head_scores", "the induction stripe at p", "Which key belongs to query i"),
    ("head_scores", "nan without a query", "the mean of nothing"),
    ("ov_circuit", "transposed", "what attending to token 5 adds"),
    ("ov_circuit", "signs are lost", "of minus the identity"),
    ("qk_circuit", "keys are rows", "a query at token 7 and a key at token 2"),
    ("qk_circuit", "any kind is accepted", "must raise ValueError"),
    ("composition", "no transpose for K", "on which side of QK"),
    ("composition", "a sum in place of a mean", "about 0.20 is expected"),
    ("ioi_dataset", "the corrupted prompt keeps the duplicate", "must be five names"),
    ("ioi_dataset", "the end is the last column", "the last word stands at"),
    ("logit_difference", "position -1", "each row at its own end"),
    ("logit_difference", "the mean over rows", "has shape ()"),
    ("path_patch", "receivers are not restricted", "Does another head hear it"),
    ("path_patch", "nothing reaches the logits", "what the sender says differently"),
    ("circuit_metrics", "faithfulness and completeness exchanged", "faithfulness of all heads"),
    ("circuit_metrics", "whole layers are kept", "one of two twins"),
    ("prune_edges", "removes nodes", "Layer 1 is silent"),
    ("prune_edges", "the removed edges", "every edge should go"),
    ("find_the_heads", "the whole layer is ablated", "Which head is ablated"),
    ("find_the_heads", "the mask is not shifted", "where the mask is open"),
]


@pytest.mark.parametrize(("name", "label", "guess"), WRONG, ids=[f"{n}-{w}" for n, w, _ in WRONG])
def test_a_plausible_wrong_answer_is_told_its_slip(name: str, label: str, guess: str) -> None:
    """A visible check that only says "wrong" teaches nothing."""
    with pytest.raises(AssertionError) as caught:
        I2.visible_of(I2.variant(name, label))
    assert guess in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", POINTS)
def test_the_gate_is_passed(name: str) -> None:
    """Reference and alternatives pass, mutants die, the stub and senseless answers earn nothing: on one draw, of a sample."""
    if name not in SAMPLE:
        pytest.skip("not in this commit's sample; BOOTCAMP_TEST_ALL=1 runs every exercise")
    found = report(I2.bundle, I2.bundle.manifest.exercise(f"i2_circuits.{name}"), b"sample", 1)

    assert found.faults == ()
    assert sum(v.is_mutant for v in found.variants) >= 14
    assert sum(not v.is_mutant for v in found.variants) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SAMPLE))
def test_every_named_check_kills_alone_and_says_why(name: str) -> None:
    """Each check that a mutant names rejects it by itself, in words that fit a verdict."""
    for mutant in I2.variants(name, right=False):
        with open_in_process(I2.bundle.program({mutant.exercise: I2.bundle.variant_source(mutant)})) as box:
            for check in I2.hidden(name):
                if check.name in mutant.caught_by:
                    found = outcome(box.student, check, "alone")
                    assert found.status is not Status.PASS, f"{check.name} accepts: {mutant.label}"
                    assert 0 < len(found.hint) <= 600


def test_the_dense_product_is_noted() -> None:
    """Whoever forms the v x v matrix gets a note for a person, and no fewer points."""
    check = next(c for c in I2.hidden("ov_circuit") if c.name == "no_dense_product")
    source = I2.bundle.variant_source(I2.variant("ov_circuit", "eigenvalues of the whole"))
    # Eigenvalues of 3,000 x 3,000 take minutes; forming the product is what is looked for.
    source = source.replace("torch.linalg.eigvals(left @ right)", "torch.diagonal(left @ right).to(torch.complex128)")
    with open_in_process(I2.bundle.program({check.exercise: source})) as box:
        assert outcome(box.student, check, "note").status is Status.FAIL
    assert check.evidence == "observed"


def test_planted_models_repeat_what_they_should() -> None:
    """The wired models continue repeated sequences, their decoys look real, and the disguise changes no logit."""
    heads = load_module(I2.folder / "hidden_heads.py")
    for kinds in (heads.BOTH, heads.BY_TOKEN, heads.BY_PLACE):
        planted, (tokens, periods, mask) = heads._model(np.random.default_rng(5), kinds)
        trace = planted.toy.run(tokens)
        right = trace.logits[:, :-1].argmax(-1) == tokens[:, 1:]
        assert bool(right[mask[:, 1:]].all())
        for layer, row in enumerate(planted.kinds):
            patterns = torch.stack([trace.pattern["head", layer, h] for h in range(len(row))], 1)
            scores = dict(zip(heads.ROLES, reference.head_scores(patterns, periods), strict=True))
            for h, kind in enumerate(row):
                if kind != "noise":
                    assert float(scores[kind.split()[0]][h]) > 0.9, (kind, h)


# -- the shipped models ----------------------------------------------------------------------------------------------------


def shipped() -> tuple[dict[str, Any], dict[str, reference.Transformer]]:
    about = json.loads((I2.folder / "data" / "models.json").read_text("utf-8"))
    models = {}
    with np.load(I2.folder / "data" / "models.npz", allow_pickle=False) as file:
        for name, sizes in about["configs"].items():
            models[name] = reference.Transformer(reference.Config(**sizes))
            state = {k.split("/")[1]: torch.from_numpy(file[k]) for k in file.files if k.startswith(f"{name}/")}
            models[name].load_state_dict(state)
    return about, models


def test_shipped_weights_have_the_recorded_quality() -> None:
    """What the page beside the weights says of them is measured anew."""
    about, models = shipped()
    for what, value in load_module(I2.folder / "train.py").quality(models).items():
        assert value == pytest.approx(about["quality"][what], rel=0.01), what


@pytest.mark.slow
def test_the_script_reproduces_a_shipped_model() -> None:
    """The seed and the steps on the page lead to weights of the recorded quality; the cheapest model stands for all."""
    script = load_module(I2.folder / "train.py")
    about, models = shipped()
    n_threads = torch.get_num_threads()
    try:
        made = {name: script.train(name) for name in (script.CONFIGS if ALL else ("shortcut",))}
    finally:
        torch.set_num_threads(n_threads)
    # Bit for bit on the machine where it was trained; elsewhere rounding differs, and training amplifies it.
    for what, value in script.quality(models | made).items():
        assert value == pytest.approx(about["quality"][what], abs=0.1, rel=0.1), what
