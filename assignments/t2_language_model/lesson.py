"""The lesson of `t2_language_model`: prose, exercise slots, experiments. It runs from top to bottom on the reference."""

# %% [markdown]
# # T2. Tokenise, train, sample, cache
#
# A decoder maps token numbers to logits. Everything around it is this notebook: where the numbers come from, what the model is
# trained on, how logits become text, and how to get that text without computing everything again for every character.
#
# ![The path from bytes to text. Each part carries the number of its exercise.](data/overview.svg)
#
# **After this notebook you can**
#
# - learn a byte-level BPE vocabulary, and encode a text that arrives in pieces without changing a single token;
# - build batches and a loss in which no target is shifted, lost or counted twice;
# - sample from exactly the distribution that was asked for, and test that you do;
# - search for probable continuations, and say why the most probable one is rarely the best;
# - write a cache that changes nothing but the time, and let a small model write for a large one without changing the law.
#
# **Time.** About nine hours in four sittings: exercises 1 and 2 (2 hours), 3 to 7 (2 hours), 8 and 9 (2½ hours), 10 and 11
# (2 hours). No experiment takes longer than some seconds on two cores.
#
# **Before.** T1: you know what a decoder computes, why its mask needs an offset, and what rotary positions are. **After.** Whoever
# measures a model, as in I1 and I2, reads log-probabilities and keeps activations; both rest on exercises 4 and 9.

# %% [markdown]
# ## Why this matters for AI safety
#
# Hardly any claim about a language model is about the network alone. "The model refused in 99.2 % of 500 attempts" is a claim
# about a network, a tokenizer, a sampler and a cache. If the sampler's nucleus drops the token that crosses the threshold, rare
# continuations become impossible rather than rare, and the estimate of a rare harm becomes zero. If an evaluation encodes its
# prompts in another way than the deployment does, it has measured another model. If the cache misplaces positions by one, the
# deployed model is not the evaluated one, and a test at temperature 1 will not show it, because every sample looks plausible.
#
# What these faults have in common is that nothing crashes and the text reads well. A person who reads samples cannot find them.
# A statistical test can, and so can an identity: encoded in chunks or at once, cached or not, speculative or not, the result must
# be *the same*, to the last digit or in law. You will write each part together with the property that exposes its failure. The
# hidden checks ask for these properties, with drawn inputs, which is how you should treat an evaluation pipeline before you
# believe a number that came out of it.

# %% [markdown]
# ## How to work
#
# Each exercise has a card; five dots of importance mean that what follows depends on it. The docstring in the code cell is the
# exact task: where several conventions are in use, it names the one that is meant. Below it stands a locked cell with a quick
# check of a few cases. The checks that score are hidden and stricter: other sizes, ties, empty inputs, thousands of draws.
#
# Three **hints** per exercise are folded under the card, each more concrete than the one before; opening them costs nothing.
# Cells that begin with `prediction` ask for your guess before an experiment. Write one sentence, even a wrong one.
#
# **In pairs.** The driver types. The navigator holds the docstring against the code, line by line, and looks for the input that
# breaks it. Each card ends with a question which the navigator asks before the check is run. Change roles after every exercise.
# If you work alone, answer the question in writing.
#
# **Letters.** `b` rows of a batch, `t` positions, `v` tokens of the vocabulary, `n` tokens to come. A `model` is any function
# from tokens `(b t)` to logits `(b t v)`: those at position `i` predict the token at `i + 1`.

# %% setup
import copy
import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from solutions.t2_language_model import pieces, SampleConfig

Model = Callable[[Tensor], Tensor]  # tokens (b t) -> logits (b t v)

# %% demo
# The texts of the experiments come from a toy grammar: see data/grammar.py. The second place is where authors run this from.
import sys
from pathlib import Path

DATA = next(p for p in (Path("data"), Path("assignments/t2_language_model/data")) if (p / "grammar.py").exists())
sys.path.append(str(DATA.resolve()))
from grammar import corpus

text, other_text = corpus(60_000, seed=2), corpus(6_000, seed=3)
print(text[:230])

# %% [markdown]
# ## 1. What is a token?
#
# A model needs a finite list of symbols. Characters give long sequences; words give a list that never ends, and a word that is
# not on it cannot be written. *Byte pair encoding* lets the data decide. Start with the 256 bytes, so that any file is a text.
# Find the pair of neighbours that occurs most often, give it a symbol of its own, replace it everywhere, and begin again. Frequent
# words end up as one token, rare ones as a few, and nothing is ever unknown.
#
# Two restrictions keep this useful. The text is first cut into **pieces**, each of which begins at a whitespace byte, and no
# merge reaches from one piece into the next; otherwise "of the" would become a token before "people" does. And **special tokens**
# such as an end-of-text mark are taken out first: they are commands, and must never be the accidental product of merges, nor a
# part of one.
#
# ![One word, merge by merge: the most frequent pair of neighbours becomes one symbol.](data/merges.svg)
#
# The algorithm is greedy and has ties, so a vocabulary is reproducible only if somebody says how they are broken. It also has a
# corner that most implementations get wrong without noticing: in `aaa` the pair `(a, a)` stands at two places, but only one merge
# can take place. Count what a merge would bring.
#
# > ⚠ **Gotcha.** Recounting everything after every merge is correct and slow. A merge changes only the pieces that contain the
# > pair. But the counts that fall matter as much as those that rise: a pair whose count was not taken back is merged later though
# > it no longer exists.
#
# ### Exercise 1: `train_bpe` (12 points)
#
# - Difficulty ●●●●○ · importance ●●●○○ · about 72 minutes
# - **Objective:** a deterministic algorithm over counts, fast enough for real text.
# - **Source:** Sennrich et al. 2016, section 3.2. There over characters; ties and overlaps are left to the program.
# - **Navigator asks:** in `abab`, which counts change when `(a, b)` is merged, and which pair is new?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write it for one list of pieces without special tokens, counting everything again in each round. Do `ab ab ab cd cd` by hand:
# four merges. Which pieces are there, and which of them begin with a space?
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Equal pieces behave equally: a `Counter` of pieces leaves a few hundred words with a weight. `max` with a key that is a tuple
# compares counts first and pairs second. `re.split` with an alternation of `re.escape`d specials cuts a text; the regular
# expression tries alternatives in the order in which they are written.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# cut the text at the special tokens, longest first; cut the parts into pieces; count equal pieces
# every different piece is a list of single bytes
# count pairs per piece (a pair right after an equal, counted one does not count),
# times how often the piece stands there
# until vocab is full or no pair is left:
#     best = highest count, then largest pair
#     for each piece that holds it:
#         take back what this piece contributed, merge from left to right,
#         add what it contributes now
# ```
#
# </details>

