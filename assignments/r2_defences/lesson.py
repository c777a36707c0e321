"""The lesson of `r2_defences`: prose, given code, exercise slots, experiments. It runs on the reference."""

# %% [markdown]
# # R2. Training defences and certified robustness
#
# R1 ended with a number and a warning: what an attack leaves is an *upper* bound on the robust accuracy, and a better attack can
# only lower it. This notebook works from the other side. First you train networks that are harder to attack. Then you compute,
# for a whole ball of images at once, what the network can say at most: a *lower* bound, which no attack will ever pass.
#
# ![A bar from 0 to 100 percent: the certified share on the left, the attacked share on the right, and a gap between them that
# nobody knows.](data/sandwich.svg)
#
# **After this notebook you can**
#
# - train against an attack without leaking the attack into the batch statistics, the gradients or the data;
# - derive bounds on a network's outputs that hold for every input of a ball, and test that they do;
# - decide small instances exactly, and say what it costs;
# - certify a classifier of any size by voting under noise, with a stated error probability;
# - say what a certificate covers, and what it does not.
#
# **Time.** About nine hours in four sittings: exercises 1 to 3 (2.1 hours), 4 and 5 (2.4 hours), 7 (1 hour) with 6, a bonus
# (1.5 hours), and 8 to 11 (2.1 hours). The experiments together take about half a minute on one core.
#
# **Before.** R1: `pgd`, threat models, why attacked accuracy is an upper bound. **After.** The same two questions come back for
# language models: what did training against known attacks buy, and what can be promised about inputs that nobody has tried?

# %% [markdown]
# ## Why this matters for AI safety
#
# Whoever deploys a model is asked for a promise, and the usual answer is a search: we tried ten thousand prompts, and then
# trained on those that worked. Adversarial training is exactly this loop, run on the one problem where its result can be
# measured well. It helps, it costs clean accuracy, and it does not say what the next attacker will find.
#
# A certificate is a different kind of statement: for *all* inputs of a described set, the output has a described property. It
# needs a set that can be written down, a model that can be bounded, and a proof that is checked by something simpler than the
# model. These conditions are demanding. An l-infinity ball around a digit is not what anybody fears; the set of "all prompts
# that ask for harm" cannot be written down today. So the honest use of this notebook is not "certify everything". It is knowing
# precisely what separates evidence from proof: which quantity was bounded, over which set, under which assumptions, with which
# probability of error, and by whose code.
#
# The last item is not a joke. A verifier with a bug certifies anything, and bugs in verifiers are found by the method used on
# you here: search for a point that contradicts the bound. Work on guaranteed safety for larger systems (Dalrymple et al. 2024)
# stands or falls with the same three parts: a specification, a model of the world, a verifier.

# %% [markdown]
# ## How to work
#
# Each exercise has a card; five dots of importance mean that all that follows depends on it. The docstring in the code cell is
# the exact task. Below it stands a quick check of a few cases; those that score are hidden and stricter. In this notebook they
# **attack the weights that you trained**, compare your bounds with the exact minimum of small networks, and recount your votes.
#
# Three **hints** per exercise are folded under the card, each more concrete than the one before; opening them costs nothing.
# Cells that begin with `prediction` ask for your guess before an experiment.
#
# **In pairs.** The driver types. The navigator reads the docstring aloud and plays the adversary: for which input, sign or mode
# would this line be wrong? Each card ends with a question which the navigator asks before the check is run. Change roles after
# every exercise.
#
# **Letters.** `x` images `(b c h w)` with pixels in [0, 1], `y` labels `(b)`, `eps` the radius of an l-infinity ball, `lo` and
# `hi` the ends of an interval per entry, `sigma` the standard deviation of noise, `gen` a `torch.Generator`.
#
# **Given.** `in_mode(model, training)` puts every part of a model into one mode for a `with` block and restores each of them.
# `Residual(*layers)` is x + body(x), with the layers in `body`. `Schedule` holds the numbers of exercise 7.

# %% setup
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import NormalDist

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from solutions.r2_defences import Residual, Schedule, in_mode

# %% demo
# The data, a small network and an attack, for the experiments. The second place is where authors run this notebook from.
from collections import Counter
from pathlib import Path

import numpy as np

DATA = next(p for p in (Path("data"), Path("assignments/r2_defences/data")) if (p / "digits.npz").exists())
with np.load(DATA / "digits.npz", allow_pickle=False) as file:
    images, labels = torch.from_numpy(file["images"]).float()[:, None] / 16, torch.from_numpy(file["labels"]).long()
x, y = images[1200:1400], labels[1200:1400]  # 200 images that no network is trained on


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def attack(model: nn.Module, x: Tensor, y: Tensor, eps: float = 0.15, steps: int = 5) -> Tensor:
    """Signed steps up the cross-entropy, from x, kept in the ball and in [0, 1]."""
    point = x
    for _ in range(steps):
        leaf = point.detach().requires_grad_()
        (slope,) = torch.autograd.grad(F.cross_entropy(model(leaf), y), leaf)
        point = (x + (leaf.detach() + 2.5 * eps / steps * slope.sign() - x).clamp(-eps, eps)).clamp(0, 1)
    return point


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    conv = nn.Conv2d(1, 16, 3, stride=2, padding=1)
    return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 10))


def accuracy(model: nn.Module, eps: float = 0.0) -> float:
    """Of x, under 20 steps of the attack."""
    points = attack(model, x, y, eps, 20) if eps else x
    with torch.no_grad():
        return (model(points).argmax(1) == y).double().mean().item()


def epochs(step: Callable[[Tensor, Tensor], object], n: int = 12) -> None:
    for seed in range(n):
        for part in torch.randperm(1200, generator=seeded(seed)).split(60):
            step(images[part], labels[part])


def trained(loss: Callable[[nn.Module, Tensor, Tensor], Tensor], net: nn.Sequential | None = None) -> nn.Sequential:
    net = net or small_net()
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)

    def step(a: Tensor, b: Tensor) -> None:
        optimiser.zero_grad()
        loss(net, a, b).backward()
        optimiser.step()

    epochs(step)
    return net


