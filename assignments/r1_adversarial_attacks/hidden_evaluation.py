"""Hidden checks of R1, honest counting: robust_accuracy, masking_report. Student and rng in, silence or a hint out.

For robust_accuracy model and attacks are ours: each input carries its number, the attacks mark it, and the model reads the
marks, so that the truth is a union of sets. For masking_report the truth is how the six models were made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.grading.checks import hidden
from autograder.grading.compare import integers, number, same, tensor
from autograder.sandbox.student import Student

ACCURACY, MASKING = "r1_adversarial_attacks.robust_accuracy", "r1_adversarial_attacks.masking_report"
K = 5  # classes
Net = Callable[[Tensor], Tensor]


class _Marked(nn.Module):
    """Reads a label, a number and marks from the input: wrong where a mark is set, or from the start where the first one is."""

    def __init__(self) -> None:
        super().__init__()
        self.train()
        self.modes: list[bool] = []
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.modes.append(self.training)
        self.sizes.append(len(x))
        label, is_wrong = x[:, 0, 1].long(), (x[:, 0, 2:] > 0.5).any(1)
        return F.one_hot((label + is_wrong) % K, K).float() * (1 + x[:, 1, :1])


class _World:
    """Inputs with their numbers, what the model gets wrong from the start, and attacks that each break some."""

    def __init__(self, rng: np.random.Generator, n: int, breaks: Sequence[float], wrong: float = 0.2) -> None:
        self.y = integers(rng, 0, K, n)
        self.x = torch.from_numpy(rng.uniform(0, 1, (n, 2, 6))).float()
        self.x[:, 0] = 0
        self.x[:, 0, 0], self.x[:, 0, 1] = torch.arange(n), self.y
        self.wrong = torch.from_numpy(rng.random(n) < wrong)
        self.x[self.wrong, 0, 2] = 1.0
        self.broken = {f"attack {k}": torch.from_numpy(rng.random(n) < share) for k, share in enumerate(breaks)}
        self.asked: dict[str, list[list[int]]] = {name: [] for name in self.broken}
        self.model = _Marked()

    def attacks(self, names: Sequence[str] | None = None) -> dict[str, Callable[[Any, Tensor, Tensor], Tensor]]:
        return {name: self._attack(name) for name in names or list(self.broken)}

    def _attack(self, name: str) -> Callable[[Any, Tensor, Tensor], Tensor]:
        def attack(model: Any, x: Tensor, y: Tensor) -> Tensor:
            # The model came back as our own; an attack that is given something else would not be on the model.
            assert model is self.model, f'"{name}" is called with something else than the model as its first argument.'
            rows = tensor(x, f'"{name}": x').detach().clone()
            numbers = rows[:, 0, 0].long()
            slip = "Examples and labels belong together."
            same(
                tensor(y, f'"{name}": y', (len(rows),)),
                self.y[numbers],
                f'"{name}": labels of the examples {numbers[:5].tolist()}',
                slip,
            )
            self.asked[name].append(numbers.tolist())
            rows[:, 0, 2:] = 0  # what was wrong by itself comes out right, if it is attacked
            rows[:, 0, 3] = self.broken[name][numbers].float()
            return rows

        attack.__name__ = name.replace(" ", "_")
        return attack

    def standing(self, names: Sequence[str]) -> Tensor:
        lost = self.wrong.clone()
        for name in names:
            lost |= self.broken[name]
        return ~lost


def _report(student: Student, world: _World, what: str, names: Sequence[str] | None = None, **kwargs: Any) -> Mapping[str, Any]:
    found = student.fn("robust_accuracy")(world.model, (world.x, world.y), world.attacks(names) if names != () else {}, **kwargs)
    assert type(found) is dict, f'{what} must return a dict with "clean", "left", "robust" and "standing".'
    for key in ("clean", "left", "robust", "standing"):
        assert key in found, f'{what}: the dict has no "{key}".'
    assert type(found["left"]) is dict, f'{what}: "left" must be a dict with a share for each attack.'
    return found


def _share(value: Any, mask: Tensor, what: str, slip: str) -> None:
    found, expected = number(value, what), float(mask.double().mean())
    assert abs(found - expected) < 1e-6, (
        f"{what} is {found:.6g}, expected {expected:.6g} ({int(mask.sum())} of {len(mask)}). {slip}"
    )


@hidden(ACCURACY, weight=3, core=True)
def union_of_what_is_lost(student: Student, rng: np.random.Generator) -> None:
    """An example that any attack breaks is lost; what counts is every example's own worst case."""
    for n, breaks in ((40, (0.4, 0.3, 0.2)), (33, (0.5, 0.5)), (12, (0.3,))):
        world = _World(rng, n, breaks, wrong=0.0)
        names = list(world.broken)
        what = f"robust_accuracy, {n} examples, {len(names)} attacks"
        found = _report(student, world, what)
        slip = "Each example must survive all of the attacks."
        _share(found["robust"], world.standing(names), f'{what}: "robust"', slip)
        for k, name in enumerate(names):
            assert name in found["left"], f'{what}: "left" has no "{name}".'
            slip = "What stands after this attack and all before it, as a share of all examples."
            _share(found["left"][name], world.standing(names[: k + 1]), f'{what}: "left" of "{name}"', slip)


