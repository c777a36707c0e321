"""What an exercise may use, by what its reference used on this kind of machine. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """CPU seconds that one exercise may use. The reference's own cost scales them; the floors forgive slow code."""

    shared_floor_s: float = 2.0
    alone_floor_s: float = 8.0
    notebook_floor_s: float = 20.0  # all exercises of a notebook together, each alone
    shared_factor: float = 4.0
    alone_factor: float = 10.0
    wall_per_cpu: float = 6.0  # the backstop: what is slower than this is idle, or the machine is overloaded

    def shared(self, reference_s: float) -> float:
        """Return what it may use in the box that it shares with the rest of its notebook."""
        return max(self.shared_floor_s, self.shared_factor * reference_s)

    def alone(self, reference_s: float, n_exercises: int) -> float:
        """Return what it may use in a box of its own, in a notebook of so many exercises."""
        return max(self.alone_floor_s, self.notebook_floor_s / n_exercises, self.alone_factor * reference_s)
