"""The lesson of `r1_adversarial_attacks`: prose, given code, exercise slots, experiments. It runs on the reference."""

# %% [markdown]
# # R1. Adversarial attacks and honest evaluation
#
# A classifier reads 95 of 100 digits correctly. Somebody may change every pixel by a little, so little that you would read the
# same digit. How many of the 100 does it still read? In this notebook you write the programs that answer this question, and
# learn how such an answer can be wrong: nearly always in one direction.
#
# ![PGD climbs the loss inside a ball around the image and inside the box of possible pixels, from several random
# starts.](data/walk.svg)
#
# **After this notebook you can**
#
# - implement attacks that provably keep to their threat model, at every query and not only at the end;
# - say of a robustness number whether it is a measurement or only an upper bound;
# - choose a loss and a step size such that the attack does not defeat itself;
# - attack a model that gives you logits and nothing else;
# - recognise masked gradients by experiment, and attack through them.
#
# **Time.** About nine hours in four sittings: exercises 1 to 4 (2.7 hours), 5 and 6 (2 hours), 7 to 9 (2.5 hours), 10 and 11
# (1.9 hours). All experiments together take less than half a minute.
#
# **Before.** You can train a convolutional network in PyTorch, and you know what `torch.autograd.grad` returns. **After.** R2
# meets your upper bounds from the other side, with lower ones.

# %% [markdown]
# ## Why this matters for AI safety
#
# Nobody will attack your digits. What carries over is the logic of the evaluation. "We tried to make the model misbehave
# and could not" is a statement about the search as much as about the model: it bounds how safe the model is from above, never
# from below. A red team that fails, a monitor that no test prompt evaded, a capability that nobody managed to elicit: each is
# an optimisation that did not find a solution. The question is always whether there was none, or the optimiser was weak.
#
# Adversarial examples are the place where this question has been fought out with numbers. Of nine defences published at one
# conference in 2018, seven relied on gradients that misled the attack, and six of these fell completely when the attack was
# repaired (Athalye et al. 2018). Two years later the same happened to thirteen more (Tramèr et al. 2020), although their
# authors had set out to evaluate adaptively. The bugs were mundane: too few steps, a loss that saturates, a projection around
# the wrong point, a model left in training mode. Language models repeat the story: weak attacks on text suggested robustness
# that was not there (Carlini et al. 2023), until a stronger search found suffixes which even transferred (Zou et al. 2023).
#
# So the skill is not breaking things. It is stating what the attacker may do, searching as hard as you can *against your own
# interest*, checking that the search could have succeeded, and reporting what you know: an upper bound, with reasons to
# believe it tight.

# %% [markdown]
# ## How to work
#
# Each exercise has a card; five dots of importance mean that all that follows depends on it. The docstring in the code cell is
# the exact task. Below it stands a quick check of a few cases; those that score are hidden and stricter. In this notebook **the
# model that your attack gets belongs to the grader**. Each query runs on the grader's side, where it is counted and checked: is
# it in the ball, is it in the box, is it within the budget, is the model in eval mode?
#
# Three **hints** per exercise are folded under the card, each more concrete than the one before; opening them costs nothing.
# Cells that begin with `prediction` ask for your guess before an experiment.
#
# **In pairs.** The driver types. The navigator reads the docstring aloud and asks: what if the gradient is 0 here, or the pixel
# at its limit? Each card ends with a question which the navigator asks before the check is run. Change roles after every
# exercise.
#
# **Letters.** `x` clean images `(b c h w)` with pixels in [0, 1], `y` labels `(b)`, `eps` the radius of the ball, `p` its norm,
# `delta` a change, `gen` a `torch.Generator`, from which all randomness comes.
#
# **Given.** `evaluating(model)` puts a model into eval mode for a `with` block and restores every part of it afterwards: use it
# around every query. `cross_entropy` returns one loss per example.

# %% setup
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from solutions.r1_adversarial_attacks import DigitsNet, evaluating, cross_entropy

# %% demo
# The data and three trained networks, for the experiments. The second place is where authors run this notebook from.
from functools import partial
from pathlib import Path

import numpy as np

DATA = next(p for p in (Path("data"), Path("assignments/r1_adversarial_attacks/data")) if (p / "digits.npz").exists())
with np.load(DATA / "digits.npz", allow_pickle=False) as file:
    images, labels = torch.from_numpy(file["images"]).float()[:, None] / 16, torch.from_numpy(file["labels"]).long()
x, y = images[1200:1350], labels[1200:1350]  # 150 images that no network was trained on


def shipped(name: str, width: int) -> DigitsNet:
    net = DigitsNet(width)
    with np.load(DATA / "models.npz", allow_pickle=False) as file:
        net.load_state_dict({key.split("/")[1]: torch.from_numpy(file[key]) for key in file.files if key.startswith(name + "/")})
    return net.requires_grad_(False).eval()


natural, robust, surrogate = shipped("natural", 16), shipped("robust", 16), shipped("surrogate", 12)


def accuracy(model: nn.Module, points: Tensor) -> float:
    with evaluating(model), torch.no_grad():
        return (model(points).argmax(1) == y[: len(points)]).double().mean().item()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(*pictures: Tensor) -> None:
    """Print images side by side, as shades."""
    for rows in zip(*(p.reshape(8, 8).tolist() for p in pictures), strict=True):
        print("   ".join("".join("  ░░▒▒▓▓██"[2 * min(4, int(v * 5)) :][:2] for v in row) for row in rows))


print(f"natural {accuracy(natural, x):.2f}, robust {accuracy(robust, x):.2f} of {len(x)} test images are right")
draw(*x[:5])