@hidden(ACCURACY, weight=3)
def clean_mistakes_count(student: Student, rng: np.random.Generator) -> None:
    """What the model gets wrong by itself is lost, even if an attack would put it right."""
    for n in (37, 20):
        world = _World(rng, n, (0.2, 0.3), wrong=0.35)
        world.wrong[0], world.x[0, 0, 2] = True, 1.0
        names, what = list(world.broken), f"robust_accuracy, {n} examples, {int(world.wrong.sum())} of them wrong from the start"
        found = _report(student, world, what)
        _share(found["clean"], ~world.wrong, f'{what}: "clean"', "The accuracy without any attack.")
        _share(found["robust"], world.standing(names), f'{what}: "robust"', "A mistake without an attack is a mistake.")
        same(
            tensor(found["standing"], f'{what}: "standing"'),
            world.standing(names),
            f'{what}: "standing"',
            "One bool per example, in order.",
        )
        _share(
            found["left"][names[0]], world.standing(names[:1]), f'{what}: "left" of the first attack', "A share of all examples."
        )


@hidden(ACCURACY, weight=2)
def only_what_stands_is_attacked(student: Student, rng: np.random.Generator) -> None:
    """Each attack gets exactly the examples that still stand, once; an attack for which none is left is not called."""
    world = _World(rng, 41, (0.4, 0.4, 0.4), wrong=0.3)
    names = list(world.broken)
    world.wrong[3], world.x[3, 0, 2] = True, 1.0
    world.broken[names[0]][5] = True
    _report(student, world, "robust_accuracy")
    for k, name in enumerate(names):
        asked = sorted(i for batch in world.asked[name] for i in batch)
        expected = world.standing(names[:k]).nonzero()[:, 0].tolist()
        surplus = [i for i in asked if i not in expected]
        told = f"attack number {k + 1} got {len(asked)} examples, {len(expected)} were standing"
        assert not surplus, f"{told}; example {surplus[0]} had been lost before. Lost is lost."
        assert asked == expected, f"{told}. Each of them once."
    world = _World(rng, 9, (1.0, 0.5), wrong=0.0)
    world.broken["attack 0"][:] = True
    found = _report(student, world, "robust_accuracy, nothing left after the first attack")
    assert not world.asked["attack 1"], "An attack was called although no example was left to attack."
    slip = "Nothing was left before this attack either."
    _share(found["left"].get("attack 1"), world.standing(list(world.broken)), '"left" of an attack that was not needed', slip)


@hidden(ACCURACY, weight=2)
def batches_with_a_remainder(student: Student, rng: np.random.Generator) -> None:
    """No batch is larger than batch_size, and the last, shorter one counts like the others."""
    for n, size in ((23, 5), (8, 1), (7, 7), (130, None), (5, 64)):
        world = _World(rng, n, (0.3, 0.3))
        names, what = list(world.broken), f"robust_accuracy, {n} examples, batch_size={size or 'default'}"
        found = _report(student, world, what, **({"batch_size": size} if size else {}))
        largest = max([*world.model.sizes, *(len(b) for batches in world.asked.values() for b in batches)])
        assert largest <= (size or 128), f"{what}: a batch of {largest} was made."
        assert all(b for batches in world.asked.values() for b in batches), f"{what}: an attack was called with no example."
        slip = "Is the last batch weighed like a full one, or dropped?"
        _share(found["clean"], ~world.wrong, f'{what}: "clean"', slip)
        _share(found["robust"], world.standing(names), f'{what}: "robust"', slip)


