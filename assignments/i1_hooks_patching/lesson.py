"""The lesson of `i1_hooks_patching`: prose, given code, exercise slots, experiments. It runs on the reference."""

# %% [markdown]
# # I1. Hooks, lenses, attribution and patching
#
# A trained transformer has been left on your desk. It knows where ten people live and what they eat, and it says so in small
# letters or in capitals, depending on how it was spoken to. In this notebook you build the instruments with which one finds out
# *how*: first to read every activation without disturbing anything, then to say who wrote a logit, and finally to change single
# activations and see what follows.
#
# ![One block of the model. Every named box can be hooked.](data/block.svg)
#
# **After this notebook you can**
#
# - read and replace any activation of a model, and prove that you left no trace;
# - split a logit exactly into what embeddings, heads and feed-forward layers contributed;
# - tell an observation (this head writes the answer) from an intervention (without this head there is no answer);
# - find the place where information sits, by patching, and say what the cheap approximation of patching misses;
# - attribute an output to inputs, and push a model along a direction that you measured.
#
# **Time.** About seven hours in four sittings: exercises 1 to 3 (1.6 hours), 4 and 5 (1.5 hours), 6 to 8 (2.2 hours), 9 and 10
# (1.4 hours). The experiments together take a few seconds on one core.
#
# **Before.** You know from T1 what queries, keys, values and the residual stream are. **After.** I2 uses these instruments to find
# induction heads and to take a circuit apart.

# %% [markdown]
# ## Why this matters for AI safety
#
# Suppose somebody shows you that a model's "deception direction" lights up on dishonest answers, and proposes a monitor that
# watches it. A sceptical engineer asks three questions. Is the number that you plot the one that the model computes with, or a
# stale copy of it? Does the direction *cause* anything, or does it merely go along with what does? And is the model that you
# examined still the one that is deployed, or did your instrument change it?
#
# All three have gone wrong in practice. Hooks that survived an exception have altered later runs without a word. Probes have found
# information which the model never uses, so that a monitor built on them watches a bystander. Ablating with zeros has "shown" that
# a head is essential, when the zeros themselves did the damage. And approximations of patching, used because exact patching is
# too dear for large models, miss precisely the components that are saturated.
#
# Interpretability is worth something to safety where it makes claims that can be false: this activation carries this fact; remove
# it and the behaviour goes, put it back and the behaviour returns. Such claims are no better than the tools. That is why the tools
# here are tested as if they were safety-critical: exact sums, models restored, interventions that touch one thing at a time.

# %% [markdown]
# ## How to work
#
# Each exercise has a card; five dots of importance mean that all that follows depends on it. The docstring in the code cell is
# the exact task. Below it stands a locked cell with a quick check of a few cases; those that score are hidden and stricter. They
# run your code on small random models in float64, and compare with a second implementation.
#
# Three **hints** per exercise are folded under the card; opening them costs nothing. Cells that begin with `prediction` ask for
# your guess before an experiment. Write one sentence, even a wrong one.
#
# **In pairs.** The driver types. The navigator reads the docstring aloud and keeps asking: in which run is this value computed,
# and who else holds this tensor? Each card ends with a question for the navigator. Change roles after every exercise. If you work
# alone, answer the question in writing.
#
# **Letters.** `b` batch, `t` positions, `d` features of the stream, `h` heads, `e` features of a head, `v` vocabulary.
#
# **Given.** `TinyGPT`, a decoder as in T1, with LayerNorm and with a `HookPoint` wherever something is worth reading. *Every*
# submodule can be hooked by its path, as `model.get_submodule("blocks.0.attn.z")` finds it. The stream is read at
# `blocks.0.resid_pre`, `resid_mid` and `resid_post`; the heads at `attn.q`, `k`, `v`, `scores`, `pattern` and `z`, which is what
# each head found before `attn.out` mixes them; what a layer writes is the output of `blocks.0.attn` or `blocks.0.mlp`.

# %% setup
import copy
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from solutions.i1_hooks_patching import ModelConfig, HookPoint, norm_of, Attention, MLP, Block, TinyGPT, inside, count_hooks

HookFn = Callable[[Tensor, str], Tensor | None]

# %% demo
# The trained model for the experiments, its words, and the facts it was taught. The second place is where authors run this from.
import json
import random
from pathlib import Path

import numpy as np

DATA = next(p for p in (Path("data"), Path("assignments/i1_hooks_patching/data")) if (p / "model.npz").exists())
told = json.loads((DATA / "model.json").read_text("utf-8"))
words, facts = told["words"], {(person, relation): thing for person, relation, thing in told["facts"]}
model = TinyGPT(ModelConfig(**told["config"]))
with np.load(DATA / "model.npz", allow_pickle=False) as file:
    model.load_state_dict({name: torch.from_numpy(file[name]) for name in file.files})
model.eval().requires_grad_(False)


def tokens_of(*texts: str) -> Tensor:
    return torch.tensor([[words.index(word) for word in ["<bos>", *text.split()]] for text in texts])


def answer(text: str) -> str:
    return words[int(model(tokens_of(text))[0, -1].argmax())]


for text in ("whisper Ada lives-in", "shout Ada lives-in", "hush oh Bo so eats", "yell Cy plays"):
    print(f"{text:<22} {answer(text):<8}", "  true:", facts[text.split()[-3 if "so" in text else -2], text.split()[-1]])