# %% exercise points=12 minutes=72 difficulty=4 importance=3 title="Learn a vocabulary"
from solutions.t2_language_model import train_bpe

# %% [markdown]
# ### Experiment: what gets a symbol of its own
#
# We learn 300 merges from 60,000 characters of the toy grammar. **Predict first:** which two bytes are merged first? And how many
# bytes does a token hold on average after 20, 100 and 300 merges?

# %% demo
prediction = "First ..., then ... bytes per token after 20, ... after 100, ... after 300 merges"

# %% demo
vocab, merges = train_bpe(text.encode(), 256 + 300)
print("first:", [(left + right).decode() for left, right in merges[:12]])
print("last: ", [(left + right).decode() for left, right in merges[-5:]])

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The first merges are no morphemes: `he` and a space with its first letter save the most symbols. Endings follow, then whole words
# with their leading space. The last merges join words with punctuation, as there is nothing better left to do: this grammar has
# fewer than a hundred words. The lengths follow in the next experiment, as soon as you can encode.
#
# </details>

# %% [markdown]
# ## 2. Encoding, also in a stream
#
# Learning produced an ordered list of merges, and the order is the encoder. Within a piece, start from bytes; among the pairs of
# neighbours look for the one that was learned *first*; merge it; look again. Taking the longest known token from the left instead
# often gives the same result, and sometimes another one, and then the model reads a sequence that never occurred in training.
#
# Decoding is a concatenation of bytes. Bytes, not characters: a token may end in the middle of an "é", and a sampled sequence need
# not be valid UTF-8 at all. Whoever decodes token by token with replacement characters has lost information.
#
# Now let the text arrive in chunks, from a network or a large file. The tokens must not depend on where the chunks were cut. So at
# each moment some bytes have to wait. Which? A piece is complete when the next one has begun. A special token may have arrived in
# part. Worse, one that is complete may turn out to be the beginning of a longer one.
#
# > ⚠ **Gotcha.** The longest special token does not have to come first in the list that you are given, and `re` takes the first
# > alternative that fits. Also, `<|end|>` contains two bars, which mean "or" to a regular expression.
#
# ### Exercise 2: `Tokenizer` (10 points)
#
# - Difficulty ●●●○○ · importance ●●●●○ · about 60 minutes
# - **Objective:** apply merges by rank; make a stream and a whole text agree.
# - **Source:** Sennrich et al. 2016, section 3.2.
# - **Navigator asks:** the specials are `<a>` and `<a><b>`, and `<a>` has just arrived. What may be given out?
#
# <details><summary>Hint 1: where to begin</summary>
#
# `encode` first, on one piece, then over pieces, then over specials. `decode` is one line. Only then the stream: call `encode` on
# what is complete and keep the rest.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# A dictionary from pairs to ranks, and `min` over the neighbours with a key. `finditer` gives matches with their places. For the
# stream: a place is *decided* if the longest special token that begins there would fit into what has arrived.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# piece:   while there are neighbours among the merges: merge the pair of lowest rank, everywhere
# text:    for each special found: encode what stands before it, then its id; at last encode the rest
# stream:  for each chunk:
#              append it to what is waiting
#              give out everything up to the last special that begins at a decided place
#              in the decided part behind it, find the last whitespace byte
#              give out what stands before that byte; the rest waits
#          at the end: encode what is waiting
# ```
#
# </details>

# %% exercise points=10 minutes=60 difficulty=3 importance=4 title="Bytes to tokens and back"
from solutions.t2_language_model import Tokenizer

# %% [markdown]
# ### Experiment: how many tokens is a cat?
#
# **Predict first:** into how many tokens are `cat`, ` cat`, ` Cat` and ` catamaran` encoded after 300 merges? And how long is a
# token on average, in the text of the grammar and in this sentence?

# %% demo
prediction = "... tokens for cat, with a space ..., with a capital ..., catamaran ..."

# %% demo
tokenizer = Tokenizer(vocab, merges)
for word in ("cat", " cat", " Cat", " catamaran", " été"):
    ids = tokenizer.encode(word.encode())
    print(f"{word!r:<14}{len(ids)} tokens: {[tokenizer.decode([i]) for i in ids]}")
for name, sample_text in (
    ("the grammar", other_text),
    ("another text", "Predict first: into how many tokens are these words encoded?"),
):
    for n in (20, 100, 300):
        ids = Tokenizer(vocab, merges[:n]).encode(sample_text.encode())
        print(f"{name}, {n:>3} merges: {len(sample_text.encode()) / len(ids):.2f} bytes per token")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# One animal, four encodings, which for the model have nothing in common until training teaches it otherwise. A filter that looks
# for the token of a word misses the other spellings. And compression is a property of tokenizer *and* text: on text of another
# kind the same vocabulary saves little, so a context of 1,000 tokens holds less of it, and a price per token is a higher price.
#
# </details>

