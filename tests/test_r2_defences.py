"""R2: its checks tell right from wrong, its networks are what they say. What every lesson must fulfil: test_lessons_run.py.

The full proof of the hidden checks is `bootcamp check r2_defences` (20 seeds); here one draw stands for them.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from autograder.grading.admission import admit
from autograder.grading.grade import Grader
from autograder.grading.mirror import mirror
from autograder.sandbox.box import Slot
from autograder.sandbox.inprocess import open_in_process
from autograder.submission.model import Cell
from tests.lesson_checks import refused, rejected
from tests.lesson_world import lesson, load_module
from tests.sample import sampled

ID = "r2_defences"
R2 = lesson(ID)
# Points per exercise as in the curriculum (R2.1 to R2.11), by the main name, in the order of the lesson.
POINTS = {
    "adversarial_step": 10,
    "trades_loss": 10,
    "spectral_norm": 8,
    "ibp": 12,
    "crown": 16,
    "verify_exact": 0,
    "ibp_train": 10,
    "noisy_counts": 6,
    "lower_confidence": 8,
    "certify": 14,
    "certified_curve": 6,
}
TRAINS = "certified_on_hidden_digits"  # seconds per run, which other checks of the exercise spare its mutants

# (exercise, label of a mutant, what the visible check must guess)
TOLD = [
    ("adversarial_step", "attacked in train mode", "train mode"),
    ("adversarial_step", "zero_grad before the attack", "left in .grad"),
    ("adversarial_step", "mixes in the clean loss", "updated 2 times"),
    ("adversarial_step", "restores one mode for all parts", "mode of its own"),
    ("trades_loss", "the divergence turned round", r"KL\(attacked"),
    ("trades_loss", "mean over classes too", "averaged over classes"),
    ("trades_loss", "clean branch detached", "detached"),
    ("trades_loss", "begins at x itself", "almost the clean answer"),
    ("spectral_norm", "the kernel as a matrix", "kernel as a matrix"),
    ("spectral_norm", "begins with ones", "Where does it start"),
    ("spectral_norm", "the sum of the layers", "multiply"),
    ("spectral_norm", "no root of two", "difference of two logits"),
    ("ibp", "w instead of its size", "which corner"),
    ("ibp", "box not clamped", "negative"),
    ("ibp", "lo and hi straight through", "which corner"),
    ("ibp", "unknown layers pass", "TypeError"),
    ("crown", "biases dropped", "bias|by hand"),
    ("crown", "the line below is always 0", "larger than -l"),
    ("crown", "the upper line without its offset", "line above"),
    ("verify_exact", "robust when the budget ends", "budget = 0"),
    ("verify_exact", "x for the counterexample", "the label has the larger logit"),
    ("ibp_train", "no ramp", "while e < warm_up"),
    ("ibp_train", "order from the global generator", "schedule.seed"),
    ("noisy_counts", "last batch dropped", "last batch"),
    ("noisy_counts", "one noise tensor reused", "share their noise"),
    ("noisy_counts", "copies are clipped", "clipped"),
    ("lower_confidence", "half of alpha", "Two-sided"),
    ("lower_confidence", "one-sided p-value", "both sides"),
    ("certify", "point estimate of pA", "share of votes"),
    ("certify", "predict never abstains", "expected -1"),
    ("certified_curve", "ignores correctness", "count as nothing"),
    ("certified_curve", "above instead of at least", "own radius"),
]


@pytest.mark.parametrize(("name", "label", "guess"), TOLD, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(TOLD)])
def test_a_plausible_wrong_answer_is_told_its_slip(name: str, label: str, guess: str) -> None:
    """The visible check fails with a message that guesses what went wrong."""
    with pytest.raises(AssertionError, match=guess):
        R2.visible_of(R2.variant(name, label))


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(list(POINTS), 4))
def test_hidden_checks_tell_right_from_wrong(name: str) -> None:
    """On one draw the reference and the alternatives pass, and each named check rejects its mutant, in words that may be shown."""
    mutants, others = R2.variants(name, right=False), R2.variants(name, right=True)
    assert len(mutants) >= 9
    assert len(others) >= 2
    assert refused(R2, name) == []
    for other in others:
        spared = () if other.label in sampled([o.label for o in others], 1) else (TRAINS,)
        assert refused(R2, name, other, spared) == [], other.label
    for mutant in mutants:
        assert rejected(R2, mutant), f"survives: {mutant.label}"


@pytest.mark.slow
def test_the_real_box_admits_it() -> None:
    """In the jail, over the pipe, the reference earns full marks and the stub none."""
    torch.set_num_threads(1)
    with Slot.start() as slot:
        costs = admit(Grader(R2.bundle, slot.open_box, slot.tier, b"a seed of the tests"))

    assert set(costs) == {f"{ID}.{name}" for name in POINTS}


def test_checks_are_few_and_every_one_can_fail() -> None:
    """Three to seven scored checks per exercise, a core one and others; a mutant names each; no two slips share a hint."""
    for name in POINTS:
        scored = [c for c in R2.hidden(name) if c.evidence == "verified"]
        mutants = R2.variants(name, right=False)
        assert 3 <= len(scored) <= 7
        assert 1 <= sum(c.core for c in scored) < len(scored)
        assert {c.name for c in scored} == {n for m in mutants for n in m.caught_by}
        assert all(c.doc.endswith(".") and "\n" not in c.doc for c in scored)
        assert len({m.hint for m in mutants}) == len({m.label for m in mutants}) == len(mutants)


def test_points_and_hours_are_the_curriculums() -> None:
    """Eleven exercises, one of them a bonus, 100 points, about 9.1 hours."""
    assert R2.points == POINTS
    assert sum(cell.options.minutes for cell in R2.exercises.values() if cell.options) == 546


# -- data ------------------------------------------------------------------------------------------------------------------


def test_the_digits_are_those_of_r1() -> None:
    """The same file, so that what is said of it there holds here."""
    first = R2.folder.parent / "r1_adversarial_attacks" / "data" / "digits.npz"

    assert (R2.folder / "data" / "digits.npz").read_bytes() == first.read_bytes()


def test_the_script_reproduces_the_shipped_networks() -> None:
    """Training from a seed gives the shipped network, up to how a processor adds; models are as good as it is recorded."""
    script = load_module(R2.folder / "train.py")
    recorded = json.loads((R2.folder / "data" / "moons.json").read_text("utf-8"))["accuracy"]
    n_threads = torch.get_num_threads()
    try:
        made = {int(k): script.train(int(k)) for k in sampled([str(k) for k in range(script.N_NETS)], 2)}
    finally:
        torch.set_num_threads(n_threads)
    for k, net in made.items():
        # Bit for bit on the machine where it was trained; elsewhere rounding differs, and training amplifies it.
        assert script.quality(net) == pytest.approx(recorded[k], abs=0.02)
    with np.load(R2.folder / "data" / "moons.npz", allow_pickle=False) as file:
        for k, accuracy in enumerate(recorded):
            assert script.quality(shipped(file, k)) == pytest.approx(accuracy, abs=0.002)


def shipped(file: Any, k: int) -> nn.Sequential:
    net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    net.load_state_dict({name: torch.from_numpy(file[f"{k}/{name}"]) for name in net.state_dict()})
    return net


# -- the mirror ------------------------------------------------------------------------------------------------------------

GIVEN = """
import torch
from torch import nn
class Residual(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.body = nn.Sequential(*layers)
    def forward(self, x):
        return x + self.body(x)
"""


class Residual(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


def test_a_mirrored_network_computes_the_same() -> None:
    """Layers, weights, buffers, dtype and the mode of each part are in the player what they are here."""
    torch.manual_seed(0)
    conv = nn.Conv2d(2, 4, 3, stride=2, padding=1, dilation=1, groups=2, bias=False)
    block = Residual(nn.Linear(16, 5), nn.Tanh(), nn.Linear(5, 16, bias=False))
    net = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), block, nn.BatchNorm1d(16, momentum=0.3), nn.Linear(16, 2)).double()
    net(torch.randn(3, 2, 4, 4, dtype=torch.float64))
    net[4].eval()
    x = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    with open_in_process([Cell("given", GIVEN)]) as box:
        twin = mirror(box.student, net)
        found = twin(x)
        modes = [twin.get("training"), twin.get("4.training"), twin.get("3.body.training")]
        found.sum().backward()
        slope = dict(twin.named_parameters())["0.weight"].grad

    assert torch.equal(found, net(x))
    assert modes == [True, False, True]
    net(x).sum().backward()
    assert torch.allclose(slope, conv.weight.grad)


def test_a_layer_that_cannot_be_mirrored_is_an_error() -> None:
    """It would otherwise be silently another network."""
    with open_in_process([Cell("given", GIVEN)]) as box, pytest.raises(TypeError, match="Softplus"):
        mirror(box.student, nn.Sequential(nn.Softplus()))
