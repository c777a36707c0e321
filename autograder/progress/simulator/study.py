"""A plan of cases and a budget in, replicates out, taken in turns so that whatever was computed when time is up is a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from autograder.progress.policy import Policy
from autograder.progress.simulator.cohort import Setting
from autograder.progress.simulator.replicate import Case, Replicate, replicate

MAIN = Case(Setting.ALL, 300, warm=False)


@dataclass(frozen=True)
class Plan:
    """How many replicates of every case; the first case is the one that the numbers are about."""

    n_of: Mapping[Case, int]

    @property
    def n_total(self) -> int:
        return sum(self.n_of.values())


def quick() -> Plan:
    """A look that takes a minute or two."""
    return Plan({Case(Setting.ALL, 100, warm=False): 4, Case(Setting.ALL, 100, warm=True): 4})


def full(scale: float = 1.0) -> Plan:
    """Every setting and size, cold and warm; `scale` 1 is twenty of the main case."""
    sizes = {30: 40, 100: 24, 300: 20, 2000: 3}
    plan = {MAIN: sizes[300]} | {Case(Setting.ALL, n, warm): k for n, k in sizes.items() for warm in (False, True)}
    plan |= {Case(s, 300, warm=False): 6 for s in Setting if s is not Setting.ALL}
    return Plan({case: max(1, round(k * scale)) for case, k in plan.items()})


def run(plan: Plan, policy: Policy, is_time_up: Callable[[], bool] = lambda: False) -> Iterator[Replicate]:
    """Yield replicates, in turns over the cases by what share of each is done, until all are or time is up."""
    done = dict.fromkeys(plan.n_of, 0)
    for _ in range(plan.n_total):
        if is_time_up():
            return
        case = min((c for c in done if done[c] < plan.n_of[c]), key=lambda c: (done[c] + 0.5) / plan.n_of[c])
        yield replicate(case, done[case], policy)
        done[case] += 1