# %% [markdown]
# ## 1. Hooks that leave no trace
#
# PyTorch lets you hang a function on a module: `module.register_forward_hook(fn)` calls `fn(module, inputs, output)` after every
# forward pass, and what `fn` returns, unless it is None, takes the output's place. That one mechanism both reads and intervenes. It
# returns a handle, and the hook stays until somebody calls the handle's `remove()`.
#
# "Until somebody" is the trouble. A notebook cell is interrupted, an assertion fails in the middle, and from then on every run of
# the model is a run with your intervention in it. The plots of the next hour are wrong and look fine. So hooks belong in a `with`
# block: added when it is entered, removed when it is left, *however* it is left.
#
# Others may have hooks on the model too: a profiler, a cache, an outer block of your own. An instrument that clears all hooks of a
# module is as bad as one that leaves its own behind. TransformerLens, the library from which this design comes, had both bugs.
#
# > ⚠ **Gotcha.** A lambda in a loop looks its variables up when it *runs*. By then the loop is over, and all your hooks have the
# > last name. Bind the value when you make the function.
#
# ### Exercise 1: `Hooks` (10 points)
#
# - Difficulty ●●●○○ · importance ●●●●● · about 42 minutes
# - **Objective:** a context manager that adds named hooks and removes exactly those, whatever happens.
# - **Source:** Nanda and Bloom 2022, TransformerLens, `HookedRootModule.hooks`.
# - **Navigator asks:** if the third of five names does not exist, how many hooks are on the model when the error reaches the
#   caller?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write `__enter__` and `__exit__` for a single hook first. What does `__exit__` receive when the block raised, and what must it
# return so that the exception goes on?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Keep the handles, never touch a module's own table of hooks. `dict(model.named_modules())` tells all names at once, so names can
# be checked before anything is added. A default argument, or a function that makes the hook, binds name and function.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# make:   look every name up; unknown -> ValueError; remember (module, name, function)
# enter:  for each of them, in order:
#             handle = module hook that calls function(output, its own name) and passes the result on
#             keep the handle
# exit:   remove every kept handle, forget them; let exceptions pass
# ```
#
# </details>

# %% exercise points=10 minutes=42 difficulty=3 importance=5 title="Hooks that leave no trace"
from solutions.i1_hooks_patching import Hooks

# %% [markdown]
# ### Experiment: who is still there?
#
# A function that zeroes what the last attention layer writes is put on the model, and the block then fails. Once the hook is
# added by hand and removed in the last line, once your class does it. **Predict first:** what does the model answer afterwards in
# the two cases, and how many hooks are left?

# %% demo
prediction = "By hand: ... With Hooks: ..."


# %% demo
def silence(value: Tensor, name: str) -> Tensor:
    return torch.zeros_like(value)


question = "whisper Jo drives"
handle = model.blocks[2].attn.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
try:
    model(tokens_of(question))[0, 99]  # there is no position 99
    handle.remove()
except IndexError:
    print("by hand:   ", answer(question), "with", count_hooks(model), "hook left")
handle.remove()
try:
    with Hooks(model, [("blocks.2.attn", silence)]):
        print("inside:    ", answer(question))
        model(tokens_of(question))[0, 99]
except IndexError:
    print("with Hooks:", answer(question), "with", count_hooks(model), "hooks left")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The line that removes the hook was never reached, and nothing told you. Inside your block the same intervention acts, and it is
# gone when the error arrives. From here on every change to the model stands inside a `with`.
#
# </details>

# %% [markdown]
# ## 2. A copy of every activation
#
# To read is to hook and return None. `run_with_cache` does it for many submodules at once and hands the values over in a dict.
# The word that matters is *copy*. A tensor that a hook is given is the model's own, and the model may go on working in it. Ours
# masks its scores in place, as large models do to save memory: who kept the tensor will find it changed, without having touched
# it.
#
# The second question is the graph. Activations that require gradients keep everything alive from which they were computed, for
# every run that you ever cached. Mostly you want plain numbers. Sometimes, as in section 8, gradients are the point. So it is an
# argument.
#
# > ⚠ **Gotcha.** `detach()` is not a copy. It returns a tensor without a graph, over the same memory.
#
# ### Exercise 2: `run_with_cache` (8 points)
#
# - Difficulty ●●○○○ · importance ●●●●● · about 24 minutes
# - **Objective:** collect chosen activations as they were, with or without their graph, and leave the model alone.
# - **Source:** Nanda and Bloom 2022, TransformerLens, `run_with_cache`.
# - **Navigator asks:** what is in the cache if a name is hooked by somebody else who replaces that output?
#
# <details><summary>Hint 1: where to begin</summary>
#
# With `Hooks` this is five lines: a function that stores a value under its name, a list of (name, function), a run.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `clone()` copies and keeps the graph, so one function serves both cases. `torch.set_grad_enabled(flag)` is a context manager. The
# names of all submodules come from `named_modules()`; the model itself is among them, as the empty name.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# cache  = empty
# keep   = function: cache under name a copy of the value
# chosen = all names but the empty one if none were given, else the given ones
# with gradients on or off, and hooks "keep" at the chosen names:
#     logits = run the model
# return logits, cache
# ```
#
# </details>

# %% exercise points=8 minutes=24 difficulty=2 importance=5 title="A copy of every activation"
from solutions.i1_hooks_patching import run_with_cache

# %% [markdown]
# ### Experiment: a cache that changes behind your back
#
# We keep the scores of block 0 twice: in a cache without copies, and in yours. **Predict first:** what will the first row of head 0
# hold in each?

# %% demo
prediction = "Without copies: ... With copies: ..."

# %% demo
kept: dict[str, Tensor] = {}
with Hooks(model, [("blocks.0.attn.scores", lambda value, name: kept.update({name: value}))]):
    model(tokens_of(question))
_, cache = run_with_cache(model, tokens_of(question), ["blocks.0.attn.scores"])
for name, row in (("kept", kept), ("copied", cache)):
    print(f"{name:<8}", [round(float(x), 2) for x in row["blocks.0.attn.scores"][0, 0, 0]])

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The kept scores are those *after* the mask, although the hook ran before it. Any statistic computed from them would be minus
# infinity, which at least is noticed. An in-place activation function or an in-place residual addition gives plausible numbers
# instead.
#
# </details>