natural = trained(lambda net, a, b: F.cross_entropy(net(a), b))
print(f"an ordinary network: {accuracy(natural):.3f} right, {accuracy(natural, 0.1):.3f} under attack at eps = 0.1")

# %% [markdown]
# ## 1. Train on what the attacker would send
#
# Robustness as an optimisation problem has a maximum inside a minimum (Madry et al. 2018):
#
# $$\min_\theta \; \mathbb{E}_{x, y} \; \max_{\|\delta\| \le \varepsilon} L(f_\theta(x + \delta), y)$$
#
# The inner problem is an attack, the outer one is training. Danskin's theorem says that at the maximiser the gradient of the
# maximum is the gradient of the loss there; so a step is: attack the batch, then take an ordinary step on the attacked batch.
# Attacks do not reach the maximum, but the recipe works better than its theory.
#
# It is ten lines, and published versions of them were wrong in ways that nobody saw for months. The attack calls the model
# dozens of times; in train mode each call moves the running statistics of batch norm, with batches that are no data. The
# attack differentiates; if it uses `backward()`, its gradients lie in the parameters when the step begins. The attack returns a
# tensor; if it was written into `x` itself, the data set turns adversarial, epoch after epoch.
#
# > ⚠ **Gotcha.** "Restore the mode" means of every part. Somebody who froze a batch norm with `model[1].eval()` does not want it
# > thawed by `model.train()` at the end of your step.
#
# ### Exercise 1: `adversarial_step` (10 points)
#
# - Difficulty ●●●○○ · importance ●●●●● · about 42 minutes
# - **Objective:** one step of adversarial training whose only side effects are the intended ones.
# - **Source:** Madry et al. 2018, section 2.1 (the saddle point problem).
# - **Navigator asks:** which tensors of the model may be different after the step, and which of our lines changes each of them?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write down the order of five events: attack, zero the gradients, run the model, backward, step. In which mode is the model
# during the first, and during the third?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `in_mode` twice. `opt.zero_grad()` late enough. The numbers to return come from the logits that you have anyway; `.item()`
# makes a plain float.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# with every part in eval mode:   points = what the attack returns
# with every part in train mode:
#     forget all gradients
#     logits of the points, their mean cross-entropy, backward, optimiser step
# return the loss and the share of right answers of that one run, as floats
# ```
#
# </details>

# %% exercise points=10 minutes=42 difficulty=3 importance=5 title="A step on attacked images"
from solutions.r2_defences import adversarial_step

# %% [markdown]
# ### Experiment: what does it buy?
#
# The same network and the same twelve epochs, once on clean images and once with your step (five steps of attack at eps = 0.15).
# **Predict first:** at eps = 0.1 the ordinary network keeps about 0.43. What does the other one keep there, and at eps = 0?

# %% demo
prediction = "At 0.1: ..., at 0: ..."

# %% demo
adversarial = small_net()
optimiser = torch.optim.Adam(adversarial.parameters(), lr=3e-3)
epochs(lambda a, b: adversarial_step(adversarial, optimiser, a, b, attack))
radii = (0.0, 0.05, 0.1, 0.15, 0.2)
print(f"{'eps':<14}" + "".join(f"{eps:>7.2f}" for eps in radii))
for name, model in (("natural", natural), ("adversarial", adversarial)):
    print(f"{name:<14}" + "".join(f"{accuracy(model, eps):>7.3f}" for eps in radii))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# A great deal, for three lines of training code: under attack at 0.1 the accuracy is nearly twice as high, and on these small
# images it costs nothing on clean ones. On harder data it does cost, and the attack that you trained against is the one in the
# table. That a number is high under *this* attack is what R1 taught you to distrust.
#
# </details>

# %% [markdown]
# ## 2. How much accuracy for how much robustness
#
# Adversarial training asks for the right answer at the attacked point. TRADES (Zhang et al. 2019) splits the wish in two: be
# right at x, and *say the same* in the whole ball, whatever it is that you say:
#
# $$L = \text{CE}(f(x), y) + \beta \cdot \max_{\|\delta\| \le \varepsilon} \text{KL}\big(f(x) \,\|\, f(x + \delta)\big)$$
#
# Now there is a dial. The second term needs no label, so the attack inside climbs the divergence and not the cross-entropy: it
# looks for the point where the answer changes most. That has a consequence for the start. At x itself the divergence is 0, its
# minimum, and its gradient vanishes: the search would never leave. A little noise solves it.
#
# Three more decisions hide in the formula. KL is not symmetric, and here the clean answer comes first. Both of its arguments
# depend on the parameters, and both shall learn: the clean answer gives way to the attacked one as well. And the batch is a
# mean, or beta means something else for every batch size.
#
# > ⚠ **Gotcha.** `F.kl_div(input, target)` computes KL(target || input), wants logarithms for its input, and divides by the
# > number of *entries* under `reduction="mean"`. Three traps in one function; write the sum by hand once and compare.
#
# ### Exercise 2: `trades_loss` (10 points)
#
# - Difficulty ●●●●○ · importance ●●●●○ · about 48 minutes
# - **Objective:** a regulariser with an attack inside, differentiable through both of its branches.
# - **Source:** Zhang et al. 2019, equation 5 and algorithm 1.
# - **Navigator asks:** how often does the model run for `steps=5`, in which mode each time, and through which of these runs do
#   gradients reach the parameters?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Two small functions inside make it readable: one brings a point back into ball and box, one computes the divergence of two
# batches of logits. Test the second on logits that you choose.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# In the search the clean logits are constants: ask for them once, under `no_grad`. `torch.autograd.grad(value, point)` leaves the
# parameters alone. After the search the model runs twice more, this time with gradients.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# point = x + a little noise, brought back
# in eval mode:
#     clean = logits at x, as constants
#     repeat steps times:
#         slope = derivative of divergence(clean, logits at point) by point
#         point = point + step size * sign of slope, brought back, cut off from the graph
# in the caller's mode: logits at x, logits at point
# mean cross-entropy of the first + beta * divergence(first, second)
# ```
#
# </details>

