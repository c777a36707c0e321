"""The lesson of `t1_attention`: prose, given code, exercise slots, experiments. It runs from top to bottom on the reference."""

# %% [markdown]
# # T1. Attention and a GPT block from scratch
#
# In this notebook you write every part of a GPT-style decoder. Then you turn the usual direction round and choose the weights of
# one head by hand, so that it does what you decided it should do.
#
# ![The whole model. Each part carries the number of its exercise.](data/overview.svg)
#
# **After this notebook you can**
#
# - implement each part of a decoder and state the shape of every intermediate value;
# - demonstrate, by experiment and not by trust, that a model cannot see the future;
# - find one head's queries, keys and values in a fused weight matrix;
# - say what a model costs in parameters and operations before it exists;
# - construct a head that carries out an algorithm, by choosing its weights.
#
# **Time.** About eight hours in three sittings: exercises 1 to 3 (2 hours), 4 to 7 (2 hours), 8 to 11 (4 hours). No experiment
# takes longer than a few seconds on two cores.
#
# **Before.** You can index, broadcast and contract tensors, write an `nn.Module`, and train it with an optimiser. **After.** T2
# trains such a model, samples from it and gives it a cache, for which the `offset` of exercise 1 is the preparation. I1
# reads every activation of such a model, and I2 takes heads apart; exercise 10 puts one together first.

# %% [markdown]
# ## Why this matters for AI safety
#
# A sceptic may ask what plumbing has to do with safety. An evaluation compares the log-probabilities that two checkpoints give to
# the same answer. A monitor reads activations at a certain layer and position. A paper claims that a certain head moves a name
# from one place to another. Each is a statement about an internal quantity, and is as good as the code that computes it.
#
# That code fails quietly. A mask that ignores the offset of a cache, a bug found in public code, makes a model behave differently
# in deployment from how it did in evaluation. A fill value of minus ten thousand in place of minus infinity hides padding until
# one day the scores are lower still. A mask that is one step too generous improves the validation loss, and nobody goes looking
# for the cause of an improvement. None of these raises an error, and a loss curve shows none of them as a fault.
#
# So for every part you will meet not only its formula but a property that must hold, and an experiment that would expose a
# violation: change a later token and look for movement, shuffle the keys, compare a prefix with the whole. Testing a component by
# means that do not share its assumptions is the habit that auditing needs. Knowing how attention works makes no model safe; it
# makes claims about models checkable.

# %% [markdown]
# ## How to work
#
# Each exercise has a card; five dots of importance mean that all that follows depends on it. The docstring in the code cell is
# the exact task. Below it stands a locked cell with a quick check of a few cases. The checks that score are hidden and stricter:
# odd shapes, extreme values, other seeds. An "ok" is encouragement, not proof.
#
# Three **hints** per exercise are folded under the card, each more concrete than the one before; opening them costs nothing.
# Cells that begin with `prediction` ask for your guess before an experiment. Write one sentence, even a wrong one: you learn most
# from an experiment that you expected to end differently.
#
# **In pairs.** The driver types. The navigator reads the docstring aloud, asks for the shape before each line is written, and
# thinks about inputs that would break it. Each card ends with a question which the navigator asks before the check is run. Change
# roles after every exercise. If you work alone, answer the question in writing.
#
# **Letters.** `b` batch, `t` positions, `d` features, `h` heads, `q` and `k` numbers of queries and keys, `e` features of a
# value. Shapes are written as einops words: `(b h t d)`.

# %% setup
import math
from dataclasses import dataclass

import einops
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from solutions.t1_attention import GPTConfig


# %% demo
# A pencil for the experiments: it draws a matrix as shades. You may change it.
def heat(matrix: Tensor, rows: str = "query", columns: str = "key", low: float = 0.0) -> None:
    m = matrix.detach().double()
    print(f"{rows} (down) by {columns} (across), from · = {low:g} to █ = {m.max():.3g}")
    print("      " + "".join(f"{j:>3}" for j in range(m.shape[1])))
    for i, row in enumerate((m - low) / (m.max() - low)):
        shades = ["·░▒▓█"[sum(float(x) > edge for edge in (0.02, 0.25, 0.5, 0.8))] for x in row]
        print(f"{i:>5} " + "".join(f" {shade}{shade}" for shade in shades))


heat(torch.arange(8.0).reshape(2, 4), "rows", "columns")

# %% [markdown]
# ## 1. Who may look at whom
#
# A language model reads a text once and makes a prediction at every position: a text of a thousand tokens is a thousand exercises
# in guessing the next one. This economy has a condition. The prediction at position 5 must be made without token 6, or the model
# is marked on an answer which it was shown. The causal mask is that condition, written as a table: rows are queries (who looks),
# columns are keys (who is looked at), and an entry is true where looking is allowed. A position may look at itself and at
# everything before it.
#
# While a text is being generated there is a second situation. The keys of earlier tokens are kept in a cache, and only the newest
# token asks a question. Then there is a single row and many columns, and row number 0 does *not* belong to position 0. What
# counts is the place in the whole sequence:
#
# $$\text{open} \iff \text{position of the key} \le \text{position of the query}$$
#
# ![Three masks: a whole prompt, one new token with a cache, a chunk of two tokens with a cache.](data/masks.svg)
#
# > ⚠ **Gotcha.** A triangle that is not square can be aligned in two ways. `F.scaled_dot_product_attention(..., is_causal=True)`
# > aligns it at the upper left: with one query and five cached keys, the newest token sees only the oldest one. No error is
# > raised.
#
# ### Exercise 1: `causal_mask` (6 points)
#
# - Difficulty ●●○○○ · importance ●●●●○ · about 18 minutes
# - **Objective:** express a rule about absolute positions as one comparison of two ranges.
# - **Source:** Vaswani et al. 2017, section 3.2.3.
# - **Navigator asks:** which row of the square mask should `causal_mask(1, 5, offset=2)` be, and how many of its entries are
#   open?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write down, for `causal_mask(2, 4, offset=1)`, the position of each row and of each column, then fill in the eight entries with
# a pencil.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Comparing a column of numbers with a row of numbers broadcasts to a table. No loop is needed, and no function that makes
# triangles.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# where_queries_stand = row numbers, moved by the offset    as a column
# where_keys_stand    = column numbers                      as a row
# answer              = elementwise: key stands no later than query
# ```
#
# </details>

