"""The lesson of `f1_tensors`: prose, given code, exercise slots, experiments. It runs from top to bottom on the reference."""

# %% [markdown]
# # F1. Tensors, einsum, indexing
#
# Ten small functions. Each is in some library, and each has a version that looks right, passes a first test and is wrong. In
# this notebook you meet those versions where they cost nothing.
#
# ![One strip of memory read in three ways.](data/strides.svg)
#
# **After this notebook you can**
#
# - write code whose every line has a shape that you can state, without loops;
# - predict what broadcasting does before you run it, and see where it would do harm;
# - say where a tensor's numbers lie in memory, and which operations copy them;
# - keep nan and overflow out of results *and* out of gradients, on empty masks and extreme numbers;
# - take an einsum apart and put it together again from a matrix product.
#
# **Time.** About five hours in three sittings: exercises 1 to 4 (1.5 hours), 5 to 8 (2 hours), 9 and 10 (1.3 hours).
# Experiments take seconds.
#
# **Before.** You can program in Python and know what a matrix product is. **After.** Everything in this
# course is written with these ten operations. T1 builds attention from exercises 2 and 5, T2 scores text with exercise 6 and
# batches it with exercise 9, and the interpretability track lives on exercise 10.

# %% [markdown]
# ## Why this matters for AI safety
#
# A reasonable objection: indexing is plumbing, and no catastrophe will come from a reshape. But consider what evidence about
# models is made of. That one model is less toxic than another is a difference between two masked means. That a model finds a
# dangerous answer unlikely is a sum of log-probabilities at certain positions. That a direction in activation space stands for
# deception is an average over groups of rows. In each case the claim is a few lines of tensor code away from the data.
#
# These lines fail in a particular way. A matrix product with wrong shapes raises an error, but a scoring function that is
# shifted by one position returns plausible numbers about the wrong tokens. A mean that divides by the padded length makes the
# score of an answer depend on which other answers were in its batch. A nan that is replaced by zero turns a fault in the data
# into a reassuring result. None of it leaves a trace in a table of results.
#
# The defence is not care but method: say what shape everything has, test a function by properties that its formula does not
# mention (padding must not matter, order must not matter, layout in memory must not matter), and look at gradients as well as
# at values. This notebook drills that method on functions small enough to be certain of.
#
# Each exercise has a card; five dots of importance mean that all that follows depends on it. The docstring in the code cell is
# the exact task: read it to its end, much of it is about the edges. Below it stands a locked cell with a quick check of a few
# cases. The checks that score are hidden and stricter: other shapes, empty and huge inputs, tensors that are not contiguous,
# gradients. An "ok" is encouragement, not proof.
#
# Three **hints** per exercise are folded under the card, each more concrete than the one before; opening them costs nothing.
# Cells that begin with `prediction` ask for your guess before an experiment. Write one sentence, even a wrong one.
#
# **In pairs.** The driver types. The navigator reads the docstring aloud, asks for the shape before each line is written, looks
# for inputs that would break it, and asks the card's last question before the check is run. Change roles after every exercise.
# If you work alone, answer the question in writing.
#
# **Letters.** `b` batch, `t` positions, `d` features, `v` vocabulary, `n`, `m`, `k` other counts. Shapes are written as einops
# words: `(b t d)`.

# %% setup
import math

import einops
import torch
import torch.nn.functional as F
from torch import Tensor

# %% [markdown]
# ## 1. Every row with every row
#
# **Broadcasting** is one rule. Write the two shapes below each other, aligned at the right. Where one of them has a 1, or nothing
# at all, it is repeated to match the other; where both are larger than 1 they must be equal. No memory is used for the
# repetition. So a column `(n 1)` and a row `(m)` make a table `(n m)`: every entry of the one meets every entry of the other.
# Inserting an axis of size 1, by `x[:, None]`, is how you say that you want a table.
#
# Nearest neighbours, clustering, kernels and many interpretability plots begin with such a table: the squared distances between
# all rows of $x$ and all rows of $y$. Naively, every row of $x$ has the whole of $y$ subtracted from it, and the differences
# fill a cube of $n \cdot m \cdot d$ numbers: for 10,000 points on each side with 768 features, 307 GB in float32. The table
# itself needs 0.4 GB. The way out is to multiply out the square:
#
# $$\lVert a - b \rVert^2 = \lVert a \rVert^2 + \lVert b \rVert^2 - 2\, a \cdot b$$
#
# ![A column of squared lengths, a row of squared lengths and a matrix product make the table.](data/broadcast.svg)
#
# Two of the terms are one number per row, the third is a matrix product, and no cube is ever needed. There is a price. The
# formula subtracts large numbers that are nearly equal, so that the digits that would tell them apart have been rounded away.
# The result can even be negative, and the first square root makes a nan out of it.
#
# > ⚠ **Gotcha.** Broadcasting also happens when you did not want it. If predictions have shape `(n 1)` and targets `(n)`, their
# > difference is not `(n)` but a table `(n n)`. Its mean square is a number, it decreases during training, and it teaches the
# > model to predict the average of all targets.
#
# ### Exercise 1: `pairwise_sq_dists` (8 points)
#
# - Difficulty ●●○○○ · importance ●●●○○ · about 24 minutes
# - **Objective:** make a table by broadcasting, without a cube, and keep its promise where rounding breaks it.
# - **Source:** standard; Goldberg 1991, section 1.4 (cancellation).
# - **Navigator asks:** which shape has each of the three terms, and which entries of the result must be 0 when `y` is `x`?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Do it for one row of each with pencil and paper, then ask of each of the three terms whether it depends on the row of $x$, on
# the row of $y$, or on both.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# The term that depends on both is a product of two matrices, one of them transposed. The two others are sums along the features,
# one of which needs an extra axis to become a column. `clamp` cuts off at a bound.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# lengths of x = sum of squares of each row     as a column
# lengths of y = sum of squares of each row     as a row
# table        = column plus row minus twice (x times y transposed)
# whatever is below zero is zero
# ```
#
# </details>

