"""Hidden checks of R2, training against attacks: adversarial_step, trades_loss. Student and rng in, silence or a hint out.

The networks of adversarial_step live in the player, the attack is ours: it sees in which mode it finds the model. The
oracle takes the documented step with torch, on a copy. Tolerance 1e-9: nothing but float64 arithmetic. For trades_loss
1e-6, since the start's noise is float32; the models are smooth, so that no sign of a gradient is decided by rounding.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.grading.checks import hidden
from autograder.grading.compare import close, integers, normal, number, same, tensor, unchanged
from autograder.grading.mirror import mirror
from autograder.grading.threat import Threat, images
from autograder.sandbox.student import Student, StudentModule

STEP, TRADES = "r2_defences.adversarial_step", "r2_defences.trades_loss"
F64 = torch.float64


def _randomised(rng: np.random.Generator, net: nn.Module) -> nn.Module:
    """Draw every weight and buffer; variances stay positive."""
    net.double()
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            drawn = normal(rng, *value.shape, scale=0.7)
            value.copy_(drawn.abs() + 0.5 if name.endswith("running_var") else drawn)
    return net


def _normed(rng: np.random.Generator, d: int, k: int) -> nn.Module:
    made = nn.Sequential(nn.Linear(d, 7), nn.BatchNorm1d(7, momentum=0.3), nn.Tanh(), nn.Linear(7, k))
    return _randomised(rng, made)


# -- adversarial_step ------------------------------------------------------------------------------------------------------


class _World:
    """A network in the player and its copy here, an optimiser for each, a batch, and what the attack will answer."""

    def __init__(self, student: Student, rng: np.random.Generator, lr: float = 0.1, momentum: float = 0.0) -> None:
        (self.n, d, self.k) = int(rng.integers(5, 9)), int(rng.integers(3, 6)), int(rng.integers(2, 5))
        self.student = student
        self.here = _normed(rng, d, self.k)
        self.there = mirror(student, self.here)
        self.mine = torch.optim.SGD(self.here.parameters(), lr=lr, momentum=momentum)
        self.theirs = student.make("torch.optim.SGD", self.there.call("parameters"), lr=lr, momentum=momentum)
        self.draw(rng, d)
        self.seen: list[tuple[Any, Any, Any]] = []
        self.modes: list[bool] = []

    def draw(self, rng: np.random.Generator, d: int | None = None) -> None:
        self.x = normal(rng, self.n, d or self.x.shape[1])
        self.y = integers(rng, 0, self.k, self.n)
        self.points = self.x + normal(rng, *self.x.shape, scale=0.5)

    def attack(self, model, x, y):  # type: ignore[no-untyped-def]  # the student chooses the arguments
        self.seen.append((model, x, y))
        self.modes += _modes(self.there)
        return self.points

    def step(self, attack: Callable[..., Any] | None = None) -> dict[str, Any]:
        call = self.student.fn("adversarial_step", return_args=True)
        found, after = call(self.there, self.theirs, self.x, self.y, attack or self.attack)
        unchanged(after[2:4], [self.x, self.y], "x y", "adversarial_step")
        assert type(found) is dict, "adversarial_step must return a dict with the two numbers."
        return found

    def expected(self) -> dict[str, float]:
        """Take the step here; return its numbers."""
        self.here.train()
        self.mine.zero_grad()
        logits = self.here(self.points)
        loss = -(logits.log_softmax(1)[torch.arange(self.n), self.y]).sum() / self.n
        loss.backward()
        self.mine.step()
        return {"loss": loss.item(), "accuracy": float((logits.argmax(1) == self.y).sum()) / self.n}

    def compare(self, what: str, slip: str, names: tuple[str, ...] = ("weight", "bias")) -> None:
        state = self.there.state_dict()
        for name, value in self.here.state_dict().items():
            if name.rsplit(".", 1)[1] not in names:
                continue
            assert name in state, f"{what}: the model has lost its {name}."
            if value.is_floating_point():
                close(state[name], value, f"{what}: {name}", rtol=1e-9, slip=slip)
            else:
                same(state[name], value, f"{what}: {name}", slip)


def _modes(model: StudentModule) -> list[bool]:
    return [model.get(name) for name in ("training", *(f"{i}.training" for i in range(4)))]


@hidden(STEP, weight=3, core=True)
def one_step_on_the_attacked_batch(student: Student, rng: np.random.Generator) -> None:
    """The parameters after the step are those after one optimiser step on the attacked images' mean cross-entropy."""
    for momentum in (0.0, 0.9):
        world = _World(student, rng, momentum=momentum)
        for k in range(3):
            world.draw(rng)
            world.step()
            world.expected()
            slip = "The loss is the mean cross-entropy of the attacked images alone, with the model in train mode."
            world.compare(f"after step {k + 1}, SGD with momentum {momentum}", slip)