# %% [markdown]
# ## 1. Back into the ball
#
# The **threat model** says what the attacker may do. Ours has two parts. The *box*: pixels stay in [0, 1], or the result is no
# image. The *ball*: the change `delta` is small in a norm, $\|\delta\|_p \le \varepsilon$. With $p = \infty$ every pixel may
# change by $\varepsilon$. With $p = 2$ the attacker has a budget of energy, to be spread or concentrated. With $p = 1$ the
# budget is the total change, and the cheapest way to spend it is on few pixels.
#
# Nearly every attack is a step in a good direction, followed by a **projection**: the way back to the nearest allowed point.
#
# ![One point outside a box, a sphere and a diamond. The box cuts each entry, the sphere keeps the direction, the diamond sets
# small entries to 0.](data/balls.svg)
#
#  The diamond is the interesting one. Its nearest point is reached by moving all entries towards 0 *by the same amount*, where
# entries that arrive at 0 stay there. How large must the amount be for the sizes that are left to sum to $\varepsilon$? If you
# knew how many entries survive, it would be one division (Duchi et al. 2008).
#
# > ⚠ **Gotcha.** A projection is per example and leaves alone what is inside. Normalising everything to length $\varepsilon$
# > looks the same on points that are far outside, and silently makes small changes larger.
#
# ### Exercise 1: `project` (10 points)
#
# - Difficulty ●●●●○ · importance ●●●●● · about 42 minutes
# - **Objective:** Euclidean projection on three balls, per example, exact at the rim, at 0 and at ties.
# - **Source:** Duchi et al. 2008, sections 3 and 4, figure 1.
# - **Navigator asks:** how would you test, without knowing the answer, that a point of the ball is the nearest one?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Do the case p = 2 for one vector, then for a batch of vectors `(b d)`, then for any shape: `flatten(1)`, and back at the end.
# Only then p = 1: project (3, 2, 0.5) on the diamond of radius 1 with a pencil.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# For p = 1 work with sizes and put the signs back at the end. `sort`, `cumsum` and a row of ranks 1, 2, ..., d give, for each
# n, the amount that the n largest entries would have to shrink by. `torch.where` keeps what is inside.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# sizes, largest first:  u_1 >= u_2 >= ... >= u_d
# amount_n = (u_1 + ... + u_n - eps) / n          if the n largest shared the excess
# n*       = the largest n with u_n > amount_n    (there is always one: n = 1)
# result   = sign * (size - amount_n*, but not below 0)
# inside the ball: the input itself
# ```
#
# </details>

# %% exercise points=10 minutes=42 difficulty=4 importance=5 title="Back into the ball"
from solutions.r1_adversarial_attacks import project

# %% [markdown]
# ### Experiment: which pixels pay?
#
# A change of 64 random numbers is projected on balls of each norm. **Predict first:** of the 64 entries, how many are still
# different from 0 after the projection on a diamond of radius 1, 5 and 20?

# %% demo
prediction = "Of 64 there are left: ..., ... and ..."

