"""Somebody who opens jobs in, a `Slot` out: boxes to ask in milliseconds, and the tier that they hold."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

from autograder.sandbox.engine import JailEngine
from autograder.sandbox.job import Job, Limits
from autograder.sandbox.probes import Probe, attempt
from autograder.sandbox.program import Box
from autograder.sandbox.tiers import Tier, tier_of
from autograder.sandbox.warden import Warden
from autograder.submission.model import Cell


class Opener(Protocol):
    """Opens jobs: a Warden in this process, or the line to one elsewhere."""

    weaker_because: str

    @property
    def has_namespaces(self) -> bool: ...
    @property
    def has_cgroup(self) -> bool: ...
    def open(self, limits: Limits) -> Job: ...
    def close(self) -> None: ...


class Slot:
    """One warm zygote. A context manager; one box after the other, or a few at once, from one thread.

    tier, probes: what a throw-away player could and could not do, when it was last tried.
    weaker_because: why it is not the strongest kind of box, for a person; empty if it is.
    """

    tier: Tier
    probes: tuple[Probe, ...]

    def __init__(self, opener: Opener) -> None:
        self.opener = opener
        self._engines: weakref.WeakSet[JailEngine] = weakref.WeakSet()

    @classmethod
    def start(cls, env: Mapping[str, str] | None = None) -> Self:
        """Start a zygote, attack it, and return the slot with the tier that it earned.

        `env` is looked at for PATH only; nothing of it goes into the box.
        Raises: InfraError that says what to install, or what was refused.
        """
        slot = cls(cls.opener_of(env))
        try:
            slot.probe()
        except BaseException:
            slot.close()
            raise
        return slot

    @classmethod
    def opener_of(cls, env: Mapping[str, str] | None) -> Opener:
        return Warden(env)

    def probe(self) -> None:
        """Attack a box from inside, and set the tier by what it refused. Raises: InfraError when none can be opened."""
        self.probes = attempt(self)
        self.tier = tier_of(self.probes)

    def open_box(self, program: Sequence[Cell], limits: Limits = Limits(), *, seed: int = 0) -> Box:  # noqa: B008
        """Execute the cells in a fresh player and return the box. What the cells do wrong is in `Box.failures`.

        Raises: InfraError when the box could not be opened, twice.
        """
        engine = JailEngine(self.opener.open(limits), limits)
        self._engines.add(engine)
        try:
            return Box(engine, program, limits, seed)
        except BaseException:
            engine.close()
            raise

    @property
    def weaker_because(self) -> str:
        return self.opener.weaker_because

    @property
    def has_namespaces(self) -> bool:
        return self.opener.has_namespaces

    @property
    def has_cgroup(self) -> bool:
        return self.opener.has_cgroup

    def close(self) -> None:
        """End the zygote with every box that is still open."""
        for engine in list(self._engines):
            engine.close()
        self.opener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