# %% exercise points=8 minutes=24 difficulty=2 importance=3 title="Every row with every row"
from solutions.f1_tensors import pairwise_sq_dists

# %% [markdown]
# ### Experiment: far from home
#
# Two points are exactly 1 apart. We move both away from the origin, in float32. **Predict first:** at which distance from the
# origin does your function stop giving 1, and what does it give then? And would subtracting first, then squaring, do better?

# %% demo
prediction = "It stops being 1 at about ..., and gives ... Subtracting first ..."

# %% demo
print("distance from origin   your function   subtract first   moved to the mean before")
for offset in (0.0, 100.0, 1e3, 3e3, 1e4, 1e5):
    pair = torch.tensor([[0.0, 0.0], [1.0, 0.0]]) + offset
    direct = (pair[0] - pair[1]).square().sum()
    centred = pair - pair.mean(0)
    yours, moved = (float(pairwise_sq_dists(p, p)[0, 1]) for p in (pair, centred))
    print(f"{offset:>20,.0f} {yours:>15.4g} {float(direct):>16.4g} {moved:>25.4g}")

wish, have = torch.zeros(5), torch.zeros(5, 1)
print("\ntargets (5) minus predictions (5 1) has shape", tuple((wish - have).shape))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# A float32 keeps 24 bits of a number. At an offset of 3,000 a squared length is about eighteen million, and numbers of that
# size lie 2 apart: a distance of 1 falls between them. Subtracting first is exact here, at the price of the cube. The third
# column costs nothing: distances do not change when both sets move together, so move them to their mean before you multiply
# out. Remember it whenever activations have a large common component, as those of language models do.
#
# </details>

# %% [markdown]
# ## 2. Say it with letters
#
# A matrix product says: for every row $i$ and column $k$, multiply along $j$ and add up. **Einsum** says exactly that, for any
# tensors: a letter for every dimension, and on the right of an arrow the letters to keep. There are only two rules. A letter
# that several operands have walks through all of them together. A letter that is missing on the right is summed over.
#
# `"i j, j k -> i k"` is the matrix product, `"i, j -> i j"` the table of all products, `"i i -> i"` a diagonal. Transposing,
# batching and summing need no rules of their own. einops takes whole words, `torch.einsum` single letters without spaces.
#
# A **bilinear form** scores a pair of vectors by all products of an entry of one and an entry of the other:
#
# $$f_o(x, y) = \sum_{i,j} x_i \, W_{oij} \, y_j + \text{bias}_o$$
#
# It compares an entity with an entity, a question with an answer; the scores of attention are one bilinear form per head, with
# $W = W_Q^\top W_K$. All the thinking goes into which letters meet.
#
# > ⚠ **Gotcha.** The batch letter has to be *the same letter* in x and in y, and it has to be kept. Leave it out on the right,
# > and all samples are added up; use two letters, and every sample meets every other sample. With a batch of one, both mistakes
# > give the right answer.
#
# ### Exercise 2: `bilinear` (8 points)
#
# - Difficulty ●●○○○ · importance ●●●●○ · about 18 minutes
# - **Objective:** translate a sum over named indices into one einsum.
# - **Source:** Socher et al. 2013, section 3.1 (the bilinear part of equation 1); Rogozhnikov 2022 for the notation.
# - **Navigator asks:** which letters occur twice among the operands, and which of these may not be summed?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write the formula for one sample and one output with all indices. Every index of the formula is a letter; the sum sign lists
# those that are missing on the right.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# The docstring gives the letters of each operand under "Shapes", in the order that you need. What is left to decide is the right
# side. The bias is not part of the product: broadcasting aligns it at the right.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# letters of x, letters of w, letters of y -> batch and output
# plus bias
# ```
#
# </details>

# %% exercise points=8 minutes=18 difficulty=2 importance=4 title="Say it with letters"
from solutions.f1_tensors import bilinear

# %% [markdown]
# ### Experiment: six equations
#
# The three letters of `w` can be written in six orders. **Predict first:** how many of the six equations run without an error
# when all sizes are different, and how many when all sizes are 4? How many of those are right?

# %% demo
prediction = "Different sizes: ... run. All sizes 4: ... run, ... right."