@hidden(STEP, weight=2)
def attacks_in_eval_mode(student: Student, rng: np.random.Generator) -> None:
    """The attack is called once, with the model itself, the batch and its labels, and finds every part in eval mode."""
    for train in (True, False):
        world = _World(student, rng)
        world.there.train(train)
        world.step()
        assert len(world.seen) == 1, f"The attack was called {len(world.seen)} times in one step."
        slip = "In train mode the attack would see, and change, the statistics of its own batches."
        assert not any(world.modes), f"During the attack the modes of the model and its parts were {world.modes}. {slip}"
        model, x, y = world.seen[0]
        assert model is world.there, "The attack's first argument is not the model."
        same(tensor(x, "the attack's x").detach(), world.x, "the attack's x")
        same(tensor(y, "the attack's y"), world.y, "the attack's y")


@hidden(STEP, weight=2)
def statistics_move_once(student: Student, rng: np.random.Generator) -> None:
    """Running mean and variance are updated by one batch, the attacked one, even if the model is queried by the attack."""
    for train in (True, False):
        world = _World(student, rng)
        world.there.train(train)

        def attack(model, x, y, world=world):  # type: ignore[no-untyped-def]
            with torch.no_grad():
                world.there(world.x)
                world.there(world.points)
            return world.points

        world.step(attack)
        world.expected()
        slip = "Exactly one run of the model in train mode, on the attacked images, may update them."
        names = ("running_mean", "running_var", "num_batches_tracked")
        world.compare("batch norm's statistics after one step", slip, names)


@hidden(STEP, weight=2)
def old_gradients_do_not_count(student: Student, rng: np.random.Generator) -> None:
    """What stands in .grad before the step, or is put there by the attack, changes nothing."""
    for during in (False, True):
        world = _World(student, rng)

        def litter(world: _World = world) -> None:
            for name, value in world.here.named_parameters():
                world.there.part(name).set("grad", normal(rng, *value.shape))

        def attack(model, x, y, world=world, litter=litter, during=during):  # type: ignore[no-untyped-def]
            if during:
                litter()
            return world.points

        if not during:
            litter()
        world.step(attack)
        world.expected()
        when = "during" if during else "before"
        world.compare(f"gradients were left in .grad {when} the attack; after the step", "Only the step's own loss may count.")


@hidden(STEP, weight=1)
def modes_come_back(student: Student, rng: np.random.Generator) -> None:
    """Every part of the model is afterwards in the mode it was in, also where the parts differed."""
    for before in ([True] * 5, [False] * 5, [True, True, False, True, True], [False, False, True, False, False]):
        world = _World(student, rng)
        for name, mode in zip(("", "0", "1", "2", "3"), before, strict=True):
            (world.there.part(name) if name else world.there).set("training", mode)
        world.step()
        found = _modes(world.there)
        assert found == before, f"The model and its parts were in the modes {before}, afterwards they are in {found}."
        world.expected()
        world.compare(f"modes before the step {before}: after it", "The step itself is in train mode, for every part.")


@hidden(STEP, weight=2)
def numbers_of_the_step(student: Student, rng: np.random.Generator) -> None:
    """Loss and accuracy are plain floats, of the attacked images, from the run before the parameters changed."""
    for _ in range(3):
        world = _World(student, rng, lr=0.5)
        found, expected = world.step(), world.expected()
        assert set(found) == {"loss", "accuracy"}, f'The dict has {len(found)} entries, expected "loss" and "accuracy".'
        for name, right in expected.items():
            assert type(found[name]) is float, f'"{name}" must be a plain float.'
            got = number(found[name], f'"{name}"')
            slip = "It is that of the attacked images in the one run that is trained on."
            assert abs(got - right) <= 1e-9 * max(1, abs(right)), f'"{name}" is {got:.8g}, expected {right:.8g}. {slip}'


# -- trades_loss -----------------------------------------------------------------------------------------------------------


class _Watched(Threat):
    """A threat model that also notes the mode of each query."""

    def __init__(self, model: Callable[[Tensor], Tensor], x: Tensor, eps: float) -> None:
        super().__init__(model, x, eps)
        self.modes: list[bool] = []

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        self.modes.append(self.training)
        return super().forward(*args, **kwargs)


