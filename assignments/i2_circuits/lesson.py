"""The lesson of `i2_circuits`: prose, given code, exercise slots, experiments. It runs from top to bottom on the reference."""

# %% [markdown]
# # I2. Induction heads and an IOI circuit
#
# In I1 you opened a model and watched. Here you say *how* it computes something, and then try to prove yourself wrong. You will
# find the two heads that make a model continue a pattern, read their algorithm out of the weights, follow single connections
# through a network, and put a number on the sentence "this set of heads does it".
#
# ![Two heads in two layers: the first one writes down what came before, the second one looks for it.](data/induction.svg)
#
# **After this notebook you can**
#
# - recognise previous-token, duplicate-token and induction heads by where they look;
# - read what a head moves and what it matches from products of weight matrices, without running the model;
# - measure which heads build on which, and say what chance would give;
# - intervene on one connection, and on one only;
# - test a claimed circuit for what it restores, what it leaves out and what it could do without;
# - tell a head that looks right from one that does the work.
#
# **Time.** About eight and a half hours in four sittings: exercises 1 to 2 (1 hour), 3 to 5 (2 hours), 6 to 8 (2.5 hours), 9 to
# 11 (3 hours). Every experiment takes seconds on one core.
#
# **Before.** I1: hooks, caches, ablation and patching. T1: attention, head by head. **After.** R2 returns to the
# habit of exercise 9, a claim with a number that can fail.

# %% [markdown]
# ## Why this matters for AI safety
#
# Much of what we would like to know about a model cannot be read from its answers. A model that repeats a name because it
# understood the sentence and one that repeats it because the second name is always right score the same until the day they do
# not. If we could name the mechanism, we could say in advance where it will break. That is the promise of circuits.
#
# A sceptical engineer should ask how often such a claim has been wrong. Often enough: attention patterns that look like an
# explanation and cause nothing, single ablations that find no effect because three other heads step in, circuits that restore the
# behaviour under one kind of ablation and not under another. None of this shows in a picture. So this notebook spends half of its
# time on tests that a claim can fail: a decoy must be refused, a redundant head must be noticed, a circuit must be compared with
# what is left when it is taken away. A monitor that rests on "this head detects deception" is worth as much as the experiment
# that tried to break that sentence.
#
# We work on models so small that you can check everything. What carries over to large ones is not the circuits but the manners.

# %% [markdown]
# ## How to work
#
# Each exercise has a card; five dots of importance mean that what follows depends on it. The docstring in the code cell is the
# exact task. Below it a locked cell runs a quick check of a few cases. The checks that score are hidden and stricter. Three
# **hints** per exercise are folded under the card; opening them costs nothing. Cells that begin with `prediction` ask for a guess
# before an experiment: write one sentence, even a wrong one.
#
# **In pairs.** The driver types. The navigator reads the docstring aloud, asks for each shape before the line is written, and
# answers the question at the end of the card before the check is run. Change roles after every exercise.
#
# **Letters.** `b` rows, `t` positions, `d` features of the stream, `h` heads, `e` features of a head, `v` tokens, `p` the period
# of a row. Vectors are rows: `x @ W` applies `W`. A head is named (layer, number), both from 0.
#
# **Given.** `Transformer` is a decoder that lets you look and interfere at named points: `model(tokens, edit)` calls
# `edit(name, value)` at each of them and goes on with what it returns (or with the value, if that is None). Its docstring
# lists the points. `run_with_cache(model, tokens, edit)` returns the logits and all values by name. Read both before you begin.

# %% setup
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from solutions.i2_circuits import Head, Edit, Config, Block, Transformer, run_with_cache

# %% setup
from solutions.i2_circuits import PAD, NAMES, FILLERS, WORDS, VOCABULARY, TEMPLATES

# %% demo
# Three trained models, for the experiments. The second place is where authors run this notebook from.
import json
from pathlib import Path

import numpy as np

DATA = next(p for p in (Path("data"), Path("assignments/i2_circuits/data")) if (p / "models.npz").exists())


def shipped(name: str) -> Transformer:
    model = Transformer(Config(**json.loads((DATA / "models.json").read_text())["configs"][name]))
    with np.load(DATA / "models.npz", allow_pickle=False) as file:
        model.load_state_dict({key.split("/")[1]: torch.from_numpy(file[key]) for key in file.files if key.startswith(name + "/")})
    return model.requires_grad_(False).eval()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


repeater, shortcut, namer = shipped("induction"), shipped("shortcut"), shipped("ioi")
print(f"repeater: {repeater.cfg}\nnamer:    {namer.cfg}")