@hidden(ACCURACY, weight=1)
def order_is_no_matter(student: Student, rng: np.random.Generator) -> None:
    """The robust accuracy does not depend on the order of the attacks; without an attack it is the clean one."""
    world = _World(rng, 30, (0.2, 0.5, 0.3))
    names = list(world.broken)
    for order in (names, names[::-1], [names[1], names[0], names[2]]):
        found = _report(student, world, f"robust_accuracy, attacks in the order {order}", order)
        _share(found["robust"], world.standing(names), f'attacks in the order {order}: "robust"', "The worst case knows no order.")
        assert list(found["left"]) == list(order), f'"left" has {list(found["left"])}, expected the attacks in their order {order}.'
    found = _report(student, world, "robust_accuracy without attacks", ())
    _share(found["robust"], ~world.wrong, 'without attacks: "robust"', "Then it is the clean accuracy.")
    assert found["left"] == {}, 'Without attacks "left" should be empty.'


@hidden(ACCURACY, weight=1)
def counted_in_eval_mode(student: Student, rng: np.random.Generator) -> None:
    """The model is asked in eval mode and given back as it was; its own answer is asked for at every attacked point."""
    world = _World(rng, 14, (0.3,))
    _report(student, world, "robust_accuracy")
    assert world.model.modes, "robust_accuracy never asks the model."
    assert not any(world.model.modes), "The model was asked in training mode. Dropout and batch norm then answer another question."
    n_asked = sum(world.model.sizes)
    assert n_asked >= 14 + int((~world.wrong).sum()), "The model must be asked about the examples, and about each attacked point."
    net = student.module("DigitsNet", 4)
    net.part("conv2").call("eval")
    images = torch.from_numpy(rng.random((3, 1, 8, 8))).float()
    student.fn("robust_accuracy")(net, (images, integers(rng, 0, 10, 3)), {"none": lambda model, x, y: x})
    modes = [net.get("training"), net.get("conv1.training"), net.get("conv2.training")]
    assert modes == [True, True, False], f"The model and its parts are left in the modes {modes}, they were [True, True, False]."


# -- masking_report --------------------------------------------------------------------------------------------------------

QUESTIONS = ("more_steps", "unbounded_eps", "random_search", "transfer", "flat_loss")
N = 50  # images per report: every answer that is checked is off its threshold by 0.1 or more, over 60 draws


class _Defended(nn.Module):
    """A network behind something. In training mode it says nothing, so it must be asked in eval mode."""

    def __init__(self, forward: Net) -> None:
        super().__init__()
        self._forward = [forward]
        self.train()

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros(len(x), 10) + 0 * x.sum() if self.training else self._forward[0](x)


def _nets() -> dict[str, Net]:
    """Return the shipped networks as functions."""
    with np.load(Path(__file__).parent / "data" / "models.npz", allow_pickle=False) as file:
        weights = {key: torch.from_numpy(file[key]) for key in file.files}

    def net(name: str) -> Net:
        w = {key.removeprefix(f"{name}/"): p for key, p in weights.items() if key.startswith(f"{name}/")}

        def run(x: Tensor) -> Tensor:
            x = F.relu(F.conv2d(x, w["conv1.weight"], w["conv1.bias"], padding=1))
            x = F.relu(F.conv2d(x, w["conv2.weight"], w["conv2.bias"], padding=1, stride=2))
            x = F.relu(F.linear(x.flatten(1), w["hidden.weight"], w["hidden.bias"]))
            return F.linear(x, w["out.weight"], w["out.bias"])

        return run

    return {name: net(name) for name in ("natural", "robust", "surrogate")}


def _images(rng: np.random.Generator, n: int) -> tuple[Tensor, Tensor]:
    with np.load(Path(__file__).parent / "data" / "digits.npz", allow_pickle=False) as file:
        images, labels = torch.from_numpy(file["images"][1200:]), torch.from_numpy(file["labels"][1200:])
    chosen = torch.from_numpy(rng.choice(len(images), n, replace=False))
    return images[chosen].float()[:, None] / 16, labels[chosen].long()


def _generator(rng: np.random.Generator) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.integers(2**31)))