def _smooth(rng: np.random.Generator, d: int, k: int) -> Callable[[Tensor], Tensor]:
    a, b, c = normal(rng, d, 12) * 3 / math.sqrt(d), normal(rng, 12), normal(rng, 12, k) * 1.5
    return lambda x: torch.tanh(x.flatten(1) @ a + b) @ c


def _kl(clean: Tensor, attacked: Tensor) -> Tensor:
    """KL(clean || attacked) of logits, by its definition, averaged over the batch."""
    p, q = clean.softmax(1), attacked.softmax(1)
    return (p * (p.log() - q.log())).sum() / len(clean)


def _attacked(model: Callable[[Tensor], Tensor], x: Tensor, eps: float, steps: int, seed: int) -> Tensor:
    """Replay the documented search."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)).to(x.dtype)
    low, high = (x - eps).clamp(min=0), (x + eps).clamp(max=1)
    point = torch.minimum(torch.maximum(x + 0.001 * noise, low), high)
    clean = model(x).detach()
    for _ in range(steps):
        point = point.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(_kl(clean, model(point)), point)
        point = torch.minimum(torch.maximum(point.detach() + 2 * eps / steps * gradient.sign(), low), high)
    return point


def _trades(student: Student, model: Any, x: Tensor, y: Tensor, eps: float, beta: float, steps: int, seed: int) -> Tensor:
    gen = torch.Generator().manual_seed(seed)
    found, after = student.fn("trades_loss", return_args=True)(model, x, y, eps, beta, steps, gen)
    unchanged(after[1:3], [x, y], "x y", "trades_loss")
    return tensor(found, f"trades_loss, x {tuple(x.shape)}, beta={beta:.3g}", ())


def _case(rng: np.random.Generator, *shape: int) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor, float, int]:
    k = int(rng.integers(3, 6))
    x = images(rng, *shape, rim=0.2)
    return _smooth(rng, math.prod(shape[1:]), k), x, integers(rng, 0, k, shape[0]), float(rng.uniform(0.05, 0.12)), k


@hidden(TRADES, weight=3, core=True)
def clean_loss_plus_divergence(student: Student, rng: np.random.Generator) -> None:
    """The value is the clean cross-entropy plus beta times KL(clean || attacked), at the attacked images as documented."""
    for shape, steps in (((5, 6), 1), ((4, 2, 3, 3), 3), ((7, 8), 6), ((1, 5), 4)):
        model, x, y, eps, _ = _case(rng, *shape)
        beta, seed = float(rng.uniform(0.5, 6)), int(rng.integers(2**31))
        points = _attacked(model, x, eps, steps, seed)
        clean, attacked = model(x), model(points)
        expected = -clean.log_softmax(1)[torch.arange(len(x)), y].mean() + beta * _kl(clean, attacked)
        found = _trades(student, Threat(model, x, eps), x, y, eps, beta, steps, seed)
        slip = "Which term does beta weigh, in which direction is the divergence, and is it a mean over examples?"
        close(found, expected, f"trades_loss, x {shape}, {steps} steps, beta={beta:.3g}", rtol=1e-6, slip=slip)


@hidden(TRADES, weight=2)
def queries_obey_the_threat_model(student: Student, rng: np.random.Generator) -> None:
    """Every query lies in the ball and the box, the first one too; the search is in eval mode, the two runs are not."""
    for train in (True, False):
        model, x, y, eps, _ = _case(rng, 6, 1, 4, 4)
        eps = 0.0015 if train else eps  # so small a ball that the start's noise leaves it
        threat = _Watched(model, x, eps)
        threat.train(train)
        _trades(student, threat, x, y, eps, 1.0, 4, int(rng.integers(2**31)))
        assert len(threat.queries) >= 6, f"{len(threat.queries)} queries of the model for 4 steps and two runs."
        slip = "The search is in eval mode; then the model runs on x and on the attacked images in the mode in which it came."
        told = f"The model came with training={train}; its queries were made with {threat.modes}"
        assert threat.modes == [False] * (len(threat.modes) - 2) + [train] * 2, f"{told}. {slip}"
        same(threat.queries[-2].rows, x, "the last query but one", "After the search the model runs on x first.")


@hidden(TRADES, weight=2)
def labels_do_not_steer_the_search(student: Student, rng: np.random.Generator) -> None:
    """The attacked images raise the divergence from the clean answer, whatever the labels are."""
    model, x, y, eps, k = _case(rng, 6, 7)
    seed, ends = int(rng.integers(2**31)), []
    for labels in (y, (y + 1) % k):
        threat = Threat(model, x, eps)
        _trades(student, threat, x, labels, eps, 2.0, 5, seed)
        ends.append(threat.queries[-1].rows)
    close(ends[1], ends[0], "attacked images under other labels", rtol=1e-9, slip="What does the search climb?")
    clean = model(x)
    reached, chance = (
        float(_kl(clean, model(ends[0]))),
        float(_kl(clean, model((x + eps * normal(rng, *x.shape).sign()).clamp(0, 1)))),
    )
    said = f"The divergence at the attacked images is {reached:.4g}, at random corners of the ball {chance:.4g}"
    assert reached > chance, f"{said}. Does the search climb, and does it begin off the point where the gradient is 0?"


@hidden(TRADES, weight=1)
def beta_weighs_the_divergence(student: Student, rng: np.random.Generator) -> None:
    """With beta = 0 the value is the plain cross-entropy, and it grows in proportion to beta."""
    model, x, y, eps, _ = _case(rng, 5, 2, 3)
    seed = int(rng.integers(2**31))
    values = [_trades(student, Threat(model, x, eps), x, y, eps, beta, 3, seed).detach() for beta in (0.0, 1.0, 4.0)]
    close(values[0], F.cross_entropy(model(x), y), "trades_loss with beta=0", rtol=1e-9, slip="Then it is the clean loss.")
    rise = values[1] - values[0]
    assert float(rise) > 0, f"beta = 1 adds {float(rise):.4g} to the loss; a divergence is positive."
    close(values[2] - values[0], 4 * rise, "what beta=4 adds, against 4 times what beta=1 adds", rtol=1e-6)


@hidden(TRADES, weight=3)
def gradients_through_both_runs(student: Student, rng: np.random.Generator) -> None:
    """The parameters' gradients flow through the clean and through the attacked run; nothing is left in .grad."""
    d, k, eps, steps = 5, 4, 0.1, 3
    here = _randomised(rng, nn.Sequential(nn.Linear(d, 8), nn.Tanh(), nn.Linear(8, k)))
    there = mirror(student, here)
    x, y = images(rng, 6, d), integers(rng, 0, k, 6)
    beta, seed = float(rng.uniform(1, 5)), int(rng.integers(2**31))
    loss = _trades(student, there, x, y, eps, beta, steps, seed)
    assert there.get("0.weight.grad") is None, "trades_loss leaves gradients in the model's parameters."
    assert loss.requires_grad, "trades_loss: its value does not depend on the parameters. Is there a detach() or no_grad()?"
    theirs = dict(there.named_parameters())
    found = torch.autograd.grad(loss, list(theirs.values()), allow_unused=True)
    points = _attacked(here, x, eps, steps, seed).detach()
    clean = here(x)
    (-clean.log_softmax(1)[torch.arange(6), y].mean() + beta * _kl(clean, here(points))).backward()
    for (name, mine), got in zip(here.named_parameters(), found, strict=True):
        assert got is not None, f"no gradient reaches {name}."
        slip = "Is one of the two runs detached, or a detached copy used in the divergence?"
        close(got, mine.grad, f"gradient of trades_loss by {name}", rtol=1e-6, slip=slip)