# %% exercise points=6 minutes=18 difficulty=2 importance=4 title="Who may look at whom"
from solutions.t1_attention import causal_mask

# %% [markdown]
# ### Experiment: the forgotten offset
#
# Five keys are in the cache and one token arrives. **Predict first:** how many keys does it see if the code that calls the mask
# forgets to pass the offset? How would the generated text look: broken at once, or plausible?

# %% demo
prediction = "It will see ... keys, and the text will look ..."

# %% demo
heat(causal_mask(1, 6, 5))
heat(causal_mask(1, 6))
same = F.scaled_dot_product_attention(torch.zeros(1, 4), torch.zeros(6, 4), torch.eye(6), is_causal=True)
print("torch, is_causal=True, one query:", same[0].tolist())

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Without the offset the newest token sees only the first one. A trained model then still produces fluent text, because one token
# of context and a strong prior go a long way; it merely forgets the conversation. Only a comparison with uncached logits, number
# by number, shows it; you will make it in T2.
#
# </details>

# %% [markdown]
# ## 2. Attention
#
# Think of a dictionary that answers approximately. Every position issues a **query** (what am I looking for?), every position
# offers a **key** (what do I contain?) and a **value** (what do I hand over?). An ordinary dictionary returns the value of the
# one key that is equal to the query. Attention returns an average of all values, in which a value counts the more, the better its
# key matches:
#
# $$\text{pattern} = \operatorname{softmax}\!\left(\frac{Q K^\top}{\sqrt{d}}\right), \qquad \text{out} = \text{pattern} \cdot V$$
#
# Each row of the pattern is a probability distribution over keys. Why the root of $d$? If the entries of a query and a key are
# independent with variance 1, their dot product has variance $d$. Divided by $\sqrt d$, it has variance 1 at any width, and the
# softmax starts soft. The experiment below shows what happens otherwise.
#
# The mask acts before the softmax: a closed score becomes $-\infty$, so that its weight is exactly 0 and the open ones share
# everything. The case with *no* open key needs a decision. Softmax gives 0/0 there; we define the pattern and the output as
# zeros. Batches with padding have such rows.
#
# > ⚠ **Gotcha.** Repairing a nan after the softmax repairs the output, but not always the gradient: on the way back zero times
# > nan is nan, and where the mask is *added* to the scores, one empty row poisons everything. It is safest if the softmax never
# > sees a row without a finite entry.
#
# ### Exercise 2: `attention` (14 points)
#
# - Difficulty ●●●○○ · importance ●●●●● · about 48 minutes
# - **Objective:** scaled dot-product attention which is exact at the edges: any leading dimensions, values of another width,
#   extreme scores, empty rows.
# - **Source:** Vaswani et al. 2017, equation 1 and section 3.2.1.
# - **Navigator asks:** over which axis does each row sum to 1, and what is the gradient of an empty row?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write it without a mask first, for shapes `(... q d)`, `(... k d)`, `(... k e)`. Which letter is summed over in the first
# product, which in the second? Only then add the mask, and last of all the empty rows.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# einops and `torch.einsum` take an ellipsis for the leading dimensions. `masked_fill` returns a new tensor; its sister with an
# underscore changes the old one. A row is empty if no entry of its mask is true: `any` with `keepdim` tells.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# scores  = every query times every key, times the scale
# closed scores -> minus infinity
# rows with nothing open -> any finite number        (the softmax stays finite)
# pattern = softmax along the keys
# rows with nothing open -> zeros in the pattern     (as promised)
# out     = pattern times values
# ```
#
# </details>

# %% exercise points=14 minutes=48 difficulty=3 importance=5 title="Attention"
from solutions.t1_attention import attention

# %% [markdown]
# ### Experiment: the scale, and an infinity that was too small
#
# One query meets 16 random keys. **Predict first:** as the width grows from 4 to 1024, what becomes of the largest weight if the
# scores are not scaled, and what if they are divided by $d$ instead of its root? And when does a fill value of $-10^4$ begin to
# leak?

# %% demo
prediction = "Unscaled: ... ; divided by d: ... ; the fill leaks when ..."

# %% demo
torch.manual_seed(0)
print("largest of 16 weights   by root d   unscaled   by d")
for d in (4, 16, 64, 256, 1024):
    q, k = torch.randn(200, 1, d), torch.randn(200, 16, d)
    largest = [attention(q, k, k, scale=s)[1].amax(-1).mean() for s in (None, 1.0, 1 / d)]
    print(f"d = {d:<20}" + "".join(f"{float(x):>9.2f}" for x in largest))

