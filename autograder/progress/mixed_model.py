"""The Gaussian mixed model: working responses and variances in, marginal likelihood with gradient and posteriors out.

Notation (per student i; shapes in einops words, n students, j exercises, b notebooks):
    z_ij = beta_j + f_i,b(j) + noise of variance phi / w_ij          working response with weight w (0: not tried)
    f_i ~ N(0, K)                                                    b x b, the same K for everybody
    beta ~ N(0, prior)                                               exercises, integrated out
All that a notebook says of its student enters through sums over its exercises, so a student costs one b x b system, and
nothing grows with n x n. With D_i = diag(sum of w_i / phi per notebook), S_i its root and A_i = I + S_i K S_i:
    Z' V_i^-1 Z = S_i A_i^-1 S_i,     Cov(f_i | beta, z) = M_i = K - K S_i A_i^-1 S_i K,
which needs no inverse of K and no special case for notebooks without a try. H = X' V^-1 X + prior^-1 is the precision
of beta given everything else; with a vague prior this is restricted maximum likelihood (REML).

Source: Harville 1977 (REML and its gradient); Rasmussen & Williams 2006, section 2.7 (linear effects integrated out).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autograder.progress.scores import Floats, Ints


@dataclass(frozen=True)
class Variances:
    """The spread of each effect, as standard deviations on the logit scale. `noise` is phi, a variance ratio."""

    person: float
    growth: float
    track: float
    notebook: float
    noise: float
    correlation: float  # of person and growth

    @property
    def target_sd(self) -> float:
        """Return the prior standard deviation of the target, ability at the end: person plus growth."""
        return float(np.sqrt(self.person**2 + 2 * self.correlation * self.person * self.growth + self.growth**2))


@dataclass(frozen=True)
class Layout:
    """Where the exercises stand. Shapes: notebook_of (j), starts (b), time (b), same_track (b b)."""

    notebook_of: Ints
    starts: Ints
    time: Floats
    same_track: Floats

    def per_notebook(self, x: Floats) -> Floats:
        """Sum over the exercises of each notebook. Shapes: (n j) -> (n b)."""
        return np.add.reduceat(x, self.starts, axis=1)


@dataclass(frozen=True)
class Solved:
    """The model at given variances. Shapes: k (b b); beta (j); beta_cov (j j)."""

    log_likelihood: float
    k_gradient: Floats  # of the log-likelihood by k, (b b), symmetric
    noise_gradient: float  # of the log-likelihood by log(noise)
    k: Floats
    noise: float
    beta: Floats
    beta_cov: Floats


def layout(notebook_of: Ints, time: Floats, track_of: Ints) -> Layout:
    """Return the layout of exercises that stand notebook by notebook."""
    starts = np.flatnonzero(np.diff(notebook_of, prepend=-1))
    return Layout(notebook_of, starts, time, (track_of[:, None] == track_of[None, :]).astype(float))


def covariance(v: Variances, at: Layout) -> tuple[Floats, Floats]:
    """Return Cov(f) (b b) and Cov(f, T) (b), where T = person + growth is the ability at the end of the course."""
    t, cross = at.time, v.correlation * v.person * v.growth
    k = v.person**2 + cross * (t[:, None] + t[None, :]) + v.growth**2 * np.outer(t, t)
    k = k + v.track**2 * at.same_track + v.notebook**2 * np.eye(len(t))
    return k, v.person**2 + cross * (1 + t) + v.growth**2 * t


def solve(k: Floats, noise: float, w: Floats, z: Floats, at: Layout, prior: Floats) -> Solved:
    """Return the marginal likelihood (up to a constant), its gradient, and beta with its covariance.

    Shapes: k (b b), w and z (n j), prior (j j) the precision of beta. z must be 0 where w is.
    """
    n_observed = int(np.count_nonzero(w))
    q = w / noise
    s = np.sqrt(at.per_notebook(q))
    a = np.eye(len(k)) + s[:, :, None] * k * s[:, None, :]
    a_inverse = np.linalg.inv(a)
    ks = k[None] * s[:, None, :]
    m = k - ks @ a_inverse @ ks.transpose(0, 2, 1)
    fisher = _fisher(q, m, at)
    h = fisher + prior
    beta_cov = np.linalg.inv(h)
    fitted = np.einsum("nbc,nc->nb", m, at.per_notebook(q * z))
    pull = (q * (z - fitted[:, at.notebook_of])).sum(axis=0)
    beta = beta_cov @ pull
    g = at.per_notebook(q * (z - beta))
    log_det = np.linalg.slogdet(a)[1].sum() + n_observed * np.log(noise) + np.linalg.slogdet(h)[1]
    residual = float((q * (z - beta) ** 2).sum() - np.einsum("nb,nbc,nc->", g, m, g))
    value = -0.5 * (log_det + residual + beta @ prior @ beta)
    k_gradient = _k_gradient(k, s, a_inverse, g, q, beta_cov, at)
    by_scale = 0.5 * (residual - n_observed + np.einsum("jk,kj->", beta_cov, fisher))
    return Solved(float(value), k_gradient, float(by_scale - np.sum(k * k_gradient)), k, noise, beta, beta_cov)


def posterior(solved: Solved, c: Floats, variance: float, w: Floats, z: Floats, at: Layout) -> tuple[Floats, Floats]:
    """Return mean and variance of an unknown T with Cov(f, T) = c and Var(T) = variance, for each row of w and z.

    The uncertainty of beta is in the variance. Rows need not be those that beta was estimated from.
    """
    q = w / solved.noise
    s = np.sqrt(at.per_notebook(q))
    a = np.eye(len(c)) + s[:, :, None] * solved.k * s[:, None, :]
    u = np.linalg.solve(a, (s * c)[:, :, None])[:, :, 0]
    # f is seen through S f: dividing by S where it is 0 would be asking a notebook that was not tried.
    gain = np.divide(u, s, out=np.zeros_like(u), where=s > 0)
    mean = (gain * at.per_notebook(q * (z - solved.beta))).sum(axis=1)
    by_beta = gain[:, at.notebook_of] * q
    spread = variance - (s * c * u).sum(axis=1) + np.einsum("nj,jk,nk->n", by_beta, solved.beta_cov, by_beta, optimize=True)
    return mean, np.maximum(spread, 1e-9)


def notebook_posterior(solved: Solved, w: Floats, z: Floats, at: Layout) -> tuple[Floats, Floats]:
    """Return mean (n b) and covariance (n b b) of f given beta, for each row of w and z."""
    q = w / solved.noise
    s = np.sqrt(at.per_notebook(q))
    a = np.eye(len(solved.k)) + s[:, :, None] * solved.k * s[:, None, :]
    ks = solved.k[None] * s[:, None, :]
    m = solved.k - ks @ np.linalg.solve(a, ks.transpose(0, 2, 1))
    return np.einsum("nbc,nc->nb", m, at.per_notebook(q * (z - solved.beta))), m


def _fisher(q: Floats, m: Floats, at: Layout) -> Floats:
    """Return X' V^-1 X, (j j): one product per notebook instead of one per student."""
    total = np.diag(q.sum(axis=0))
    for b, (start, end) in enumerate(_spans(at)):
        total[start:end] -= q[:, start:end].T @ (q * m[:, b, at.notebook_of])
    return (total + total.T) / 2


def _k_gradient(k: Floats, s: Floats, a_inverse: Floats, g: Floats, q: Floats, beta_cov: Floats, at: Layout) -> Floats:
    seen = s[:, :, None] * a_inverse * s[:, None, :]  # Z' V^-1 Z
    e = np.eye(len(k)) - seen @ k  # (I + D K)^-1
    r = np.einsum("nbc,nc->nb", e, g)
    spread = np.stack([at.per_notebook((q[:, i:j] @ beta_cov[i:j]) * q) for i, j in _spans(at)], axis=1)
    by_beta = (e @ spread @ e.transpose(0, 2, 1)).sum(axis=0)
    total = r.T @ r - seen.sum(axis=0) + by_beta
    return (total + total.T) / 4


def _spans(at: Layout) -> list[tuple[int, int]]:
    ends = [*at.starts[1:].tolist(), len(at.notebook_of)]
    return list(zip(at.starts.tolist(), ends, strict=True))