@hidden(TRADES, weight=2)
def trades_leaves_nothing_behind(student: Student, rng: np.random.Generator) -> None:
    """Batch norm sees the clean and the attacked batch once each; modes, torch's generator as before; randomness from gen."""
    d, k, eps = 4, 3, 0.1
    for train in (True, False):
        here = _normed(rng, d, k)
        here.train(train)
        there = mirror(student, here)
        x, y, seed = images(rng, 6, d), integers(rng, 0, k, 6), int(rng.integers(2**31))
        student.seed(5)
        expected = student.fn("torch.rand")(3)
        student.seed(5)
        with torch.no_grad():
            first = _trades(student, there, x, y, eps, 2.0, 3, seed).detach()
        same(student.fn("torch.rand")(3), expected, "torch.rand(3) after trades_loss", "All randomness must come from gen.")
        points = _attacked(copy.deepcopy(here).eval(), x, eps, 3, seed).detach()
        here(x), here(points)
        state = there.state_dict()
        for name, value in here.state_dict().items():
            if "running" in name or "tracked" in name:
                what = f"the model came with training={train}; {name} after trades_loss"
                close(state[name].double(), value.double(), what, rtol=1e-6, slip="How often does the model run in train mode?")
        modes = [there.get("training"), there.get("1.training")]
        assert modes == [train, train], f"The model and its batch norm were in mode {train}, and are left in {modes}."
        if not train:
            again = _trades(student, there, x, y, eps, 2.0, 3, seed).detach()
            same(again, first, "trades_loss with the same generator again", "All randomness must come from gen.")