# %% exercise points=10 minutes=48 difficulty=4 importance=4 title="How much accuracy for how much robustness"
from solutions.r2_defences import trades_loss

# %% [markdown]
# ### Experiment: turning the dial
#
# Three networks with beta = 0.5, 3 and 10 at eps = 0.15. **Predict first:** in which column does beta matter most: at eps = 0, 0.1
# or 0.2?

# %% demo
prediction = "It matters most at eps = ..."

# %% demo
print(f"{'eps':<14}" + "".join(f"{eps:>7.2f}" for eps in radii))
for beta in (0.5, 3.0, 10.0):
    gen = seeded()
    model = trained(lambda net, a, b, beta=beta, gen=gen: trades_loss(net, a, b, 0.15, beta, 5, gen))
    print(f"beta = {beta:<7g}" + "".join(f"{accuracy(model, eps):>7.3f}" for eps in radii))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Near the clean images the three hardly differ; beyond the radius of training the dial decides: at 0.2 beta = 10 keeps nearly
# twice as much as beta = 0.5. With 200 images a difference of 0.03 is within chance, so do not read meaning into the first
# columns. And still every number here is an upper bound.
#
# </details>

# %% [markdown]
# ## 3. One number for a whole network
#
# The simplest proof about a network needs one number. If no difference of two inputs comes out more than L times as long, then
# within radius r no logit vector moves further than Lr, and if the margin is large enough, the answer stands.
#
# For a *linear* layer the number is its largest singular value, the spectral norm. Power iteration finds it: multiply a vector
# by the map, then by its transpose, and normalise; every other direction dies out. A convolution is a linear map too, of the
# whole image, and its norm is not that of the kernel flattened into a matrix: overlapping patches share pixels. For layers in a
# row the numbers multiply. Through a residual block two paths arrive, so they add.
#
# The margin needs care in one place. When the logit vector moves by a length d, the *difference* of two logits moves by at most
# $\sqrt 2 \, d$: the one falls, the other rises, and each has only its share of the length.
#
# > ⚠ **Gotcha.** Power iteration approaches from *below*. Stopped early it returns less than the norm, and a "bound" built from
# > it is no bound. It also never finds what its start is orthogonal to, and a start of ones is orthogonal to every filter that
# > sums to 0.
#
# ### Exercise 3: `spectral_norm`, `lipschitz_bound`, `margin_radius` (8 points)
#
# - Difficulty ●●●○○ · importance ●●●○○ · about 36 minutes
# - **Objective:** the norm of matrices and convolutions, the product bound, and the l2 radius that follows from a margin.
# - **Source:** Tsuzuku et al. 2018, sections 3 and 4.
# - **Navigator asks:** for a kernel of ones of size 3 x 3 on large images, guess the norm: is it 3, or nearer to 9?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write it for matrices, and compare with `torch.linalg.svdvals`. For a convolution only two lines change: the map and its
# transpose.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# The transpose of `F.conv2d` is `torch.nn.grad.conv2d_input`, or the derivative of half the squared length of the output, by
# `torch.autograd.grad`. For `lipschitz_bound` a nested function that returns the bound *and* the layer's output tells the next
# convolution how large its image is.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# spectral norm:
#     v = a random direction, from a generator of your own
#     repeat: v = v / its length (a map of 0 must not divide by 0);  u = map(v);  v = transpose(u)
#     the length of the last u
#
# bound of a part:
#     row of layers -> product;   residual -> 1 + bound of its body
#     linear, convolution -> spectral norm;   relu, flatten -> 1;   anything else -> TypeError
#
# radius: (largest logit - second largest) / how fast their difference can change
# ```
#
# </details>

# %% exercise points=8 minutes=36 difficulty=3 importance=3 title="One number for a whole network"
from solutions.r2_defences import spectral_norm, lipschitz_bound, margin_radius

# %% [markdown]
# ### Experiment: how loose is the product?
#
# The bound L of both networks, and the largest singular value of the network's own derivative at any of 50 images, which L can
# never be below. **Predict first:** by which factor is L larger?

# %% demo
prediction = "L is larger by a factor of ..."

# %% demo
print("power iteration on a layer:", *(f"{spectral_norm(natural[3].weight, k):.3f}" for k in (1, 2, 5, 20, 100)))
for name, model in (("natural", natural), ("adversarial", adversarial)):
    L = lipschitz_bound(model, (1, 8, 8))
    slopes = [torch.autograd.functional.jacobian(lambda v, m=model: m(v)[0], x[i : i + 1]).reshape(10, 64) for i in range(50)]
    steepest = float(torch.linalg.matrix_norm(torch.stack(slopes), 2).max())
    with torch.no_grad():
        reach = margin_radius(model(x), L)
    sure = [float(((model(x).argmax(1) == y) & (reach >= r)).double().mean()) for r in (0.05, 0.1, 0.2)]
    print(
        f"{name}: L = {L:.1f}, steepest derivative {steepest:.1f}; certified at l2 radius 0.05, 0.1, 0.2:",
        *(f"{s:.2f}" for s in sure),
    )

# %% [markdown]
# <details><summary>What to take away</summary>
#
# A factor of two only, for three layers; each further layer multiplies its own looseness in, and for deep networks the product
# is useless. Adversarial training more than halved L without being asked to. The radii are real proofs, and small: an image has
# a length of about 4, and in R1 the nearest mistakes that you found were at about 0.6.
#
# </details>