# %% [markdown]
# ## 3. Batches
#
# Training text is one long row of tokens. A batch consists of windows cut from it at random places, and each position is an
# exercise of its own: given everything in the window up to here, what comes next? So `y` is `x`, one place on.
#
# The code is three lines, and each number in it can be off by one. How many starts are there? The last window must still have a
# target behind its last token. `randint` excludes its upper end. An off-by-one here costs one token of millions and nobody will
# ever see it in a loss; in a small validation set it can be the difference between two published numbers.
#
# > ⚠ **Gotcha.** A function that takes a generator and draws from the global one instead works perfectly, until somebody tries to
# > repeat a run.
#
# ### Exercise 3: `get_batch` (6 points)
#
# - Difficulty ●●○○○ · importance ●●●●○ · about 18 minutes
# - **Objective:** uniform sampling without an off-by-one, repeatable.
# - **Source:** common practice, as in `get_batch` of nanoGPT (Karpathy 2022).
# - **Navigator asks:** five tokens, `ctx=4`: how many starts are there, and for `ctx=5`?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Take `tokens = torch.arange(6)` and `ctx=3`, and write down every legal pair of x and y. Count them.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Indexing with a table of positions `(b ctx)` gives a table of tokens. A column of starts plus a row of offsets is such a table.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# number of starts = those for which start + ctx is still a place in the text   (none: ValueError)
# starts = as many integers below it as there are rows, from the generator
# table  = starts as a column + 0 .. ctx as a row
# look the table up, in int64; x is all but its last column, y all but its first
# ```
#
# </details>

# %% exercise points=6 minutes=18 difficulty=2 importance=4 title="Random windows"
from solutions.t2_language_model import get_batch

# %% [markdown]
# ### Experiment: one epoch
#
# A text has 20,000 tokens. We draw windows of 50 until as many tokens were read as the text has. **Predict first:** what share of
# the text has never been read by then? And after three times as many?

# %% demo
prediction = "After one epoch ... %, after three ... % were never read"

# %% demo
letters = sorted(set(text))
number = {c: i for i, c in enumerate(letters)}
chars, other_chars = (torch.tensor([number[c] for c in t]) for t in (text, other_text))

seen = torch.zeros(20_000, dtype=torch.bool)
gen = torch.Generator().manual_seed(0)
for epoch in (1, 2, 3):
    x, _ = get_batch(torch.arange(20_000), 400, 50, gen)
    seen[x.flatten()] = True
    print(f"after {epoch} x 20,000 tokens: {1 - seen.double().mean():.1%} were never read")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Close to $e^{-1}$, $e^{-2}$, $e^{-3}$: with replacement, each place is missed like a ticket that never wins. It does not matter
# for training, which sees a place many times or never, as it should be in a sample. It does matter for statements about what a
# model has *not* seen: "we trained for one epoch" does not mean "it has read everything once".
#
# </details>

# %% [markdown]
# ## 4. The loss
#
# Training minimises the surprise at the true next token, $-\log p(x_{i+1} \mid x_1 \dots x_i)$, averaged over all targets. Three
# indices can go wrong. The logits at position $i$ belong to the token at $i+1$: without the shift a model learns to copy, with
# wonderful loss. Padding, prompts and other tokens that should not be learned are masked, and the mask is about **targets**: the
# question is not who predicts but what is predicted. And the mean is over targets: averaging rows first makes a token in a short
# row count for more than one in a long row.
#
# ![Tokens, logits and mask, aligned: the logits at one place belong to the token and to the mask entry at the
# next.](data/shift.svg)
#
# > ⚠ **Gotcha.** If nothing counts, the mean is 0/0. That nan reaches every weight at the next step.
#
# ### Exercise 4: `lm_loss` (8 points)
#
# - Difficulty ●●○○○ · importance ●●●●● · about 18 minutes
# - **Objective:** shift, mask and mean, each on the right side.
# - **Source:** Radford et al. 2018, section 3.1, equation 1.
# - **Navigator asks:** the prompt has three tokens and must not be trained on. Which entries of the mask are False, and which is
#   the first position whose logits get a gradient?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write three rows below each other: tokens, mask, and for each position which target its logits have. Strike out what is nobody's.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `F.cross_entropy` wants the classes on the second axis, and `reduction="none"` leaves the mean to you. It computes a logarithm of
# a softmax in one step, which a softmax followed by `log` cannot do for large logits.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# predictions = all logits but the last
# targets     = all tokens but the first
# counted     = all of the mask but the first column (everything if there is none)
# each        = cross-entropy of predictions and targets, one number per target
# answer      = sum of each where counted / number of counted, at least 1
# ```
#
# </details>

# %% exercise points=8 minutes=18 difficulty=2 importance=5 title="Surprise at the next token"
from solutions.t2_language_model import lm_loss

# %% [markdown]
# ### Experiment: a loss per what?
#
# The simplest language model counts pairs: how often did token b follow token a? We build it over vocabularies with 0, 30, 100 and
# 300 merges and measure its loss on unseen text. **Predict first:** does the loss per token rise or fall with the number of
# merges? And the loss per byte?

# %% demo
prediction = "Per token it ..., per byte it ..."

# %% demo
for n in (0, 30, 100, 300):
    coarse = Tokenizer(vocab, merges[:n])
    dense = {i: k for k, i in enumerate(sorted(set(coarse.encode(text.encode()))))}
    learn, judge = ([dense[i] for i in coarse.encode(s.encode()) if i in dense] for s in (text, other_text))
    counts = torch.full((len(dense), len(dense)), 0.1)
    for a, b in pairwise(learn):
        counts[a, b] += 1
    logp = (counts / counts.sum(1, keepdim=True)).log()
    per_token = float(lm_loss(logp[judge][None], torch.tensor([judge])))
    per_byte = per_token * (len(judge) - 1) / len(other_text.encode()) / math.log(2)
    print(f"{n:>3} merges: {per_token:.2f} nats per token, {per_byte:.2f} bits per byte")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Per token it hardly moves, then rises, as each token decides more. Per byte it falls to less than a third: a pair of longer tokens
