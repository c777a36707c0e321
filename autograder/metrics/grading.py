"""Ends of jobs in; a grader's counters, histograms, slots, tier and builds out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

from autograder.metrics.queue import lane_of
from autograder.records.queue import INTERACTIVE
from autograder.records.worker import Done

_GRADING_S = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 180.0, 900.0)
_ENDS: Mapping[str, str] = MappingProxyType({"graded": "graded", "queued": "retried", "dead": "dead"})
_WAIT_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0)


class Working(Protocol):
    """The side of `records.worker.Worker` that is read here, from another thread."""

    n_leases_lost: int

    @property
    def n_held(self) -> int: ...


class GradingMetrics:
    """What one `bootcamp work` tells: call `ended` for every job's end."""

    def __init__(self, registry: CollectorRegistry, n_slots: int, now: Callable[[], datetime]) -> None:
        self.n_slots, self.now = n_slots, now
        self.worker: Working | None = None
        self._tier = ""
        self._builds: dict[str, str] = {}
        self.jobs = Counter(
            "bootcamp_jobs",
            "Ends of tries: graded; superseded by another build; retried or dead by our fault.",
            ["lane", "end"],
            registry=registry,
        )
        self.faults = Counter(
            "bootcamp_faults",
            "Tries that failed by our fault: lost (no answer at all) or unscored (an exercise could not be judged).",
            ["kind"],
            registry=registry,
        )
        self.seconds = Histogram(
            "bootcamp_grading_seconds",
            "A notebook in a slot, from taken to told.",
            ["assignment"],
            buckets=_GRADING_S,
            registry=registry,
        )
        self.waits = Histogram(
            "bootcamp_hand_in_seconds", "From a hand-in to its result in the ledger.", buckets=_WAIT_S, registry=registry
        )
        for lane in ("hand-in", "regrade"):
            for end in (*_ENDS.values(), "superseded"):
                self.jobs.labels(lane, end)
        for kind in ("lost", "unscored"):
            self.faults.labels(kind)
        registry.register(self)

    def ended(self, done: Done) -> None:
        """Count one job's end."""
        is_late = done.settled is not None and done.settled.is_superseded
        end = "superseded" if is_late else _ENDS[done.state]
        self.jobs.labels(lane_of(done.lease.priority), end).inc()
        if end in ("retried", "dead"):
            self.faults.labels("lost" if done.settled is None else "unscored").inc()
        if done.graded is not None:
            self.seconds.labels(done.attempt.assignment).observe(done.wall_s)
            self._tier = done.graded.tier or self._tier
            self._builds |= {done.attempt.assignment: done.graded.grader_build} if done.graded.grader_build else {}
        if end == "graded" and done.lease.priority >= INTERACTIVE:
            self.waits.observe((self.now() - done.attempt.received_at).total_seconds())

    def collect(self) -> Iterator[Metric]:
        """Yield what is read rather than counted."""
        slots = GaugeMetricFamily("bootcamp_slots", "Grading processes.", labels=["state"])
        n_busy = min(self.worker.n_held, self.n_slots) if self.worker else 0
        slots.add_metric(["busy"], n_busy)
        slots.add_metric(["free"], self.n_slots - n_busy)
        yield slots
        lost = self.worker.n_leases_lost if self.worker else 0
        yield CounterMetricFamily("bootcamp_leases_lost", "Leases that ran out while we graded; what was found is dropped.", lost)
        tier = InfoMetricFamily("bootcamp_tier", "The box's tier, as the last grading found it; none before the first.")
        if self._tier:
            tier.add_metric([], {"tier": self._tier})
        builds = InfoMetricFamily("bootcamp_build", "The build that graded an assignment last.")
        for assignment, build in sorted(self._builds.copy().items()):
            builds.add_metric([], {"assignment": assignment, "build": build})
        yield from (tier, builds)