# %% demo
torch.manual_seed(0)
for b, i, o, j in ((5, 3, 2, 7), (4, 4, 4, 4)):
    x, w, y, bias = torch.randn(b, i), torch.randn(o, i, j), torch.randn(b, j), torch.zeros(o)
    right = bilinear(x, w, y, bias)
    print(f"sizes b={b} i={i} o={o} j={j}")
    for order in ("o i j", "o j i", "i o j", "i j o", "j o i", "j i o"):
        try:
            made = einops.einsum(x, w, y, f"b i, {order}, b j -> b o")
            verdict = "runs, right" if torch.allclose(made, right, atol=1e-5) else "runs, WRONG"
        except (RuntimeError, einops.EinopsError):
            verdict = "error"
        print(f"    b i, {order}, b j -> b o    {verdict}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# With different sizes the machine finds the mistake for you; with equal sizes it computes something else. Models are full of
# equal sizes: query, key and value are equally wide. So test with sizes that are all different, as small as you like. It is the
# cheapest test there is.
#
# </details>

# %% [markdown]
# ## 3. Cutting up an image
#
# A vision transformer reads an image as a text: it cuts it into square patches, and every patch becomes a word. No arithmetic is
# involved, only a change of order. The numbers of an image lie in memory row after row. The numbers of a patch come from several
# rows, so they do not lie side by side, and **no reshape can ever bring them together**: a reshape never changes the order of the
# numbers, only where lines are broken.
#
# What is needed are three steps. Cut both sides in two, which only breaks lines: `h` becomes (number of patches, `p`), and so
# does `w`. Change the order of the six axes. Join axes again, which now moves memory. In einops all three are one line:
# brackets say what is cut or joined, and the order *within* a bracket says which part is the outer one.
#
# ![A 4 by 6 image with its pixels numbered, cut into six patches, and the patches as rows.](data/patches.svg)
#
# Two conventions have to be fixed. Patches come in reading order, and within a patch the channel is outermost. Others choose
# otherwise (the paper puts the channels last), and weights trained with one order are useless with another.
#
# > ⚠ **Gotcha.** `(h p)` and `(p h)` in a pattern have the same size. The first takes neighbouring pixels into a patch, the
# > second takes every `h`-th one, so that every patch is a coarse copy of the whole image. A network trains on both.
#
# ### Exercise 3: `patchify`, `unpatchify` (10 points)
#
# - Difficulty ●●○○○ · importance ●●●○○ · about 30 minutes
# - **Objective:** reorder axes by cutting, permuting and joining, and undo it exactly.
# - **Source:** Dosovitskiy et al. 2020, section 3.1 (there with the channels last).
# - **Navigator asks:** for the picture above and `p=2`, where does pixel 9 end up?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Take the numbered image of the picture. Write down the six patches, then for each number its patch and its place within it.
# Which quotient gives the row of patches, which remainder the row within the patch?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `einops.rearrange` with brackets on both sides. Give the sizes that it cannot infer as keywords; each side of a patch needs a
# name of its own, although both have the size `p`. The way back is the same pattern with its sides exchanged, and one more size.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# p does not divide h, or not w: ValueError
# cut:   h -> (rows of patches, row within a patch),  w -> (columns of patches, column within a patch)
# order: image, rows of patches, columns of patches, channel, row within, column within
# join:  the second with the third, and the last three
#
# back:  the same, read from below; the number of rows of patches has to be told
# ```
#
# </details>

# %% exercise points=10 minutes=30 difficulty=2 importance=3 title="Cutting up an image"
from solutions.f1_tensors import patchify, unpatchify

# %% [markdown]
# ### Experiment: what a reshape cannot do
#
# An image of 4 by 6 pixels with one channel holds the numbers 0 to 23. **Predict first:** which four numbers are in its first
# patch for `p=2`, and which four does a mere `reshape(1, 6, 4)` put there? If pixel 9 changes, how many rows of each change?

# %% demo
prediction = "First patch: ... By reshape: ... Rows that change: ..."

# %% demo
numbered = torch.arange(24.0).reshape(1, 1, 4, 6)
print(numbered[0, 0].int())
print("patchify:", patchify(numbered, 2)[0].int().tolist())
print("reshape: ", numbered.reshape(1, 6, 4)[0].int().tolist())

torch.manual_seed(0)
picture = torch.zeros(1, 1, 64, 64)
picture[..., 16:32, 16:32] = 1  # a square of 16 x 16, such as an attacker's sticker
touched = [int((x != 0).any(-1).sum()) for x in (patchify(picture, 8), picture.reshape(1, 64, 64))]
print(f"a square of 256 pixels touches {touched[0]} of 64 patches, and {touched[1]} of 64 rows of the reshaped image")
print("back again:", torch.equal(unpatchify(patchify(picture, 8), 8, 64, 64), picture))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Both have the right shape. In one the words of the text are parts of the picture, in the other they are strips of lines. A
# sticker stays in few patches, and some certified defences against stickers count on that (Levine and Feizi 2020): if it
# touches few pieces, it can sway few votes. With the wrong order the proof would count something that is not there.
#
# </details>

# %% [markdown]
# ## 4. Averages with gaps
#
# Sequences of different lengths are padded to one length, and a boolean mask says what is real. To make one vector of a sentence,
# average its real positions. Two things decide whether that is right. The **divisor** is the number of real positions, not the
# padded length, or else a sentence would change its vector with the company it keeps in a batch. And the **sum** must not see the
# padding at all, whatever is stored there.
#
# Multiplying by the mask seems to do that, and fails on the one kind of padding that matters: $0 \cdot \infty$ and $0 \cdot
# \text{nan}$ are nan. Uninitialised memory or an overflow in a discarded position puts such values there. *Choosing* is not
# multiplying: `masked_fill` and `where` take one value or the other and do not compute with both.
#
# Then there is the sequence with nothing in it. Its mean is 0/0, and we define it as zero. The tempting repair is to let the nan
# happen and replace it afterwards. It repairs the value. The gradient runs back through the division all the same, where the
# slope is infinite, and zero times infinity is nan once more. The rule is worth a frame: **make the dangerous operation safe, not
# its result.**
#
# > ⚠ **Gotcha.** `nan_to_num` on the input makes every nan a zero, those in the real positions too. A nan that you did not put
# > there is a message: something upstream is broken. Pass it on.
#
# ### Exercise 4: `masked_mean` (10 points)
#
# - Difficulty ●●○○○ · importance ●●●●● · about 18 minutes
# - **Objective:** a mean that padding cannot influence, with finite gradients on empty masks.
# - **Source:** Reimers and Gurevych 2019, section 3 (mean pooling).
# - **Navigator asks:** what is 0 times inf, and where in the code could that product occur, forwards or backwards?
#
# <details><summary>Hint 1: where to begin</summary>
#
# First write it for masks with at least one True in every row. What has to be done to the mask's shape before it meets x?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `masked_fill` takes the places to overwrite, which are those where the mask is *not* True. A sum over a boolean mask counts. A
# count that may be 0 can be kept away from 0 without changing any other count.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# chosen = x, with zeros where the mask is False      (chosen, not multiplied)
# count  = number of True per sequence, at least 1
# result = chosen summed over t, divided by count
# ```
#
# </details>

# %% exercise points=10 minutes=18 difficulty=2 importance=5 title="Averages with gaps"
from solutions.f1_tensors import masked_mean

# %% [markdown]
# ### Experiment: one empty sentence
#
# A linear layer embeds three sentences, one of which is empty; the loss is the sum of all means. One version multiplies by the
# mask, divides, and replaces nan by 0 at the end. **Predict first:** how does its loss differ from that of `masked_mean`? How
# many of the 8 weights of the layer get a nan as gradient?

# %% demo
prediction = "The loss ... ; ... of 8 weights"

# %% demo
torch.manual_seed(0)
words = torch.randn(3, 5, 4)
real = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]).bool()