# %% [markdown]
# ## 1. Text that can only be continued by looking back
#
# To study a mechanism, make data on which nothing else helps. Take a block of random tokens and repeat it. No grammar, no common
# words: within the first copy every token is a surprise. From the second copy on everything is known, to a model that can find
# where it has been before. The gain from the first copy to the second is the plainest measure of learning in context.
#
# One detail decides whether the data does its work. If all rows had the *same* period, a model would need no search: "copy what
# stands eight places back" can be learned by heart, with a head that looks at positions and never at tokens. So every row gets a
# period of its own.
#
# And count carefully. The first token of the second copy is a copy too, but the model cannot know that the block ends there: what
# stands before it has no earlier copy. A lookup is possible one token later.
#
# > ⚠ **Gotcha.** Position 0 is BOS. A head that has nothing to say needs a place to look at; without BOS it would look at a
# > real token, and you would read meaning into it.
#
# ### Exercise 1: `repeated_batch` (6 points)
#
# - Difficulty ●●○○○ · importance ●●●●○ · about 18 minutes
# - **Objective:** make data on which one mechanism, and no shortcut, succeeds.
# - **Source:** Olsson et al. 2022, the section on repeated random tokens.
# - **Navigator asks:** for p = 3 and t = 9, which entries of the mask are True?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write one row by hand: BOS, then the block of three letters, until nine places are full. Number the places. Which is the first
# letter that somebody who knows only "after X came Y" can announce?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `torch.randint` takes `generator=`. Its upper end is not included. `gather` along a row picks, for each place, an entry of the
# block; which one is a remainder.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# periods = one draw per row, both ends included
# block   = for each row as many tokens as the longest period, never BOS
# place   = (0, 1, 2, ...) modulo the row's period
# tokens  = BOS, then block[place]
# mask    = position counts from p + 2 on
# ```
#
# </details>

# %% exercise points=6 minutes=18 difficulty=2 importance=4 title="Repeated sequences"
from solutions.i2_circuits import repeated_batch

# %% [markdown]
# ### Experiment: two models, one accuracy
#
# `repeater` was trained on periods from 4 to 16, `shortcut` on a period of 8 only. Both are right on their own data.
# **Predict first:** how often is `shortcut` right when the period is 7, or 12?

# %% demo
prediction = "At period 7: ... %, at period 12: ... %"


# %% demo
def accuracy(model: Transformer, low: int, high: int) -> float:
    tokens, _, mask = repeated_batch(300, 40, 32, low, high, seeded())
    right = model(tokens)[:, :-1].argmax(-1) == tokens[:, 1:]
    return right[mask[:, 1:]].double().mean().item()


