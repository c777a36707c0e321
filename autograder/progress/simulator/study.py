"""A plan of cases and a budget in, replicates out, taken in turns so that whatever was computed when time is up is a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from autograder.progress.policy import Policy
from autograder.progress.simulator.cohort import Setting
from autograder.progress.simulator.replicate import Case, Replicate, replicate
from autograder.progress.simulator.shelf import Shelf

SIZES: Mapping[int, int] = {30: 100, 100: 100, 300: 80, 2000: 40}
_N_OTHER_SETTINGS = 20


@dataclass(frozen=True)
class Plan:
    """How many replicates of every case."""

    n_of: Mapping[Case, int]

    @property
    def n_total(self) -> int:
        return sum(self.n_of.values())


def quick() -> Plan:
    """A look that takes a minute or two."""
    return Plan({Case(Setting.ALL, n, warm): 4 for n in (30, 100) for warm in (False, True)})


def full(scale: float = 1.0) -> Plan:
    """Every setting and size, cold and warm; `scale` 1 takes about an hour of CPU."""
    plan = {Case(Setting.ALL, n, warm): k for n, k in SIZES.items() for warm in (False, True)}
    plan |= {Case(s, 300, warm=False): _N_OTHER_SETTINGS for s in Setting if s is not Setting.ALL}
    return Plan({case: max(1, round(k * scale)) for case, k in plan.items()})


def run(
    plan: Plan, policy: Policy, is_time_up: Callable[[], bool] = lambda: False, shelf: Shelf | None = None
) -> Iterator[Replicate]:
    """Yield replicates, in turns over the cases by what share of each is done, until all are or time is up.

    What is on the shelf is taken from there, and what is computed is put there.
    """
    done = dict.fromkeys(plan.n_of, 0)
    for _ in range(plan.n_total):
        case = min((c for c in done if done[c] < plan.n_of[c]), key=lambda c: (done[c] + 0.5) / plan.n_of[c])
        number = done[case]
        done[case] += 1
        one = shelf.get(case, number) if shelf else None
        if one is None:
            if is_time_up():
                return
            one = replicate(case, number, policy)
            if shelf:
                shelf.put(number, one)
        yield one