def repaired(x: Tensor, mask: Tensor) -> Tensor:
    return ((x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)).nan_to_num(0.0)


for name, mean in (("repaired afterwards", repaired), ("masked_mean", masked_mean)):
    layer = torch.nn.Linear(4, 2, bias=False)
    torch.nn.init.constant_(layer.weight, 0.5)
    loss = mean(layer(words), real).sum()
    loss.backward()
    print(f"{name:<20} loss {loss.item():.4f}, weights with a nan gradient: {int(layer.weight.grad.isnan().sum())} of 8")

print("\nthe first sentence alone, and in a batch that is padded to 5, when the sum is divided by t:")
print(words[:1, :3].mean(1)[0].tolist())
print((words[:1] * real[:1, :, None]).mean(1)[0].tolist())

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The losses agree, and every weight of the layer is lost after one step, because of a sentence that has no words. In practice
# it looks like a run that "became unstable" when the first empty document came along. The last two lines show the other
# mistake: the vector of a sentence shrinks with the length of its neighbours.
#
# </details>

# %% [markdown]
# ## 5. Sums of exponentials
#
# Softmax, cross-entropy, attention and every likelihood contain the same expression, $\log \sum_i e^{x_i}$. In float32 $e^{x}$ is
# infinite from $x = 89$ on and exactly 0 below $-104$, while logits in the hundreds are nothing unusual. Yet the result itself is
# harmless: it lies between the largest entry and that entry plus $\log n$. Only the way to it leads through numbers that do not
# exist. So take another way. For every constant $c$
#
# $$\log \sum_i e^{x_i} = c + \log \sum_i e^{x_i - c}$$
#
# and with the largest entry of the slice as $c$ all exponents are at most 0. Nothing can overflow, and one term is exactly 1, so
# the logarithm never gets to see a 0. It has to be the maximum *of each slice*: with one maximum for the whole tensor, a slice
# that is far lower than another underflows as before.
#
# One case is left. A slice may consist of $-\infty$ only: everything in it is forbidden. Its sum is 0, its logarithm $-\infty$,
# so far so good. But $c$ is now $-\infty$ too, and $-\infty - (-\infty)$ is nan; and the slope of the logarithm at 0 is
# infinite, which spoils the gradient even where the value is right. Remember the frame.
#
# > ⚠ **Gotcha.** `where(safe, f(x), 0)` does not protect the gradient: both branches are computed, both are differentiated, and 0
# > times nan is nan. Put something harmless *into* f where it is unsafe, and replace the outcome as well.
#
# ### Exercise 5: `logsumexp` (10 points)
#
# - Difficulty ●●●○○ · importance ●●●●● · about 24 minutes
# - **Objective:** a reduction along any dimension that is exact for extreme entries and has finite gradients.
# - **Source:** Blanchard, Higham and Higham 2021, section 1 (the shifted formula).
# - **Navigator asks:** what is c for a slice of -inf only, and what should it be?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write it with keepdim everywhere, and remove the dimension in the very last step. Test it on the two rows (0, 0) and
# (10000, 10000) side by side.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `amax` takes a dimension and keepdim. The shift is a constant as far as the result is concerned, so no gradient has to flow
# through it: `detach`. A slice is lost exactly when its maximum is -inf; keep that as a mask with one entry per slice, and use it
# three times.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# c     = largest entry of each slice, as a constant, dimension kept
# lost  = c is minus infinity
# c     -> 0 where lost
# total = sum of exp(x - c) along the dimension, kept
# total -> 1 where lost                              (so that the logarithm has a slope)
# out   = log total + c, minus infinity where lost
# drop the dimension, that one only, unless it is to be kept
# ```
#
# </details>

# %% exercise points=10 minutes=24 difficulty=3 importance=5 title="Sums of exponentials"
from solutions.f1_tensors import logsumexp

# %% [markdown]
# ### Experiment: where numbers end
#
# Three entries x, x and x, so that the result should be x + 1.0986. **Predict first:** for which of the values of x below does
# the direct way fail in float32, and does it fail with inf, with -inf or with nan? And what gradient does `torch.logsumexp` give
# for a slice of -inf only?

# %% demo
prediction = "It fails for ..., with ... ; torch's gradient is ..."

# %% demo
print("      x    log(sum(exp))   logsumexp")
for x in (-10_000.0, -110.0, -100.0, 0.0, 80.0, 90.0, 10_000.0):
    row = torch.full((3,), x)
    print(f"{x:>9,.0f} {float(row.exp().sum().log()):>15.5g} {float(logsumexp(row, 0)):>11.5f}")