# %% demo
delta = torch.randn(1, 64, generator=seeded())
print(f"before: sum of sizes {delta.abs().sum():.1f}, length {delta.norm():.2f}, largest {delta.abs().max():.2f}")
for p in (1, 2, math.inf):
    for eps in (1.0, 5.0, 20.0):
        near = project(delta, eps, p)
        moved = (delta - near).norm()
        print(f"p = {p:<4} eps = {eps:>4.0f}: {int((near != 0).sum()):>2} not 0, largest {near.abs().max():.2f}, moved {moved:.2f}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The diamond makes changes sparse. An attack under an l1 budget is an attack on a few pixels. Note also that "eps = 5" means
# nothing without its norm: it moved the change by three very different distances.
#
# </details>

# %% [markdown]
# ## 2. A random point of the ball
#
# Attacks by gradient find a local maximum, so they begin at several random places. "Random" should mean uniform by volume. For
# the box this is easy: every pixel on its own. For the sphere it needs two thoughts.
#
# The **direction** must not know about the axes. A vector of independent normal numbers is the classical tool: its density
# depends on its length alone. The **length** is the trap. In $d$ dimensions the share of the volume that lies within radius $r$
# is $(r/\varepsilon)^d$. With 64 pixels, half of the radius encloses a share of $2^{-64}$: practically everything is close to
# the rim.
#
# ![250 points in a disc. With a uniform radius they crowd in the middle, by area they fill the disc evenly.](data/volume.svg)
#
# > ⚠ **Gotcha.** A start must be *used*. It has happened in public code that it was computed and then forgotten. Nothing fails,
# > no number looks odd. Print the first query.
#
# ### Exercise 2: `random_in_ball` (6 points)
#
# - Difficulty ●●●○○ · importance ●●●○○ · about 24 minutes
# - **Objective:** the uniform law in a box and in a ball, per example, from one generator.
# - **Source:** Muller 1959 for directions; the law of the length follows from the volume.
# - **Navigator asks:** which share of the points should lie within half the radius when an example has 2 entries, and when it
#   has 64?
#
# <details><summary>Hint 1: where to begin</summary>
#
# If u is uniform in [0, 1], which function of u has the property that it is below r with probability r^2? With probability r^d?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `torch.randn` and `torch.rand` take `generator=gen`. d is the number of *all* entries of an example: flatten first. One length
# per example, not one per batch.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# p = inf:  uniform in [-1, 1], times eps
# p = 2:    direction = normal numbers, divided by their length     (per example)
#           length    = eps times u to the power 1 / d              (u uniform, per example)
#           direction times length, in the shape asked for
# ```
#
# </details>

# %% exercise points=6 minutes=24 difficulty=3 importance=3 title="A random point of the ball"
from solutions.r1_adversarial_attacks import random_in_ball

# %% [markdown]
# ### Experiment: where is a high-dimensional ball?
#
# **Predict first:** of 2,000 points drawn uniformly from a ball, how many lie in the outer tenth of the radius, in 1, 2, 8 and
# 64 dimensions?

# %% demo
prediction = "In 1, 2, 8 and 64 dimensions: ..."

# %% demo
for d in (1, 2, 8, 64):
    lengths = random_in_ball((2000, d), 1.0, 2, seeded(d)).norm(dim=1)
    counts = torch.histc(lengths, bins=10, min=0, max=1).int().tolist()
    print(
        f"d = {d:<3}", " ".join(f"{n:>5}" for n in counts), f"   outer tenth {counts[-1] / 2000:.0%} {'█' * round(counts[-1] / 50)}"
    )

# %% [markdown]
# <details><summary>What to take away</summary>
#
# In one dimension a tenth, in 64 nearly all: $1 - 0.9^{64}$ is 99.9 %. "Inside the ball" is a figure of speech in high
# dimensions. For intuition it is a warning: random changes of length eps are typical, not extreme, and as you will see next,
# typical changes are harmless.
#
# </details>

# %% [markdown]
# ## 3. One step
#
# Take a linear score $w \cdot x$. If every pixel moves by $\varepsilon$ in the direction of the sign of its weight, the score
# moves by $\varepsilon \sum_i |w_i|$: each pixel contributes a little, and there are many pixels. Random noise of the same size
# gains only about $\varepsilon \|w\|_2$, because its contributions cancel.
#
# A network is not linear, but it is differentiable, so nearby it has a gradient. The fast gradient sign method (Goodfellow et
# al. 2015) takes it at its word:
#
# $$x' = \operatorname{clip}\big(x + \varepsilon \cdot \operatorname{sign} \nabla_x L(x, y)\big)$$
#
# All attacks of this notebook that use gradients ask for them in one place, `loss_gradient`, which you write first. The
# gradient of an example must not depend on its batch: so sum the losses, do not average. The parameters must not collect
# gradients: so ask `torch.autograd.grad` for the one that you want. And the model must be in eval mode, or dropout and batch
# statistics make it another model.
#
# > ⚠ **Gotcha.** `loss.backward()` also fills `.grad` of every *parameter*. If the attack runs inside a training loop, the next
# > optimiser step then trains on the attack's gradients too.
#
# ### Exercise 3: `fgsm`, `loss_gradient` (6 points)
#
# - Difficulty ●●○○○ · importance ●●●●○ · about 24 minutes
# - **Objective:** per-example input gradients without side effects, and the one step that is optimal for a linear model.
# - **Source:** Goodfellow et al. 2015, section 4.
# - **Navigator asks:** with a batch of 100, by which factor do the gradients of a mean loss differ from those of single
#   examples, and would fgsm notice?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write `loss_gradient` for the case that all is well: a copy of x that requires gradients, one call of the model, one gradient.
# Then go through the docstring's list of what must not be left behind.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `x.detach().clone().requires_grad_()` is a leaf of your own. `torch.enable_grad()` works inside somebody's `no_grad()`.
# `torch.autograd.grad(scalar, leaf)` returns a tuple. For fgsm: which two things change when the attack has a target?
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# loss_gradient:
#     leaf = own copy of x
#     with gradients on, model in eval mode:
#         losses   = loss of each example
#         gradient = derivative of their sum by the leaf
#     return both, cut off from the graph
#
# fgsm:
#     towards higher loss of y, or with a target towards lower loss
#     x + eps * that sign, cut to the range of pixels
# ```
#
# </details>

# %% exercise points=6 minutes=24 difficulty=2 importance=4 title="One step"
from solutions.r1_adversarial_attacks import fgsm, loss_gradient

# %% [markdown]
# ### Experiment: noise, one step, and a network that was trained for it
#
# Every pixel moves by eps: once up or down at random, once by the sign of the gradient. **Predict first:** at eps = 0.15, how
# many of the 150 images does the natural network still read after each?

# %% demo
prediction = "After noise ... %, after fgsm ... %"

# %% demo
print(" eps   noise   fgsm   fgsm on the robust network")
for eps in (0.0, 0.05, 0.1, 0.15, 0.2, 0.3):
    coins = 2 * torch.randint(2, x.shape, generator=seeded()) - 1
    shown = [accuracy(natural, (x + eps * coins).clamp(0, 1)), *(accuracy(m, fgsm(m, x, y, eps)) for m in (natural, robust))]
    print(f"{eps:>4.2f}" + "".join(f"{v:>8.2f}" for v in shown))
attacked = fgsm(natural, x, y, 0.15)
fooled = ((natural(x).argmax(1) == y) & (natural(attacked).argmax(1) != y)).nonzero()[:3, 0]
print("\nabove: clean; below: after fgsm, read as", natural(attacked[fooled]).argmax(1).tolist(), "instead of", y[fooled].tolist())
draw(*x[fooled])
print()
draw(*attacked[fooled])

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Noise of 0.15 per pixel costs next to nothing, the same amount with chosen signs most of the accuracy. Accuracy under noise
# says nothing about the worst case. The robust network was trained on attacked images (R2 shows how); it loses much less. But
# *one step* found few errors; whether there are few is another question.
#
# </details>

# %% [markdown]
# ## 4. Many steps
#
# One step trusts the gradient at x for the whole way. **Projected gradient descent** (PGD, Madry et al. 2018) asks again after
# each step: step, project on the ball, clip to the box, repeat. It begins at a random point of the ball, and it is restarted,
# because a hill-climber ends on the hill where it started.
#
# The direction of a step follows the norm. For $p = \infty$ it is the sign, which is the best step of a given largest entry.
# For $p = 2$ it is the gradient divided by its length, which is the best step of a given length. In both cases the size of the
# gradient is thrown away: it differs by orders of magnitude between examples.
#
# Restarts are where evaluations went wrong in public code. Keep, for **each example by itself**, the end point with the highest
# loss. A well known library used to keep the *batch* with the lowest accuracy; with two restarts that break five different
# examples of ten each, it reported 50 % where the truth was 0 %. And the ball is around x, not around the previous point: ten
# small steps, each projected by itself, leave it unnoticed.
#
# > ⚠ **Gotcha.** Order matters. Project on the ball, then clip to the box: clipping can only bring a pixel nearer to x, which
# > is in the box itself, so the point stays in the ball. Clip the random start too: it is a query like any other.
#
# ### Exercise 4: `pgd` (14 points)
#
# - Difficulty ●●●●○ · importance ●●●●● · about 72 minutes
# - **Objective:** projected ascent with random starts in two norms, where every query obeys the threat model and the best
#   restart is kept per example.
# - **Source:** Madry et al. 2018, sections 2.1 and 3.1.
# - **Navigator asks:** after which of your lines could a point be outside the ball or the box, and is the model asked there?
#
# <details><summary>Hint 1: where to begin</summary>
#
# One restart, p = inf, without the choice at the end: start, loop, return. Print the largest change and the smallest pixel
# after each step. Then add the norm, then the restarts.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# You have `random_in_ball`, `loss_gradient` and `project`. `project` takes changes, not images. A length per example needs the
# shape `(b, 1, 1, ...)` to divide. To compare end points you need their losses: one more query per restart.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# best = nothing yet, with loss minus infinity, for each example
# for each restart:
#     point = x + random draw, clipped to the box
#     for each step:
#         direction = sign of gradient, or gradient / its length    (0 stays 0)
#         point = x + project(point + alpha * direction - x), clipped to the box
#     losses at the end points, without gradients
#     where higher than the best of that example: replace
# return best
# ```
#
# </details>

# %% exercise points=14 minutes=72 difficulty=4 importance=5 title="Many steps"
from solutions.r1_adversarial_attacks import pgd

# %% [markdown]
# ### Experiment: how many steps are enough?
#
# The robust network at eps = 0.15, with the step size chosen for the number of steps. **Predict first:** the accuracy under one
# step is about 0.77. What is it under 5, 20 and 50 steps, and what do five restarts add?

# %% demo
prediction = "5 steps ..., 20 steps ..., 50 steps ..., with 5 restarts ..."

# %% demo
for steps, restarts in ((1, 1), (2, 1), (5, 1), (20, 1), (50, 1), (20, 5)):
    step = max(0.15 / 4, 0.3 / steps)
    row = [accuracy(m, pgd(m, x, y, 0.15, step, steps, restarts, math.inf, seeded())) for m in (natural, robust)]
    print(f"{steps:>3} steps, {restarts} restart(s): natural {row[0]:.3f}, robust {row[1]:.3f} {'█' * round(60 * row[1])}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Every line is an upper bound on the same unknown number, and the bounds fall as you spend more. They also flatten: evidence,
# not proof, of being near the truth. Such a curve belongs in every report: while it is still falling, the number is not worth
# quoting.
#
# </details>

# %% [markdown]
# ## 5. What to climb
#
# An attack wants a wrong answer, and cross-entropy is a proxy. It has a weakness that comes from its strength in training: when
# the model is sure, the softmax is 1 to all printed digits and the gradient is 0, exactly 0 in float32. Multiply the logits of
# any network by 100: the answers are the same, the accuracy is the same, and gradient attacks on the cross-entropy stop dead.
# Defensive distillation looked robust for this reason, until Carlini and Wagner (2017) climbed the logits themselves:
#
# $$\text{margin}(z, y) = \max_{j \ne y} z_j - z_y$$
#
# Its gradient stays where the model is sure. Croce and Hein (2020) go one step further and divide by a gap of the logits, the
# **difference of logits ratio**:
#
# $$\text{DLR}(z, y) = \frac{\max_{j \ne y} z_j - z_y}{z_{\pi_1} - z_{\pi_3}}$$
#
# where $\pi$ orders the logits from largest to smallest. Now even the *value* is free of scale. Why the third logit and not the
# second? For a right answer the gap between first and second *is* the numerator: the ratio would be −1 everywhere, and there
# would be nothing to climb.
#
# > ⚠ **Gotcha.** The maximum is over the *other* classes. With y included the margin is flat wherever the model is right, which
# > is where the attack needs a slope.
#
# ### Exercise 5: `margin_loss`, `dlr_loss`, `targeted_dlr` (8 points)
#
# - Difficulty ●●●○○ · importance ●●●●○ · about 30 minutes
# - **Objective:** three losses on logits, with the right invariances and signs, for any number of classes.
# - **Source:** Carlini and Wagner 2017, section V.A; Croce and Hein 2020, section 4.
# - **Navigator asks:** for which logits is the DLR denominator 0, and what are value and gradient there?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Take the logits (5, 3, 1, 0) and y = 0, then y = 2, and compute all three losses on paper. Does π depend on y?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# To take a maximum without y, put minus infinity in the place of y in a copy: `F.one_hot` or `scatter`. `gather` picks one
# logit per row. `sort` or `topk` orders them; both pass gradients.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# margin:        (max of the row with y masked out) - logit of y
# ordered logits of all classes, largest first
# dlr:           margin / (first - third + tiny)
# targeted dlr:  (logit of target - logit of y) / (first - mean of third and fourth + tiny)
# ```
#
# </details>

# %% exercise points=8 minutes=30 difficulty=3 importance=4 title="What to climb"
from solutions.r1_adversarial_attacks import margin_loss, dlr_loss, targeted_dlr

# %% [markdown]
# ### Experiment: the same network, louder
#
# The natural network with logits times 1, 10, 100, and 20 steps at eps = 0.15 by a plain sign ascent from x on each loss. The
# network's answers are the same every time. **Predict first:** which of the three attacks get weaker?

# %% demo
prediction = "Weaker gets/get: ..."


# %% demo
class Scaled(nn.Module):
    def __init__(self, net: nn.Module, factor: float) -> None:
        super().__init__()
        self.net, self.factor = net, factor

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z) * self.factor


def climb(model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], eps: float = 0.15) -> Tensor:
    point = x
    for _ in range(20):
        point = (x + (point + eps / 4 * loss_gradient(model, point, y, loss)[1].sign() - x).clamp(-eps, eps)).clamp(0, 1)
    return point