# %% [markdown]
# ## 4. Intervals
#
# L forgets everything about an image but its margin. A better idea is to follow the set of images itself through the network.
# The simplest set to follow is a box: for each entry an interval from `lo` to `hi`.
#
# For one output of a linear layer, $\sum_j w_j x_j + b$, the largest value over a box takes every $x_j$ at its upper end where
# $w_j > 0$, and at its lower end where $w_j < 0$. With centre $c$ and radius $r$ that is one line: the centre goes through the
# layer, and the radius goes through $|W|$. A ReLU is monotone, so it takes ends to ends. Done: two passes give bounds that hold
# for every image in the ball (Gowal et al. 2018).
#
# ![A box, turned by a layer and wrapped in a larger box, and after a second layer in a larger one still.](data/wrapping.svg)
#
# What is lost is the *connection* between entries. After one layer the images of the ball fill a turned box; interval
# arithmetic wraps it in an upright one and hands the corners to the next layer, although no image is there.
#
# > ⚠ **Gotcha.** Unsound bounds look *better* than sound ones. If your certified accuracy is surprisingly high, be afraid. Never
# > test a bound by whether its numbers are good; test it by looking for a point outside.
#
# ### Exercise 4: `ibp`, `ball_box` (12 points)
#
# - Difficulty ●●●○○ · importance ●●●●● · about 48 minutes
# - **Objective:** sound, differentiable bounds for linear, convolutional and residual networks.
# - **Source:** Gowal et al. 2018, section 3.1.
# - **Navigator asks:** which of the two bounds does a bias move, and does it change the width?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Take the layer 3a − 2b on 0 ≤ a ≤ 1, −1 ≤ b ≤ 1 and find both bounds on paper. Then write the linear layer, then ReLU, then
# the rows. Convolution and residual block come last.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Recursion over `nn.Sequential` keeps it short. For a convolution, `F.conv2d` with the sizes of the weights and *no bias* gives
# the width: pass the layer's own stride, padding, dilation and groups.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# bounds of a part, from lo and hi:
#     row of layers:  one after the other
#     residual:       bounds of the body, plus lo and hi, end by end
#     relu, flatten:  apply to both ends
#     linear, conv:   middle = layer(centre);  spread = radius through |weights|, no bias
#                     middle - spread, middle + spread
#     anything else:  TypeError
# ```
#
# </details>

# %% exercise points=12 minutes=48 difficulty=3 importance=5 title="Intervals"
from solutions.r2_defences import ibp, ball_box

# %% [markdown]
# ### Experiment: what can be certified of a network as it is?
#
# An image is certified when the lower bound of its label is above the upper bounds of all other classes. **Predict first:** the
# adversarially trained network keeps 0.77 under attack at eps = 0.1. Up to which eps can intervals certify half of the images?

# %% demo
prediction = "Half of them up to eps = ..."


# %% demo
def certified(net: nn.Module, eps: float) -> float:
    with torch.no_grad():
        low, high = ibp(net, *ball_box(x, eps))
    own = F.one_hot(y, 10).bool()
    return (low[own] > high.masked_fill(own, -math.inf).amax(1)).double().mean().item()


tiny = (0.001, 0.005, 0.01, 0.02, 0.05)
print(f"{'eps':<14}" + "".join(f"{eps:>7.3f}" for eps in tiny))
for name, model in (("natural", natural), ("adversarial", adversarial)):
    print(f"{name:<14}" + "".join(f"{certified(model, eps):>7.2f}" for eps in tiny))