def _answers(student: Student, rng: np.random.Generator, forward: Net, eps: float, what: str, n: int = N) -> dict[str, bool]:
    model, surrogate = _Defended(forward), _Defended(_nets()["surrogate"])
    found = student.fn("masking_report")(model, surrogate, _images(rng, n), eps, _generator(rng))
    assert type(found) is dict, f"{what} must be a dict of the five names."
    assert set(found) == set(QUESTIONS), f"{what} has {len(found)} entries, expected {', '.join(QUESTIONS)}."
    for name in QUESTIONS:
        assert type(found[name]) is bool, f'{what}: "{name}" must be a plain bool.'
    return found


def _verdicts(student: Student, rng: np.random.Generator, forward: Net, eps: float, case: str, **expected: bool) -> None:
    what = f"masking_report of {case}, eps={eps}"
    found = _answers(student, rng, forward, eps, what)
    for name, right in expected.items():
        slip = "Compare with the docstring: which accuracies, which attack, which threshold?"
        assert found[name] is right, f'{what}: "{name}" is {found[name]}, expected {right}. {slip}'


HONEST = dict.fromkeys(QUESTIONS, False)


@hidden(MASKING, weight=2, core=True)
def tells_masked_from_honest(student: Student, rng: np.random.Generator) -> None:
    """An ordinary network raises no flag; the same one with its logits multiplied by 100 raises four."""
    natural = _nets()["natural"]
    _verdicts(student, rng, natural, 0.15, "an ordinary network", **HONEST)
    saturated = {"unbounded_eps": True, "random_search": True, "transfer": True, "flat_loss": True, "more_steps": False}
    _verdicts(student, rng, lambda x: natural(x) * 100, 0.15, "a network with logits times 100", **saturated)


@hidden(MASKING, weight=2)
def honest_models_raise_no_flag(student: Student, rng: np.random.Generator) -> None:
    """A network that is robust by training, and one whose logits are bounded, are not accused of anything."""
    nets = _nets()
    _verdicts(student, rng, nets["robust"], 0.15, "an adversarially trained network", **HONEST)
    _verdicts(student, rng, lambda x: 5 * torch.tanh(nets["natural"](x) / 20), 0.15, "a network with bounded logits", **HONEST)


@hidden(MASKING, weight=2)
def rounded_and_random_inputs(student: Student, rng: np.random.Generator) -> None:
    """Rounded pixels, and pixels rounded at random, have a gradient of 0: search, transfer and eps = 1 give them away."""
    natural = _nets()["natural"]
    dice = _generator(rng)
    flags = {"unbounded_eps": True, "random_search": True, "transfer": True, "flat_loss": True, "more_steps": False}
    _verdicts(student, rng, lambda x: natural(torch.round(x * 4) / 4), 0.15, "a network behind rounded pixels", **flags)

    def random_rounding(x: Tensor) -> Tensor:
        return natural(torch.round(x * 4 + torch.rand(x.shape, generator=dice) - 0.5) / 4)

    _verdicts(student, rng, random_rounding, 0.25, "a network behind pixels rounded at random", **flags)


@hidden(MASKING, weight=2)
def one_step_beats_many(student: Student, rng: np.random.Generator) -> None:
    """A ripple on the pixels spoils the gradient everywhere but at the images themselves: one step does more than twenty."""
    natural = _nets()["natural"]
    flags = {"more_steps": True, "unbounded_eps": False, "random_search": True, "transfer": True, "flat_loss": False}
    rippled = lambda x: natural(x + 0.05 * torch.sin(32 * math.pi * x))  # noqa: E731
    _verdicts(student, rng, rippled, 0.15, "a network behind rippled pixels", **flags)


@hidden(MASKING, weight=1)
def report_leaves_nothing_behind(student: Student, rng: np.random.Generator) -> None:
    """Randomness comes from gen alone; the models' modes and gradients are as before."""
    student.seed(3)
    expected = student.fn("torch.rand")(3)
    student.seed(3)
    _answers(student, rng, _nets()["natural"], 0.1, "masking_report of four images", 4)
    same(student.fn("torch.rand")(3), expected, "torch.rand(3) after masking_report", "All randomness must come from gen.")
    net, other = student.module("DigitsNet", 2), student.module("DigitsNet", 2)
    net.part("conv2").call("eval")
    student.fn("masking_report")(net, other, _images(rng, 2), 0.1, _generator(rng))
    modes = [net.get("training"), net.get("conv1.training"), net.get("conv2.training"), other.get("training")]
    assert modes == [True, True, False, True], (
        f"The models' parts are left in the modes {modes}, they were [True, True, False, True]."
    )
    assert net.get("out.bias.grad") is None, "masking_report leaves gradients in the model's parameters."