for name, function in (("torch.logsumexp", torch.logsumexp), ("yours", logsumexp)):
    forbidden = torch.tensor([[0.0, 1.0], [-math.inf, -math.inf]], requires_grad=True)
    values = function(forbidden, 1)
    values[0].backward()  # the loss does not even use the second row
    slopes = [round(float(g), 3) for g in forbidden.grad.flatten()]
    print(f"{name:<16} values {[round(float(v), 3) for v in values.detach()]}, gradients {slopes}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Far below zero the direct way says -inf, and far above inf; at -100 it still works, with fewer digits, because numbers that
# small are stored with less precision. torch's own function has the right values and a nan in the gradient of the forbidden
# row, although the loss does not depend on that row: nothing, times an infinite slope.
#
# </details>

# %% [markdown]
# ## 6. The score of a text
#
# A language model returns, for each position, a row of logits over the vocabulary: its opinion on what comes *next*. After the
# tokens 0 to $i$ have been read, row $i$ judges token $i + 1$. So the first token is not judged by anybody, the last row judges
# something that is not there, and $t$ tokens have $t - 1$ scores:
#
# $$\ell_i = \log p(\text{token}_{i+1} \mid \text{token}_0, \dots, \text{token}_i)$$
#
# ![Logits at a position are paired with the token one further on.](data/shift.svg)
#
# From these numbers come perplexity, the answers of multiple-choice benchmarks and membership tests. There are three steps: cut
# off the row without a token, normalise over the vocabulary, pick one number per position.
#
# For the last one there is `gather`. `x.gather(-1, index)` picks along the last axis: the index has as many dimensions as `x`,
# and its shape is the shape of the result. Here one entry per position is wanted, so the index needs a last axis of size 1, which
# is removed afterwards.
#
# > ⚠ **Gotcha.** `squeeze()` without an argument removes *all* axes of size 1, also that of a batch of one, or of a text of two
# > tokens. Name the axis. A second one: the logarithm of a softmax is -inf as soon as the softmax rounds to 0, in float32 from
# > 104 logits below the best. `log_softmax` never forms the small number.
#
# ### Exercise 6: `next_token_logprobs` (12 points)
#
# - Difficulty ●●●○○ · importance ●●●●● · about 30 minutes
# - **Objective:** align predictions with targets, and gather one entry per position.
# - **Source:** Radford et al. 2019, section 2 (the factors of equation 1).
# - **Navigator asks:** a text has four tokens. Which rows of logits are used, and which tokens are picked?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Draw the two rows of the picture for four tokens, and draw the lines. What is left over on either side?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Two slices along t, one of which drops the last position and the other the first. Then both have the same length, and the shift
# is done; no arithmetic with indices is needed. `log_softmax`, `gather`, and an axis of size 1.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# judges = logits of all positions but the last
# judged = tokens of all positions but the first
# logp   = judges, normalised over the vocabulary, as logarithms
# result = for each position the entry of logp that judged names
# ```
#
# </details>

# %% exercise points=12 minutes=30 difficulty=3 importance=5 title="The score of a text"
from solutions.f1_tensors import next_token_logprobs

# %% [markdown]
# ### Experiment: the model that looks best
#
# Two models read letters. One has learned which letter follows which. The other has learned nothing, and always bets on the
# letter that it has just read. We score both correctly, then without the shift. **Predict first:** which model has the lower
# perplexity in each of the two tables?

# %% demo
prediction = "Correctly scored: ... ; without the shift: ..."

# %% demo
text = "the model that looks best is not the best model, and a score that looks right is not the right score. " * 3
letters = sorted(set(text))
ids = torch.tensor([[letters.index(c) for c in text]])
follows = torch.ones(len(letters), len(letters))
follows.index_put_((ids[0, :-1], ids[0, 1:]), torch.tensor(1.0), accumulate=True)
models = {"follows": follows.log()[ids], "repeats": 6 * F.one_hot(ids, len(letters)).float()}
for name, logits in models.items():
    right = math.exp(-next_token_logprobs(logits, ids).mean())
    unshifted = math.exp(-logits.log_softmax(-1).gather(-1, ids[..., None]).mean())
    print(f'the model that "{name}": perplexity {right:>8.2f}, without the shift {unshifted:>8.2f}')

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Without the shift the ranking is reversed: the model that only repeats what it has read is almost perfect at predicting what
# it has read. A training loop with this mistake ends with such a model, at a loss near 0; an evaluation with it prefers such a
# model. A score that is too good is the alarm to listen for.
#
# </details>

# %% [markdown]
# ## 7. What a tensor really is
#
# A tensor is a strip of memory and four notes on how to read it: shape, **strides**, offset, type. The entry at index $(i, j)$
# lies at place $\text{offset} + i \cdot \text{stride}_0 + j \cdot \text{stride}_1$ of the strip. That is all. Look at the first
# picture again: a transposed matrix is the same strip with its strides exchanged, a slice has another offset, every second column
# has a doubled stride, and `expand` repeats a row by giving it the stride 0. None of them moves a number. They are **views**:
# several tensors on one strip, so that a write through one of them shows in all.
#
# `as_strided` lets you write the notes yourself. Windows are the classic use: neighbouring windows share most of their entries,
# so why store them twice? If the window axis and the axis within a window both walk along the same dimension of `x`, each at its
# own pace, all windows are there, and no memory is used.
#
# ![Windows of 3 entries, 2 apart, as two walks along one strip.](data/windows.svg)
#
# A freshly made tensor is *contiguous*: the last stride is 1, and each stride is the product of the sizes behind it. Code that
# assumes this works on all your examples, until somebody passes in a transpose. Do not compute strides: ask for them.
#
# > ⚠ **Gotcha.** `reshape` returns a view if it can and a copy if it must. Whether a write to its result reaches the original
# > depends on the layout of the argument. `view` never copies: it returns a view or raises an error, which is often what you
# > want.
#
# ### Exercise 7: `sliding_windows` (12 points)
#
# - Difficulty ●●●●○ · importance ●●●○○ · about 36 minutes
# - **Objective:** reason about strides and offsets of tensors that are not contiguous.
# - **Source:** Harris et al. 2020, section "NumPy arrays" and figure 1.
# - **Navigator asks:** let `x` be every third column of a matrix. How far apart in memory are two neighbours of a window, how far
#   apart the beginnings of two windows?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Begin with one dimension. For 7 entries, size 3 and stride 2, list the windows. When does one more window fit? Check your
# formula where the last window ends exactly at the last entry, and one before it.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `x.stride()` and `x.storage_offset()` tell how x is read. The leading dimensions keep their sizes and strides. The last one is
# replaced by two, both of which walk along it: one in single steps of x, the other in `stride` steps of x. A step of x need not
# be a step of memory.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# number of windows = how many whole strides fit behind the first window, plus that window
# step    = what one step along the last dimension is in memory
# shape   = leading sizes, number of windows, size
# strides = leading strides, stride steps, one step
# same strip, same beginning as x
# ```
#
# </details>

# %% exercise points=12 minutes=36 difficulty=4 importance=3 title="What a tensor really is"
from solutions.f1_tensors import sliding_windows

# %% [markdown]
# ### Experiment: a gigabyte that is not there
#
# From a million numbers we take all windows of 256 neighbours. **Predict first:** how much memory do they need, as a view and as
# a copy? Then entry 5 of `x` is set to 100. In how many windows of a tensor with 10 entries, size 3 and stride 1, does it show?

# %% demo
prediction = "As a view ... MB, as a copy ... MB; it shows in ... windows"

# %% demo
signal = torch.zeros(1_000_000)
windows = sliding_windows(signal, 256, 1)
print(f"{windows.numel():,} entries; as a copy {4 * windows.numel() / 1e6:,.0f} MB,", end=" ")
print(f"as a view {windows.untyped_storage().nbytes() / 1e6:.0f} MB, which are those of x")

x = torch.arange(10.0)
three = sliding_windows(x, 3, 1)
x[5] = 100
print("windows that show the 100:", (three == 100).any(-1).nonzero().flatten().tolist())

grid = torch.arange(12.0).reshape(3, 4)
views = {"grid": grid, "grid.T": grid.T, "grid[:, 1::2]": grid[:, 1::2]}
views["grid[1].expand(3, 4)"] = grid[1].expand(3, 4)
for name, view in views.items():
    print(f"{name:<21} shape {tuple(view.shape)}  strides {view.stride()}  offset {view.storage_offset()}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# A view of a gigabyte costs nothing, until some operation quietly makes a copy. And a view is not a value: whoever stores one,
# of activations for example, and looks at it after the model has run again on the same buffer, looks at the new activations. If
# a recording must not change, clone it.
#
# </details>

# %% [markdown]
# ## 8. Means by group
#
# Given are rows and, for each row, the number of its group. Wanted is the mean of each group: class means for a probe, averages
# over neighbours in a graph, mean activations per type of prompt. Groups are uneven, rows come in any order, and some groups
# are empty. A loop over groups reads the data `k` times; **scattering** reads it once.
#
# *Gathering* reads from places that an index names, and repeated places are no problem. *Scattering* writes to such places, and
# then repetition is the point: what happens when two rows go to the same place? `index_add` and `scatter_add` add them up. An
# assignment keeps one of them, and you cannot know which.
#
# The mean is a sum and a count, and the count deserves as much thought as the sum. An empty group has the count 0, by which you
# cannot divide: section 4 again. And the type of a counter limits how far it counts.
#
# ![Rows go to the groups that their index names; one group stays empty.](data/groups.svg)
#
# > ⚠ **Gotcha.** `total[index] += values` looks like a sum and is none. It reads `total[index]`, adds, and writes the results
# > back; of several rows with the same index the last one written wins. No error, right shape, and right whenever no index is
# > repeated.
#
# ### Exercise 8: `scatter_mean` (10 points)
#
# - Difficulty ●●●○○ · importance ●●●●○ · about 30 minutes
# - **Objective:** accumulate rows by an index with repetitions, and divide by exact counts.
# - **Source:** Hamilton, Ying and Leskovec 2017, section 3.3 (the mean aggregator).
# - **Navigator asks:** which shape has the result if `k` is 7 and the largest index is 3?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Solve it for the sum alone. Which tensor of zeros do you begin with, and along which of its dimensions does the index point?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `index_add` adds whole rows at the places which a one-dimensional index names. `torch.bincount` counts how often each number
# occurs; it has an argument for how many numbers there are at least. For the empty groups see exercise 4.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# total = k rows of zeros; every row of values added to the row that its index names
# count = how often each of the k numbers occurs in the index, at least 1
# result = each row of total divided by its count
# ```
#
# </details>

# %% exercise points=10 minutes=30 difficulty=3 importance=4 title="Means by group"
from solutions.f1_tensors import scatter_mean

# %% [markdown]
# ### Experiment: counters that stop
#
# We count 3,000 rows of one group in different types, one after the other. **Predict first:** what does a counter of type float16
# say in the end, and one of type uint8? And what does `total[index] += 1` say, if all 3,000 indices are 0?

# %% demo
prediction = "float16: ... ; uint8: ... ; += : ..."

# %% demo
for dtype in (torch.int64, torch.float32, torch.float16, torch.bfloat16, torch.uint8):
    counter, one = torch.zeros(1, dtype=dtype), torch.ones(1, dtype=dtype)
    for _ in range(3000):
        counter += one
    print(f"{dtype!s:<15} counts to {counter.item()}")

everywhere = torch.zeros(3000, dtype=torch.int64)
total = torch.zeros(2)
total[everywhere] += 1
print("total[index] += 1 counts to", total[0].item())
rows, groups = F.pad(torch.ones(3000, 1), (0, 0, 0, 1), value=5.0), F.pad(everywhere, (0, 1), value=1)
print("3,000 ones in group 0, a 5 in group 1, k=3:", scatter_mean(rows, groups, 3).flatten().tolist())

# %% [markdown]
# <details><summary>What to take away</summary>
#
# float16 counts to 2,048: from there on its numbers lie 2 apart, and adding 1 is rounded away. bfloat16, in which most models are
# trained today, stops at 256. uint8 starts again at 0 after 255. torch's own `sum` and `mean` keep a wider total inside and are
# safe; a running total of your own, over batches for instance, is not. Count in integers that are wide enough, keep totals in
# float32 at least, and convert at the end.
#
# </details>

# %% [markdown]
# ## 9. Ragged rows
#
# A tensor is a rectangle; texts are not. To batch them, add a padding value until all have the length of the longest one, and
# keep a mask of what is real. Two families of bugs come from this.
#
# The first is about the **side**. With the padding on the right, position 0 is the beginning of every sequence: the custom for
# training. With the padding on the left, the last position is the end of every sequence, which is what *generation* needs,
# where the next token of all sequences is predicted in the same column. Reading `logits[:, -1]` from a batch that is padded on
# the right reads the model's opinion on padding.
#
# The second is about the **mask**. It is tempting to compute it later, as `x != value`, which is right as long as the value
# never occurs in the data. But many models pad with their end-of-text token, which occurs at the end of each text; the mask
# then hides it, and the model is never trained to stop. The mask belongs to the lengths, not to the contents.
#
# ![The same three sequences, padded on the right and on the left, with their masks.](data/padding.svg)
#
# > ⚠ **Gotcha.** `torch.zeros(b, t)` is float32. Token numbers that pass through it come back as floats, which no embedding
# > accepts; and beyond $2^{24}$ they come back as other numbers. Take type and device from the data.
#
# ### Exercise 9: `pad_ragged` (8 points)
#
# - Difficulty ●●○○○ · importance ●●●●○ · about 18 minutes
# - **Objective:** lay sequences into a rectangle on either side, with a mask that follows from lengths.
# - **Source:** standard; Krell et al. 2021, section 1, on what padding costs.
# - **Navigator asks:** what do x and the mask look like for the lengths 2, 0 and 1, padded on the left?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Find the longest length and make the two rectangles, full of padding and full of False. Then it is a matter of one slice per
# row.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `seqs[0].new_full` makes a tensor of the right type on the right device. For the mask no loop is needed: compare a row of
# positions with a column of lengths, as in section 1. For the left side, from which position on is a row real?
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# neither side: ValueError
# t     = longest length
# right: entry j of row i is real   if j is less than length i
# left:  entry j of row i is real   if at most length i entries are left, j included
# x     = b x t, full of value, of the sequences' type
# the real entries of x, row by row, are the sequences laid end to end
# ```
#
# </details>

# %% exercise points=8 minutes=18 difficulty=2 importance=4 title="Ragged rows"
from solutions.f1_tensors import pad_ragged

# %% [markdown]
# ### Experiment: paying for padding
#
# 512 texts have skewed lengths, as texts do, and are cut into batches of 32. **Predict first:** which share of all entries is
# padding if the texts come in random order, and if they are sorted by length first? And which column holds the last real token?

# %% demo
prediction = "Random: ... % ; sorted: ... %"

# %% demo
torch.manual_seed(0)
lengths = (20 * torch.randn(512).exp()).clamp(1, 400).int().tolist()
for name, order in (("random order", lengths), ("sorted", sorted(lengths))):
    batches = [[torch.ones(n, dtype=torch.int64) for n in order[i : i + 32]] for i in range(0, 512, 32)]
    masks = [pad_ragged(batch, 0, "right")[1] for batch in batches]
    n_real, n_all = sum(int(m.sum()) for m in masks), sum(m.numel() for m in masks)
    print(f"{name:<13} {n_all:>6,} entries, {1 - n_real / n_all:.0%} of them padding")

texts = [torch.tensor([7, 8, 9]), torch.tensor([5]), torch.tensor([4, 0])]
for side in ("right", "left"):
    x, mask = pad_ragged(texts, 0, side)
    print(f'\nside="{side}": last column {x[:, -1].tolist()}')
    for i in range(len(x)):
        print("   ", " ".join(str(x[i, j].item()) if mask[i, j] else "·" for j in range(x.shape[1])))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# In random order five sixths of the work is done on nothing. Sorting by length leaves a third, nearly all of it in the one
# batch that holds the longest texts. But sorted batches are no longer random, so in practice one sorts within large random
# pools, or packs several texts into one row, with a mask that keeps them apart. The last text ends with a real 0, the padding
# value: its mask is still right.
#
# </details>

# %% [markdown]
# ## 10. Einsum from the inside
#
# You have used einsum; now build it, for two operands. How can one routine do every product that letters can spell? By noticing
# that there are only a few *kinds* of letters. Ask of each: is it in a, in b, in the output?
#
# ![Batch: in both, kept. Summed: in both, not kept. Rows: a only, kept. Columns: b only, kept. Lonely: not kept.](data/letters.svg)
#
# Now permute each operand so that letters of a kind stand together, and join each kind into one axis. What remains is a product
# of batch x rows x summed with batch x summed x columns: `torch.bmm`. Afterwards cut the axes apart again and permute them to
# the order that the output asks for. Einsum does just this inside, which is why it is as fast as a matrix product.
#
# The rest is validation. A language of letters allows nonsense: a letter twice in one operand, an output letter from nowhere,
# two sizes for one letter. Refuse it before you compute: `bmm` would complain about some of it, in words that nobody
# understands, and stretch or accept the rest in silence.
#
# > ⚠ **Gotcha.** `x.sum(dim=[])` does not sum over nothing: torch takes an empty list of dimensions for all of them. Code that
# > collects the dimensions to be summed works until there are none. A second one: a kind without letters is an axis of size 1,
# > the product of no numbers. And `-1` in a reshape fails as soon as another size is 0.
#
# ### Exercise 10: `einsum2` (12 points)
#
# - Difficulty ●●●●● · importance ●●●●○ · about 60 minutes
# - **Objective:** reduce any contraction of two tensors to one batched matrix product.
# - **Source:** Springer and Bientinesi 2018, section 1 (there called TTGT).
# - **Navigator asks:** in `"bij,bjk->kb"`, of which kind is each letter, and which shapes does `bmm` see?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write a helper that prints the kinds for a given equation, and try it on matrix product, outer product, inner product and
# `"ij,kj->i"`. Only then touch a tensor.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# A dictionary from letter to size, filled from both operands, tells every size that you need and finds contradictions. `permute`
# takes the places of the letters in the order that you want, `str.index` finds them. Join with `reshape`, giving each size as a
# product (`math.prod` of nothing is 1).
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# take the equation apart; refuse what makes no sense
# sort the letters into batch, summed, rows, columns, lonely in a, lonely in b
# a -> axes (batch, rows, summed, lonely), each joined into one;  sum over the last
# b -> axes (batch, summed, columns, lonely), each joined into one;  sum over the last
# product = batched matrix product                     (batch, rows, columns)
# cut its axes into single letters again, in the order in which they were joined
# permute to the order of the output
# ```
#
# </details>

# %% exercise points=12 minutes=60 difficulty=5 importance=4 title="Einsum from the inside"
from solutions.f1_tensors import einsum2

# %% [markdown]
# ### Experiment: the order of a chain
#
# Three matrices, 1000 x 2, 2 x 1000 and 1000 x 2, are to be multiplied. A product of two costs as many multiplications as all its
# letters have values together. **Predict first:** how many times more expensive is it to start on the left than to start on the
# right? Do the results differ?

# %% demo
prediction = "... times; the results ..."

# %% demo
torch.manual_seed(0)
down, up, last = torch.randn(1000, 2).double(), torch.randn(2, 1000).double(), torch.randn(1000, 2).double()
sizes = {"i": 1000, "j": 2, "k": 1000, "l": 2}


def cost(eq: str) -> int:
    return math.prod(sizes[c] for c in set(eq) if c.isalpha())


from_left = einsum2("ik,kl->il", einsum2("ij,jk->ik", down, up), last)
from_right = einsum2("ij,jl->il", down, einsum2("jk,kl->jl", up, last))
left_cost, right_cost = cost("ij,jk->ik") + cost("ik,kl->il"), cost("jk,kl->jl") + cost("ij,jl->il")
print(f"from the left {left_cost:,} multiplications, from the right {right_cost:,}: {left_cost / right_cost:.0f} times as many")
print(f"largest difference {float((from_left - from_right).abs().max()):.1e} of {float(from_left.abs().max()):.0f}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The results agree to rounding, the costs do not. So a low-rank matrix should never be multiplied out: interpretability works
# with products such as $W_E^\top W_Q^\top W_K W_E$, of size vocabulary by vocabulary and of the rank of one head, and keeps
# them as factors. Programs such as opt_einsum choose the order for you (Smith and Gray 2018).
#
# </details>

# %% [markdown]
# ## Stretch
#
# No points, but evidence of strength.
#
# 1. **Distances that keep their digits.** Make `pairwise_sq_dists` accurate far from the origin without a cube, and find two sets
#    for which moving to the mean does not help.
# 2. **Diagonals.** Let `einsum2` accept `"ii,ij->ij"` by a view with one stride more cleverly chosen: no copy, no loop.
# 3. **Any number of operands.** Write `einsum` for a list of tensors with a greedy choice of the next pair, and compare its cost
#    with the best order for five random matrices.
# 4. **A property tester.** Write `same_for_any_layout(f, x)`, which calls `f` on contiguous, transposed, sliced and expanded
#    versions of `x` and compares. Run it on five functions of your own older projects.
#
# ## Further reading
#
# - Goldberg (1991), *What Every Computer Scientist Should Know About Floating-Point Arithmetic*: read section 1.
# - Harris et al. (2020), *Array programming with NumPy*: shape, strides and broadcasting on two pages.
# - Rogozhnikov (2022), *Einops: Clear and Reliable Tensor Manipulations with Einstein-like Notation*: why names beat positions.
# - Blanchard, Higham and Higham (2021), *Accurately computing the log-sum-exp and softmax functions*: how exact exercise 5 is.
# - Krell et al. (2021), *Efficient Sequence Packing without Cross-contamination*: padding counted, and avoided.
# - Smith and Gray (2018), *opt_einsum*, and Springer and Bientinesi (2018), *Design of a High-Performance GEMM-like Tensor-Tensor
#   Multiplication*: the order of contractions, and one contraction done well.
# - Dosovitskiy et al. (2020), *An Image is Worth 16x16 Words*, and Levine and Feizi (2020), *(De)Randomized Smoothing for
#   Certifiable Defense against Patch Attacks*: patches, used and counted on.
