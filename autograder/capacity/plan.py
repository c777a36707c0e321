"""A course's size and measured costs in, the machines that it needs out. Arithmetic on top of `rush`; no clock, no file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autograder.capacity.rush import Waits, arrivals, graders_for, services

# Measured with JupyterLab 4 and torch 2 (docker/README.md, capacity); `bootcamp plan --measure` measures it here.
STUDENT_MIB = 365.0
# For the Hub, the exchange, PostgreSQL, the system and its disk cache, on every host.
RESERVED_MIB = 4096.0
# Proportional memory of `bootcamp work --workers 1` at its highest, grading f1_tensors with full marks; two need 1113 MiB.
GRADER_MIB = 774.0
# Of a grader, per notebook, beside the checks: claim, box, record; in the composed stack a hand-in took 0.8 s more than they.
OVERHEAD_S = 0.8
HUB_ACTIVE = 5000  # beyond this many active users JupyterHub's maintainers advise another Hub
# Of the ledger, per exercise of an attempt: 956 bytes of rows for f1_tensors, half as much again for indexes and pages.
EVENT_BYTES = 1450


@dataclass(frozen=True)
class Size:
    """How large a course is. `active_share`: of the students at work in the busiest hour."""

    n_students: int
    deadline_hours: float
    attempts_each: float = 3.0
    active_share: float = 1.0
    host_mib: float = 24 * 1024.0
    student_mib: float = STUDENT_MIB
    n_exercises: int = 10
    n_assignments: int = 10
    notebook_kib: float = 60.0


@dataclass(frozen=True)
class Plan:
    """What a course of this size needs."""

    size: Size
    waits: Waits
    alone: Waits  # under one grader fewer, to show what that costs
    servers_per_host: int
    n_hosts: int
    n_hubs: int
    grader_mib: float
    ledger_gib: float
    notebooks_gib: float


def make_plan(size: Size, measured_s: Sequence[float], within_s: float, seed: int) -> Plan:
    """Return the plan; `measured_s` are times that notebooks took to grade. Raises: BootcampError when it cannot be met."""
    from autograder.capacity.rush import wait

    rng = np.random.default_rng(seed)
    n = max(1, math.ceil(size.n_students * size.attempts_each))
    come = arrivals(n, size.deadline_hours, rng)
    take = services(np.asarray(measured_s) + OVERHEAD_S, n, rng)
    found = graders_for(come, take, within_s)
    fits = servers_per_host(size.host_mib, size.student_mib)
    active = math.ceil(size.n_students * size.active_share)
    attempts = n * size.n_assignments
    return Plan(
        size,
        found,
        wait(come, take, max(1, found.n_graders - 1)),
        fits,
        math.ceil(active / fits),
        math.ceil(active / HUB_ACTIVE),
        found.n_graders * GRADER_MIB,
        attempts * size.n_exercises * EVENT_BYTES / 2**30,
        attempts * size.notebook_kib / 2**20,
    )


def servers_per_host(host_mib: float, student_mib: float) -> int:
    """Return how many active students' servers a host holds beside what it needs itself; at least one."""
    return max(1, int((host_mib - RESERVED_MIB) // student_mib))