print("\nOne open key and one closed key, both with the same score. The weight of the closed one:")
closed = torch.tensor([[False, True]])
for score in (0.0, -9_990.0, -10_000.0, -50_000.0):
    k = torch.tensor([[score], [score]])
    finite = k.T.masked_fill(closed, -1e4).softmax(-1)[0, 1]
    exact = attention(torch.ones(1, 1), k, k, ~closed, scale=1.0)[1][0, 1]
    print(f"score {score:>9.0f}   filled with -1e4: {float(finite):.2g}   attention: {float(exact):.2g}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Unscaled, a wide model begins with patterns that put nearly everything on one key, where the softmax is flat and gradients
# vanish; divided by $d$ it begins with patterns that are nearly uniform, whatever the keys say. Only the root keeps the start
# independent of the width. As for the fill: once the open scores are as low as the fill value, the closed key takes half of the
# weight, and below that all of it. Scores of that size are rare in a healthy model; audits are for the others.
#
# </details>

# %% [markdown]
# ## 3. Several heads, one matrix
#
# One pattern is one question. A position that needs the subject of its sentence *and* the previous token needs two, and a single
# softmax can only compromise between them. So the width is divided among several heads. Each has its own queries, keys and values
# of width $d_\text{head} = d_\text{model} / n_\text{heads}$, and attends on its own; a last matrix mixes the results. Eight
# narrow heads cost as many operations as one wide head.
#
# In practice nobody multiplies by $3 n_\text{heads}$ small matrices. All their rows are stacked into one, `qkv`, and a single
# product computes everything. The order of the rows is a convention that no type checker knows; find it out before you look at
# head 7 of somebody's model. Ours is in the docstring and in the picture.
#
# While a text is generated, the keys and values of all past tokens stay in memory; with long contexts and many users they take
# more of it than the weights. **Grouped queries** save there: several query heads share one key head and one value head. With a
# single one it is multi-query attention (Shazeer 2019).
#
# ![The rows of the fused matrix for four query heads and two key/value heads.](data/heads.svg)
#
# > ⚠ **Gotcha.** *Neighbours* share: query heads 0 and 1 read key/value head 0. Tiling the key heads (0, 1, 0, 1) in place of
# > repeating each (0, 0, 1, 1) gives the right shapes, trains well, and silently ruins every published checkpoint that you load.
#
# ### Exercise 3: `MultiHeadAttention` (16 points)
#
# - Difficulty ●●●●○ · importance ●●●●● · about 60 minutes
# - **Objective:** split a fused projection into heads, share key/value heads among groups, and keep the whole causal.
# - **Source:** Vaswani et al. 2017, section 3.2.2; Ainslie et al. 2023, section 2.2.
# - **Navigator asks:** for `d_model=12, n_heads=6, n_kv_heads=2`, how many rows has `qkv.weight`, and which of them are value
#   head 1?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Only the shapes are difficult. Write the shape after each step in a comment first, from `(b t d_model)` to `(b h t d_head)` and
# back. `attention` and `causal_mask` are yours already; use them.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Regard the output of `qkv` as one long list of heads: `n_heads + 2 * n_kv_heads` of them, each of width `d_head`.
# `einops.rearrange` makes that list an axis of its own, and `split` cuts it in three. For the groups there is `einops.repeat`;
# the order of the two names in brackets decides who shares.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# list of heads = qkv(x), last axis cut into pieces of d_head
# q, k, v       = the first n_heads pieces, the next n_kv_heads, the rest
# k, v          = every head n_heads / n_kv_heads times, copies side by side
# mixed         = attention with the causal mask, heads beside the batch
# return out(heads of each position laid end to end)
# ```
#
# </details>

# %% exercise points=16 minutes=60 difficulty=4 importance=5 title="Several heads, one matrix"
from solutions.t1_attention import MultiHeadAttention

# %% [markdown]
# ### Experiment: an audit by perturbation
#
# Here is the test for causality that needs no knowledge of the code: change one token, look which outputs move. **Predict
# first:** what shape will the picture have? And a second question: tokens 0 and 1 change places. At which of the eight positions
# does the output change?

# %% demo
prediction = "The picture: ... After the swap, the outputs change at positions ..."

# %% demo
torch.manual_seed(0)
layer, x = MultiHeadAttention(16, 4), torch.randn(1, 8, 16)
with torch.no_grad():
    movement = torch.zeros(8, 8)
    for j in range(8):
        changed = x.clone()
        changed[:, j] += torch.randn(16)
        movement[:, j] = (layer(changed) - layer(x))[0].norm(dim=-1)
    heat(movement, "output", "changed token")
    print("the output at an earlier position moved by at most", float(movement.triu(1).max()))
    swapped = x[:, [1, 0, 2, 3, 4, 5, 6, 7]]
    print("after the swap:", [round(float(m), 3) for m in (layer(swapped) - layer(x))[0].norm(dim=-1)])

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Above the diagonal the movement is not small but exactly zero: what is not computed with cannot leak. Insist on exact zeros
# here, since a small leak is a leak. The swap moves the outputs at positions 0 and 1 only. For all later positions the past is a
# *set*: attention does not know in which order its keys came. "Dog bites man" and "man bites dog" are the same to the full stop
# that follows. This is repaired next.
#
# </details>

# %% [markdown]
# ## 4. Positions as vectors
#
# The simplest repair is to add to each token's vector another one that says where it stands. Two tables are common.
#
# The **sinusoidal** table is computed. Think of a clock with many hands: the fastest one turns by one radian per token, each
# later one more slowly, the slowest hardly at all. A hand's angle at position $p$ is
#
# $$\alpha_{p,i} = \frac{p}{10000^{2i/d}}, \qquad i = 0, \dots, d/2 - 1,$$
#
# and its sine and cosine are the entries $2i$ and $2i+1$ of the row. Fast hands tell neighbours apart, slow hands tell the
# beginning from the end. Moving on by $k$ tokens turns every hand by a fixed angle, so "the position $k$ before mine" is a linear
# map, the same one everywhere.
#
# The **learned** table is a parameter with a row per position, as in GPT-2. It assumes nothing and knows nothing beyond its last
# row. When a text is continued from a cache, the first new token stands at `offset`, not at 0. Asking for a row that does not
# exist must be an error: a table that wraps around or clamps hands over wrong positions without a word.
#
# > ⚠ **Gotcha.** Sines and cosines side by side, or all sines and then all cosines? Both are in circulation, and to a network
# > that learns from nothing they are equivalent. Weights that were trained on one are noise with the other.
#
# ### Exercise 4: `sinusoidal`, `LearnedPos` (6 points)
#
# - Difficulty ●●○○○ · importance ●●○○○ · about 24 minutes
# - **Objective:** turn a formula with two indices into a table without loops; read part of a table safely.
# - **Source:** Vaswani et al. 2017, section 3.5; Radford et al. 2019, section 2.3.
# - **Navigator asks:** what are the four entries of row 0 for `d=4`?
#
# <details><summary>Hint 1: where to begin</summary>
#
# First make the table of angles only, with one column per hand: `(n, d/2)`. Check its first column: it is the position itself.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# A new last axis that holds sine and cosine, flattened into the one before it, interleaves them. In the learned table a slice
# suffices, but slices that reach too far are cut short in silence, so compare first.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# odd d: error
# angle[p, i] = p / 10000 ** (2 i / d)        2 i runs through 0, 2, 4, ...
# table       = pairs (sin angle, cos angle), laid end to end
#
# learned: last position needed > rows there are: error
#          else rows offset .. offset + t
# ```
#
# </details>

# %% exercise points=6 minutes=24 difficulty=2 importance=2 title="Positions as vectors"
from solutions.t1_attention import sinusoidal, LearnedPos

# %% [markdown]
# ### Experiment: what the table calls near
#
# **Predict first:** the dot product of rows 3 and 7 of the table, and of rows 150 and 154: which one is larger? Does the
# similarity fall steadily with the distance?

# %% demo
prediction = "The larger one is ... ; with the distance it ..."

# %% demo
table = sinusoidal(200, 32)
similar = table @ table.T
for p in (3, 150):
    print(f"rows {p} and {p} + 0..9:", [round(float(s), 2) for s in similar[p, p : p + 10]])
heat(similar[:12, :12], "position", "position", low=9.0)

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Both are equal: the dot product of two rows depends on their distance only, since $\sin a \sin b + \cos a \cos b = \cos(a - b)$
# for each hand. It does not fall steadily; a sum of cosines ripples. The next exercise puts the first fact to better use.
#
# </details>

# %% [markdown]
# ## 5. Positions as rotations
#
# Adding positions to the stream mixes *what* and *where* in one vector, and a head must learn to separate them. Rotary embedding
# leaves the stream alone. It turns the query and the key just before they meet, each by an angle in proportion to its position.
# Two hands that are turned by angles $a$ and $b$ differ in direction by $b - a$, whatever $a$ was. So the score depends on
# content and on relative distance, and on nothing else:
#
# $$\langle R_m q,\, R_n k\rangle = \langle q,\, R_{n-m} k\rangle$$
#
# $R_m$ rotates the pair of features $(2i, 2i+1)$ by $m\,\theta^{-2i/d}$: the clock again, with $\theta$ in the place of 10000.
#
# ![Two pairs of features at five positions; the first turns fast, the later one slowly.](data/rope.svg)
#
# The positions are an argument, since they are not always 0, 1, 2: with a cache they begin late, with padding on the left each
# sequence has its own, and when several documents are packed into one row they start again in the middle.
#
# > ⚠ **Gotcha.** Two conventions share one name. Here, as in the paper, neighbours $(0,1), (2,3), \dots$ are pairs. Many
# > libraries pair feature $i$ with feature $i + d/2$. Norms, relative scores and shapes look perfect in both; checkpoints do not
# > survive the exchange. A second one: in bfloat16 whole numbers above 256 are rounded, so angles must be computed in something
# > better.
#
# ### Exercise 5: `rope` (10 points)
#
# - Difficulty ●●●●○ · importance ●●●●○ · about 42 minutes
# - **Objective:** rotate pairs of features by position-dependent angles, for positions of any order and shape.
# - **Source:** Su et al. 2021, section 3.2 and equation 34.
# - **Navigator asks:** what must come out at position 0, and what happens to the length of a vector?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Do it on paper for $d = 2$: rotate the point $(x, y)$ by the angle $a$ counter-clockwise. What does $(1, 0)$ become? With more
# features the same happens to each pair, at another speed.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Slices with step 2 give all first and all second members of the pairs. Give `positions` a new last axis, so that it multiplies
# one speed per pair; broadcasting then takes care of batches. Interleave the results as in exercise 4.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# odd d: error
# speed[i]     = theta ** (-2 i / d)                one per pair
# angle        = position times speed               a new last axis
# first, last  = features 0, 2, 4, ...  and  1, 3, 5, ...
# new first, new last = the plane rotation of (first, last) by angle
# lay the pairs end to end, in the type of x
# ```
#
# </details>

# %% exercise points=10 minutes=42 difficulty=4 importance=4 title="Positions as rotations"
from solutions.t1_attention import rope

# %% [markdown]
# ### Experiment: the same question, asked elsewhere
#
# **Predict first:** query and key are both vectors of ones, 16 features. How does their score change with the distance, for
# $\theta = 10000$ and for $\theta = 10$? Where does it become negative?

# %% demo
prediction = "..."

# %% demo
ones = torch.ones(1, 16)
distances = (0, 1, 2, 4, 8, 16, 32, 64)
print("distance     " + "".join(f"{s:>7}" for s in distances))
for theta in (10_000.0, 10.0):
    for start in (0, 1000):
        q = rope(ones, torch.tensor([start]), theta)
        scores = [float((q * rope(ones, torch.tensor([start + s]), theta)).sum()) for s in distances]
        print(f"θ={theta:<6.0f} m={start:<4}" + "".join(f"{s:>7.2f}" for s in scores))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The two rows of each θ agree: only the distance counts. With a large θ most hands hardly move, so the score falls slowly and
# distant tokens remain comparable; with a small one all hands turn fast and the scores scatter. This is one reason why models
# that are stretched to longer contexts are given a larger θ. The GPT of this notebook uses a learned table, as GPT-2 does.
# Building rotation in is a stretch exercise at the end.
#
# </details>

# %% [markdown]
# ## 6. The feed-forward layer
#
# Attention moves information between positions. The feed-forward layer then works on each position alone: it widens the vector,
# applies a nonlinearity, and narrows it again. In a standard block two thirds of the parameters are here.
#
# **GELU** is the smooth relative of ReLU: an input $z$ is multiplied by the probability that a standard normal variable is
# smaller than it, $z \cdot \Phi(z)$. Large inputs pass, very negative ones vanish, and in between the function dips a little
# below zero. As $\Phi$ used to be slow to compute, an approximation by tanh came into use, and GPT-2 was trained with it.
# **SwiGLU** has two branches instead: one passes through $\operatorname{silu}(z) = z\,\sigma(z)$ and acts as a gate on the other,
# feature by feature.
#
# > ⚠ **Gotcha.** "GELU" names at least three functions: the exact one, the approximation by tanh, and $z\,\sigma(1.702 z)$.
# > Loading weights into the wrong one gives no error and a model that is slightly off everywhere. When published numbers cannot
# > be reproduced in the last digits, look here.
#
# ### Exercise 6: `MLP` (6 points)
#
# - Difficulty ●●○○○ · importance ●●●○○ · about 24 minutes
# - **Objective:** three variants behind one interface, exact on the negative side too.
# - **Source:** Hendrycks and Gimpel 2016, section 2; Shazeer 2020, section 2.
# - **Navigator asks:** which linear layers have biases in which variant, and which branch does the gate pass through?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write the constructor from the docstring's list of parameters, and look at `named_parameters()` before you write `forward`.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `torch.nn.functional` has the exact GELU, its tanh variant (an argument chooses) and SiLU. The exercise is to know which is
# which and what multiplies what.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# unknown kind: error
# gelu kinds: narrow( activation( widen(x) ) )
# swiglu:     narrow( silu of the gate's branch  *  the other branch, as it is )
# ```
#
# </details>

# %% exercise points=6 minutes=24 difficulty=2 importance=3 title="The feed-forward layer"
from solutions.t1_attention import MLP

# %% [markdown]
# ### Experiment: three functions, one name
#
# **Predict first:** where is GELU's lowest point, and how deep is it? How far from the exact function are the two approximations
# at worst: a tenth, a hundredth, a thousandth?

# %% demo
prediction = "Lowest point near ... ; tanh off by ... ; sigmoid off by ..."


# %% demo
def one_unit(kind: str) -> MLP:
    m = MLP(1, 1, kind).double()
    for name, p in m.named_parameters():
        nn.init.constant_(p, 0.0 if name.endswith("bias") else 1.0)
    return m


with torch.no_grad():
    z = torch.linspace(-6, 6, 4801, dtype=torch.float64)[:, None]
    exact, by_tanh = one_unit("gelu")(z), one_unit("gelu_tanh")(z)
    by_sigmoid = z * torch.sigmoid(1.702 * z)
    print(f"lowest point of GELU: {float(exact.min()):.4f} at {float(z[exact.argmin()]):.3f}")
    for name, other in (("tanh", by_tanh), ("sigmoid", by_sigmoid)):
        print(f"farthest from it, by {name}: {float((exact - other).abs().max()):.5f}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Two hundredths per hidden unit, in every layer, are invisible on a loss curve and plain in the logits. Reproduce numbers, not
# curves.
#
# </details>

# %% [markdown]
# ## 7. The norm, the block, the stream
#
# The vector at a position is a **residual stream**: a bus that runs from the embedding to the unembedding. Attention and
# feed-forward layer do not replace it, they read from it and *add* to it. What the embedding wrote is still there at the end,
# unless someone subtracted it.
#
# Such a sum grows, and layers like inputs of a familiar size; hence the norm. **RMSNorm** divides a vector by the root of the
# mean of its squares and scales each feature by a learned weight:
#
# $$y_j = w_j \cdot \frac{x_j}{\sqrt{\frac1d \sum_i x_i^2 + \varepsilon}}$$
#
# It subtracts no mean: its authors found that half of LayerNorm dispensable. Note where $\varepsilon$ stands. And mind the number
# type: the largest float16 is 65504, so the square of 300 is infinite there, and the whole vector becomes zero.
#
# ![Pre-norm block: norm on the branch. Post-norm block: norm on the stream.](data/wiring.svg)
#
# **Where** the norm stands matters more than which norm it is. In the original transformer it stood on the stream, after each
# addition; in GPT-2 and most models since, it stands on the branch. Then an error signal travels along the stream from the last
# block to the first without passing a norm.
#
# ### Exercise 7: `RMSNorm`, `Block` (10 points)
#
# - Difficulty ●●●○○ · importance ●●●●● · about 36 minutes
# - **Objective:** normalise in sufficient precision; wire residual connections in both orders.
# - **Source:** Zhang and Sennrich 2019, section 4; Xiong et al. 2020, section 3 and figure 1.
# - **Navigator asks:** if both sublayers return zeros, what does a pre-norm block return, and what a post-norm block?
#
# <details><summary>Hint 1: where to begin</summary>
#
# RMSNorm: apply the formula on paper to $(1, 1)$ with $\varepsilon = 3$. The result is $\frac12$. Block: write the two sublayers
# on two lines, and let each line begin with the stream.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Convert half-precision inputs before squaring and convert back at the very end; leave float64 as it is. In the post-norm block
# the same two norms are used, but each one swallows a sum.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# norm:  work in float32 if x is a 16-bit type
#        x / root of (mean of squares + eps), times weight, back to x's type
#
# pre:   stream = stream + sublayer(norm(stream))      twice, attention first
# post:  stream = norm(stream + sublayer(stream))      twice, attention first
# ```
#
# </details>

# %% exercise points=10 minutes=36 difficulty=3 importance=5 title="The norm, the block, the stream"
from solutions.t1_attention import RMSNorm, Block

# %% [markdown]
# ### Experiment: gradients and depth
#
# Xiong et al. (2020) found that at initialisation the last layers of a post-norm network receive gradients whose size does not
# depend on the depth, whereas those of a pre-norm network shrink as it gets deeper. Large first steps are therefore dangerous for
# the former; hence the warm-up of the learning rate. **Predict first:** from 2 to 32 blocks, by how much does the last block's
# gradient shrink? And what happens to the size of the stream?

# %% demo
prediction = "..."


# %% demo
def gradient_and_stream(depth: int, pre_norm: bool) -> tuple[float, float]:
    torch.manual_seed(1)
    cfg = GPTConfig(d_model=64, n_heads=4, n_layers=1, d_vocab=2, n_ctx=32, d_mlp=256)
    blocks, norm = nn.ModuleList(Block(cfg, pre_norm) for _ in range(depth)), RMSNorm(64)
    for p in blocks.parameters():
        if p.ndim == 2:
            nn.init.xavier_normal_(p)
    x, direction = torch.randn(4, 32, 64), torch.randn(4, 32, 64)
    for block in blocks:
        x = block(x)
    out = norm(x) if pre_norm else x
    (out * direction).sum(-1).mean().backward()
    return float(blocks[-1].mlp.down.weight.grad.norm()), float(x.detach().square().mean().sqrt())


print("depth     last block's gradient      size of the stream")
print("            pre      post              pre      post")
for depth in (2, 8, 32):
    pre, post = gradient_and_stream(depth, True), gradient_and_stream(depth, False)
    print(f"{depth:>5} {pre[0]:>9.2f} {post[0]:>9.2f} {pre[1]:>16.2f} {post[1]:>9.2f}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Two columns belong together. In the pre-norm network the stream grows roughly like the root of the depth; the final norm divides
# by it, and so the last block's gradient shrinks at the same rate. In the post-norm network the stream is brought back to size 1
# after each addition and the gradient stays large. This is one measurement at initialisation of a small network, not a law;
# change the seed, the widths, the init and see what is left of it.
#
# </details>

# %% [markdown]
# ## 8. The model
#
# All parts exist; what remains is assembly. Tokens are looked up in an embedding, the position table is added, the blocks follow,
# then one last norm and the unembedding. Three details matter.
#
# *The start.* Each block adds two contributions to the stream. If all were drawn at the same scale, the variance of the sum would
# grow with the number of layers. GPT-2 therefore draws the matrices that *write* into the stream smaller by
# $1/\sqrt{2 n_\text{layers}}$, and everything else with standard deviation 0.02.
#
# *Tied weights.* Embedding and unembedding are both tables with one vector per token, and may be one and the same. The same
# *Parameter*, that is: two equal copies part company at the first optimiser step.
#
# *The end of the table.* There are `n_ctx` positions. Whoever asks for more must be told.
#
# > ⚠ **Gotcha.** In a pre-norm model nothing has normalised the stream when the last block is done. Forgetting the final norm
# > costs little at the start, when the stream is small, and much later on; the loss curve looks merely "a bit worse".
#
# ### Exercise 8: `GPT` (14 points)
#
# - Difficulty ●●●○○ · importance ●●●●● · about 60 minutes
# - **Objective:** assemble a decoder with documented names, a stated initialisation, optional tying, and positions that may start
#   anywhere.
# - **Source:** Radford et al. 2019, section 2.3; Press and Wolf 2017 (tying).
# - **Navigator asks:** which parameters does a tied model yield, and which are drawn with the smaller standard deviation?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write the constructor with the names of the docstring, print `named_parameters()` with shapes and compare. The forward pass is
# then five lines.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Assigning one module's `weight` to another module's attribute shares it. Initialise last, in one loop over `named_parameters()`,
# and decide by the end of the name. `LearnedPos` already knows offsets and refuses rows that do not exist.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# build: token table, position table, blocks, final norm, unembedding
# tied: the unembedding's weight is the token table's weight
# for each parameter: writes into the stream -> 0.02 / root of (2 n_layers)
#                     other matrix -> 0.02;  bias -> 0;  norm -> as it is
#
# forward: x = tokens looked up + rows pos_offset ... of the position table
#          x through the blocks, the final norm, the unembedding
# ```
#
# </details>

# %% exercise points=14 minutes=60 difficulty=3 importance=5 title="The model"
from solutions.t1_attention import GPT

# %% [markdown]
# ### Experiment: three questions for a new model
#
# Before you train anything for hours, ask three things that take seconds. What is the loss at the start? Are the logits of a
# prefix those of the whole? Can the model learn one batch by heart? The batch below is random and has 64 tokens in its
# vocabulary. **Predict first:** the loss at step 0, to two digits, and the loss after 60 steps.

# %% demo
prediction = "At the start ... , after 60 steps ..."

# %% demo
torch.manual_seed(0)
small = GPTConfig(d_model=64, n_heads=4, n_layers=2, d_vocab=64, n_ctx=32, d_mlp=256)
model, text = GPT(small), torch.randint(64, (8, 33))
with torch.no_grad():
    whole = model(text[:, :32])
    gap = max(float((model(text[:, :n]) - whole[:, :n]).abs().max()) for n in (1, 7, 31))
print(f"prefix against whole: largest difference {gap:.1e}")
optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
for step in range(61):
    loss = F.cross_entropy(model(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())
    if step % 20 == 0:
        print(f"step {step:>2}: loss {loss.item():.2f}")
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

# %% [markdown]
# <details><summary>What to take away</summary>
#
# A model that knows nothing should say "all tokens are equally likely", at a loss of $\ln 64 = 4.16$. A higher loss at the start
# means that the initialisation is too large or the logits are wired wrongly. A *lower* one means that the answer is leaking in.
# Learning a random batch by heart is proof that gradients reach what they should, nothing more. The text is random, there is
# nothing to generalise from, and the loss goes to 0 all the same.
#
# </details>

# %% [markdown]
# ## 9. What a model costs
#
# How large is it, and what does a token cost? Both follow from the config by counting. It is how one plans a run and compares
# architectures fairly.
#
# **Parameters.** Per block, attention has the rows of `qkv` times $d$, plus the output matrix; the feed-forward layer has two or
# three matrices. With the usual proportions ($d_\text{mlp} = 4d$, no grouping) that makes about $12\,d^2$. Norms and biases are
# small, but they count. A tied matrix counts once.
#
# **Operations.** A matrix product costs one multiplication and one addition per weight and per token: two operations for every
# parameter that multiplies something. Looking up an embedding is no multiplication. One term has no parameters at all: each token
# is compared with all $t$ keys, and averages $t$ values. It is linear in $t$ per token, quadratic per text.
#
# ### Exercise 9: `param_count`, `flops_per_token` (6 points)
#
# - Difficulty ●●○○○ · importance ●●●○○ · about 30 minutes
# - **Objective:** exact parameter counts and forward operations from the config alone.
# - **Source:** Kaplan et al. 2020, section 2.1 and table 1.
# - **Navigator asks:** which two fields of the config never change the count, as long as no heads are shared?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Print the names, shapes and `numel()` of a small GPT's parameters, and account for every line by a product of config fields.
# Change one field at a time.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# For the operations take the same list, strike out everything that only adds or is only looked up, and double it. Then add the
# two products that involve no weights: queries with keys, pattern with values. How many heads of which width take part in them?
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# per block:  qkv rows (query heads + twice the kv heads, times d_head) x d, out d x d
#             feed-forward matrices (3 for swiglu, else 2) and their biases, two norms
# whole:      token table, position table, final norm, unembedding unless tied
#
# operations: 2 x (weights of all matrix products, tied or not
#                  + per block, all heads together: scores and average, t each)
# ```
#
# </details>

# %% exercise points=6 minutes=30 difficulty=2 importance=3 title="What a model costs"
from solutions.t1_attention import param_count, flops_per_token

# %% [markdown]
# ### Experiment: when does context cost more than the model?
#
# Take the proportions of the smallest GPT-2: $d = 768$, 12 heads, 12 layers, 50257 tokens, 1024 positions. **Predict first:** how
# many parameters? And from which length on do the scores and averages cost more than everything else together?

# %% demo
prediction = "... million parameters; more than half of the operations from t = ... on"

# %% demo
gpt2_small = GPTConfig(d_model=768, n_heads=12, n_layers=12, d_vocab=50257, n_ctx=1024, d_mlp=3072, tied=True)
print(f"{param_count(gpt2_small):,} parameters")
for t in (128, 1024, 4096, 8192, 65536):
    cost, fixed = flops_per_token(gpt2_small, t), flops_per_token(gpt2_small, 0)
    share = (cost - fixed) / cost
    print(f"t = {t:<6}{cost / 1e6:>6.0f} million operations per token, {share:>4.0%} scores and averages {'█' * round(30 * share)}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The published model has 124,439,808 parameters, 56,064 more than ours. Find them: they are biases (ours has fewer), and the
# number can be explained to the last unit. Up to a few thousand tokens "two operations per parameter" is a good rule. Beyond
# that, context is what you pay for.
#
# </details>

# %% [markdown]
# ## 10. A head by hand
#
# Interpretability reads algorithms out of weights. You will write one in. The head to build looks at the **previous token** and
# makes the model repeat it: after `... 7 3` it says `7`. Such heads are the first half of induction, the best understood circuit
# in language models (Olsson et al. 2022).
#
# Elhage et al. (2021) split a head in two. Queries and keys decide **where to look**; values and output matrix decide **what is
# moved**. The two choices are independent, so you can make them one after the other. The stream serves as a bus with room for
# several messages, provided that each has its own features: the embedding writes *which token* into some, the position table
# writes *which position* into others, and the head writes its *answer* into yet others, which the unembedding reads.
#
# ![Where to look is decided by positions, what is moved is the token.](data/by_hand.svg)
#
# Three things have to be right. *The match:* the query of position $i$ must fit the key of position $i - 1$ better than any
# other. *The sharpness:* softmax never returns exactly 1. If the right score exceeds all others by $g$, it gets at least
# $1 / (1 + (n-1) e^{-g})$ of the weight, so for 0.99 among $n$ keys the gap must be larger than $\ln(99(n-1))$. *The norm:* the
# head reads the stream after `norm1`, which scales every vector. Work out by how much, then decide how large your weights must
# be.
#
# > ⚠ **Gotcha.** The rest of the model must stay silent. A feed-forward layer with random weights, a second head or a second
# > block would talk over your answer; and the token itself is still in the stream when the unembedding reads it.
#
# ### Exercise 10: `hand_set_previous_token_head` (12 points)
#
# - Difficulty ●●●●● · importance ●●●●○ · about 72 minutes
# - **Objective:** choose embeddings, W_Q, W_K, W_V and W_O such that a head copies the previous token, at every length, without
#   training.
# - **Source:** Elhage et al. 2021, "Virtual weights and the residual stream" and "Attention heads as information movement"; the
#   exercise is new.
# - **Navigator asks:** for each matrix that is not zero: from which features does it read, and into which does it write?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Start with a state dict in which everything is zero, except the norm weights. Divide the `d_model` features into three ranges
# and give each a name. The docstring promises that they fit.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Unit vectors everywhere: as token embeddings, as positions. A matrix which moves range A to range B is an identity in one corner
# of a larger matrix of zeros. A *shifted* identity turns "position $i$" into "position $i-1$". Which of query and key should be
# shifted, and which way? Try it with three positions on paper.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# token table:    token a    -> unit vector a in range TOKEN
# position table: position p -> unit vector p in range POSITION
# head 0 query:   reads POSITION, unit vector i becomes  sharp * unit vector i - 1
# head 0 key:     reads POSITION, passes it on
# head 0 value:   reads TOKEN, passes it on
# output:         writes what head 0 carries into range ANSWER
# unembedding:    logit of token a = feature a of range ANSWER
# sharp:          such that the score's gap survives the norm and the scale
# ```
#
# </details>

# %% exercise points=12 minutes=72 difficulty=5 importance=4 title="A head by hand"
from solutions.t1_attention import hand_set_previous_token_head

# %% [markdown]
# ### Experiment: right answer, which mechanism?
#
# We draw your head's pattern, then make its queries ten times and thirty times smaller. **Predict first:** how much attention is
# left for the previous position, and how often is the model's answer still right?

# %% demo
prediction = "At a tenth: ... of the attention, ... % right"

# %% demo
tiny = GPTConfig(d_model=24, n_heads=1, n_layers=1, d_vocab=6, n_ctx=10, d_mlp=8)
torch.manual_seed(0)
tokens = torch.randint(6, (50, 10))
for gain in (1.0, 0.1, 1 / 30):
    model = GPT(tiny)
    state = {name: p.clone() for name, p in hand_set_previous_token_head(tiny).items()}
    state["blocks.0.attn.qkv.weight"][:24] *= gain  # the rows of head 0's query
    model.load_state_dict(state)
    with torch.no_grad():
        block = model.blocks[0]
        q, k, v = block.attn.qkv(block.norm1(model.tok_emb(tokens) + model.pos_emb(10))).chunk(3, dim=-1)
        pattern = attention(q, k, v, causal_mask(10, 10))[1].mean(0)
        right = (model(tokens)[:, 1:].argmax(-1) == tokens[:, :-1]).double().mean()
    back = float(pattern.diagonal(-1).mean())
    print(f"queries x {gain:.2f}: {back:.2f} of the attention goes one back, {float(right):.0%} of the answers are right")
    heat(pattern)

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The answers stay right long after the pattern has blurred: as the largest logit wins, a head that only leans towards the
# previous token speaks as one that stares at it. Behaviour alone does not identify the mechanism, and a correct benchmark score
# does not tell how it comes about. This is the gap that interpretability is meant to close.
#
# </details>

# %% [markdown]
# ## 11. Bonus: attention in one pass
#
# A pattern has $t^2$ entries. For 100,000 tokens and one head in float32 that is 40 GB, and nearly all of it is looked at once
# and thrown away. Can the average be computed without ever holding a whole row?
#
# The obstacle is the softmax: it divides by a sum over *all* keys, and to be safe from overflow it subtracts the maximum over
# *all* keys. Both can be kept up to date, like a running mean. Go through the keys block by block and carry three things per
# query: the largest score so far, the sum of exponentials so far, and the weighted sum of values so far, the last two relative to
# that largest score. When a new block brings a larger score, everything that was relative to the old one must be expressed
# relative to the new one. This is exact, not an approximation, and it is the core of FlashAttention.
#
# ![Three running quantities travel over the blocks of keys.](data/online.svg)
#
# > ⚠ **Gotcha.** "The largest score so far" has to begin somewhere. Zero is wrong as soon as all scores are far below it, and
# > $-\infty$ minus $-\infty$ is nan. Go through your first block with care.
#
# ### Exercise 11: `online_softmax_attention` (bonus, 0 points)
#
# - Difficulty ●●●●● · importance ●●●○○ · about 60 minutes
# - **Objective:** exact attention in memory that does not grow with the number of keys.
# - **Source:** Milakov and Gimelshein 2018, section 3; Dao et al. 2022, section 3.1 and algorithm 1.
# - **Navigator asks:** by which factor is the old sum multiplied when the maximum rises from $m$ to $m'$?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Do it with two blocks on paper: $s_1$ is the sum of $e^{x - m_1}$ over the first block, $s_2$ that of $e^{x - m_2}$ over the
# second. Express the sum of $e^{x - \max(m_1, m_2)}$ over both by $s_1$ and $s_2$.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Three tensors: maximum and sum with a last axis of size 1, and the accumulated values. `torch.maximum` compares two tensors,
# `amax` reduces one. A slice that reaches beyond the last key is simply shorter.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# largest = minus infinity;  total = 0;  mixed = 0
# for each block of keys and values:
#     scores  = queries times these keys, scaled
#     updated = the larger of largest and this block's maximum
#     shrink  = exp(largest - updated)
#     weights = exp(scores - updated)
#     total   = shrunk total + weights summed
#     mixed   = shrunk mixed + weights times these values
#     largest = updated
# return mixed / total
# ```
#
# </details>

# %% exercise points=0 minutes=60 difficulty=5 importance=3 bonus=true title="Attention in one pass"
from solutions.t1_attention import online_softmax_attention

# %% [markdown]
# ### Experiment: exact, at any block size
#
# **Predict first:** which block sizes reproduce `attention` to the last digit, and how large is the difference for the others?

# %% demo
prediction = "..."

# %% demo
torch.manual_seed(0)
q, k, v = torch.randn(64, 32), 8 * torch.randn(2000, 32), torch.randn(2000, 32)
whole, _ = attention(q, k, v)
for size in (1, 7, 128, 2000):
    gap = (online_softmax_attention(q, k, v, size) - whole).abs().max()
    print(f"block {size:>4}: scores in memory {64 * size:>7,} of {64 * 2000:,}, largest difference {float(gap):.1e}")

# %% [markdown]
# ## Stretch
#
# No points, but evidence of strength.
#
# 1. **Rotation in the model.** Give the GPT rotary positions in place of the learned table, and verify with the perturbation
#    audit that order now matters.
# 2. **A leak detector.** Open the mask by one step in a copy of your model and train both on the random batch. Which of the three
#    questions of section 8 exposes the leak? Write a function that, given any model, returns the first position that sees the
#    future.
# 3. **No positions at all.** Remove the position table. Is a causal model then blind to order? The swap experiment suggests it
#    for one layer. Try two, and then read Haviv et al. (2022).
# 4. **Induction by hand.** With the previous-token head in block 0, add a head in block 1 that finds an earlier occurrence of the
#    current token and predicts what followed it.
#
# ## Further reading
#
# - Vaswani et al. (2017), *Attention Is All You Need*: sections 3.2 and 3.5 are exercises 1 to 4.
# - Radford et al. (2019), *Language Models are Unsupervised Multitask Learners*: section 2.3, one paragraph, is exercise 8.
# - Elhage et al. (2021), *A Mathematical Framework for Transformer Circuits*: the best single preparation for the
#   interpretability track.
# - Olsson et al. (2022), *In-context Learning and Induction Heads*: what previous-token heads are for.
# - Weiss, Goldberg and Yahav (2021), *Thinking Like Transformers*, and Lindner et al. (2023), *Tracr*: hand-set heads as a
#   programming language, and its compiler.
# - Press, Smith and Lewis (2022), *Train Short, Test Long*: another way of making scores depend on distance.
# - Phuong and Hutter (2022), *Formal Algorithms for Transformers*: pseudo-code for everything here, without ambiguity.
