"""Replicates onto a shelf, a folder of them, and back: so that a long simulation goes on where it stopped.

A shelf belongs to the sources and the policy that its replicates come from; those of other sources are not mixed in.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autograder.errors import BootcampError
from autograder.progress.policy import Policy
from autograder.progress.simulator.breakage import WAYS, Breakage
from autograder.progress.simulator.cohort import Truth
from autograder.progress.simulator.replicate import Case, Replicate

_PACKAGE = Path(__file__).parents[1]
# What replicates come from. The door to the ledger, reports and reasons are not in it.
_MAKERS = (
    *("irt/*.py", "estimate.py", "mixed_model.py", "policy.py", "posterior.py", "ranks.py", "scores.py", "transitions.py"),
    *(f"simulator/{name}.py" for name in ("breakage", "cohort", "replicate", "rules")),
)
_STAMP = "made-by.txt"
_Arrays = dict[str, NDArray[Any]]


def made_by(policy: Policy) -> str:
    """Return the hash of all that replicates depend on: the policy, and the sources of the model, the rules and the cohorts."""
    whole = hashlib.sha256(policy.model_dump_json().encode())
    for path in sorted(path for pattern in _MAKERS for path in _PACKAGE.glob(pattern)):
        whole.update(path.relative_to(_PACKAGE).as_posix().encode() + path.read_bytes())
    return whole.hexdigest()[:16]


@dataclass(frozen=True)
class Shelf:
    """A folder with one file per replicate."""

    folder: Path

    @classmethod
    def open(cls, folder: Path, policy: Policy) -> Shelf:
        """Open or make a shelf. Raises: BootcampError when it holds replicates of other sources."""
        folder.mkdir(parents=True, exist_ok=True)
        stamp, mine = folder / _STAMP, made_by(policy)
        theirs = stamp.read_text("ascii").strip() if stamp.is_file() else mine
        if theirs != mine:
            raise BootcampError(
                f"{folder}: its cohorts were made by version {theirs} of the tracker and its policy, this is {mine}. "
                "Give another folder, or delete this one."
            )
        stamp.write_text(mine + "\n", "ascii")
        return cls(folder)

    def get(self, case: Case, number: int) -> Replicate | None:
        """Return a replicate if it is there."""
        path = self._path(case, number)
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as data:
            return _from_arrays(case, {name: data[name] for name in data.files})

    def put(self, number: int, one: Replicate) -> None:
        """Add a replicate; a file is there as a whole or not at all."""
        path = self._path(one.case, number)
        part = path.with_suffix(".part.npz")
        np.savez_compressed(part, allow_pickle=False, **_arrays(one))
        os.replace(part, path)

    def _path(self, case: Case, number: int) -> Path:
        return self.folder / f"{str(case).lower().replace(' ', '-').replace('=', '')}-{number:03d}.npz"


def _arrays(r: Replicate) -> _Arrays:
    out: _Arrays = {"target": r.truth.target, "engaged": r.truth.engaged, "late": r.truth.late, "sd": r.sd, "eligible": r.eligible}
    out |= {f"p/{rule}": p for rule, p in r.p.items()}
    out |= {f"naive/{rule}": order for rule, order in r.naive.items()}
    out |= {f"states/{strict:d}": states.astype(np.int8) for strict, states in r.states.items()}
    if r.broken:
        out |= {f"caught/{way}": r.broken.caught[way] for way in WAYS}
        out |= {f"by all/{way}": r.broken.caught_by_all[way] for way in WAYS}
        out |= {"alarms": r.broken.alarms, "ever alarms": r.broken.ever_alarms}
    return out


def _from_arrays(case: Case, data: Mapping[str, NDArray[Any]]) -> Replicate:
    def under(name: str) -> _Arrays:
        return {key.removeprefix(f"{name}/"): value for key, value in data.items() if key.startswith(f"{name}/")}

    alarms = [data[name] for name in ("alarms", "ever alarms") if name in data]
    broken = Breakage(under("caught"), under("by all"), *alarms) if alarms else None
    truth = Truth(data["target"], data["engaged"], data["late"])
    states = {key == "1": value.astype(np.intp) for key, value in under("states").items()}
    return Replicate(case, truth, under("p"), under("naive"), data["sd"], data["eligible"], states, broken)