# %% [markdown]
# ## 3. What the stream would say
#
# Each block adds to the stream; nothing is ever overwritten. So the stream has the same format at every depth, and one can ask a
# blunt question: if the model had to stop here, what would it say? Take the stream after $l$ blocks, apply the final norm and the
# unembedding, and read the words. This is the **logit lens**:
#
# $$\text{lens}_l = W_U \, \mathrm{LN}_f(x_l) + b_U, \qquad l = 0, \dots, L$$
#
# The last entry is the model's own output, which makes a good test. The norm is recomputed for each stream: its mean and its
# deviation are those of $x_l$. With the deviation of the last stream, early and shorter streams would look unsure for a reason that
# has nothing to do with what they know.
#
# > ⚠ **Gotcha.** There are $L + 1$ streams, not $L$: entry 0 belongs to the embeddings alone.
#
# ### Exercise 3: `logit_lens` (10 points)
#
# - Difficulty ●●●○○ · importance ●●●●○ · about 30 minutes
# - **Objective:** read intermediate streams through the model's own output layers.
# - **Source:** nostalgebraist 2020, *interpreting GPT: the logit lens*.
# - **Navigator asks:** if you multiply a cached stream by 10, how should its entry change?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Which entries of the cache are streams? List them from the embeddings to the end for a model of two blocks.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# The model has the norm and the unembedding as submodules, and both work on the last axis of a tensor of any shape. Use them rather
# than their weights: then no bias is forgotten.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# streams = the one before block 0, then the one after each block
# stack them along a new first axis
# final norm, then unembedding
# ```
#
# </details>

# %% exercise points=10 minutes=30 difficulty=3 importance=4 title="What the stream would say"
from solutions.i1_hooks_patching import logit_lens

# %% [markdown]
# ### Experiment: when does it know?
#
# Below, the three likeliest words after each number of blocks, at the last position. **Predict first:** after how many blocks does
# the right object lead, and what does the model "say" before it knows?

# %% demo
prediction = "It knows after ... blocks; before that it says ..."

# %% demo
for text in ("whisper Ada lives-in", "shout oh Gus eats"):
    _, cache = run_with_cache(model, tokens_of(text))
    print(text, "  true:", facts[text.split()[-2], text.split()[-1]])
    for layer, logits in enumerate(logit_lens(cache, model)[:, 0, -1]):
        share, best = logits.softmax(-1).topk(3)
        print(
            f"   after {layer} blocks  ",
            "   ".join(f"{words[int(i)]:>7} {float(p):>4.0%}" for p, i in zip(share, best, strict=True)),
        )

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Before any block the words at the top are objects that go with no person in particular: at the last position the stream holds
# the relation and nothing of the person. After two blocks the right object leads, after three it is alone. In the first text the
# city that leads after one block is a wrong one; the lens shows what the output layers *would* make of the stream, which is not
# what the next block makes of it. An early entry that looks confused may hold exactly the right information in a form that only
# later layers can read.
#
# </details>

# %% [markdown]
# ## 4. Who wrote the logit
#
# The last stream is a sum: token embedding, position, the output of every head, the biases, the feed-forward layers. Were there
# no final norm, the logit of a word would be a sum as well, one term for each of them. The norm seems to spoil that, since it
# divides by a deviation which depends on everything. But it does so *once*. Hold the deviation $\sigma$ of this one stream fixed,
# and what remains of LayerNorm is linear: take the mean away, divide by $\sigma$, multiply by the weight. Applied to each term,
# it gives
#
# $$\text{logit}_a - \text{logit}_b = \sum_c \frac{(c - \bar c) \odot g}{\sigma} \cdot (u_a - u_b) \; + \; \beta \cdot (u_a - u_b)$$
#
# over all components $c$, with the norm's weight $g$ and bias $\beta$ and the rows $u$ of the unembedding. This is exact. It is the
# *difference* of two logits, because a single logit means nothing: the softmax ignores what is added to all of them.
#
# Heads are separate terms although one matrix mixes them: `attn.out` multiplies the heads laid end to end, so head $h$ meets its
# own
# $e$ columns, and the matrix product is the sum over heads. Only the bias belongs to nobody.
#
# ![A logit difference split into the parts that components wrote.](data/split.svg)
#
# > ⚠ **Gotcha.** Which columns are head $h$'s? `reshape` will cut the matrix either way without complaint. And the bias of
# > `attn.out` is written once per block, not once per head.
#
# ### Exercise 4: `direct_logit_attribution` (12 points)
#
# - Difficulty ●●●●○ · importance ●●●●● · about 48 minutes
# - **Objective:** decompose a logit difference exactly, with the norm frozen.
# - **Source:** Elhage et al. 2021, "Virtual weights and the residual stream"; Wang et al. 2022, section 3 (the norm frozen).
# - **Navigator asks:** if one head's `z` in the cache is doubled, which parts change, and by what factor?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write the last stream at `pos` as a sum of vectors from the cache, and check with `resid_post` that nothing is missing. Only then
# think about the norm.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# One inner function does the work: it takes what a component wrote, `(b d)`, and returns one number per row. The weight of
# `attn.out` has the shape `(d, h e)`; `unflatten` turns its columns into `(h, e)`, so that head `h`'s are `[:, h]`.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# sigma     = root of (variance of the last stream at pos, over n, plus eps)       per row
# direction = unembedding row of tok_a minus that of tok_b
# part(c)   = (c minus its mean) times norm weight, dot direction, over sigma
# embeddings: part of token vector, part of position vector
# per block:  for each head: part of (its z through its columns of attn.out)
#             part of the output bias, or zeros;  part of the feed-forward layer's output
# constant:   norm bias dot direction, plus the difference of the unembedding's biases if it has them
# ```
#
# </details>

# %% exercise points=12 minutes=48 difficulty=4 importance=5 title="Who wrote the logit"
from solutions.i1_hooks_patching import direct_logit_attribution

# %% [markdown]
# ### Experiment: the fact and its register
#
# For `shout Ada lives-in` we split two differences: the right object against another city, both in capitals, and the right object
# in capitals against the same in small letters. **Predict first:** will the same components decide *what* is said and *how*?