# spans more of the text. Losses and perplexities per token cannot be compared across tokenizers. Bits per byte can.
#
# </details>

# %% [markdown]
# ## 5. Shaping a distribution
#
# The logits are the model's opinion. What is done to them before drawing is yours.
#
# **Temperature** divides the logits: below 1 it sharpens, above 1 it flattens, at 0 only the largest is left. **top_k** keeps the k
# best. That is too many where the model is sure, too few where it is not. **top_p** adapts: it keeps the smallest set of most
# probable tokens whose probabilities reach p, the *nucleus*. All three return logits, with $-\infty$ for what is out, so they can
# be combined; the order matters, because each one changes what the next one sees.
#
# ![top_k keeps the same number everywhere. top_p keeps one token in a sharp distribution and many in a flat one.](data/nucleus.svg)
#
# The edges are where implementations differ. "Reach p" includes the token that crosses it: with p = 0.8 and a first token of 0.5,
# the second one is still needed. A tie at the k-th place has to be decided; ours keeps all that tie. With p = 0 one token is left,
# with p = 1 all of them, even if a float32 sum arrives at 1 a little too early.
#
# > ⚠ **Gotcha.** `sort` returns an order for each row, and the result has to travel back by that row's own order. A mask in sorted
# > order applied to unsorted logits drops the wrong tokens, and still keeps the right number of them.
#
# ### Exercise 5: `apply_temperature`, `top_k`, `top_p` (12 points)
#
# - Difficulty ●●●○○ · importance ●●●●○ · about 48 minutes
# - **Objective:** filters that are exact at ties, edges and in every row.
# - **Source:** Holtzman et al. 2020, sections 3.1 to 3.3; Fan et al. 2018, section 5.4.
# - **Navigator asks:** probabilities 0.5, 0.3, 0.2: what does `top_p` keep for p = 0.5, and for p = 0.51?
#
# <details><summary>Hint 1: where to begin</summary>
#
# For each filter decide first, for a single row on paper, who stays. For `top_p` write the probabilities from the largest down and
# next to each one the sum of those *before* it.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `topk(...).values[..., -1:]` is a threshold per row. `cumsum` of sorted probabilities minus the probability itself is the sum
# before. `scatter` along the last axis puts values in sorted order back to where they came from.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# temperature 0: everything but the first largest place -> minus infinity; else divide
# top_k:  the k-th largest of each row (or the smallest, if k exceeds v)
#         what is below it -> minus infinity
# top_p:  p is 1: a copy
#         sort the probabilities downwards; a token is out if the sum before it has reached p
#         (the first never is)
#         carry "out" back to the tokens' own places; out -> minus infinity
# ```
#
# </details>

# %% exercise points=12 minutes=48 difficulty=3 importance=4 title="Temperature, top_k, top_p"
from solutions.t2_language_model import apply_temperature, top_k, top_p

# %% [markdown]
# ### Experiment: how many stay?
#
# Our stand-in for a language model counts which character followed the last three. **Predict first:** how many characters does
# `top_p` with p = 0.9 keep after `the`, after `the ` and after `e s`? What does temperature 2 change about it?

# %% demo
prediction = "After 'the' ..., after 'the ' ..., after 'e s' ...; at temperature 2 ..."

# %% demo
V = len(letters)


def counting_model(order: int) -> Model:
    """Return a model that has counted what follows the last `order` characters of the text."""
    place = V ** torch.arange(order - 1, -1, -1)
    counts = torch.full((V**order, V), 1e-3)
    counts.index_put_(((chars.unfold(0, order, 1)[:-1] * place).sum(1), chars[order:]), torch.ones(1), accumulate=True)

    def model(tokens: Tensor) -> Tensor:
        padded = torch.cat([torch.full((len(tokens), order - 1), number[" "]), tokens], dim=1)
        return counts[(padded.unfold(1, order, 1) * place).sum(-1)].log()

    return model


def as_tokens(*texts: str) -> Tensor:
    return torch.tensor([[number[c] for c in t] for t in texts])


def as_text(tokens: Tensor) -> str:
    return "".join(letters[i] for i in tokens.tolist())


three = counting_model(3)
for context in ("the", "the ", "e s"):
    logits = three(as_tokens(context))[0, -1]
    kept = [int(top_p(apply_temperature(logits, t), 0.9).isfinite().sum()) for t in (0.5, 1.0, 2.0)]
    print(f"after {context!r}: top_p keeps {kept[0]}, {kept[1]}, {kept[2]} of {V} characters at temperatures 0.5, 1, 2")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Inside a word nearly nothing is open, at its beginning about ten characters are; no fixed k fits both. The temperature moves the
# border: a filter that comes after it keeps what the flattening has made probable.
#
# </details>

