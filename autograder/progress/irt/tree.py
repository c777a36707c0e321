"""Exact sums over the tree person -> track -> notebook on a grid: likelihoods of notebooks in, posteriors out.

    ability in notebook b = person + growth * t_b + track_k(b) + notebook_b,     target T = person + growth
    person ~ N(mean, sd), growth | person ~ N(slope * (person - mean), ...), track ~ N(0, .), notebook ~ N(0, .)
For every node of growth the notebook's likelihood is averaged over the notebook's effect (one matrix product), multiplied
with those of its track, averaged over the track's effect, multiplied with the other tracks, and weighted with the prior of
(person, growth). That is the sum-product algorithm on a tree, so nothing is approximated but the integrals by sums. `down`
sends the same messages back and gives the posterior of every notebook's ability, which is what fitting items needs.
    Shapes: n students, b notebooks, g nodes of growth, q nodes of ability (grid); messages (n g q) with q the person.
A notebook without tries has likelihood 1 and costs nothing. Messages are divided by their maximum and kept above e^-60:
denormal numbers would make every product ten times slower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autograder.progress.irt.grid import Grid
from autograder.progress.scores import Floats, Ints

_FLOOR = float(np.exp(-60.0))
# Nodes of growth: nine tenths of an SD apart, to 2.7 SD.
_GROWTH_NODES = np.linspace(-2.7, 2.7, 7)
CHUNK = 256


@dataclass(frozen=True)
class Effects:
    """Spread of the effects as SDs on the bank's scale; `fan` is the correlation of growth with person."""

    mean: float
    person: float
    growth: float
    track: float
    notebook: float
    fan: float

    @property
    def target_sd(self) -> float:
        """Return the SD of T = person + growth."""
        return float(np.sqrt(self.person**2 + 2 * self.fan * self.person * self.growth + self.growth**2))


@dataclass(frozen=True)
class Up:
    """What the way up gives. Shapes: joint (n g q), scaled to sum 1; log_likelihood (n)."""

    joint: Floats
    log_likelihood: Floats


@dataclass(frozen=True)
class Tree:
    """The integrals of one course at given effects. Shapes: time, track_of (b)."""

    grid: Grid
    effects: Effects
    time: Floats
    track_of: Ints

    @cached_property
    def growth(self) -> Floats:
        """The nodes of growth. Shapes: (g)."""
        return np.array([0.0]) if self.effects.growth == 0 else _GROWTH_NODES * self.effects.growth

    @cached_property
    def prior(self) -> Floats:
        """P(growth, person). Shapes: (g q)."""
        e, x = self.effects, self.grid.nodes
        person = self.grid.normal(e.mean, e.person)
        if len(self.growth) == 1:
            return person[None, :]
        expected = e.fan * e.growth * (x - e.mean) / e.person
        away = (self.growth[:, None] - expected[None, :]) / (e.growth * np.sqrt(1 - e.fan**2))
        weight = np.exp(-0.5 * away**2) + 1e-30
        return np.asarray(weight / weight.sum(axis=0) * person)

    @cached_property
    def target(self) -> Floats:
        """T at every (growth, person). Shapes: (g q)."""
        return np.asarray(self.growth[:, None] + self.grid.nodes[None, :])

    @cached_property
    def _notebook_kernels(self) -> tuple[Floats, ...]:
        """Per notebook P(ability | growth, person + track), laid out (q of the ability, g q of the person)."""
        q = self.grid.n_nodes
        shift = self.time[:, None] * self.growth
        kernels = self.grid.kernel(self.effects.notebook, shift.ravel()).reshape(len(self.time), -1, q)
        return tuple(np.ascontiguousarray(one.T) for one in kernels)

    @cached_property
    def _track_kernel(self) -> Floats:
        """P(person + track | person), laid out (q of the person, q of the sum)."""
        return self.grid.kernel(self.effects.track, np.zeros(1))[0]

    @cached_property
    def tracks(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(np.flatnonzero(self.track_of == k).tolist()) for k in np.unique(self.track_of))

    def up(self, likelihood: Sequence[Floats | None], n: int) -> Up:
        """Return the posterior of (growth, person) of n students; `likelihood`: per notebook (n q) with maximum 1, or None."""
        return self._joint([self._track_up(likelihood, track)[0] for track in self.tracks], n)

    def down(self, likelihood: Sequence[Floats | None], n: int) -> tuple[Up, list[Floats | None]]:
        """Return also the posterior of every notebook's ability, (n q) that sum to 1."""
        ups = [self._track_up(likelihood, track, keep=True) for track in self.tracks]
        found = self._joint([message for message, _inside, _parts in ups], n)
        abilities: list[Floats | None] = [None] * len(self.time)
        for track, (message, inside, parts) in zip(self.tracks, ups, strict=True):
            if message is None or inside is None:
                continue
            others = (found.joint / message).reshape(-1, self.grid.n_nodes) @ self._track_kernel
            outside = others.reshape(inside.shape) * inside
            for b in track:
                of = likelihood[b]
                if of is None:
                    continue
                to_b = (outside / parts[b]).reshape(n, -1) @ self._notebook_kernels[b].T
                ability = to_b * of
                abilities[b] = ability / ability.sum(axis=1, keepdims=True)
        return found, abilities

    def _track_up(
        self, likelihood: Sequence[Floats | None], track: Sequence[int], keep: bool = False
    ) -> tuple[Floats | None, Floats | None, dict[int, Floats]]:
        inside: Floats | None = None
        parts: dict[int, Floats] = {}
        shape = (-1, len(self.growth), self.grid.n_nodes)
        for b in track:
            of = likelihood[b]
            if of is None:
                continue
            part = (of @ self._notebook_kernels[b]).reshape(shape)
            np.maximum(part, _FLOOR, out=part)
            if keep:
                parts[b] = part
            inside = (part.copy() if keep else part) if inside is None else np.multiply(inside, part, out=inside)
        if inside is None:
            return None, None, parts
        message = (inside.reshape(-1, self.grid.n_nodes) @ self._track_kernel.T).reshape(shape)
        return message, inside, parts

    def _joint(self, messages: Sequence[Floats | None], n: int) -> Up:
        joint = np.broadcast_to(self.prior, (n, *self.prior.shape)).copy()
        log = np.zeros(n)
        for message in messages:
            if message is None:
                continue
            top = message.max(axis=(1, 2))
            log += np.log(top)
            message /= top[:, None, None]
            np.maximum(message, _FLOOR, out=message)
            joint *= message
        total = joint.sum(axis=(1, 2))
        joint /= total[:, None, None]
        return Up(joint, log + np.log(total))