print("logits x   accuracy under: cross-entropy, margin, dlr    cross-entropy's gradient is 0 at x")
for factor in (1, 10, 100):
    model = Scaled(natural, factor)
    flat = (loss_gradient(model, x, y)[1].flatten(1).abs().amax(1) == 0).double().mean()
    row = [accuracy(model, climb(model, loss)) for loss in (cross_entropy, margin_loss, dlr_loss)]
    print(f"{factor:>8}   " + "".join(f"{v:>12.2f}" for v in row) + f"{float(flat):>26.0%}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Multiplying by 100 is a "defence" that any reader can see through, yet it raises the accuracy under the standard attack from
# 0.16 to 0.96. Networks that are trained for long do it to themselves.
#
# </details>

# %% [markdown]
# ## 6. An attack that sets its own step
#
# PGD has a parameter that decides over success and is set by habit: `alpha`. APGD (Croce and Hein 2020) removes it. It begins
# with the largest step that makes sense, 2ε, which crosses the whole ball, and halves the step when progress stalls, at
# **checkpoints** that come closer together as the budget is used up.
#
# At a checkpoint two questions are asked, for every example by itself. *Did at least three quarters of the steps since the last
# checkpoint raise the loss?* If not, the step is too long: the point swings to and fro. *Has the best loss changed at all?* If
# not, and the step was not halved last time either, the search is stuck in a circle. In either case: halve the step, and go on
# from the **best point so far**. A momentum term carries a quarter of the last move along.
#
# Nothing here is deep, but the parts repair each other's mistakes: a version that never returns to the best point still
# produces plausible numbers. That is why the check replays your whole path.
#
# > ⚠ **Gotcha.** The checkpoints are ceilings of products like 0.7 · 100. In floating point 0.22 + 0.19 + 0.16 + 0.13 is a
# > little more than 0.7, and its ceiling is 71. Count in whole hundredths.
#
# ### Exercise 6: `apgd`, `apgd_checkpoints` (12 points)
#
# - Difficulty ●●●●● · importance ●●●●○ · about 90 minutes
# - **Objective:** a budget-aware ascent with momentum, exact checkpoints, per-example step sizes and returns to the best point.
# - **Source:** Croce and Hein 2020, section 3 and algorithm 1.
# - **Navigator asks:** when the step is halved and the point set back, from which loss does the next step have to be a rise?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write `apgd_checkpoints` first, with whole numbers, and compare with the docstring's list for 100 steps. Then write the loop
# for a single example with plain numbers, print k, loss, best, step size, and only then replace `if` by `torch.where`.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# What changes per example is a tensor: the step size `(b, 1, 1, 1)`, the count of rises, the best loss, the best loss at the
# last checkpoint, whether the step was halved there. Keep the gradient at the best point too: then going back costs no query.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# now = before = x;  loss, gradient there;  best = now;  eta = 2 eps
# for k = 1 ... steps:
#     z     = P(now + eta * sign)
#     after = z in the first step, else P(now + 3/4 of the way to z + 1/4 of the last move)
#     before, now = now, after;  loss, gradient there
#     count a rise where the loss is above that of the point left;  update the best
#     if k is a checkpoint:
#         halve = rises < 3/4 of the steps since the last one
#                 or (not halved there, and best loss as it was there)
#         where halve: eta / 2, now = best (with its loss and gradient)
#         remember: best loss, halve;  rises = 0
# return best
# ```
#
# </details>

# %% exercise points=12 minutes=90 difficulty=5 importance=4 title="An attack that sets its own step"
from solutions.r1_adversarial_attacks import apgd, apgd_checkpoints

# %% [markdown]
# ### Experiment: with and without a step size to choose
#
# The robust network at eps = 0.2. PGD is given 10, then 50 steps, with step sizes from eps to eps / 50. **Predict first:**
# which step size is best for 10 steps, which for 50, and how close does APGD come without being told?

# %% demo
prediction = "Best alpha for 10 steps: eps / ..., for 50: eps / ..."

# %% demo
print("steps   " + "".join(f"alpha = eps/{k:<4}" for k in (1, 2, 4, 10, 50)) + "apgd    apgd on the margin")
for steps in (10, 50):
    row = [accuracy(robust, pgd(robust, x, y, 0.2, 0.2 / k, steps, 1, math.inf, seeded())) for k in (1, 2, 4, 10, 50)]
    own = [accuracy(robust, apgd(robust, x, y, 0.2, steps, loss)) for loss in (cross_entropy, margin_loss)]
    print(f"{steps:>5}   " + "".join(f"{v:<15.3f}" for v in row) + f"{own[0]:.3f}   {own[1]:.3f}")
print("checkpoints of 50 steps:", apgd_checkpoints(50))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# A badly chosen step size is worth tens of points of "robustness" here: ten steps of eps / 50 hardly leave the random start. A
# defender who tunes `alpha` until the number looks good has tuned the attack away. The best loss differs from network to
# network; on this one it is the cross-entropy.
#
# </details>

# %% [markdown]
# ## 7. Without a gradient
#
# What if the model is behind an interface that returns scores, or if its gradient cannot be trusted? Then search. The Square
# attack (Andriushchenko et al. 2020) is random search with one good idea: propose what convolutional networks are sensitive to,
# a **square** patch in one colour per channel, with every pixel of it at the limit, ±ε. If the margin rises, keep it. The
# squares shrink on a schedule, as what is left to find becomes finer. The first query is a pattern of vertical stripes, a
# texture to which convolutional networks are sensitive too.
#
# There is no gradient in it, so there is none to mask. That makes it an **instrument**: when blind search does better than an
# attack which sees everything, then what the attack sees is wrong.
#
# Queries are the currency here, so count honestly. The stripes are query 0, a proposal that was rejected has been paid for, and
# an example that is already fooled needs no more.
#
# > ⚠ **Gotcha.** The new patch is x ± ε, not best ± ε. Adding ε to a point that already carries ε leaves the ball.
#
# ### Exercise 7: `square_attack`, `square_side` (8 points)
#
# - Difficulty ●●●●○ · importance ●●●●○ · about 60 minutes
# - **Objective:** score-based random search with exact counts of queries, in which accepted moves never make things worse.
# - **Source:** Andriushchenko et al. 2020, section 3, algorithms 1 and 2.
# - **Navigator asks:** how many queries has your attack made about an example after `queries` rounds of your loop, exactly?
#
# <details><summary>Hint 1: where to begin</summary>
#
# `square_side` first: for 10,000 queries and a side of 32, what are the sides at i = 10, 11, 51, 9000? Then the stripes: which
# shape of random signs, broadcast over x, gives every channel and column one sign?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `torch.randint(2, shape, generator=gen)` gives coins; `torch.randint(side - size + 1, ...)` gives places, up to the last row.
# Squares at different places in one batch: compare `arange(side)` with the corner to get a mask of rows and one of columns.
# Work on the examples that still stand, by index.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# best = x + eps * a sign per example, channel, column; clipped.   margin there     (query 0)
# for i = 1 ... queries - 1:
#     stand = examples whose margin is not positive;  none: stop
#     size = scheduled side;  a corner and a sign per channel, per example
#     proposal = best, but inside the square: x + eps * sign, clipped
#     margin of the proposals                                                       (one query)
#     where higher: best and margin are replaced
# ```
#
# </details>

# %% exercise points=8 minutes=60 difficulty=4 importance=4 title="Without a gradient"
from solutions.r1_adversarial_attacks import square_attack, square_side

# %% [markdown]
# ### Experiment: search where there is nothing to see
#
# `Rounded` puts a network behind pixels rounded to quarters: its gradient is 0 everywhere. **Predict first:** what is its
# accuracy at eps = 0.15 under 20 steps of PGD, and under 30, 100 and 300 queries of your search?

# %% demo
prediction = "PGD: ..., search: ..., ..., ..."


# %% demo
class Rounded(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: Tensor) -> Tensor:
        return self.net(torch.round(z * 4) / 4)


rounded = Rounded(natural)
climbed = pgd(rounded, x, y, 0.15, 0.04, 20, 1, math.inf, seeded())
print(f"rounded: clean {accuracy(rounded, x):.2f}, 20 steps of PGD {accuracy(rounded, climbed):.2f}")
print("queries   natural   robust   rounded")
for queries in (1, 30, 100, 300):
    row = [accuracy(m, square_attack(m, x, y, 0.15, queries, seeded())) for m in (natural, robust, rounded)]
    print(f"{queries:>7}" + "".join(f"{v:>10.2f}" for v in row))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# To the attack that sees everything the rounded network looks untouchable; to one that sees only scores it is the *easiest* of
# the three. The defence made the model worse and the measurement nicer. Note also that the robust network resists the search
# (0.74) about as well as the gradient (0.68): there the two agree, and agreement of attacks that share no assumption is what
# evidence looks like.
#
# </details>

# %% [markdown]
# ## 8. The nearest mistake
#
# So far the radius was given and we asked whether there is a mistake inside. The opposite question needs no radius: how far
# away is the *nearest* mistake?
#
# Carlini and Wagner (2017) turn it into an ordinary minimisation by three devices. **The box disappears** by a change of
# variable: $x' = (\tanh w + 1)/2$ lies in [0, 1] for every real $w$, so Adam may do as it likes. **The condition becomes a
# penalty** with weight $c$:
#
# $$\min_w \; \|x' - x\|_2^2 + c \cdot \max(-\text{margin}(x', y),\, 0)$$
#
# Where the model is wrong only the distance counts, so the point is drawn back to the boundary. **The weight is searched**: too
# small, and staying at x is cheaper than crossing the boundary; too large, and the path to it is careless. So $c$ grows tenfold
# until the attack succeeds, and is then bisected, for each example by itself. The result is the nearest of *all* mistakes that
# were met on the way.
#
# > ⚠ **Gotcha.** A pixel of exactly 0 or 1 corresponds to w = ∓∞, where tanh has slope 0: the pixel could never move again.
# > Bring x a little inside before you invert the tanh.
#
# ### Exercise 8: `cw_l2` (8 points)
#
# - Difficulty ●●●●○ · importance ●●●○○ · about 60 minutes
# - **Objective:** an unconstrained minimisation with a box by construction, and a per-example search for its one parameter.
# - **Source:** Carlini and Wagner 2017, sections V.A, V.B and VI.A.
# - **Navigator asks:** for a linear model, at which distance does the objective for a given c come to rest?
#
# <details><summary>Hint 1: where to begin</summary>
#
# One value of c, one example, no search: minimise with Adam and print distance and margin at each step. Watch the point cross
# the boundary and come back. Where in this loop do you have to remember it?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `torch.atanh` inverts tanh; shrink 2x − 1 by a factor just below 1 first. Put the gradient where Adam expects it: `w.grad =
# torch.autograd.grad(objective, w)[0]`. The objective is a sum over examples, so each has its own path. `torch.where` keeps the
# search per example.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# start = w of x
# c for each example, known too small = 0, known enough = infinity
# for each search:
#     w = start, a new Adam;  nobody has succeeded
#     for each step:
#         x' from w;  margin, squared distance;  objective summed over examples
#         one step of Adam
#         where the margin of x' is positive: succeeded, and keep x' if nearer than ever
#     succeeded: enough = c, else too small = c
#     c = half way between the two, or 10 c while enough is unknown
# return the nearest kept, and where there is any
# ```
#
# </details>

# %% exercise points=8 minutes=60 difficulty=4 importance=3 title="The nearest mistake"
from solutions.r1_adversarial_attacks import cw_l2

# %% [markdown]
# ### Experiment: how far away is the nearest mistake?
#
# Sixty images, both networks. **Predict first:** a digit image has length about 4 in this norm. What is the median distance of
# the nearest mistake that is found, and how much further away is it for the robust network, which was trained against the
# *other* norm?

# %% demo
prediction = "Natural: about ..., robust: about ... times as far"

# %% demo
for name, model in (("natural", natural), ("robust", robust)):
    adv, found = cw_l2(model, x[:60], y[:60], c_search=4, steps=100, c=1.0, lr=0.05)
    distance = (adv - x[:60]).flatten(1).norm(dim=1)
    counts = torch.histc(distance[found], bins=8, min=0, max=1.6).int().tolist()
    print(
        f"{name}: median {distance[found].median():.2f}, found {int(found.sum())} of 60; in steps of 0.2:",
        " ".join(f"{n:>2}" for n in counts),
    )
print(f"median length of an image: {x[:60].flatten(1).norm(dim=1).median():.1f}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Half of the natural network's images have a mistake within about 15 % of their own length. Training against l-infinity
# helps against l2 too, but not much. These distances are *upper* bounds on the true ones: a better minimiser can only make them
# smaller.
#
# </details>

# %% [markdown]
# ## 9. Counting survivors
#
# You have five attacks, and each gives an accuracy. Which number goes into the table? Not the mean: it rewards weak attacks.
# Not the minimum either. Attack A may break the fives and attack B the eights, and an attacker uses whatever works.
#
# ![Ten examples, two attacks. Each attack leaves six, only three survive both; one was wrong without any
# attack.](data/survivors.svg)
#
# **Robust accuracy** is the share of examples that are right as they are *and* after every attack. An example that the model
# gets wrong without an attack counts as lost, and stays lost even if an attack happens to put it right. Since lost is lost,
# later attacks only get the survivors, which makes a slow attack affordable.
#
# Report the share of *all* examples. Dividing by those that were right to begin with flatters an inaccurate model.
#
# > ⚠ **Gotcha.** Do not ask the attack whether it succeeded: ask the model, at the point that the attack returned.
#
# ### Exercise 9: `robust_accuracy` (8 points)
#
# - Difficulty ●●●○○ · importance ●●●●● · about 30 minutes
# - **Objective:** the per-example worst case over attacks, without wasted queries, in batches of any size.
# - **Source:** Croce and Hein 2020, section 5; Croce et al. 2021 (RobustBench).
# - **Navigator asks:** which number of your report changes if two attacks change places, and which must not?
#
# <details><summary>Hint 1: where to begin</summary>
#
# One bool per example, `standing`, is all the state there is. What is it before the first attack? What happens to it in each?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `standing.nonzero()[:, 0].split(batch_size)` gives the indices to attack, in batches. What does `split` return for an empty
# tensor? Count at the end with a mean over all examples, not over batches.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# standing = is the model right as it is?        (in batches, eval mode, no gradients)
# clean = share standing
# for each attack, in order:
#     for each batch of those standing now:
#         points = attack(model, images, labels of the batch)
#         standing of the batch = is the model right at the points?
#     left[attack] = share standing
# robust = share standing
# ```
#
# </details>

# %% exercise points=8 minutes=30 difficulty=3 importance=5 title="Counting survivors"
from solutions.r1_adversarial_attacks import robust_accuracy

# %% [markdown]
# ### Experiment: five attacks on one network
#
# **Predict first:** the robust network at eps = 0.15, all 597 test images, five attacks in the order fgsm, PGD, APGD on two
# losses, Square. After PGD 0.63 are left. How much do the other three take together?

# %% demo
prediction = "The last three attacks take ... points"

# %% demo
attacks = {
    "fgsm": lambda m, x, y: fgsm(m, x, y, 0.15),
    "pgd": lambda m, x, y: pgd(m, x, y, 0.15, 0.04, 20, 1, math.inf, seeded()),
    "apgd": lambda m, x, y: apgd(m, x, y, 0.15, 40),
    "apgd on dlr": lambda m, x, y: apgd(m, x, y, 0.15, 40, dlr_loss),
    "square": lambda m, x, y: square_attack(m, x, y, 0.15, 300, seeded()),
}
for name, model in (("natural", natural), ("robust", robust)):
    report = robust_accuracy(model, (images[1200:], labels[1200:]), attacks)
    steps = ", ".join(f"{attack} {share:.3f}" for attack, share in report["left"].items())
    print(f"{name}: clean {report['clean']:.3f}; {steps}; robust {report['robust']:.3f}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# For this network the attacks agree: whatever PGD leaves, the others hardly reduce. That is what the end of an honest
# evaluation looks like: several different methods find the same limit. The next section is about networks where they disagree.
#
# </details>

# %% [markdown]
# ## 10. Is the gradient lying?
#
# A model has **masked gradients** when its gradient does not lead to the mistakes that are there. It may be 0 (rounding,
# saturation), random (randomised inputs), or correct only at the images themselves. Usually nobody intended it: tinkering
# selects for "the attack fails", and spoiling the attack is easier than removing the mistakes.
#
# ![A loss along one direction: smooth on the left; on the right the same hill in terraces, on which the slope is 0
# everywhere.](data/terraces.svg)
#
# Masking has symptoms, and each is a contradiction between two measurements (Athalye et al. 2018, Carlini et al. 2019):
#
# 1. **One step beats many.** More optimisation should never be worse.
# 2. **An unbounded attack fails.** With eps = 1 the attacker may paint any image. If accuracy stays above chance, the attack is
#    broken, for no model can be right about everything.
# 3. **Blind search beats the gradient.** Seeing more should not hurt.
# 4. **Transfer beats white-box.** Mistakes made on *another* model should not work better than those made on this one.
# 5. **The loss is flat.** A gradient of exactly 0 at most images is no landscape of a trained network.
#
# None of them proves masking, and their absence proves nothing. But any of them makes a robustness number unfit for print.
#
# > ⚠ **Gotcha.** Compare with a tolerance. On 50 images an accuracy moves by several points by chance alone; a report that
# > accuses on a difference of one image accuses everybody.
#
# ### Exercise 10: `masking_report` (10 points)
#
# - Difficulty ●●●●○ · importance ●●●●● · about 60 minutes
# - **Objective:** five diagnostic contradictions as code, with thresholds that acquit honest models.
# - **Source:** Athalye et al. 2018 (Obfuscated Gradients), section 3.1; Carlini et al. 2019.
# - **Navigator asks:** which two accuracies does each of the five questions compare, and on which model is each of them
#   counted?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Make a list of the accuracies that you need. There are five, and PGD's appears in three questions. Which of the attacked
# points are made on the surrogate, and on which model are they counted?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Everything is there: `pgd`, `fgsm`, `square_attack`, `loss_gradient`. A helper that counts accuracy on `model` keeps it short.
# `bool(...)` turns a tensor's answer into a plain one.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# pgd      = accuracy on the model under PGD on the model
# one step = ... under fgsm;   free = ... under PGD with eps 1
# search   = ... under square_attack;   foreign = ... under PGD made on the surrogate
# more_steps:    pgd above one step, clearly
# unbounded_eps: free above 0.1
# random_search: search below pgd, clearly
# transfer:      foreign below pgd, clearly
# flat_loss:     in more than half of the examples the whole gradient is tiny
# ```
#
# </details>

# %% exercise points=10 minutes=60 difficulty=4 importance=5 title="Is the gradient lying?"
from solutions.r1_adversarial_attacks import masking_report

# %% [markdown]
# ### Experiment: a line-up
#
# Six models, of which three are honest. **Predict first:** `Rippled` adds a fine wave to the pixels, whose slope has a random
# sign everywhere but at the images themselves. Which of the five symptoms will it show?

# %% demo
prediction = "Rippled shows: ..."


# %% demo
class Rippled(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z + 0.05 * torch.sin(32 * math.pi * z))


class Bounded(Scaled):
    def forward(self, z: Tensor) -> Tensor:
        return self.factor * torch.tanh(self.net(z) / 20)


suspects = {"natural": natural, "robust": robust, "bounded logits": Bounded(natural, 5.0)}
suspects |= {"logits x 100": Scaled(natural, 100.0), "rounded": rounded, "rippled": Rippled(natural)}
for name, model in suspects.items():
    report = masking_report(model, surrogate, (x[:60], y[:60]), 0.15, seeded())
    print(f"{name:<16}" + "  ".join(f"{'●' if sign else '·'} {question}" for question, sign in report.items()))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The ripple does not show in the gradient at the images. Only the comparison of one step with many gives it away, and search
# and transfer confirm it. No single symptom is reliable. All five ask whether the evaluation can be believed, never whether the
# model is robust.
#
# </details>

# %% [markdown]
# ## 11. Through a defence
#
# A masked model is not a safe one, it is one that you have not attacked yet. Two repairs cover most cases (Athalye et al.
# 2018).
#
# **Randomness** in the model makes each gradient a sample. The attacker does not care about one draw of the noise but about the
# expected loss, so he averages: *expectation over transformation*. The gradient of the mean is the mean of the gradients,
#
# $$\nabla_x \, \mathbb{E}_t L(f(t(x)), y) = \mathbb{E}_t \nabla_x L(f(t(x)), y) \approx \frac1n \sum_i \nabla_x L(f(t_i(x)), y)$$
#
# and its variance falls like $1/n$. Mind the order: the gradient at the *average input* is something else entirely.
#
# **Steps** such as rounding have no useful derivative. But if $g(x) \approx x$, then for the backward pass you may pretend that
# $g$ *is* the identity, or any smooth function close to it, while the forward pass runs the real thing: *backward pass
# differentiable approximation*. The gradient only has to point roughly uphill.
#
# In `eot_gradient` the randomness comes from **seeds**: `transform(x, seed)` draws the same transformation for the same seed.
# So an experiment can be repeated exactly.
#
# > ⚠ **Gotcha.** In BPDA the *value* must be the real one. If the smooth stand-in also runs forward, you attack another model,
# > and find out only when the result is tested on the real one. Which, after section 9, you always do.
#
# ### Exercise 11: `eot_gradient`, `bpda` (10 points)
#
# - Difficulty ●●●●○ · importance ●●●●○ · about 54 minutes
# - **Objective:** unbiased gradients through random transformations, and a function with the value of one module and the
#   derivative of another.
# - **Source:** Athalye et al. 2018 (Obfuscated Gradients), sections 4.1 and 4.2; Athalye et al. 2018 (Synthesizing Robust
#   Adversarial Examples), section 2.1.
# - **Navigator asks:** how many times do model and transformation run for one eot_gradient with n = 10, and how would you see
#   that the draws are different?
#
# <details><summary>Hint 1: where to begin</summary>
#
# For `eot_gradient` write n = 1 first: it is `loss_gradient` with a transformation in between. For `bpda`, begin with identity
# as `backward`: which expression of x has the value of round(x) and the derivative 1?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `torch.randint(2**31, (n,), generator=gen).tolist()` are seeds. For bpda there are two ways: a `torch.autograd.Function` whose
# backward runs `backward` on a fresh leaf and asks for its vector-Jacobian product, or an expression in which a difference is
# detached.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# eot:   for each of n seeds from gen:
#            leaf = own copy of x;  losses of model(transform(leaf, seed)), eval mode
#            add the gradient of their sum by the leaf
#        return the mean
#
# bpda:  return a function of x:
#            smooth = backward(x)                 (this carries the derivative)
#            value  = module(x)                   (this must not)
#            smooth, corrected by the constant that makes it equal to the value
# ```
#
# </details>

# %% exercise points=10 minutes=54 difficulty=4 importance=4 title="Through a defence"
from solutions.r1_adversarial_attacks import eot_gradient, bpda

# %% [markdown]
# ### Experiment: a defence, taken apart
#
# The last defence rounds pixels to quarters *at random*: no gradient, and a different answer every time. **Predict first:**
# what accuracy is left at eps = 0.25 after (a) PGD as it is, (b) PGD through BPDA, (c) the same with 10 draws averaged in each
# step?

# %% demo
prediction = "(a) ..., (b) ..., (c) ..."


# %% demo
def dither(z: Tensor, seed: int) -> Tensor:
    return torch.round(z * 4 + torch.rand(z.shape, generator=seeded(seed)) - 0.5) / 4


def through(z: Tensor, seed: int) -> Tensor:
    return bpda(partial(dither, seed=seed), lambda v: v)(z)


def attack(transform: Callable[[Tensor, int], Tensor], n: int, eps: float = 0.25) -> Tensor:
    point, gen = x, seeded(1)
    for _ in range(15):
        gradient = eot_gradient(natural, transform, point, y, n, gen)
        point = (x + project(point + eps / 5 * gradient.sign() - x, eps, math.inf)).clamp(0, 1)
    return point


def under(points: Tensor) -> float:
    return sum(accuracy(natural, dither(points, 1000 + k)) for k in range(10)) / 10


print(f"clean {under(x):.2f}")
for name, transform, n in (("(a) as it is", dither, 1), ("(b) through BPDA", through, 1), ("(c) BPDA and 10 draws", through, 10)):
    print(f"{name:<22} {under(attack(transform, n)):.3f}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# From untouchable to nothing, with two lines of repair. Here BPDA did nearly all of the work; the noisier a defence, the more
# the average is worth. An evaluation that stops at (a) reports a property of `torch.round`. **An attack is finished when it has
# been adapted to the defence**, by somebody who wants it to succeed.
#
# </details>

# %% [markdown]
# ## A checklist to keep
#
# Before you believe a robustness number, yours first of all:
#
# 1. Norm, radius, box, number of queries and what the attacker knows are written down.
# 2. Every query was inside the threat model, and the model was in eval mode.
# 3. The worst case is per example, clean mistakes are counted, and the share is one of all examples.
# 4. The accuracy falls to 0 as eps grows, and does not fall further with more steps and restarts.
# 5. A search without gradients, a second loss and a transferred attack do not do better.
# 6. Each unusual part of the model (randomness, rounding, detection) was attacked by something made for it.
# 7. The text says "at most".
#
# ## Stretch
#
# No points, but evidence of strength.
#
# 1. **A planted mistake.** Build, into any network, a mistake of your choice inside the ball of each test image, and measure
#    how often your PGD finds it. Zimmermann et al. (2022) make this a test that an *attack* has to pass before its failures
#    count.
# 2. **APGD in other norms.** Extend `apgd` to l2. What replaces the sign, and what the first step size?
# 3. **Labels only.** Attack `natural` when it returns nothing but its answer, no scores (Brendel et al. 2018). How many queries
#    do you need?
# 4. **Your own mask.** Write a defence that passes all five questions of `masking_report` and still falls to an attack of
#    yours.
#
# ## Further reading
#
# - Szegedy et al. (2014), *Intriguing Properties of Neural Networks*, and Biggio et al. (2013), *Evasion Attacks against
#   Machine Learning at Test Time*: where it began.
# - Goodfellow et al. (2015), *Explaining and Harnessing Adversarial Examples*: section 4 is exercise 3.
# - Carlini and Wagner (2017), *Towards Evaluating the Robustness of Neural Networks*: exercises 5 and 8.
# - Madry et al. (2018), *Towards Deep Learning Models Resistant to Adversarial Attacks*: PGD, and training against it.
# - Athalye, Carlini and Wagner (2018), *Obfuscated Gradients Give a False Sense of Security*: sections 10 and 11 of this
#   notebook.
# - Carlini et al. (2019), *On Evaluating Adversarial Robustness*: the long checklist.
# - Croce and Hein (2020), *Reliable Evaluation of Adversarial Robustness with an Ensemble of Diverse Parameter-free Attacks*:
#   AutoAttack.
# - Andriushchenko et al. (2020), *Square Attack*.
# - Tramèr et al. (2020), *On Adaptive Attacks to Adversarial Example Defenses*: thirteen case studies; read three.
# - Zimmermann et al. (2022), *Increasing Confidence in Adversarial Robustness Evaluations*: tests for attacks.
# - Carlini et al. (2023), *Are Aligned Neural Networks Adversarially Aligned?*, and Zou et al. (2023), *Universal and
#   Transferable Adversarial Attacks on Aligned Language Models*: the same questions about language models.