# %% demo
prediction = "What: mostly ... How: mostly ..."


# %% demo
def bars(parts: dict[str, Tensor], n: int = 7) -> None:
    largest = sorted(parts.items(), key=lambda item: -abs(float(item[1][0])))[:n]
    for name, value in largest:
        size = float(value[0])
        print(f"   {name:<20} {size:>+7.2f} {'█' * round(2 * abs(size))}")


right = facts["Ada", "lives-in"]
other = next(thing for (person, relation), thing in facts.items() if relation == "lives-in" and thing != right)
logits, cache = run_with_cache(model, tokens_of("shout Ada lives-in"))
for what, a, b in (("what", right.upper(), other.upper()), ("how", right.upper(), right)):
    a, b = words.index(a), words.index(b)
    parts = direct_logit_attribution(cache, model, -1, a, b)
    total, whole = float(sum(parts.values())), float(logits[0, -1, a] - logits[0, -1, b])
    print(f"{what}: {words[a]} over {words[b]}, difference {whole:.3f}, sum of the {len(parts)} parts {total:.3f}")
    bars(parts)

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Both sums are exact. *How* is decided mostly by the last feed-forward layer and by head 1 of block 0. For *what*, the largest
# parts are the position's vector and the token's, with opposite signs, and neither knows the person: the token at this position
# is `lives-in`, whoever lives there. They are furniture that stands in every sentence, and the parts that differ between persons
# are smaller ones below. A large part is not an important part. To find out what carries the *information* one has to compare
# inputs, or take things out.
#
# </details>

# %% [markdown]
# ## 5. Folding the norms away
#
# Much of the last formula was bookkeeping: a weight here, a bias there, a mean to take away. All of it can be moved into the
# matrices beside it, once and for all, without changing a single output. LayerNorm computes $\hat x \odot g + \beta$, where $\hat
# x$ is the centred and scaled stream; the linear map that reads it computes
#
# $$W(\hat x \odot g + \beta) + b = (W \operatorname{diag} g)\, \hat x + (W\beta + b)$$
#
# so $W \operatorname{diag} g$ can be the new matrix and $W\beta + b$ the new bias, with $g = 1$ and $\beta = 0$ left in the norm.
# And since every reader takes the stream's mean away, nobody will notice if the writers never write one: centre every vector that
# is added to the stream. Afterwards a row of a weight matrix is what it seems to be, and weights of different models can be
# compared.
#
# > ⚠ **Gotcha.** A *tied* unembedding is the embedding's own matrix. Scale it in place and every token that enters the model is
# > scaled as well. And a map without a bias needs one now.
#
# ### Exercise 5: `fold_layernorm` (8 points)
#
# - Difficulty ●●●●○ · importance ●●●○○ · about 42 minutes
# - **Objective:** rewrite a model's weights so that its function stays and its parts become readable.
# - **Source:** Nanda and Bloom 2022, TransformerLens, `fold_ln` and `center_writing_weights`; Elhage et al. 2021, "Handling layer
#   normalization".
# - **Navigator asks:** is `attn.out.weight`, of shape `(d, h e)`, centred along its rows or its columns, and why?
#
# <details><summary>Hint 1: where to begin</summary>
#
# List every norm with the map that reads it, and every parameter that writes into the stream. For a model of two blocks these are
# five pairs and six writers.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `copy.deepcopy` keeps a tied matrix tied; break the tie before you scale. Compute what the bias becomes before you change the
# matrix. Work under `no_grad`. A missing bias is None and may be set to a new `nn.Parameter` of the model's dtype.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# new = deep copy; unembedding tied -> give it a matrix of its own
# for each (norm, reader):
#     reader bias   = reader matrix times norm bias, plus the old bias if there is one
#     reader matrix = each column times the norm's weight for that feature
#     norm weight = 1, norm bias = 0
# for each writer: subtract the mean over the features of the stream
#     embeddings: per row;  matrices attn.out, mlp.down: over their outputs;  biases: their mean
# ```
#
# </details>

# %% exercise points=8 minutes=42 difficulty=4 importance=3 title="Folding the norms away"
from solutions.i1_hooks_patching import fold_layernorm

# %% [markdown]
# ### Experiment: the same model, easier to read
#
# **Predict first:** by how much do the logits of the folded float32 model differ, and what share of the stream's squared length was
# its mean, which no reader ever saw?

# %% demo
prediction = "Logits: ... Mean: ... %"

# %% demo
folded = fold_layernorm(model)
sample = tokens_of("whisper Ada lives-in", "shout Gus eats", "hush Ida drives")
folded.requires_grad_(False)
gap = (folded(sample) - model(sample)).abs().max()
print(f"largest difference of the logits: {float(gap):.1e}, of logits up to {float(model(sample).abs().max()):.1f}")
for name, it in (("as trained", model), ("folded", folded)):
    stream = run_with_cache(it, sample, ["blocks.2.resid_post"])[1]["blocks.2.resid_post"]
    mean = stream.mean(-1).square().mean() / stream.square().mean()
    print(
        f"{name:<11} mean's share of the last stream {float(mean):>7.2%}; norm_f.weight from {float(it.norm_f.weight.min()):.2f}",
        f"to {float(it.norm_f.weight.max()):.2f}",
    )

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The logits differ by rounding only. The mean was about 1 % of the last stream, and is now nothing. All norms have become the
# same parameter-free operation, so that the rows of `unembed.weight` are now the true directions of the words in the stream, and
# the weights of the norms no longer have to be kept in mind. Most published pictures of weights are made after folding.
#
# </details>

