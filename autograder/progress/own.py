"""A finding in, what the student reads of themselves out: evidence, a band once it has settled, what they may ask for."""

from __future__ import annotations

from autograder.progress.policy import State
from autograder.progress.report import Finding

ASK = "You can ask for an exclusion, a regrade or a human review: on your page, or tell an instructor, who records it."


def own_view(found: Finding) -> list[str]:
    """Return it in sentences: never a chance, never a rank, never a word of anybody else."""
    lines = [f"What counts so far: your first tries of {found.n_items} exercises in {found.n_notebooks} notebooks."]
    if found.n_skipped:
        lines.append(f"You handed in {found.n_skipped} exercises as they were; they say nothing about you, for or against.")
    lines += [f"Set aside, and not counted: {a}. You will be heard before anything follows from it." for a in found.set_aside]
    if not is_settled(found):
        lines.append("It is too early to say more. That is no judgement.")
        if found.settle and found.settle.next:
            names = ", ".join(f"{i.title} ({i.exercise})" for i in found.settle.next)
            lines.append(f"What would tell most: a first try of {names}.")
    else:
        low, high = found.interval90
        band = f"{low:+.1f} to {high:+.1f}".replace("-", "−")
        lines.append(f"Your estimate is a band and moves with new work: {band}, where 0 is the cohort's middle.")
        lines.append("Later tries never lower it, and your speed, hours and name never enter it.")
    if found.why:
        lines += [f"Hard, and solved at your first try: {s.title} ({s.exercise})." for s in found.why.hardest]
    lines.append("Nobody is turned down by this number: a person reads your work before anything is decided.")
    return lines


def is_settled(found: Finding) -> bool:
    """Whether the band may be shown: enough is known that it does not jump with every hand-in."""
    return found.state is not State.NEEDS_EVIDENCE