ends = ball_box(x[:1], 0.01)
with torch.no_grad():
    for layer in natural:
        ends = ibp(layer, *ends)
        print(f"  after {type(layer).__name__:<8} the mean width of an interval is {(ends[1] - ends[0]).mean():.3f}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Somewhere above 0.01, about a tenth of the radius at which that network still withstands the attack. The gap is not robustness
# that is missing, but proof that is missing: each linear layer widens the intervals by a factor of ten or more, and the truth
# did not grow with them.
#
# </details>

# %% [markdown]
# ## 5. Lines instead of boxes
#
# CROWN (Zhang et al. 2018) keeps the connection between entries. It does not ask "how large can this neuron be?", but carries
# one *linear function* from the output back to the input: $c \cdot f(z) \ge a \cdot z + d$ for all z in the ball. At the input
# the minimum of a linear function over a ball is elementary: $a \cdot x + d - \varepsilon \|a\|_1$.
#
# Linear layers are passed exactly: $a \cdot (Wz + b) = (aW) \cdot z + a \cdot b$. The work is at the ReLUs. Suppose that the
# input of one lies between l and u with l < 0 < u. To bound $a_j \cdot \text{relu}(z_j)$ from below, put a line in its place:
# where $a_j$ is positive, one that lies *below* the ReLU, and where it is negative, one *above*.
#
# ![A ReLU between l and u. Above it the line through its two ends; below it the line 0 when it is mostly off, the line z when it
# is mostly on.](data/relaxation.svg)
#
# Above, the best line is forced. Below, every line through 0 with a slope between 0 and 1 is sound; the adaptive choice takes
# whichever of 0 and z leaves the smaller area. To know l and u you need bounds on the hidden layers, so the whole procedure runs
# once for each of them, first layer to last, each using the lines of those before.
#
# > ⚠ **Gotcha.** Nothing crashes when the two lines are exchanged: you get a number, often a plausible one, which is no bound.
# > And a ReLU that is surely on is no special case to skip: its lines are z, above and below.
#
# ### Exercise 5: `crown` (16 points)
#
# - Difficulty ●●●●● · importance ●●●●● · about 96 minutes
# - **Objective:** backward linear bounds with adaptive slopes, whose intermediate bounds come from the same procedure.
# - **Source:** Zhang et al. 2018, sections 3.2 and 3.3 (CROWN-Ada).
# - **Navigator asks:** to bound -relu(z) from below, which line do we need, and what does its intercept contribute?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write the version without ReLU first and compare it with the exact minimum of a linear network. Then one hidden layer with
# known l and u. Only then the loop that computes them.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# A nested function `lower(A, n)` bounds A @ (output of the first n layers) for a whole matrix A of rows at once. The upper bound
# of a hidden layer is minus the lower bound of minus it: call the same function with -identity. Split A by `clamp(min=0)` and
# `clamp(max=0)`.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# lower(A, n):
#     for the layers n, n-1, ..., 1:
#         linear: constant += A bias;  A = A weight
#         relu:   the positive part of A takes the slope below
#                 the negative part takes the slope above,
#                 and constant += negative part * its intercept
#     constant + A x - eps * sum of |A|
#
# for each relu, first to last:
#     l = lower(identity), u = -lower(-identity), up to its input
#     surely on: slopes 1, 1;  surely off: 0, 0
#     in doubt:  above u / (u - l), with intercept such that it is 0 at l
#                below 1 if u > -l else 0
# lower(C, all layers)
# ```
#
# </details>

# %% exercise points=16 minutes=96 difficulty=5 importance=5 title="Lines instead of boxes"
from solutions.r2_defences import crown

# %% [markdown]
# ### Experiment: the same network, a better proof
#
# A dense network, trained as usual, and three numbers for each radius: certified by intervals, certified by CROWN, left by the
# attack. **Predict first:** at eps = 0.02 intervals certify almost nothing. What does CROWN certify there?

# %% demo
prediction = "At 0.02 CROWN certifies ..."


# %% demo
def proved(net: nn.Sequential, eps: float) -> float:
    """The share of images for which crown puts the label above all other classes."""
    eye = torch.eye(10)
    with torch.no_grad():
        gaps = crown(net, x, eps, eye[y][:, None] - eye[None])
    return (gaps.masked_fill(F.one_hot(y, 10).bool(), 1.0) > 0).all(1).double().mean().item()


torch.manual_seed(0)
dense = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
dense = trained(lambda net, a, b: F.cross_entropy(net(a), b), dense)
print("  eps   intervals   crown   attack")
for eps in (0.005, 0.01, 0.02, 0.03, 0.05, 0.1):
    print(f"{eps:>5}{certified(dense, eps):>12.2f}{proved(dense, eps):>8.2f}{accuracy(dense, eps):>9.2f}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# At 0.02 CROWN certifies most of the images, and the attack leaves hardly more: the truth is pinned down to a point or two, for
# a network that nobody trained to be certifiable. At 0.1 the proof has almost nothing left to say, and the attack still leaves
# more than a third. The gap has moved; it has not closed. (The intervals even had an advantage: their ball was cut to [0, 1].)
#
# </details>

# %% [markdown]
# ## 6. Exactly (bonus)
#
# A bound above 0 proves robustness, a wrong point disproves it, and between them stands *unknown*. Branch and bound removes the
# unknown at a price: what cannot be decided is split, and each part is bounded again, more tightly since it is smaller (Bunel et
# al. 2018). Splitting the ball itself works with few inputs: halving each side of a d-dimensional ball makes $2^d$ parts. With
# many inputs one splits by the *phase* of a ReLU instead, on or off, and there are as many phases as neurons. Either way the
# worst case is exponential, and it has to be: the problem is NP-complete (Katz et al. 2017).
#
# ![A square divided into smaller squares: most are proved, the last open one holds a point that is classified
# wrong.](data/branching.svg)
#
# > ⚠ **Gotcha.** A bound below 0 is not a counterexample. "Falsified" needs a point, inside the ball, at which the network is
# > wrong, and the caller will check it.
#
# ### Exercise 6: `verify_exact` (0 points)
#
# - Difficulty ●●●●● · importance ●●●○○ · about 90 minutes
# - **Objective:** a complete verifier with three honest verdicts.
# - **Source:** Bunel et al. 2018, section 4; Katz et al. 2017 (the problem, and its hardness).
# - **Navigator asks:** which line guarantees that the parts cover the whole ball?
#
# <details><summary>Hint 1: where to begin</summary>
#
# A work list of parts, each with a centre and a radius. What do you do with a part that is proved, that holds a mistake, that is
# neither?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Parts of equal size go through `crown` as one batch. `itertools.product((-0.5, 0.5), repeat=d)` gives the directions of the
# parts' centres. The rows of C are label minus each other class.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# parts = the ball
# while there are parts:
#     the network is wrong at some centre -> falsified, with that centre
#     not enough budget to bound them all -> timeout
#     bound them;  keep those where some bound is not above 0
#     parts = each of those, split into 2^d of half the radius
# robust
# ```
#
# </details>

# %% exercise points=0 bonus=true minutes=90 difficulty=5 importance=3 title="Exactly"
from solutions.r2_defences import verify_exact

# %% [markdown]
# ### Experiment: what certainty costs
#
# Ten small networks, trained on two moons, at six points each, radius 0.25. **Predict first:** with a budget of one bound, how
# many of the 60 instances are decided, and how many bounds does it take to decide all of them?

# %% demo
prediction = "With one bound ... of 60; all of them with about ..."

# %% demo
moons = []
with np.load(DATA / "moons.npz", allow_pickle=False) as file:
    for k in range(2, 12):
        net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
        net.load_state_dict({name: torch.from_numpy(file[f"{k}/{name}"]) for name in net.state_dict()})
        moons.append(net.double().requires_grad_(False))
points = torch.tensor([[0, 1], [1, -0.5], [-0.9, 0.4], [1.9, 0.1], [0.5, 0.86], [0.5, -0.36]], dtype=torch.float64)
for budget in (1, 10, 100, 1000):
    verdicts = Counter(verify_exact(net, point, 0.25, k % 2, budget)[0] for net in moons for k, point in enumerate(points))
    print(f"budget {budget:>5}: " + ", ".join(f"{verdicts[v]} {v}" for v in ("robust", "falsified", "timeout")))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Three quarters are decided by a single bound; the last few need some dozens. That is typical: most instances are easy, and the
# cost sits in the few near the boundary. With 64 inputs instead of two, splitting the ball would be hopeless.
#
# </details>

# %% [markdown]
# ## 7. Networks that are easy to prove
#
# CROWN improves the proof for a given network. The other way is to train a network for which even the crudest proof works. IBP
# bounds are differentiable, so put the *worst logits that intervals allow* into the loss: the lower bound of the label, the
# upper bounds of the others. If even these are classified right, the image is certified.
#
# Done at once, this fails. At the start the intervals are huge, the loss is dominated by their width, and the cheapest way to
# make them narrow is a network that says the same about everything. So the radius grows slowly from 0, and the clean loss keeps
# a share of the weight:
#
# $$L = \kappa_e \, \text{CE}(f(x), y) + (1 - \kappa_e) \, \text{CE}(\text{worst}(x, \varepsilon_e), y)$$
#
# > ⚠ **Gotcha.** The certificate that counts is computed by somebody else's code on your weights. A mistake in your `ibp` makes
# > the training loss small and the certified accuracy of the referee 0: you have trained a network to exploit your bug.
#
# ### Exercise 7: `ibp_train` (10 points)
#
# - Difficulty ●●●○○ · importance ●●●●○ · about 60 minutes
# - **Objective:** certified training with a ramp, to a certified accuracy on unseen images.
# - **Source:** Gowal et al. 2018, section 3.2 (loss) and section 4 (schedule).
# - **Navigator asks:** with `warm_up=4, ramp=20`, what are radius and weight in epochs 3, 4 and 23?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write the function from epoch number to share r first, and print it for a short schedule. Then an ordinary training loop; then
# the second term.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `torch.randperm(n, generator=...)` with a generator seeded once before the loop, and `.split(batch)`, which keeps the smaller
# last part. For the worst logits, `torch.where` with a one-hot mask, or `scatter`.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# generator from the seed, one Adam for the whole run
# for each epoch e:
#     r     = 0 during warm-up, then rising by 1 / ramp per epoch, at most 1
#     kappa = 1 for r = 0, the schedule's for r = 1, in between in proportion
#     for each batch of a new random order:
#         low, high = intervals of the logits over the box of radius r * eps
#         worst     = low for the label, high for the others
#         step on kappa * clean loss + (1 - kappa) * loss of the worst
# ```
#
# </details>

# %% exercise points=10 minutes=60 difficulty=3 importance=4 title="Networks that are easy to prove"
from solutions.r2_defences import ibp_train

# %% [markdown]
# ### Experiment: the sandwich
#
# Four networks at eps = 0.1: clean accuracy, what the attack leaves, what intervals certify. The last one is trained without a
# ramp and without a clean loss. **Predict first:** what will that one do?

# %% demo
prediction = "Without a ramp: clean ..., certified ..."

# %% demo
plans = {
    "certified": Schedule(epochs=40, warm_up=4, ramp=20, kappa=0.5, batch=50, lr=5e-3, seed=0),
    "without a ramp": Schedule(epochs=40, warm_up=0, ramp=1, kappa=0.0, batch=50, lr=5e-3, seed=0),
}
rows = {"natural": natural, "adversarial": adversarial}
for name, plan in plans.items():
    rows[name] = small_net()
    ibp_train(rows[name], (images[:1200], labels[:1200]), 0.1, plan)
print(f"{'':<16}  clean   attacked   certified")
for name, net in rows.items():
    print(f"{name:<16}{accuracy(net):>7.3f}{accuracy(net, 0.1):>11.3f}{certified(net, 0.1):>12.3f}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The same architecture, and from nothing to about three quarters certified. Its attacked accuracy is also the best of the four.
# The true robust accuracy lies between its last two numbers, and the gap is now six or seven points. Without the ramp the
# network says one class for everything: perfectly certifiable, perfectly useless. A certificate of constancy is not a
# certificate of quality.
#
# </details>

# %% [markdown]
# ## 8. Votes under noise
#
# Everything so far looked inside the network, and grew with it. **Randomised smoothing** (Cohen et al. 2019) needs only answers.
# From any classifier f make another one, g: g(x) is the class that f gives most often when normal noise of standard deviation
# sigma is added to x. A small change of x hardly changes the cloud of noisy copies, so it hardly changes the shares of the
# votes. That is a robustness theorem without a word about f.
#
# > ⚠ **Gotcha.** The theorem is about the normal law on the whole space. Clipping the copies to [0, 1] changes the law, and a
# > soft average of probabilities is a different classifier with a different theorem.
#
# ### Exercise 8: `noisy_counts` (6 points)
#
# - Difficulty ●●○○○ · importance ●●●●○ · about 18 minutes
# - **Objective:** n independent votes in batches, exactly n, each with noise of its own.
# - **Source:** Cohen et al. 2019, section 3.2 (SampleUnderNoise).
# - **Navigator asks:** with n = 1000 and batch = 300, how large are the batches, and what is their sum?
#
# <details><summary>Hint 1: where to begin</summary>
#
# How many copies are still missing after each batch? Where do you learn the number of classes?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `torch.randn(m, *x.shape, generator=gen)` for a batch of m; `x` broadcasts. `torch.bincount(..., minlength=k)` counts, also the
# classes without a vote.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# while copies are missing:
#     m = as many as fit into a batch, at most those that are missing
#     logits of x + sigma * new noise for each of the m
#     add one vote per copy to its class
# ```
#
# </details>

# %% exercise points=6 minutes=18 difficulty=2 importance=4 title="Votes under noise"
from solutions.r2_defences import noisy_counts

# %% [markdown]
# ### Experiment: who still sees the digit?
#
# One image, a 7, and 1,000 noisy copies at four strengths; once for the natural network and once for one that was trained with
# noise of 0.5. **Predict first:** at sigma = 0.5, how many of 1,000 votes go to the 7 in each case?

# %% demo
prediction = "natural: ..., trained with noise: ..."

# %% demo
gen = seeded()
noisy = trained(lambda net, a, b: F.cross_entropy(net(a + 0.5 * torch.randn(a.shape, generator=gen)), b))
print("sigma   natural                                        trained with noise")
for sigma in (0.1, 0.25, 0.5, 1.0):
    votes = [noisy_counts(net, x[0], 1000, sigma, 500, seeded()).tolist() for net in (natural, noisy)]
    print(f"{sigma:>5}   " + "   ".join(" ".join(f"{v:>4}" for v in row) for row in votes))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Noise is not adversarial, and still a network has to be trained for it. At 0.5 both give the 7 a majority; at 1.0 neither does.
# On an image of 64 pixels noise of 0.5 per pixel has a length of 4, as long as the image itself. Larger images have more pixels
# to average over, which is why smoothing is at its best there.
#
# </details>

# %% [markdown]
# ## 9. What a count proves
#
# 990 of 1,000 votes do not mean that the probability is 0.99. It may be 0.98, and you were lucky. The certificate needs a number
# that is *below* the true probability except with a chance of alpha. Clopper and Pearson (1934) read it off the definition: take
# the p under which a result as high as ours, or higher, has probability exactly alpha. If the truth were smaller still, what we
# saw would be rarer than alpha.
#
# The tail of the binomial law falls monotonically as p falls, so bisection finds the p to as many digits as you like. For n =
# 100,000 the terms are products of numbers like $10^{30000}$ and $10^{-30000}$: stay in logarithms until the last moment.
#
# The second function answers a simpler question: with k heads in n tosses, how surprising is that for a *fair* coin? It will
# decide whether a winner has won by more than luck.
#
# > ⚠ **Gotcha.** One-sided means that all of alpha is spent below. A library's confidence interval is mostly two-sided, spends
# > half of it on an end that nobody uses, and gives away radius.
#
# ### Exercise 9: `lower_confidence`, `binomial_p` (8 points)
#
# - Difficulty ●●●○○ · importance ●●●●○ · about 30 minutes
# - **Objective:** an exact binomial bound and an exact test, in floating point, for large n.
# - **Source:** Clopper and Pearson 1934; Cohen et al. 2019, section 3.2.
# - **Navigator asks:** for k = n there is a closed form: which?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write the probability of k or more successes for given p, and check it for n = 3 by hand. Does it rise or fall with p?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `torch.lgamma(i + 1)` is the logarithm of i factorial, for a whole tensor. `math.log1p(-p)` is exact near 0. A bisection of 60
# steps uses up the digits of a float.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# tail(p) = sum over i = k..n of exp(log ways + i log p + (n - i) log(1 - p))
# bound:   k = 0 -> 0;  else bisect p in [0, 1]: tail above alpha -> p is too large
# p-value: the further of k and n - k;  twice the fair coin's tail from there, but at most 1
# ```
#
# </details>

# %% exercise points=8 minutes=30 difficulty=3 importance=4 title="What a count proves"
from solutions.r2_defences import lower_confidence, binomial_p

# %% [markdown]
# ### Experiment: unanimity is not certainty
#
# The bound at alpha = 0.001, for shares of 60, 90, 99 and 100 % of the votes. **Predict first:** with 100 votes of 100, what is
# the largest probability that you may claim? And which n do you need to claim 0.999?

# %% demo
prediction = "100 of 100 proves ...; for 0.999 it takes n = ..."

# %% demo
print("      n    60 %    90 %    99 %   100 %    largest radius at sigma = 0.5")
for n in (10, 100, 1000, 10_000, 100_000):
    bounds = [lower_confidence(int(n * share), n, 0.001) for share in (0.6, 0.9, 0.99, 1.0)]
    print(f"{n:>7}" + "".join(f"{b:>8.4f}" for b in bounds) + f"{0.5 * NormalDist().inv_cdf(bounds[-1]):>15.2f}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# 100 of 100 proves 0.93; a claim of 0.999 takes nearly 7,000 unanimous votes. The last column is a ceiling on every certificate:
# whatever the classifier, with n copies no larger radius can be claimed. Ten times as many votes add a little less each time.
#
# </details>

# %% [markdown]
# ## 10. A radius from votes
#
# Suppose that the noisy copies of x vote for class A with probability pA. How near can the boundary of g be? The worst case is a
# flat one: a half-space, on which a Gaussian cloud at distance R has exactly the share Φ(R / σ) on its own side. No other
# region with the same pA can be left sooner. So
#
# $$R = \sigma \, \Phi^{-1}(\underline{p_A})$$
#
# with the lower bound from the last section, and nothing at all if it is not above 1/2.
#
# ![A cloud of noisy copies around x next to a flat boundary; the share beyond it gives the distance.](data/cloud.svg)
#
# The procedure has one subtlety. You do not know beforehand which class is A. If you let n copies choose it *and* then count its
# votes among the same n, you have picked the luckiest class: the count is biased, and the confidence level is not what it says.
# So n0 copies choose, and n fresh ones judge. And if they do not suffice: **abstain**. It is a legitimate answer.
#
# > ⚠ **Gotcha.** The guarantee is about g, the voting classifier, not about f; and each certificate may be wrong with
# > probability alpha. Certify 10,000 images at alpha = 0.001, and you must expect up to ten radii to be too large.
#
# ### Exercise 10: `certify`, `predict` (14 points)
#
# - Difficulty ●●●●○ · importance ●●●●● · about 60 minutes
# - **Objective:** selection and estimation on separate samples, a certified radius, and two ways to abstain.
# - **Source:** Cohen et al. 2019, section 3.2 and theorem 1.
# - **Navigator asks:** with n = 9 unanimous votes and alpha = 0.001, what does certify return, and why?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Every part exists. Write down which of your functions gives which of: the candidate, its votes, the bound, the radius. Where
# does the generator go?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `NormalDist().inv_cdf(p)` is the normal quantile. `counts.topk(2)` gives winner and runner-up. Both functions return plain
# Python numbers.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# certify:
#     candidate = winner among n0 copies
#     votes     = how many of n NEW copies are for the candidate
#     bound     = lower confidence bound of votes in n
#     above 1/2: candidate, sigma * quantile(bound);  else -1, 0.0
#
# predict:
#     winner and runner-up among n copies
#     winner if a fair coin, tossed as often as both have votes, would rarely be so one-sided
#     else -1
# ```
#
# </details>

# %% exercise points=14 minutes=60 difficulty=4 importance=5 title="A radius from votes"
from solutions.r2_defences import certify, predict

# %% [markdown]
# ### Experiment: is the radius honest?
#
# For a half-space the true radius is known: the distance. 500 points at distance 1, sigma = 1, n = 100, and alpha = 0.05.
# **Predict first:** how many of the 500 radii are above 1? How many would be, if the share of votes were taken for pA?

# %% demo
prediction = "With the bound ..., with the share ..."


# %% demo
def half_space(z: Tensor) -> Tensor:
    return torch.stack([z[:, 0], -z[:, 0]], 1)


gen, here, found, naive = seeded(), torch.tensor([1.0, 0.0]), [], []
for _ in range(500):
    found.append(certify(half_space, here, 10, 100, 0.05, 1.0, 100, gen)[1])
    share = noisy_counts(half_space, here, 100, 1.0, 100, gen)[0].item() / 100
    naive.append(NormalDist().inv_cdf(min(share, 0.9999)))
for name, reach in (("with the bound", found), ("with the share", naive)):
    print(f"{name}: {sum(r > 1 for r in reach):>3} of 500 radii are too large; on average {sum(reach) / 500:.2f}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The bound keeps its promise: 21 of 500 are 4 %, and alpha allows 5 %. It pays with radii that are a quarter shorter. The share
# is right on average, and too large about half of the time: an estimate is not a guarantee.
#
# </details>

# %% [markdown]
# ## 11. The curve that papers print
#
# A certificate per image becomes a result by counting. At radius r an image counts if the class is *right* and its certified
# radius is at least r; the share over all images is the certified accuracy at r. Abstentions and mistakes stay in the
# denominator. Leave them out, and a classifier that answers one easy question is perfect.
#
# > ⚠ **Gotcha.** A wrong class can be certified, with a large radius too. It says that g is *constant* around x. Constantly
# > wrong is possible.
#
# ### Exercise 11: `certified_curve` (6 points)
#
# - Difficulty ●●○○○ · importance ●●●○○ · about 18 minutes
# - **Objective:** certified accuracy as a function of the radius, counted over everything.
# - **Source:** Cohen et al. 2019, section 4.
# - **Navigator asks:** what is the value at r = 0, in words?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Four records on paper: one right, one wrong with a large radius, one abstention, one right with radius exactly r.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# A radius of minus infinity never reaches any r. `reach[None] >= radii[:, None]` compares all with all.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# no record -> ValueError
# for each r: how many records have the right class and a radius of at least r, divided by all records
# ```
#
# </details>

# %% exercise points=6 minutes=18 difficulty=2 importance=3 title="The curve that papers print"
from solutions.r2_defences import certified_curve

# %% [markdown]
# ### Experiment: choosing the noise
#
# 100 digits, 1,000 votes each, alpha = 0.001; the network that was trained with noise at three strengths of noise, and the natural
# one. **Predict first:** which line is highest at r = 0.1, and which at r = 0.75?

# %% demo
prediction = "At 0.1: ..., at 0.75: ..."

# %% demo
marks = [0.0, 0.1, 0.25, 0.5, 0.75, 1.0]
print(f"{'certified at l2 radius':<32}" + "".join(f"{r:>6}" for r in marks) + "   abstained")
for name, net, sigma in (("natural", natural, 0.5), *(("trained with noise", noisy, s) for s in (0.25, 0.5, 1.0))):
    gen = seeded()
    records = [(int(y[i]), *certify(net, x[i], 50, 1000, 0.001, sigma, 1000, gen)) for i in range(100)]
    curve = certified_curve(records, marks)
    print(f"{f'{name}, sigma = {sigma}':<32}" + "".join(f"{v:>6.2f}" for v in curve) + f"{sum(r[1] < 0 for r in records):>10}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Small noise certifies more images, large noise certifies further: only sigma = 0.5 reaches 0.75, and 1.0 drowns the digits. Each
# line is one classifier; you may not pick the best of them for each radius and call that one curve. Compare with section 3,
# where the product of norms certified about half of the images at 0.1.
#
# </details>

# %% [markdown]
# ## What a certificate says
#
# Read one like a contract.
#
# 1. **Which property?** "The answer does not change" is not "the answer is right", and neither is "the answer is harmless".
# 2. **Over which set?** A ball in one norm, with one radius. A shifted image or another photograph lies outside.
# 3. **About which system?** IBP and CROWN speak of real arithmetic, not of float32; smoothing speaks of g, and of an ideal
#    normal law. A camera and a crop stand before the network.
# 4. **With which probability?** Deterministic, or up to alpha per image.
# 5. **Checked by whom?** A bound computed by the code that trained the network is a claim; one computed by independent code is
#    evidence that it is a bound.
#
# ## Stretch
#
# No points, but evidence of strength.
#
# 1. **Optimise the slope.** Any slope between 0 and 1 below a ReLU is sound. Make them parameters and climb the bound (Xu et al.
#    2021). How much of the gap in section 5 closes?
# 2. **Rounding.** Find an input for which your CROWN bound in float32 is above the true minimum in float64, and repair the bound
#    with directed slack.
# 3. **Split by phase.** Extend `verify_exact` to split on ReLUs, and compare the number of bounds on networks with eight inputs.
# 4. **Break a certificate.** Attack the smoothed classifier at 1.5 times the certified radius. How often do you succeed?
#
# ## Further reading
#
# - Madry et al. (2018), *Towards Deep Learning Models Resistant to Adversarial Attacks*: exercise 1.
# - Zhang et al. (2019), *Theoretically Principled Trade-off between Robustness and Accuracy*: exercise 2, and why there is a
#   trade-off.
# - Tsuzuku et al. (2018), *Lipschitz-Margin Training*: exercise 3, with training on top.
# - Gowal et al. (2018), *On the Effectiveness of Interval Bound Propagation for Training Verifiably Robust Models*.
# - Zhang et al. (2018), *Efficient Neural Network Robustness Certification with General Activation Functions*: CROWN.
# - Katz et al. (2017), *Reluplex*, and Bunel et al. (2018), *A Unified View of Piecewise Linear Neural Network Verification*.
# - Xu et al. (2021), *Fast and Complete*, and Wang et al. (2021), *Beta-CROWN*: where verifiers went from here.
# - Cohen et al. (2019), *Certified Adversarial Robustness via Randomized Smoothing*: exercises 8 to 11; read the proof of
#   theorem 1.
# - Dalrymple et al. (2024), *Towards Guaranteed Safe AI*: what proofs about larger systems would need.