# %% [markdown]
# ## 6. Taking heads out
#
# Attribution says what a head *wrote towards* an answer. Whether the answer depends on it is another matter: a later component
# may read what the head wrote, or make up for its absence. To find out, take it out and look. But out in favour of what?
#
# - **Zero** is simple, and an activation which the model never meets: a head that always writes roughly the same vector is part
#   of the furniture, and removing the furniture breaks things that have nothing to do with its *information*.
# - The **mean** over other inputs keeps the furniture and takes the information away. Per position, since a head may do different
#   things at different places.
# - **Resampling** takes the value from another input: each is a real activation, only the wrong one.
#
# All three keep the rest of the model running on the consequences. The statistics come from an *undisturbed* run. If they were
# collected while earlier heads are ablated already, the later ones would be averaged over a model that does not exist.
#
# > ⚠ **Gotcha.** A random permutation leaves some row in its place with probability about 63 %. That row is then not ablated at
# > all.
#
# ### Exercise 6: `ablate` (8 points)
#
# - Difficulty ●●●○○ · importance ●●●●○ · about 36 minutes
# - **Objective:** intervene on chosen heads in three ways that answer three different questions.
# - **Source:** Wang et al. 2022, section 2.1 (mean ablation); Chan et al. 2022, causal scrubbing (resampling).
# - **Navigator asks:** for two heads in one layer and one in another, how many hooks are needed, and which runs come before the
#   ablated one?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Do "zero" with one head first. The head's values are `z[:, :, head]` of `blocks.{layer}.attn.z`; return a changed copy.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Group the heads by layer, so that there is one function per site. `run_with_cache` on the reference batch, or on the tokens,
# gives what to put in place. For the permutation: draw with `torch.randperm(b, generator=gen)` until no row stays, or roll by a
# random number of rows.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# refuse unknown modes, and resampling a single row
# undisturbed = cache of the chosen sites: on the reference for the mean, on the tokens for resampling
# order       = permutation without fixed points (resampling only)
# at each chosen site: copy z; in the chosen heads put
#     zeros | the mean over the rows, position by position | the rows of undisturbed in that order
# return the logits of the run with these functions
# ```
#
# </details>

# %% exercise points=8 minutes=36 difficulty=3 importance=4 title="Taking heads out"
from solutions.i1_hooks_patching import ablate

# %% [markdown]
# ### Experiment: three ways of taking a layer out
#
# On 60 questions of one length we take out all heads of one block at a time. **Predict first:** which block's heads does the
# answer depend on, and which of the three ways does the most damage?

# %% demo
prediction = "Block ...; the most damage by ..."

# %% demo
draw = random.Random(0)
people, relations = sorted({p for p, _ in facts}), sorted({r for _, r in facts})


def questions(n: int) -> tuple[list[str], Tensor]:
    """Return n texts of one length, and the right answers."""
    texts, right = [], []
    for _ in range(n):
        mode, person, relation = draw.choice(words[2:6]), draw.choice(people), draw.choice(relations)
        texts.append(f"{mode} {draw.choice(words[6:10])} {person} {relation}")
        thing = facts[person, relation]
        right.append(words.index(thing.upper() if mode in ("shout", "yell") else thing))
    return texts, torch.tensor(right)


texts, right_answers = questions(60)
batch, reference = tokens_of(*texts), tokens_of(*questions(60)[0])


def share(logits: Tensor) -> float:
    return float((logits[:, -1].argmax(-1) == right_answers).double().mean())


print(f"intact {share(model(batch)):>4.0%}            zero   mean   resample")
for layer in range(3):
    heads = [(layer, head) for head in range(4)]
    found = [
        share(ablate(model, batch, heads, mode, reference, torch.Generator().manual_seed(0)))
        for mode in ("zero", "mean", "resample")
    ]
    print(f"without the heads of block {layer} ", "".join(f"{x:>6.0%} " for x in found))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The intact model is not perfect: some questions ask for facts in a register that it was never taught. No block's heads can be
# spared, and none alone decides. But which block matters most? Block 1, say zeros and means; block 2, says resampling, which does
# the most damage everywhere: a real but wrong value carries another person's fact or another speaker's register, and the model
# believes it. "Necessary" depends on what you put in place. Say which, whenever you report it.
#
# </details>

# %% [markdown]
# ## 7. Moving one activation
#
# Ablation removes. Patching *transplants*, and so can ask where a particular piece of information is. Take two inputs that differ
# in the one thing you care about: `whisper oh Ada eats` and `whisper oh Bo eats`. Run the model on the second, but at one place,
# one position of one site, put in the activation from the first run. If the answer changes to Ada's food, then at that place sat
# what distinguishes Ada from Bo, in a form which the rest of the model can use.
#
# ![One activation of the clean run is put into the corrupt run.](data/patch.svg)
#
# The effect is put on a scale on which 0 is the corrupt result and 1 the clean one. Running over all sites and positions gives a
# map of the information's way through the model. The pair is called clean and corrupt by tradition; nothing is wrong with Bo.
#
# Two tests cost nothing. Where *everything* that the metric depends on is exchanged, the effect must be 1. Where nothing is that
# it can see, such as a later position, it must be exactly 0. A tool that fails these is measuring itself.
#
# > ⚠ **Gotcha.** One thing at a time: the patch of the last entry has to be gone, and the cache unharmed, before the next is
# > tried. A patch that edits the cached tensor in place passes a test with a single entry.
#
# ### Exercise 7: `activation_patch` (12 points)
#
# - Difficulty ●●●●○ · importance ●●●●● · about 54 minutes
# - **Objective:** localise information by intervention, on a scale that means something.
# - **Source:** Meng et al. 2022, section 2.1 (causal tracing); Zhang and Nanda 2023, section 2.1.
# - **Navigator asks:** how many runs of the model does a sweep over 6 sites and 8 positions take, and how many of them are on the
#   clean input?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write the run for a single site and position, and print its metric beside the clean and the corrupt one. Then put two loops
# around it.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `run_with_cache(model, clean, sites)` gives all that will be transplanted. The hook's function copies what it is given, changes
# position `p` of axis 1 for all rows, and returns the copy. Bind `p` when the function is made. No gradients are needed anywhere.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# without gradients:
#     high, cache = metric and activations of the clean run;  low = metric of the corrupt run
#     equal: error
#     for each site, for each position p:
#         patched = metric of the corrupt run, with site's output at p taken from the cache
#         entry   = how far patched is on the way from low to high
# ```
#
# </details>

