"""Scores in, a fitted model out, whichever engine: one door for the hierarchy and the Gaussian mixed model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from autograder.progress import estimate
from autograder.progress.irt import ability, gpcm, hierarchy
from autograder.progress.irt.bank import Bank, anchor
from autograder.progress.local import Local, local
from autograder.progress.mixed_model import Layout, Variances, layout, notebook_posterior
from autograder.progress.policy import Policy
from autograder.progress.posterior import Posterior, normal
from autograder.progress.report import Spread
from autograder.progress.scores import Bools, Floats, Scores


class Model(Protocol):
    """A cohort's fit. Every number is in prior SDs of the target unless its name says otherwise."""

    @property
    def engine(self) -> str: ...
    @property
    def scores(self) -> Scores: ...
    @property
    def prior_sd(self) -> float:
        """The target's SD before any evidence."""

    @property
    def spread(self) -> Spread: ...
    @property
    def cohort(self) -> Posterior:
        """What is known of everybody, in the order of the scores."""

    def keeping(self, row: int, keep: Bools) -> Posterior:
        """Return what would be known of one student from parts of their first tries. Shapes: keep (m j)."""

    def only(self, keep: Bools) -> Posterior:
        """Return what would be known of everybody from some of the exercises. Shapes: keep (j)."""

    def local(self, row: int) -> Local:
        """Return what is known of one student as a normal, on the logit scale."""


def fit(scores: Scores, policy: Policy, bank: Bank | None) -> tuple[Model | None, Model | None]:
    """Return the model that speaks and its cross-check; None where there is nothing to fit or nothing to check with."""
    simple = estimate.fit(scores)
    if simple is None:
        return None, None
    n_tried = int(scores.seen.any(axis=1).sum())
    use = policy.engine.use
    wanted = use == "hierarchy" or (use == "auto" and (bank is not None or n_tried >= policy.engine.min_students))
    if not wanted:
        return Gaussian(simple), None
    fitted = hierarchy.fit(scores, anchor(bank, scores.exercises) if bank else None)
    return (Hierarchical(fitted), Gaussian(simple)) if fitted else (Gaussian(simple), None)


@dataclass(frozen=True)
class Gaussian:
    """The simple engine behind the door."""

    fitted: estimate.Fit

    engine = estimate.ENGINE
    prior_sd = 1.0

    @property
    def scores(self) -> Scores:
        return self.fitted.scores

    @property
    def spread(self) -> Spread:
        return Spread(**asdict(self.fitted.variances))

    @cached_property
    def cohort(self) -> Posterior:
        return self._posterior(self.fitted.weight, self.fitted.response)

    def keeping(self, row: int, keep: Bools) -> Posterior:
        w, z = self.fitted.weight[row], self.fitted.response[row]
        return self._posterior(np.where(keep, w, 0.0), np.where(keep, z, 0.0))

    def only(self, keep: Bools) -> Posterior:
        return self._posterior(np.where(keep, self.fitted.weight, 0.0), np.where(keep, self.fitted.response, 0.0))

    def local(self, row: int) -> Local:
        model = self.fitted
        w, z = model.weight[[row]], model.response[[row]]
        f, _cov = notebook_posterior(model.solved, w, z, model.layout)
        beta = dict(zip(model.scores.exercises, model.solved.beta.tolist(), strict=True))
        # Nobody tried it yet: taken to be as easy as the others.
        usual = float(np.mean(model.solved.beta))

        def information(exercise: str, b: int) -> float:
            eta = float(np.clip(beta.get(exercise, usual) + f[0, b], -estimate.MAX_LOGIT, estimate.MAX_LOGIT))
            return 1 / (model.variances.noise * (2 + np.exp(eta) + np.exp(-eta)))

        return local(model.variances, model.layout, model.layout.per_notebook(w)[0] / model.variances.noise, f[0], information)

    def _posterior(self, w: Floats, z: Floats) -> Posterior:
        mean, sd = estimate.target(self.fitted, w, z)
        grown, grown_sd = estimate.growth(self.fitted, w, z)
        return normal(mean, sd, np.asarray(normal(grown, grown_sd, grown).chances(0.0)))


@dataclass(frozen=True)
class Hierarchical:
    """The hierarchical partial-credit model behind the door."""

    fitted: hierarchy.Hierarchy

    engine = hierarchy.ENGINE

    @property
    def scores(self) -> Scores:
        return self.fitted.scores

    @property
    def prior_sd(self) -> float:
        return self.fitted.effects.target_sd / self.fitted.unit

    @property
    def spread(self) -> Spread:
        e = self.fitted.effects
        return Spread(e.person, e.growth, e.track, e.notebook, 1.0, e.fan)

    @cached_property
    def cohort(self) -> Posterior:
        return ability.posteriors(self.fitted, self.fitted.level)

    def keeping(self, row: int, keep: Bools) -> Posterior:
        return ability.posteriors(self.fitted, np.where(keep, self.fitted.level[row], -1))

    def only(self, keep: Bools) -> Posterior:
        return ability.posteriors(self.fitted, np.where(keep, self.fitted.level, -1))

    def local(self, row: int) -> Local:
        model = self.fitted
        up = ability.ups(model, model.level[[row]]).joint[0]
        person, growth = float(up.sum(axis=0) @ model.tree.grid.nodes), float(up.sum(axis=1) @ model.tree.growth)
        at = person + growth * model.scores.time
        books = model.scores.notebook_of
        per_item = model.curves.information(at)[np.arange(len(books)), books]
        precision = np.bincount(books, per_item * (model.level[row] >= 0), minlength=len(at)).astype(float)
        return local(self._variances, self._layout, precision, at, self._information(at))

    @property
    def _variances(self) -> Variances:
        e = self.fitted.effects
        return Variances(e.person, e.growth, e.track, e.notebook, 1.0, e.fan)

    @property
    def _layout(self) -> Layout:
        s = self.fitted.scores
        return layout(s.notebook_of, s.time, s.track_of)

    def _information(self, at: Floats) -> Callable[[str, int], float]:
        model = self.fitted
        column = {e: j for j, e in enumerate(model.scores.exercises)}
        family = model.family
        usual = gpcm.Curves(np.array([family.log_slope]), np.array([[family.intercept]]), np.array([2]), np.zeros((1, 2, 2)))

        def information(exercise: str, b: int) -> float:
            j = column.get(exercise)
            curve = usual if j is None else gpcm.select(model.curves, np.array([j]))
            return float(curve.information(at[[b]])[0, 0])

        return information