for p in (4, 7, 8, 9, 12, 16):
    print(f"period {p:>2}: repeater {accuracy(repeater, p, p):>4.0%}   shortcut {accuracy(shortcut, p, p):>4.0%}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# At a period of 8 the two cannot be told apart. At 7 and 9 the shortcut is helpless: it never learned to search. (It does well at
# 4, half-way at 16 and a little at 12. Which distances must it have learned by heart?) Accuracy on the training distribution does
# not tell you which algorithm a model runs. Data does, if it is made so that the algorithms disagree.
#
# </details>

# %% [markdown]
# ## 2. Where heads look
#
# On such rows three kinds of head give themselves away by stripes in their patterns. A **previous-token** head looks one place
# back, always. A **duplicate-token** head looks at the last copy of the present token, p places back. An **induction** head looks
# at what *followed* the last copy, p - 1 places back: whatever came after this token the last time is a good guess for what comes
# after it now.
#
# ![Three stripes in a pattern: one place back, p back, p - 1 back.](data/stripes.svg)
#
# A score is the mean attention along the stripe. Two decisions hide in the word "mean": which queries count (only those that
# have a stripe), and what is averaged first. Rows with short periods have more queries. If you average per row first, a row with
# two queries weighs as much as one with twenty.
#
# > ⚠ **Gotcha.** The induction stripe lies at p - 1, *not* p. The head looks at the token after the copy; a score that is one
# > place off measures a different animal and still gives numbers between 0 and 1.
#
# ### Exercise 2: `head_scores` (10 points)
#
# - Difficulty ●●●○○ · importance ●●●●○ · about 36 minutes
# - **Objective:** turn a picture into a number, with a period per row and no query that does not belong.
# - **Source:** Olsson et al. 2022, the appendix on head activation evaluators.
# - **Navigator asks:** what do the three scores give for a head that attends uniformly, and why is it not zero?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write three nested loops over rows, queries and stripes, adding up two numbers: total attention and number of queries. It is
# slow and right, and you can compare.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# For each row and query there is one key. `gather` along the last axis takes it. Where there is none, any valid index will do, as
# long as the result is thrown away before the sum.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# for each stripe: key = query - 1, or query - p, or query - p + 1      (rows by queries)
#     counts = query >= 1, or query >= p + 1
#     found  = pattern at (query, key), zero where it does not count
#     score  = sum over rows and queries / number that count (at least 1)
# ```
#
# </details>

# %% exercise points=10 minutes=36 difficulty=3 importance=4 title="Where heads look"
from solutions.i2_circuits import head_scores

# %% [markdown]
# ### Experiment: a table of heads
#
# `repeater` has two layers of four heads. **Predict first:** in which layer are the induction heads, how many are there, and what
# do the heads of `shortcut` look like by comparison?

# %% demo
prediction = "Induction heads in layer ..., ... of them; shortcut has ..."

# %% demo
tokens, periods, mask = repeated_batch(200, 30, 32, 14, 16, seeded())
for name, model in (("repeater", repeater), ("shortcut", shortcut)):
    _, cache = run_with_cache(model, tokens)
    print(f"{name}:  head   previous  duplicate  induction")
    for layer in range(2):
        scores = head_scores(cache[f"blocks.{layer}.pattern"], periods)
        for h in range(4):
            print(f"           {layer}.{h}" + "".join(f"{float(s[h]):>11.2f}" for s in scores))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# In `repeater` head 0.3 looks one place back, and all four heads of layer 1 look at what followed the copy. Layer 1 could not do
# this alone: that a place is "what followed" is known only to somebody who knows what came before it, and that is what head 0.3
# writes down. `shortcut` has no induction head: at these periods none of its scores is above 0.21.
#
# </details>

# %% [markdown]
# ## 3. What a head moves
#
# A head does two things that do not depend on each other: it chooses where to look, and it moves something from there. What it
# moves is linear. If it looks at token $i$, it adds $W_E[i]\, W_V W_O$ to the stream, and if nothing touches that on the way,
# the logits change by
#
# $$\text{OV} = W_E\, W_V\, W_O\, W_U \qquad (v \times v)$$
#
# Row $i$, column $j$: by how much does attending to $i$ raise the logit of $j$? With fifty thousand tokens this matrix has two and
# a half billion entries, but its rank is that of the head, 64 or so. Keep it as two thin factors and never multiply them out.
#
# Does a head **copy**? Then attending to $i$ raises $i$: the diagonal is large. A more robust question is about eigenvalues: a
# set of tokens that raises itself when attended to is an eigenvector with a positive eigenvalue. The sum of all eigenvalues over
# the sum of their magnitudes is 1 for a pure copier and -1 for a head that suppresses what it sees.
#
# Eigenvalues of a product do not change (but for zeros) when the factors are cycled: $AB$ and $BA$ share them. A 50,000 by 50,000
# problem becomes one of 64 by 64.
#
# > ⚠ **Gotcha.** A real matrix has complex eigenvalues. Their sum is real, their *magnitudes* are not their real parts: a head
# > that rotates has magnitudes without any copying.
#
# ### Exercise 3: `ov_circuit`, `copying_score` (10 points)
#
# - Difficulty ●●●●○ · importance ●●●●○ · about 48 minutes
# - **Objective:** read what a head does to the logits from four matrices, at the cost of the thin ones.
# - **Source:** Elhage et al. 2021, the sections on splitting heads into circuits and on summarising OV and QK matrices.
# - **Navigator asks:** what is the score of a head whose OV matrix is antisymmetric?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Follow one token on paper: its embedding (a row), times which matrix, times which next one? Write the shapes under each factor,
# and cut the chain where it is thinnest.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `torch.linalg.eigvals` returns complex numbers with `.real` and `.abs()`. It wants a square matrix: the small one.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# left  = embeddings, then this head's values
# right = this head's output, then the unembedding
#
# eigenvalues of (right times left)          e by e
# score = sum of real parts / sum of magnitudes, 0 if that is 0
# ```
#
# </details>

# %% exercise points=10 minutes=48 difficulty=4 importance=4 title="What a head moves"
from solutions.i2_circuits import ov_circuit, copying_score

# %% [markdown]
# ### Experiment: who copies?
#
# **Predict first:** which heads of `repeater` should copy, by what you know about where they look? What would you guess for
# `namer`, which completes "when Ada and Ben went to the shop, Ben gave a book to" with "Ada"?

# %% demo
prediction = "repeater: heads ... copy; namer: ..."

# %% demo
for name, net in (("repeater", repeater), ("namer", namer)):
    for layer in range(net.cfg.n_layers):
        scores = [copying_score(*ov_circuit(net, (layer, h))) for h in range(4)]
        print(f"{name}, layer {layer}: copying " + "".join(f"{s:>7.2f}" for s in scores))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The induction heads of `repeater` copy almost purely. `namer` holds a surprise: the heads of its last layer are *anti*-copiers.
# The circuit that was found in GPT-2 small ends in heads which look at the right name and raise it. Whatever `namer` does, it is
# not that. Keep the suspicion; sections 8 to 10 will settle it.
#
# </details>

# %% [markdown]
# ## 4. What a head matches
#
# The other half decides where to look. The score of a query at $i$ and a key at $j$ is a bilinear form in what stands there:
#
# $$\text{QK} = X\, W_Q W_K^\top X^\top / \sqrt{e}$$
#
# Put token embeddings in for $X$, and you see which token looks for which. Put positions in, and you see how the head looks
# regardless of the text. (The stream also holds what earlier heads wrote; that is the next section.)
#
# > ⚠ **Gotcha.** Rows are queries. The transpose answers a different question, "who is looked at by whom", and for a head that
# > looks for its own kind both look alike.
#
# ### Exercise 4: `qk_circuit` (8 points)
#
# - Difficulty ●●●○○ · importance ●●●○○ · about 36 minutes
# - **Objective:** predict attention scores from weights.
# - **Source:** Elhage et al. 2021, the section on splitting heads into query-key and output-value circuits.
# - **Navigator asks:** adding a constant to a row of the matrix changes nothing in the pattern. And to a column?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Compute one score by hand, for query token i and key token j: two vectors of width e and their product. Then write all pairs at
# once.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# The scale may go into either factor. The second factor has the keys as columns. `model.cfg` knows the width of a head.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# table = token embeddings or position vectors, else ValueError
# left  = table through the query matrix, scaled
# right = table through the key matrix, transposed
# ```
#
# </details>

# %% exercise points=8 minutes=36 difficulty=3 importance=3 title="What a head matches"
from solutions.i2_circuits import qk_circuit

# %% [markdown]
# ### Experiment: one head explained, another one not
#
# We compare two heads of `repeater` with what their circuits say. **Predict first:** for head 0.3, to how many of the 39 positions
# does the position circuit point at exactly one place back? And does the token circuit of head 1.0 say that a token looks for its
# own kind, as an induction head should?

# %% demo
prediction = "Head 0.3: ... of 39; head 1.0: ..."

# %% demo
left, right = qk_circuit(repeater, (0, 3), "position")
scores = (left @ right).masked_fill(torch.ones(40, 40).triu(1).bool(), -torch.inf)
hits = int((scores.argmax(1)[1:] == torch.arange(39)).sum())
print(f"head 0.3: {hits} of 39 positions score the place before highest")
left, right = qk_circuit(repeater, (1, 0), "token")
hits = int(((left @ right).argmax(1) == torch.arange(32)).sum())
print(f"head 1.0: {hits} of 32 tokens score their own kind highest")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Head 0.3 is explained by positions alone. Head 1.0 is not explained by tokens: that it looks for its own kind must come from
# something that an earlier head wrote into the stream, since the embeddings do not say it. A circuit that spans two layers cannot
# be read from one.
#
# </details>

# %% [markdown]
# ## 5. Who builds on whom
#
# An earlier head's output reaches a later head's queries, keys and values through the stream. All of it is matrix products, so
# one can ask from weights alone how well the two fit: how much of what the first one writes lies in directions that the second one
# reads?
#
# $$\frac{\lVert W_{OV}^{1}\, W^{2} \rVert_F}{\lVert W_{OV}^{1} \rVert_F\, \lVert W^{2} \rVert_F}$$
#
# $W^2$ is $W_{QK}$ for queries, $W_{QK}^\top$ for keys, $W_{OV}$ for values. The number has no meaning by itself: two random heads
# of width 16 in a stream of 64 already "compose". So subtract what strangers give.
#
# > ⚠ **Gotcha.** $W_{QK} = W_Q W_K^\top$ has queries on its left side. What the first head writes arrives as a row from the left;
# > if it is to be read as a *key*, the matrix must be turned round.
#
# ### Exercise 5: `composition`, `composition_baseline` (8 points)
#
# - Difficulty ●●●●○ · importance ●●●○○ · about 42 minutes
# - **Objective:** measure a connection without running the model, against the right null hypothesis.
# - **Source:** Elhage et al. 2021, the section on two-layer attention-only transformers, with its footnote on random matrices.
# - **Navigator asks:** why are the random matrices of the baseline products of thin ones?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Form the d by d matrices first; they are small here. For each kind, write down what stands on the left (what was written) and
# what must touch it (what reads).
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `.norm()` of a matrix is the Frobenius norm. For the baseline draw four thin matrices per pair, with `generator=gen`.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# writes = values then output, of the first head
# reads  = of the second head, for Q: queries times keys transposed
#                              for K: the transpose of that
#                              for V: values then output
# ratio  = norm(writes times reads) / norm(writes) / norm(reads)
#
# baseline: the mean of the same ratio for n pairs of (thin times thin) and (thin times thin)
# ```
#
# </details>

# %% exercise points=8 minutes=42 difficulty=4 importance=3 title="Who builds on whom"
from solutions.i2_circuits import composition, composition_baseline

# %% [markdown]
# ### Experiment: the missing link
#
# **Predict first:** with which head of layer 0, and through queries, keys or values, do the induction heads of `repeater` compose?

# %% demo
prediction = "With head 0...., through ..."

# %% demo
chance = composition_baseline(64, 16, 200, seeded())
print(f"two strangers: {chance:.3f}\nabove chance, heads of layer 0 (down) by heads of layer 1 (across)")
for kind in "QKV":
    for first in range(4):
        row = [composition(repeater, (0, first), (1, second), kind) - chance for second in range(4)]
        print(f"{kind}  0.{first}" + "".join(f"{x:>7.2f}" for x in row))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# One row stands out: head 0.3, through keys, into all four heads of layer 1. That is the circuit of the first picture. The
# previous-token head writes "before me stood X" into every place, and the induction heads compare their own token with that note.
# Note how small the numbers are: 0.23 in all, of which chance is half. Without the baseline you would not see it.
#
# </details>

# %% [markdown]
# ## 6. A task with two answers
#
# The second behaviour is a classic. "When Ada and Ben went to the shop, Ben gave a book to" must go on with "Ada": the name that
# came once, the **indirect object** (IO), not the **subject** (S) that came twice. It is small enough to be solved by a few heads
# and rich enough to need several steps.
#
# What makes it a good object of study is its partner. Replace the three names by three *different* ones: the sentence is the same
# in every respect, except that nothing is duplicated and no answer is right. Whatever a model computes differently on the two is
# about the task.
#
# ![A prompt, its corrupted partner, and the positions that experiments refer to.](data/prompts.svg)
#
# > ⚠ **Gotcha.** Templates differ in length, so rows are padded, and "the last position" is not -1. Keep the end of every row
# > with the data. And balance the order of the names: otherwise "the first name" is a perfect answer.
#
# ### Exercise 6: `ioi_dataset` (8 points)
#
# - Difficulty ●●●○○ · importance ●●●●○ · about 36 minutes
# - **Objective:** make prompts with a counterfactual partner that differs in one respect only.
# - **Source:** Wang et al. 2022, section 2 and the appendix on the prompts.
# - **Navigator asks:** why must the three corrupted names also differ from IO and S of the same row?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Make one row, as a list of words, with a dictionary from slot to name. The corrupted row is the same loop with another
# dictionary. Fillers are drawn once and used in both.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Five different names are the first five of a random permutation. `words.index("A")` tells where a slot stands. Draw coins and
# choices with `torch.randint(..., generator=gen)`.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# for each row:
#     template; five different names: IO, S and three new ones; a coin for the order
#     for each word of the template:
#         F        -> one new filler, the same in both prompts
#         A, B, S  -> by the clean, by the corrupted dictionary
#         else     -> its number in the vocabulary
#     note where IO, S and S again stand, and the last word
# stack the rows, PAD behind shorter ones
# ```
#
# </details>

# %% exercise points=8 minutes=36 difficulty=3 importance=4 title="Prompts and their partners"
from solutions.i2_circuits import ioi_dataset

# %% [markdown]
# ### Experiment: read your data
#
# **Predict first:** which share of `namer`'s answers on the *corrupted* prompts is one of the three names in the prompt?

# %% demo
prediction = "... % of the answers are one of the three names"

# %% demo
spelled = {number: word for word, number in VOCABULARY.items()}
data = ioi_dataset(200, TEMPLATES, seeded())
for row in range(3):
    for which in ("clean", "corrupt"):
        print(f"{which:>8}: " + " ".join(spelled[int(x)] for x in data[which][row] if x != PAD))
rows = torch.arange(200)
answers = namer(data["corrupt"])[rows, data["end"]].argmax(-1)
in_prompt = (data["corrupt"] == answers[:, None]).any(1).double().mean()
print(f"corrupted prompts: {float(in_prompt):.0%} of the answers are a name of the prompt")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Always read your data before you compute with it. On corrupted prompts the model still names somebody who is there. So a part
# of what it does, "say a name that was mentioned", is common to both prompts; the difference between them isolates "but not
# the one that came twice".
#
# </details>

# %% [markdown]
# ## 7. The metric
#
# All further experiments ask by how much something changes the answer. Accuracy is too coarse: most interventions change no
# argmax. Probability is bent by the softmax. The **logit difference** between IO and S is linear in what heads write to the final
# stream, and everything that raises all names alike cancels.
#
# > ⚠ **Gotcha.** What cancels is also what you cannot see. A head that raises both names is invisible to this metric, and yet
# > the model would fail without it.
#
# ### Exercise 7: `logit_difference` (4 points)
#
# - Difficulty ●○○○○ · importance ●●●●○ · about 12 minutes
# - **Objective:** one number per row, at that row's own end.
# - **Source:** Wang et al. 2022, section 2.
# - **Navigator asks:** what is the gradient of this number with respect to the logits?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Take the logits of one row at its end: a vector. Two entries of it.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Two index tensors side by side, `x[rows, end]`, pick one position per row.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# last   = logits at (row, its end)
# answer = last at (row, its IO) - last at (row, its S)
# ```
#
# </details>

# %% exercise points=4 minutes=12 difficulty=1 importance=4 title="The metric"
from solutions.i2_circuits import logit_difference

# %% [markdown]
# ### Experiment: how far apart are the two runs?
#
# **Predict first:** the mean difference on clean and on corrupted prompts (there IO and S are names that do not occur), and what
# becomes of the clean one if you read position -1.

# %% demo
prediction = "clean ..., corrupted ..., clean at position -1: ..."


# %% demo
def mean_difference(logits: Tensor) -> float:
    return logit_difference(logits, data["io"], data["s"], data["end"]).mean().item()


clean, corrupt = mean_difference(namer(data["clean"])), mean_difference(namer(data["corrupt"]))
last_column = torch.full_like(data["end"], data["clean"].shape[1] - 1)
wrong = logit_difference(namer(data["clean"]), data["io"], data["s"], last_column).mean().item()
print(f"clean {clean:.2f}, corrupted {corrupt:.2f}, clean read at the last column {wrong:.2f}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Eleven against zero: the difference is carried by the one duplicated name. Reading the last column mixes in rows whose last
# column is padding, where the model was never trained, and nothing warns you.
#
# </details>

# %% [markdown]
# ## 8. One connection at a time
#
# Ablating a head removes everything it does. But a head speaks to many: to later heads' queries, keys and values, to MLPs, to the
# logits. **Path patching** asks about one of these connections. Start from the corrupted run. Let one sender speak as in the
# clean run, and let only chosen receivers hear it; for everybody else nothing has changed. What happens at the output is the
# effect of that connection.
#
# It takes care to let only the receivers hear. First make a run in which *all* heads are frozen to what they said on the
# corrupted prompt, except the sender: then what arrives at a receiver differs by the sender's direct message only, not by what
# other heads would have made of it. Note what the receivers read. Then run again, hand the receivers their notes, and let
# everything behind them follow.
#
# ![Freeze everything but the sender, note what the receiver reads, then let it act.](data/paths.svg)
#
# > ⚠ **Gotcha.** A norm stands between stream and head. The sender's message changes the vector *and* its length, so the norm has
# > to be computed anew from the new vector. Freezing it would answer a different question.
#
# ### Exercise 8: `path_patch` (14 points)
#
# - Difficulty ●●●●● · importance ●●●●● · about 84 minutes
# - **Objective:** the effect of one edge of the computational graph, exactly.
# - **Source:** Wang et al. 2022, section 3.1; Goldowsky-Dill et al. 2023, who generalise it.
# - **Navigator asks:** what must the result be if the sender stands in a later layer than the receiver?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Begin with kind "logits": one edited run is enough. Then add a receiver; look at the list of points in the docstring of
# `Transformer` and find the one where queries of a head read.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# An edit is a function of (name, value); define it inside yours, where it sees the caches. Clone before you write into a value:
# the stream is shared. `run_with_cache` takes an edit, and its cache then holds the edited run.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# new, old = caches of the clean and of the corrupted run
#
# run 1 on corrupt:  every head's output -> old, but the sender's -> new
#                    MLP outputs -> old, if they are frozen
# noted    = its cache
#
# run 2 on corrupt:  at the receivers' inputs of this kind -> noted, only for these heads
#                    (for "logits": the final stream -> noted)
# return its logits
# ```
#
# </details>

# %% exercise points=14 minutes=84 difficulty=5 importance=5 title="One connection at a time"
from solutions.i2_circuits import path_patch

# %% [markdown]
# ### Experiment: who tells whom?
#
# First we patch every head straight to the logits, then the heads of layer 1 to the queries, keys and values of layer 2.
# **Predict first:** the heads of layer 2 are anti-copiers. Where must they look to raise IO over S? And what must they be told?

# %% demo
prediction = "They look at ..., and are told ..., through their queries/keys/values"


# %% demo
def restored(*path) -> float:
    """The share of the clean difference that comes back."""
    return (mean_difference(path_patch(namer, data["clean"], data["corrupt"], *path)) - corrupt) / (clean - corrupt)


_, cache = run_with_cache(namer, data["clean"])
print("head   to the logits   attention from the end to: IO, first S, second S")
for layer in range(3):
    for h in range(4):
        row = cache[f"blocks.{layer}.pattern"][rows, h, data["end"]]
        looks = [row[rows, data[key]].mean().item() for key in ("io_at", "s1_at", "s2_at")]
        print(f" {layer}.{h} {restored((layer, h), [], 'logits'):>13.2f}" + " " * 16 + "".join(f"{x:>8.2f}" for x in looks))
last = [(2, h) for h in range(4)]
for kind in "qkv":
    print(f"layer 1 to {kind} of layer 2: " + "".join(f"{restored((1, h), last, kind):>7.2f}" for h in range(4)))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The heads of layer 2 look at the *second S* and push its name down. They find it in any case; what changes between the two
# prompts is what they read *there*: the connection through values matters, those through queries and keys do not. Layer 1 has
# written into that place that its name was seen before. So `namer` solves the task by "not this one", while GPT-2 small, on
# the same task, tells its last heads where *not to look* and copies the other name. Same behaviour, other algorithm: a circuit
# found in one model is a hypothesis about the next.
#
# </details>

# %% [markdown]
# ## 9. Is it the circuit?
#
# Now claim something: "these heads do it". Three tests can embarrass the claim. Each runs the model with some heads replaced by
# their average over the corrupted prompts, so that they still say what a head says in such a sentence, and nothing about this one.
#
# - **Faithfulness.** Keep only the circuit. How much of the effect is there?
# - **Completeness.** Take the circuit away. How much is *still* there? If much is, something outside does the same.
# - **Minimality.** Take one head out of the circuit. Is it missed?
#
# The three pull in different directions. All heads together are perfectly faithful and useless; a backup head makes a faithful
# circuit incomplete; a head without effect makes it fat.
#
# > ⚠ **Gotcha.** The average must be taken per template. Across templates a position means "name" in one row and "the" in
# > another, and the average is an input that the model has never seen.
#
# ### Exercise 9: `circuit_metrics` (12 points)
#
# - Difficulty ●●●●○ · importance ●●●●● · about 60 minutes
# - **Objective:** three numbers that a claimed circuit can fail.
# - **Source:** Wang et al. 2022, section 4.
# - **Navigator asks:** which of the three numbers can be negative, and what would that mean?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write the function F(kept heads) first, and test it with all heads kept (what must come out?) and with none.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# A table of rows by rows, "same template", divided by its row sums, turns a batch of outputs into the mean that each row needs.
# An edit at `head_out` replaces the heads that are not kept.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# means = for each layer: head outputs on corrupt, by position,
#         averaged over rows of the same template
# F(kept): run on clean; heads that are not kept -> means; mean logit difference
# effect = F(all) - F(none)
# faithfulness = (F(circuit) - F(none)) / effect
# completeness = (F(all but circuit) - F(none)) / effect
# minimality   = for each head: (F(circuit) - F(circuit without it)) / effect
# ```
#
# </details>

# %% exercise points=12 minutes=60 difficulty=4 importance=5 title="Is it the circuit?"
from solutions.i2_circuits import circuit_metrics

# %% [markdown]
# ### Experiment: four claims
#
# **Predict first:** layer 2 alone is the part that pushes S down. How faithful is it? And which is the better circuit, layers 1
# and 2, or everything but one head?

# %% demo
prediction = "Layer 2 alone: ... ; better: ..."

# %% demo
layers = [[(layer, h) for h in range(4)] for layer in range(3)]
everything = layers[0] + layers[1] + layers[2]
claims = {"layer 2": layers[2], "layers 1 and 2": layers[1] + layers[2], "layers 0 and 2": layers[0] + layers[2]}
claims["all but 1.0"] = [head for head in everything if head != (1, 0)]
for said, circuit in claims.items():
    faithfulness, completeness, minimality = circuit_metrics(namer, circuit, data)
    weakest = min(range(len(circuit)), key=lambda i: minimality[i])
    print(f"{said:<15} faithful {faithfulness:>5.2f}   left without it {completeness:>5.2f}   ", end="")
    print(f"least missed: {circuit[weakest]} at {minimality[weakest]:.3f}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Layer 2 alone brings back little more than a third: it relies on notes that others write. Without layers 1 and 2 almost nothing
# is left, and yet together they restore only half, because what the first layer tells them is missing. "All but 1.0" is *more*
# than faithful: that head works against the answer. A single number, the most flattering one, would have supported any of these
# claims.
#
# </details>

# %% [markdown]
# ## 10. Let a search find it
#
# Choosing circuits by hand invites wishful choices. A search does not wish. **ACDC** starts from the whole graph of connections
# and tries to remove each, from the output backwards: if the model's predictions hardly move, the connection stays out. A removed
# connection carries the corrupted message instead of the clean one. How much is "hardly" is the threshold $\tau$, in nats of KL
# divergence per removal.
#
# The order matters. Of two heads that say the same, the first one that is tried goes, because the second one still speaks; then
# the second one has to stay. Greedy searches find *a* circuit.
#
# > ⚠ **Gotcha.** Compare with the model as it is *now*, after all earlier removals. If you compare each removal with the full
# > model, the damage already done counts against every later edge.
#
# ### Exercise 10: `prune_edges` (10 points)
#
# - Difficulty ●●●●● · importance ●●●○○ · about 72 minutes
# - **Objective:** an automatic search over connections, by the book.
# - **Source:** Conmy et al. 2023, algorithm 1.
# - **Navigator asks:** how many edges does a model with 2 layers of 2 heads have?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write the run first: given a set of edges, return the log-probabilities at the ends. With all edges it must equal the ordinary
# run. Only then loop.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# One edit does it all: at `embed` and `head_out` it remembers what is said now; at the inputs it returns the sum, over the
# senders before, of what they say now or said on the corrupted prompt. The three inputs of a head get the same sum.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# edges   = all (sender, receiver) with the sender before the receiver;  current = 0
# for receiver in logits, last layer's heads (highest number first), ..., first layer's heads:
#     for sender in the same order, embed last, if it stands before the receiver:
#         found = KL(full || run without this edge too)
#         rose by less than tau over current?  drop the edge;  current = found
# ```
#
# </details>

# %% exercise points=10 minutes=72 difficulty=5 importance=3 title="Let a search find it"
from solutions.i2_circuits import prune_edges

# %% [markdown]
# ### Experiment: how much can go?
#
# `namer` has 79 edges. **Predict first:** how many are left at thresholds of 0.01, 0.1 and 1 nat, and does the number of edges tell
# you how good the circuit is?

# %% demo
prediction = "... , ... , ... edges"

# %% demo
few = {key: value[:40] for key, value in data.items()}
for tau in (0.01, 0.1, 1.0):
    edges = prune_edges(namer, few, tau)
    into = {name: sum(r == name for _, r in edges) for name in ("logits", "2.0", "2.1", "2.2", "2.3")}
    print(f"tau {tau:<5} {len(edges):>3} edges; senders left: " + ", ".join(f"{name} {n}" for name, n in into.items()))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# There is no threshold at which the answer falls into place: 45 edges, 36, then five. `namer` spreads its work over many
# connections that all matter a little, as trained models do. A clean circuit would be a choice of $\tau$, not a discovery. Report
# the curve.
#
# </details>

# %% [markdown]
# ## 11. Open lab: name the heads
#
# Last, a model about which you know nothing. Some of its heads make it repeat sequences, in one of two ways. You know the first:
# a previous-token head and an induction head that compares tokens. There is another: a duplicate-token head notes *where* the last
# copy stands, and a later head looks one place further. And some heads only look the part: their patterns are perfect, and what
# they write is read by nobody.
#
# So demand two things of every head that you name: a **score** (it looks where it should) and an **effect** (without it the model
# is worse). The hidden models are wired by hand, disguised and drawn for you alone.
#
# > ⚠ **Gotcha.** An effect of zero does not prove that a head does nothing. What if another one does the same? The experiment
# > below is about that.
#
# ### Exercise 11: `find_the_heads` (10 points)
#
# - Difficulty ●●●○○ · importance ●●●●● · about 60 minutes
# - **Objective:** name mechanisms in an unknown model, with evidence of both kinds.
# - **Source:** new; the roles are those of Olsson et al. 2022 and of Wang et al. 2022.
# - **Navigator asks:** which of the two kinds of evidence does a decoy have, and which a redundant head?
#
# <details><summary>Hint 1: where to begin</summary>
#
# One plain run with a cache gives all scores, all means and the base value. Then one edited run per head.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `mask[:, 1:]` and `logits[:, :-1]` speak of the same predictions. Define the edit so that it captures *this* layer and head, not
# the loop's last ones: a default argument does it.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# worth(logits) = mean log-probability of the right next token,
#                 where the mask of the next place is open
# for each head:
#     edited run: this head's output -> its mean over the rows, position by position
#     effect = worth(plain) - worth(edited)
#     for each role: list the head if its score >= 0.4 and its effect >= 0.05
# ```
#
# </details>

# %% exercise points=10 minutes=60 difficulty=3 importance=5 title="Name the heads"
from solutions.i2_circuits import find_the_heads

# %% [markdown]
# ### Experiment: nobody did it
#
# `repeater` has four induction heads that copy and look in the right place. **Predict first:** what is each of them worth? And all
# four together?

# %% demo
prediction = "Each: ... nats; together: ..."

# %% demo
roles, effects = find_the_heads(repeater, tokens, periods, mask)
print(roles)
print("effects of layer 1, one by one: " + "".join(f"{float(x):>7.3f}" for x in effects[1]))
means = run_with_cache(repeater, tokens)[1]["blocks.1.head_out"].mean(0)


def worth(silenced: int) -> float:
    def silence(name: str, value: Tensor) -> Tensor | None:
        if name != "blocks.1.head_out":
            return None
        return torch.cat([means[:, :silenced].expand(len(value), -1, -1, -1), value[:, :, silenced:]], 2)

    found = repeater(tokens, silence)[:, :-1].log_softmax(-1).gather(2, tokens[:, 1:, None])[..., 0]
    return found[mask[:, 1:]].mean().item()


print("worth with 0 to 4 of them silenced:" + "".join(f"{worth(n):>8.3f}" for n in range(5)))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# One by one, none of the four is worth anything, and our rule finds no induction head in a model that does nothing but induction.
# Together they are worth everything. Single ablations measure what is *missed*, and a well-staffed team misses nobody.
# Completeness, in section 9, is the test that would have told you.
#
# </details>

# %% [markdown]
# ## Stretch
#
# No points, but evidence of strength.
#
# 1. **Ablate sets.** Extend `find_the_heads` so that redundant heads are found: silence heads in the order of their scores, and
#    attribute the drop. Compare with Shapley values over the four heads.
# 2. **When does it form?** Train `repeater` from scratch (about a minute) and plot the four induction scores and the loss over
#    time. Which comes first, the previous-token head or the induction heads?
# 3. **Another ablation.** Repeat experiment 9 with resampled instead of mean outputs. Which claims survive?
# 4. **Copy suppression.** Read McDougall et al. (2023) and find out whether `namer`'s last heads are of that kind.
#
# ## Further reading
#
# - Elhage et al. (2021), *A Mathematical Framework for Transformer Circuits*: sections 3 to 5 here, in full.
# - Olsson et al. (2022), *In-context Learning and Induction Heads*: the case for heads as a mechanism of learning in context.
# - Wang et al. (2022), *Interpretability in the Wild*: the IOI circuit of GPT-2 small, and the three tests.
# - Goldowsky-Dill et al. (2023), *Localizing Model Behavior with Path Patching*: what exactly is held fixed.
# - Conmy et al. (2023), *Towards Automated Circuit Discovery*: the search, and where it fails.
# - Zhang and Nanda (2023), *Towards Best Practices of Activation Patching*: how choices of metric and corruption change findings.
# - Miller, Chughtai and Saunders (2024), *Transformer Circuit Faithfulness Metrics Are Not Robust*: why section 9 has three
#   numbers.