# %% exercise points=12 minutes=54 difficulty=4 importance=5 title="Moving one activation"
from solutions.i1_hooks_patching import activation_patch

# %% [markdown]
# ### Experiment: the way of a name
#
# The clean text is about Ada, the corrupt one about Bo; the metric is the logit of Ada's food minus that of Bo's. **Predict
# first:** at which position is the effect 1 before block 0, and at which one after the last block? In which block does it move?

# %% demo
prediction = "At first at ..., in the end at ...; it moves in block ..."


# %% demo
def difference(a: str, b: str) -> Callable[[Tensor], Tensor]:
    return lambda logits: logits[0, -1, words.index(a)] - logits[0, -1, words.index(b)]


def table(found: Tensor, sites: list[str], text: str) -> None:
    print(" " * 20 + "".join(f"{word:>9}" for word in ["<bos>", *text.split()]))
    for site, row in zip(sites, found, strict=True):
        print(f"{site:<20}" + "".join(f"{float(x):>9.2f}" if abs(x) >= 0.005 else "        ·" for x in row))


clean_text, corrupt_text = "whisper oh Ada eats", "whisper oh Bo eats"
clean, corrupt = tokens_of(clean_text), tokens_of(corrupt_text)
metric = difference(answer(clean_text), answer(corrupt_text))
print(f"clean: {answer(clean_text)}, corrupt: {answer(corrupt_text)}\n")
streams = [
    "blocks.0.resid_pre",
    "blocks.0.resid_mid",
    "blocks.0.resid_post",
    "blocks.1.resid_mid",
    "blocks.1.resid_post",
    "blocks.2.resid_mid",
    "blocks.2.resid_post",
]
table(activation_patch(model, clean, corrupt, metric, streams), streams, clean_text)
print()
writes = [f"blocks.{layer}.{part}" for layer in range(3) for part in ("attn", "mlp")]
exact = activation_patch(model, clean, corrupt, metric, writes)
table(exact, writes, clean_text)

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Before block 0 everything sits at the name, as it must. One attention layer later 95 % of the effect is at the last position:
# block 0 fetches the name. What the *layers* write tells the rest. The attention of block 0 is necessary on this route, and the
# last feed-forward layer, which reads the name and writes the food, brings back more than half by itself. The effects of single
# layers do not sum to 1: they work one after the other, and are counted twice or not at all. Two earlier sections told another
# story. In section 4 that attention layer was not among the large parts, since it writes what later layers read. In section 6 the
# model got most answers right without it: then later blocks fetch the name themselves. A route that is used is not a route that
# is needed.
#
# </details>

# %% [markdown]
# ## 8. All patches at once, nearly
#
# A sweep takes one run per entry. For a model of a hundred layers, a thousand positions and every head that is millions of runs.
# But each patch is a step in activation space, from the corrupt value $a'$ to the clean value $a$, and for small steps a function
# changes by its gradient times the step:
#
# $$\text{metric}(a) - \text{metric}(a') \approx \nabla_{a'} \text{metric} \cdot (a - a')$$
#
# *One* backward pass through the corrupt run gives the gradient at all sites and positions together. Two forward passes and one
# backward pass estimate the whole map.
#
# The step is not small, so this is an estimate. It is exact where the rest of the model is linear, decent in the middle of a
# network, and bad where something between here and the metric is saturated: a softmax that attends to one place with weight 0.999
# has hardly any gradient, and would change completely if its query did.
#
# > ⚠ **Gotcha.** The gradient belongs to the *corrupt* run, since that is where the step starts. And if each watched activation
# > is made a new leaf, the graph ends there, and sites further down get no gradient at all.
#
# ### Exercise 8: `attribution_patch` (10 points)
#
# - Difficulty ●●●●○ · importance ●●●●○ · about 42 minutes
# - **Objective:** approximate every patch of a sweep from one gradient, and know when not to believe it.
# - **Source:** Nanda 2023, *Attribution patching*; Syed et al. 2023, section 3.
# - **Navigator asks:** on a model that is linear from the embeddings on, what must the estimates at `blocks.0.resid_pre` sum to?
#
# <details><summary>Hint 1: where to begin</summary>
#
# For one site: cache its clean value; run on the corrupt input with a graph and keep the activation *that is on the way to the
# logits*. Which of the two does `run_with_cache` give you?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# A hook may store the very tensor that it is given and return it. `torch.autograd.grad(metric, list of activations)` gives all
# gradients and leaves every `.grad` alone; `allow_unused=True` covers sites that the metric does not see. When the parameters are
# frozen, the first activation has no graph to be part of: make it require gradients.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# at_clean   = cache of the clean run;  high = its metric
# at_corrupt = the activations themselves, from a corrupt run with a graph;  low = its metric
#              (one that needs no gradient yet is detached and made to need one)
# equal: error
# slopes     = gradients of low with respect to all of at_corrupt
# entry      = (at_clean - at_corrupt) times slope, summed over everything but positions,
#              divided by (high - low)
# ```
#
# </details>

# %% exercise points=10 minutes=42 difficulty=4 importance=4 title="All patches at once, nearly"
from solutions.i1_hooks_patching import attribution_patch

# %% [markdown]
# ### Experiment: where the estimate fails
#
# The same pair and the same sites as before, estimated, and then many pairs of people. **Predict first:** will the estimate be
# better for what the layers write or for the streams, and for early or late sites?

# %% demo
prediction = "Better for ...; worst at ..."

