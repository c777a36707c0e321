"""Former admissions in, what references cost out: a folder of small files, kept by the controller."""

from __future__ import annotations

import hashlib
import json
import os
from functools import cached_property
from pathlib import Path
from typing import get_args

from autograder.course import Tier
from autograder.grading.exchange import Costs


class Admitted:
    """The CPU seconds of the reference by exercise, for each assignment, build, tier and kind of machine."""

    def __init__(self, folder: Path, cpuinfo: Path = Path("/proc/cpuinfo")) -> None:
        self._folder, self._cpuinfo = folder, cpuinfo

    def costs(self, assignment: str, build: str) -> dict[Tier, Costs]:
        """Return what is known, by the tier of the box."""
        found: dict[Tier, Costs] = {}
        for tier in get_args(Tier):
            try:
                costs = json.loads(self._path(assignment, build, tier).read_text("utf-8"))
                found[tier] = {str(k): float(v) for k, v in costs.items()}
            except (OSError, ValueError, TypeError, AttributeError):
                continue  # not known, or damaged: it is measured again
        return found

    def add(self, assignment: str, build: str, tier: Tier, costs: Costs) -> None:
        """Keep what was measured."""
        path = self._path(assignment, build, tier)
        self._folder.mkdir(parents=True, exist_ok=True)
        # Two controllers may admit at once: each writes a whole file of its own and renames it.
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(costs), "utf-8")
        part.replace(path)

    def _path(self, assignment: str, build: str, tier: str) -> Path:
        return self._folder / f"{assignment}-{build}-{tier}-{self._machine}.json"

    @cached_property
    def _machine(self) -> str:
        """Name this kind of machine: seconds of a faster one must not limit what runs on a slower one."""
        try:
            lines = self._cpuinfo.read_text("utf-8", "replace").splitlines()
        except OSError:
            lines = []
        models = sorted({line.partition(":")[2].strip() for line in lines if line.lower().startswith(("model name", "cpu part"))})
        return hashlib.sha256(f"{models}".encode()).hexdigest()[:8]