# %% [markdown]
# ## 6. Sampling
#
# Now the loop: ask the model, filter the logits *at the last position*, draw, append, repeat. Rows finish at different times. A
# finished row has to keep its place in the tensor without growing, and without stopping the others. And a context that has grown
# beyond what the model can take must lose its beginning, not its end.
#
# How would you find out whether a sampler is right? Not by reading. Give it a model whose distribution you know, a table; draw
# some thousand continuations; compare the counts with the exact probabilities of whole sequences. The hidden checks do that, and
# a sampler with one shared random number per batch, or one that samples each token given the prompt only, has no chance.
#
# > ⚠ **Gotcha.** Behind the loop wait three off-by-ones: logits of the first position in place of the last, a stop token that ends
# > a row because it stood in the prompt, and a window cut as `tokens[:, :n]`.
#
# ### Exercise 6: `sample` (10 points)
#
# - Difficulty ●●●○○ · importance ●●●●● · about 36 minutes
# - **Objective:** draw from exactly the asked-for distribution; end every row by itself.
# - **Source:** Radford et al. 2018, equation 1, read as a recipe; Holtzman et al. 2020, section 3.
# - **Navigator asks:** one row has stopped. What does the model see of it, and does it matter?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Ignore stop tokens and windows, and run it at temperature 0, where everything can be compared by hand.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `torch.multinomial` draws one token per row of probabilities and takes a generator. Keep one boolean per row. Negative slices
# count from the end.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# nobody is finished
# n times:
#     all finished: fill up and leave
#     logits at the last place, of the last n_ctx tokens
#     temperature, then top_k if given, then top_p if given
#     draw one token per row from the softmax
#     finished rows get stop; who has drawn stop is finished from now on
#     append
# ```
#
# </details>

# %% exercise points=10 minutes=36 difficulty=3 importance=5 title="One token after the other"
from solutions.t2_language_model import sample

# %% [markdown]
# ### Experiment: temperature and truth
#
# We sample from a model that counts five characters and measure which share of the words occurs in the text it was made from.
# **Predict first:** is that share highest at temperature 0? How does the text at 0 look?

# %% demo
prediction = "At temperature 0 the text ..., the share of real words is highest at ..."