# %% demo
table(attribution_patch(model, clean, corrupt, metric, writes), writes, clean_text)
print("\n20 pairs of people, the place with the largest effect:      exact   estimated")
sites = streams + writes
sums = torch.zeros(len(sites), 2)
for _ in range(20):
    (a, b), relation = draw.sample(people, 2), draw.choice(relations)
    if facts[a, relation] == facts[b, relation]:
        continue
    pair = tokens_of(f"whisper oh {a} {relation}"), tokens_of(f"whisper oh {b} {relation}")
    of = difference(facts[a, relation], facts[b, relation])
    real, guess = (patch(model, *pair, of, sites) for patch in (activation_patch, attribution_patch))
    at = real.abs().argmax(dim=1, keepdim=True)
    sums += torch.stack([real.gather(1, at)[:, 0], guess.gather(1, at)[:, 0]], dim=1)
for site, (real, guess) in zip(sites, (sums / sums[0, 0]).tolist(), strict=True):
    print(f"   {site:<50} {real:>8.2f} {guess:>10.2f}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The signs are right and so is most of the order, but nearly every estimate is too small, by a factor of two to four. Even the
# last stream, where the exact effect is 1 by construction, gets about a half: a step from one person to another is a long one,
# and the final norm bends on the way. So use estimates for ranking, patch the top of the list for real, and distrust small ones
# where something saturates.
#
# </details>

# %% [markdown]
# ## 9. Credit for the inputs
#
# Patching compares two inputs. Often there is one, and the question is which of its parts made the difference. The gradient at
# $x$ answers a different question: what would a *small* change do? Where a function has levelled off, the gradient is 0, although
# the input that drove it there is the whole reason.
#
# **Integrated gradients** take the whole way. Choose a baseline $x'$, an input without content; walk from it to $x$ in a straight
# line and add up, for each entry, slope times distance:
#
# $$\text{attribution}_i = (x_i - x'_i) \int_0^1 \partial_i f\big(x' + s\,(x - x')\big)\, ds$$
#
# The attributions sum to $f(x) - f(x')$ exactly; this is the fundamental theorem of calculus, and the axiom of *completeness*. On
# a computer the integral is a sum over points, and it matters which. With the left end of each of $n$ steps the error shrinks as
# $1/n$; with their middles as $1/n^2$, and a quadratic function is integrated exactly by a single point.
#
# ![The way from the baseline to the input, and where the gradient is taken.](data/line.svg)
#
# > ⚠ **Gotcha.** The baseline is a choice, and the answer depends on it: attributions compare $x$ with $x'$, not with nothing. A
# > black image is a fine baseline unless the object is black.
#
# ### Exercise 9: `integrated_gradients` (10 points)
#
# - Difficulty ●●●○○ · importance ●●●○○ · about 36 minutes
# - **Objective:** a path integral of gradients, with a quadrature that is exact where it can be.
# - **Source:** Sundararajan, Taly and Yan 2017, sections 3 and 5.
# - **Navigator asks:** for `steps=2`, at which two shares of the way is the gradient taken?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Do $f(x) = x^2$ from 0 to 1 on paper, with one point. Which point gives exactly 1?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Rows are independent, so the gradient of the *sum* of f over rows holds every row's own gradient. Make each point a fresh leaf
# with `requires_grad_()`, and use `torch.autograd.grad`. Detach x first: it may belong to somebody's graph.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# way   = x - baseline
# total = zeros
# for k = 0 .. steps - 1:
#     point  = baseline + (middle of step k, as a share) times way
#     total += gradient of the sum of f(point) with respect to point
# return way times total / steps
# ```
#
# </details>

# %% exercise points=10 minutes=36 difficulty=3 importance=3 title="Credit for the inputs"
from solutions.i1_hooks_patching import integrated_gradients

# %% [markdown]
# ### Experiment: which word made it say that?
#
# The input is the token embeddings, which a hook puts in place; the baseline is the mean embedding at every position. **Predict
# first:** how is the logit of the answer shared among the words, and how far off is the sum with 4 steps?

# %% demo
prediction = "Most credit to ...; with 4 steps off by ..."

# %% demo
text = "shout oh Ada eats"
x, target = model.tok_emb(tokens_of(text)), int(model(tokens_of(text))[0, -1].argmax())


def f(embedded: Tensor) -> Tensor:
    with Hooks(model, [("tok_emb", lambda value, name: embedded)]):
        logits = model(tokens_of(text).expand(len(embedded), -1))
    return logits[:, -1, target] - logits[:, -1].mean(-1)


baseline = model.tok_emb.weight.mean(0).expand_as(x)
whole = float(f(x) - f(baseline))
for steps in (1, 4, 16, 64):
    credit = integrated_gradients(f, x, baseline, steps).sum(-1)[0]
    print(
        f"{steps:>3} steps ",
        "  ".join(f"{word} {float(c):>5.2f}" for word, c in zip(["<bos>", *text.split()], credit, strict=True)),
        f"   sum {float(credit.sum()):>6.2f} of {whole:.2f}",
    )
point = x.clone().requires_grad_()
slope = torch.autograd.grad(f(point).sum(), point)[0]
print("gradient at x", "  ".join(f"{float(c):.2f}" for c in ((x - baseline) * slope).sum(-1)[0]))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# `eats` and the name share most of the credit, as the object depends on both, and `shout` has its own share for the capitals. One
# step misses half of the sum, sixteen are off by under 1 %. The gradient at x, in the last row, gives the name *negative* credit:
# the answer is certain already, the function is flat, and the little slope that is left points anywhere.
#
# </details>

# %% [markdown]
# ## 10. Pushing the stream
#
# If a property of the text is a direction in the stream, one can measure it: average the stream over texts that have the
# property, average it over texts that lack it, subtract. What the two kinds share (grammar, positions, the mean vector) cancels.
# And if the model *uses* the direction, adding it to the stream of another text should make the model behave as if that text had
# the property. The first step observes; the second tests.
#
# Real texts differ in length, and batches are padded. Padding has activations as well, and they mean nothing. A mask says which
# places count. Pool them all: averaging each text first gives a place in a short text more weight than one in a long text.
#
# > ⚠ **Gotcha.** The vector was measured in the stream and has to be added to the stream. Behind the norm, lengths mean something
# > else, and what is added there is read by one layer and forgotten.
#
# ### Exercise 10: `steering_vector`, `steer` (12 points)
#
# - Difficulty ●●●○○ · importance ●●●●○ · about 48 minutes
# - **Objective:** measure a direction as a difference of means, and test it by adding it.
# - **Source:** Turner et al. 2023, section 3 (activation addition); Rimsky et al. 2024, section 3 (difference of means).
# - **Navigator asks:** with `alpha = 0`, are the logits equal to the model's, or merely close?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Which name has the stream before block `layer`? Reading and adding happen at the same place.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Indexing a `(b t d)` tensor with a boolean `(b t)` mask gives all chosen places in one list, `(n d)`. When adding, `torch.where`
# with the mask in a new last axis keeps the other places bit for bit.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# vector: for each kind of text: cache the stream before the block,
#         take the places where the mask is true, and their mean
#         positive mean minus negative mean
# steer:  hook at that stream: add alpha times the vector where the mask is true
#         (everywhere if there is none)
#         return the logits of the run
# ```
#
# </details>

# %% exercise points=12 minutes=48 difficulty=3 importance=4 title="Pushing the stream"
from solutions.i1_hooks_patching import steering_vector, steer

# %% [markdown]
# ### Experiment: making it shout
#
# From texts with `shout` or `yell` and texts with `whisper` or `hush` we measure the direction of loudness before each block, and
# add it to quiet questions. A random vector of the same length is the control. **Predict first:** before which block does it work
# best, and will the model still know the facts?

# %% demo
prediction = "Before block ...; the facts will ..."


# %% demo
def asked(modes: tuple[str, str], n: int) -> tuple[Tensor, list[tuple[str, str]]]:
    about = [(draw.choice(people), draw.choice(relations)) for _ in range(n)]
    return tokens_of(*(f"{draw.choice(modes)} {draw.choice(words[6:10])} {p} {r}" for p, r in about)), about


loud, quiet = asked(("shout", "yell"), 60)[0], asked(("whisper", "hush"), 60)[0]
test, about = asked(("whisper", "hush"), 60)
low = torch.tensor([words.index(facts[fact]) for fact in about])
high = torch.tensor([words.index(facts[fact].upper()) for fact in about])
last = torch.zeros_like(loud, dtype=torch.bool)
last[:, -1] = True
gen = torch.Generator().manual_seed(0)
noise = [torch.randn(64, generator=gen) for _ in range(8)]


def capitals(vector: Tensor, layer: int, alpha: float) -> tuple[float, float]:
    """Return how often the answer is in capitals, and how often it is the right object in whatever letters."""
    said = steer(model, test, vector, layer, alpha, last)[:, -1].argmax(-1)
    shouted = sum(words[int(i)].isupper() for i in said) / len(said)
    return shouted, float(((said == low) | (said == high)).double().mean())


print("added before   alpha   in capitals   right object      8 random vectors of that length")
for layer in range(3):
    vector = steering_vector(model, loud, quiet, layer, last, last)
    for alpha in (0.0, 1.0, 2.0, 4.0):
        shouted, right = capitals(vector, layer, alpha)
        control = torch.tensor([capitals(v / v.norm() * vector.norm(), layer, alpha) for v in noise]).mean(0)
        print(f"block {layer} {alpha:>12.1f} {shouted:>13.0%} {right:>14.0%} {float(control[0]):>17.0%} {float(control[1]):>12.0%}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# With alpha = 2 the direction before block 2 makes the model shout in more than half of its answers, and most of the objects stay
# right; a random push of the same length rarely does. Before block 0 nothing happens at the last position, since loudness has not
# arrived there. With alpha = 4 the effect is larger, and half of the facts are gone; but then a random push causes capitals too,
# and damage. Without the control you would have put down to the direction what is due to its length. Steering shows that a
# direction *can* be used. Whether the model uses it by itself is a question for section 6.
#
# </details>

# %% [markdown]
# ## Stretch
#
# No points, but evidence of strength.
#
# 1. **Path patching.** Patch only what one head sends to one other head, leaving all other routes as they were. Test it with the
#    two free tests of section 7, then look for the route by which the register reaches the last position.
# 2. **A better estimate.** Replace the gradient of section 8 by one that is averaged over the way from corrupt to clean, as in
#    section 9. How many passes does it take until the saturated sites are right (Hanna et al. 2024)?
# 3. **The facts that were never said aloud.** `told["held out"]` lists facts that were trained in one register only. The model gets
#    under two thirds of them right in the other. Find out with your instruments what differs inside when it fails.
# 4. **A tuned lens.** Fit an affine map for each layer that brings its stream closer to the last one (Belrose et al. 2023). What
#    does the logit lens get wrong on this model?
#
# ## Further reading
#
# - Elhage et al. (2021), *A Mathematical Framework for Transformer Circuits*: the stream as a bus, and everything in section 4.
# - nostalgebraist (2020), *interpreting GPT: the logit lens*: the first one, with its doubts.
# - Meng et al. (2022), *Locating and Editing Factual Associations in GPT*: causal tracing of facts in a real model. Read it
#   together with Hase et al. (2023), *Does Localization Inform Editing?*, which finds that where a fact sits says little about
#   where to edit it.
# - Wang et al. (2022), *Interpretability in the Wild*: mean ablation and path patching on a whole circuit; I2 follows it.
# - Zhang and Nanda (2023), *Towards Best Practices of Activation Patching*: how metrics and corruptions change the picture.
# - Syed et al. (2023), *Attribution Patching Outperforms Automated Circuit Discovery*: section 8, put to work.
# - Sundararajan, Taly and Yan (2017), *Axiomatic Attribution for Deep Networks*; with Adebayo et al. (2018), *Sanity Checks for
#   Saliency Maps*, on attributions that do not depend on the model.
# - Rimsky et al. (2024), *Steering Llama 2 via Contrastive Activation Addition*: section 10 at scale, and where it fails.