# %% demo
five = counting_model(4)
known = set(text.split())
for temperature in (0.0, 0.6, 1.0, 1.5):
    out = sample(
        five, as_tokens("The ").repeat(20, 1), 120, SampleConfig(temperature=temperature), torch.Generator().manual_seed(1)
    )
    produced = [w for row in out for w in as_text(row).split()[:-1]]
    real = sum(w in known for w in produced) / len(produced)
    print(f"temperature {temperature}: {real:>4.0%} real words, {len(set(produced)):>4} different ones: {as_text(out[0, :70])!r}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# At 0 all rows are the same, and the row runs in a circle. Up to temperature 1 every word is a real one, though not every sentence:
# a measure that only looks at words sees no difference, until at 1.5 spelling breaks down. Variety is paid for with errors. A
# benchmark at temperature 0 and a product at temperature 1 are two systems.
#
# </details>

# %% [markdown]
# ## 7. Against repetition
#
# Loops are what one sees first in a weak model. The usual remedy changes the logits of tokens that have been used. The
# **repetition** penalty divides them by a number above 1. That was written down for scores that are positive; a logit of $-2$
# divided by 1.5 is $-1.33$, which *encourages* the token. So negative logits are multiplied. **Frequency** subtracts once per
# occurrence, **presence** once if there was any.
#
# > ⚠ **Gotcha.** Histories of a batch differ in length and are padded, and padding is often token 0, which may be a word, too. It
# > must count as padding exactly when somebody says so.
#
# ### Exercise 7: `penalties` (6 points)
#
# - Difficulty ●●○○○ · importance ●●○○○ · about 24 minutes
# - **Objective:** count per row, and respect signs.
# - **Source:** Keskar et al. 2019, section 4.1, where the division does not ask for the sign; frequency and presence as in OpenAI's
#   API reference (2023).
# - **Navigator asks:** what should happen to a logit of $-\infty$ whose token is in the history?
#
# <details><summary>Hint 1: where to begin</summary>
#
# First a table of counts `(b v)`: how often each token stands in each row. Everything else follows from it elementwise.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `scatter_add` counts along an axis; its index must be a legal token even where the value that is added is 0. `torch.where` chooses
# between two results.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# real    = entries that are not padding
# count   = per row and token, the number of real entries
# there   = count above 0
# where there: positive logits / repetition, others * repetition
# minus frequency * count, minus presence where there
# ```
#
# </details>

# %% exercise points=6 minutes=24 difficulty=2 importance=2 title="Less of the same"
from solutions.t2_language_model import penalties

# %% [markdown]
# ### Experiment: what is punished?
#
# We decode greedily with a growing frequency penalty. **Predict first:** the loop disappears. What disappears next, in a model
# whose tokens are characters?

# %% demo
prediction = "With a strong penalty the text ..."

# %% demo
for frequency in (0.0, 0.1, 0.4, 1.5):
    row = as_tokens("The ")
    for _ in range(70):
        z = penalties(five(row)[:, -1], row, frequency=frequency)
        row = torch.cat([row, z.argmax(-1, keepdim=True)], dim=1)
    print(f"frequency {frequency}: {as_text(row[0])!r}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# A weak penalty opens the loop. A strong one uses up the alphabet: the space and the letter e are punished first, and the text
# ends in whichever letters had not come yet. With larger tokens it is the articles and full stops. A penalty does not know what
# was said twice, only which symbol was used twice. It also turns the model into one with another distribution, in which
# log-probabilities have lost their meaning.
#
# </details>

# %% [markdown]
# ## 8. Searching
#
# Sampling asks for *a* continuation. Search asks for the most probable one. Greedy decoding takes the best token each time, and can
# be led astray: the best first token may have only poor successors. Trying all $v^n$ continuations is out of the question. **Beam
# search** keeps the B best prefixes: extend each by every token, score them all, keep the best B.
#
# ![With two beams the second-best beginning survives long enough to win.](data/beams.svg)
#
# A hypothesis that has produced the stop token is finished. It must not be extended, must not vanish, and competes with the others
# from then on. As every further token makes a sum of log probabilities smaller, short hypotheses have an advantage, which a
# **length penalty** takes back by dividing. Which length, counted from where, and applied when? The docstring says.
#
# > ⚠ **Gotcha.** At the first step all B beams hold the same prompt. Extended alike, they give every hypothesis B times, and the
# > search degenerates to B copies of greedy decoding. There must be one to begin with.
#
# ### Exercise 8: `beam_search` (10 points)
#
# - Difficulty ●●●●○ · importance ●●●○○ · about 60 minutes
# - **Objective:** book-keeping in a batch: parents, tokens, sums, lengths and ends must move together.
# - **Source:** Graves 2012, section 2.6 and algorithm 1; Wu et al. 2016, section 7, equation 14.
# - **Navigator asks:** after a top-B over `B * v` numbers, which arrays have to be rearranged by the parents?
#
# <details><summary>Hint 1: where to begin</summary>
#
# No stop, no length penalty, one row: a matrix of B prefixes and a vector of B sums. Test it against all $v^n$ continuations of a
# small table. Then add the batch, then the stop.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# A sum of $-\infty$ marks an empty place and never wins. A finished hypothesis can take part without a special case: let it have
# one continuation, the stop token again, at no cost. From a place in the flattened table, division by v and the remainder give
# parent and token.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# sums: 0 for the first beam, minus infinity for the others
# n times:
#     log probabilities of all beams; for finished ones minus infinity, but 0 for stop
#     candidates = sums + log probabilities            (b, B, v)
#     lengths grow by 1, except for finished ones
#     scores = candidates / penalty of the lengths
#     the best B of the B * v scores of each row: parent and token
#     tokens, sums, lengths, finished: those of the parents, then updated
# ```
#
# </details>

# %% exercise points=10 minutes=60 difficulty=4 importance=3 title="The best of many"
from solutions.t2_language_model import beam_search

# %% [markdown]
# ### Experiment: better and better, and duller
#
# **Predict first:** how do the log probability and the text change as the beam grows from 1 to 50? How probable is what sampling
# gives in comparison?

# %% demo
prediction = "The log probability ..., the text ..., samples are ..."

# %% demo
start, length = as_tokens("The old "), 40
for beams in (1, 2, 10, 50):
    found, scores = beam_search(five, start, beams, length)
    print(f"{beams:>3} beams: log probability {float(scores[0, 0]):>7.2f} {as_text(found[0, 0])!r}")
drawn = sample(five, start.repeat(50, 1), length, SampleConfig(), torch.Generator().manual_seed(0))
logp = five(drawn).log_softmax(-1)[:, start.shape[1] - 1 : -1].gather(2, drawn[:, start.shape[1] :, None]).sum((1, 2))
print(
    f"  sampled: log probability {float(logp.mean()):>7.2f} on average, best of 50 {float(logp.max()):.2f}: {as_text(drawn[0])!r}"
)

# %% [markdown]
# <details><summary>What to take away</summary>
#
# More beams find more probable texts, and what is most probable is a few phrases in a circle. Typical text is far less probable
# than the best text: people do not write the likeliest sentence either. Search is right where there is one correct answer, as in
# translation or transcription; elsewhere a better search gives worse text (Holtzman et al. 2020).
#
# </details>

# %% setup
from solutions.t2_language_model import LMConfig, rope, BlockParts, LMParts

# %% [markdown]
# ## 9. A cache
#
# So far the model has read the whole text again for every token. In a decoder that is waste: keys and values of a token depend on
# what came before it, never on what follows. Keep them, and a new token costs one position of work.
#
# ![A chunk of two tokens arrives behind four. Old keys are kept, new ones are computed and appended, each query sees the cache
# and itself.](data/cache.svg)
#
# Above you are given all parts of a decoder with their parameters; what is missing is the way through them. You write the cache,
# and the `forward` that uses it: for one token, for a chunk, for the whole text, with learned or rotary positions. With a cache
# that holds `s` tokens, new token number `i` stands at position `s + i`. Its query sees `s + i + 1` keys.
#
# Two published bugs show how this goes wrong. In one library (mlx-lm, pull request 93) positions began at 0 again for each chunk of
# a prompt; in another (tiny-llm, pull request 46) the length was read after the chunk had been added, so that it counted twice. In
# both, the models went on writing fluent text. The test that finds such things compares numbers: **any** split of a text into
# chunks must give the logits of the whole.
#
# > ⚠ **Gotcha.** Rotated keys go into the cache once. Whoever rotates what comes *out* of the cache turns old keys further at every
# > step. And a `dict` as a default argument is one dictionary for all caches.
#
# ### Exercise 9: `KVCache`, `CachedLM` (16 points)
#
# - Difficulty ●●●●● · importance ●●●●● · about 84 minutes
# - **Objective:** incremental decoding that is equal to a full pass, for every split.
# - **Source:** Shazeer 2019, section 2.4; Pope et al. 2022 for prefill in chunks.
# - **Navigator asks:** the cache holds 4 tokens and 3 arrive. Which shape has the mask, and how many of its entries are closed?
#
# <details><summary>Hint 1: where to begin</summary>
#
# Write `forward` without a cache and compare it with your GPT of T1: embed, then per block heads, attention, add; at the end norm
# and unembedding. Then let positions begin at `s`. Then let the keys grow. At each stage compare the logits.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `block.heads` gives queries, keys and values of the stream, `block.add` takes what attention found. `cfg.positions`, or whether
# `pos_emb` is None, tells which kind of positions there is. `F.scaled_dot_product_attention` takes a boolean mask in which True
# means seen; its `is_causal` is of no use here (section 1 of T1 tells why).
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# append: this layer's old keys and values, if any, with the new ones behind them,
#         along the axis of positions
# length: positions in a layer's keys
#
# s = length of the cache, read once, before anything is appended
# too long: ValueError, before anything is appended
# positions = s, ..., s + t - 1
# x = token embeddings (+ learned positions)
# per block: queries, keys, values of x; rotate queries and keys by the positions if that is the kind
#            keys, values = all so far, from the cache
#            key j is seen from position p if j <= p
#            x = block.add(x, attention)
# norm, unembedding
# ```
#
# </details>

# %% exercise points=16 minutes=84 difficulty=5 importance=5 title="Compute once, keep, continue"
from solutions.t2_language_model import KVCache, CachedLM

# %% [markdown]
# ### Experiment: the same text, sooner; and a wrong cache
#
# From here on we use two small networks that were trained on the grammar (data/lm.json tells how). We write 200 characters greedily
# with and without your cache, and then with a cache that has read one space twice, so that all later positions are wrong by one.
# **Predict first:** what do you gain? And could you tell from the text that positions are wrong?

# %% demo
prediction = "The cache is ... times faster; the wrong one can (not) be told, because ..."

# %% demo
import json
import time

import numpy as np

about = json.loads((DATA / "lm.json").read_text())
letters = list(about["letters"])
number = {c: i for i, c in enumerate(letters)}


def shipped(name: str) -> CachedLM:
    """Return a trained network."""
    said = about[name]
    net = CachedLM(LMConfig(said["d_model"], said["n_heads"], said["n_layers"], len(letters), 256, said["positions"]))
    with np.load(DATA / "lm.npz", allow_pickle=False) as file:
        net.load_state_dict({key.split("/")[1]: torch.from_numpy(file[key]).float() for key in file.files if key.startswith(name)})
    return net.requires_grad_(False).eval()


large, small = shipped("large"), shipped("small")


def greedy(n: int, cached: bool, stumble: bool = False) -> str:
    cache, row = KVCache() if cached else None, as_tokens("The ")
    fresh = row
    for i in range(n):
        if stumble and i > 3 and as_text(fresh[0]) == " ":
            large(fresh, cache)  # one space is read twice: from here on everything stands one position too far
            stumble = False
        fresh = large(fresh if cached else row, cache)[:, -1].argmax(-1, keepdim=True)
        row = torch.cat([row, fresh], dim=1)
    return as_text(row[0])


started = time.process_time()
without = greedy(200, cached=False)
middle = time.process_time()
with_cache = greedy(200, cached=True)
ended = time.process_time()
print(f"the same text: {with_cache == without}; the cache took {(ended - middle) / (middle - started):.0%} of the time")
print("right:", with_cache[:92])
print("wrong:", greedy(88, cached=True, stumble=True))

# %% [markdown]
# <details><summary>What to take away</summary>
#
# Without a cache the work per character grows with the text; with it, nearly all that grows is memory. The text of the wrong cache
# reads like the text of the right one. Nobody would report it. (Only 92 characters are shown: the networks were trained on windows
# of 96. Print more, and see what becomes of positions that training never reached.)
#
# </details>

# %% [markdown]
# ## 10. A small model writes, a large one signs
#
# With a cache a large model spends its time on moving weights: checking five tokens in one pass costs hardly more than making one.
# So let a small **draft** model propose k tokens, let the large **target** read them all at once, and keep what it would have said
# itself. For greedy decoding "would have said" means equality. For sampling it is a question about laws.
#
# Let $q$ be the draft's distribution at some place and $p$ the target's. Accept a proposal $x$ with probability
# $\min(1, p(x)/q(x))$. Then $x$ comes by acceptance with probability $\min(q(x), p(x))$, the common part. What is missing to $p$ is
# $\max(0, p(x) - q(x))$; so upon a rejection draw from exactly that, scaled to sum to 1. The total is $p$. Everything behind a
# rejected proposal was made for a past that did not happen, and is thrown away. If all k are accepted, the target has also been
# asked about the place behind them: one more token, for nothing.
#
# ![The common part of both distributions is accepted; what the draft has too much of is replaced by what it has too little
# of.](data/speculation.svg)
#
# > ⚠ **Gotcha.** Replacing a rejected token by a draw from p looks natural and is wrong: what the draft likes would come too often.
# > The text reads well either way; the counts differ.
#
# ### Exercise 10: `speculative_sample` (10 points)
#
# - Difficulty ●●●●● · importance ●●●●○ · about 72 minutes
# - **Objective:** an algorithm with another execution and the same law.
# - **Source:** Leviathan et al. 2023, section 2.3 and algorithm 1.
# - **Navigator asks:** prompt of t tokens and k proposals: at which positions of the target's logits do the k + 1 distributions
#   stand?
#
# <details><summary>Hint 1: where to begin</summary>
#
# One row, k = 1, two tables over three tokens. Work out by hand how often each token comes, and see that it is p. Then write one
# row with a loop over proposals.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# `cumprod` of accepted (0 or 1) stays 1 until the first rejection; its sum is the number that is kept. `gather` takes p and q at
# the proposals. Behind the last proposal, take q as zero, and "the positive part of p - q" is p itself.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# k times: q = the draft's distribution at the last place, keep it; draw a proposal from it; append
# p = the target's k + 1 distributions, from one call
# accepted = uniform number < p / q at each proposal
# kept = how many come before the first rejection
# last = a draw from the positive part of p - q at place `kept`  (from p, where all k are kept)
# row: prompt, kept proposals, last, then -1
# ```
#
# </details>

# %% exercise points=10 minutes=72 difficulty=5 importance=4 title="Proposed and accepted"
from solutions.t2_language_model import speculative_sample

# %% [markdown]
# ### Experiment: how many tokens per call?
#
# The small network proposes, the large one decides. **Predict first:** how does the number of tokens per call of the large network
# grow with k? Is there a k from which on nothing is gained?

# %% demo
prediction = "k=1: ..., k=4: ..., k=12: ... tokens per call"

# %% demo
prompts = torch.stack([torch.tensor([number[c] for c in other_text[i : i + 40]]) for i in range(0, 3000, 20)])
gen = torch.Generator().manual_seed(0)
for name, draft in (("small", small), ("counting three", None)):
    if draft is None:
        chars = torch.tensor([number[c] for c in text])
        V = len(letters)
        draft = counting_model(3)
    for k in (1, 2, 4, 8, 12):
        _, n_new = speculative_sample(large, draft, prompts, k, gen)
        mean = float(n_new.double().mean())
        print(f"draft: {name:<15} k={k:>2}: {mean:.2f} tokens per call {'█' * round(3 * mean)}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# If each proposal is accepted with probability $a$, a round brings $(1 - a^{k+1})/(1 - a)$ tokens: at most $1/(1-a)$, however many
# are proposed. The better the draft, the longer proposals pay. What you must not see is a difference in the text. This is what
# makes the method trustworthy, and a subtly wrong version of it dangerous: an evaluation run with it measures neither model.
#
# </details>

# %% [markdown]
# ## 11. Bonus: train one yourself
#
# You have batches, a model and a loss. What remains is craft: a learning rate that is as high as it may be, a warm-up so that the
# first steps do not destroy the initialisation, a decay so that the last ones settle, a bound on the gradient. And one matter of
# honesty: the state that you hand over is chosen by text that was not trained on, and what you then *report* is measured on text
# that was not used for choosing either. The hidden checks bring that third text.
#
# > ⚠ **Gotcha.** `best = model` remembers the model, not its state: it goes on being trained. Copy.
#
# ### Exercise 11: `train_char_lm` (bonus, 0 points)
#
# - Difficulty ●●●○○ · importance ●●●●○ · about 60 minutes
# - **Objective:** a training loop with early stopping, in a small budget.
# - **Source:** Prechelt 1998, section 2; Vaswani et al. 2017, section 5.
# - **Navigator asks:** with 250 characters of training text, at which step do you expect the validation loss to turn?
#
# <details><summary>Hint 1: where to begin</summary>
#
# A `CachedLM` with one layer and 48 features, AdamW at 0.01, 16 windows per step. Print both losses every 20 steps.
#
# </details>
# <details><summary>Hint 2: the tool</summary>
#
# Change `group["lr"]` in `optimiser.param_groups` before each step. `copy.deepcopy` copies a module. Cut the validation text into
# windows once; what is left at its end may be dropped, but one window must remain.
#
# </details>
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```text
# for each step: rate = warm-up * decay; batch; loss; gradient, clipped; step
#     now and then, and after the last step: validation loss without gradients
#         lower than ever: remember it, and a copy of the model
# return the copy
# ```
#
# </details>

# %% exercise points=0 minutes=60 difficulty=3 importance=4 bonus=true title="Train one yourself"
from solutions.t2_language_model import train_char_lm

# %% [markdown]
# ### Experiment: learning by heart
#
# **Predict first:** trained with 150 steps on 60,000 characters or on 500 of them: which loss on unseen text, and what does the
# second model write?

# %% demo
prediction = "60,000: loss ..., 500: loss ..., it writes ..."

# %% demo
train_chars, other_chars = (torch.tensor([number[c] for c in t]) for t in (text, other_text))
val, test = other_chars[:2500], other_chars[2500:]
windows = test[: (len(test) - 1) // 32 * 32 + 1]
for n in (60_000, 500):
    model = train_char_lm(train_chars[:n], val, len(letters), 150, torch.Generator().manual_seed(0))
    with torch.no_grad():
        loss = F.cross_entropy(model(windows[:-1].view(-1, 32)).flatten(0, 1), windows[1:])
        written = sample(model, as_tokens("The "), 60, SampleConfig(temperature=0.7, n_ctx=32), torch.Generator().manual_seed(0))
    print(f"{n:>6} characters: loss {float(loss):.2f} on unseen text, writes {as_text(written[0])!r}")

# %% [markdown]
# <details><summary>What to take away</summary>
#
# The same steps on less text give a model that has stopped early, because it had to. The number of steps says little about what a
# model has learned; the loss on text that nobody has looked at says it.
#
# </details>

# %% [markdown]
# ## Stretch
#
# No points, but evidence of strength.
#
# 1. **A sliding cache.** Let the cache forget its oldest tokens, so that a text can be longer than `n_ctx`. Compare with feeding
#    the last `n_ctx` tokens anew. Why do the logits differ, from the second layer on?
# 2. **Roll back.** Give `KVCache` a method that forgets all but the first n tokens, and use it to run speculative decoding with
#    caches on both sides. Count positions computed per token written.
# 3. **Boundaries.** Find a prompt that ends in the middle of a token, so that the most natural continuation becomes impossible
#    for a BPE model. How would you repair it without training?
# 4. **Power.** For a sampler that drops the crossing token, compute how many draws your G-test needs to notice at p = 0.95. Is it
#    more than an evaluation usually has?
#
# ## Further reading
#
# - Sennrich, Haddow and Birch (2016), *Neural Machine Translation of Rare Words with Subword Units*: two pages on BPE, with code.
# - Holtzman et al. (2020), *The Curious Case of Neural Text Degeneration*: why the most probable text is bad text.
# - Wu et al. (2016), *Google's Neural Machine Translation System*: section 7 on beam search as it was deployed.
# - Shazeer (2019), *Fast Transformer Decoding: One Write-Head is All You Need*: what a cache costs, and how to shrink it.
# - Leviathan, Kalman and Matias (2023), *Fast Inference from Transformers via Speculative Decoding*: the proof is half a page.
# - Chen et al. (2023), *Accelerating Large Language Model Decoding with Speculative Sampling*: the same idea, found independently.
# - Rust et al. (2021), *How Good is Your Tokenizer?*: what a vocabulary does to languages it was not made for.
