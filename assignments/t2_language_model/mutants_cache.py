"""Wrong and right answers to T2's cache and training: KVCache with CachedLM, train_char_lm.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit

CACHE, TRAIN = "t2_language_model.kv_cache", "t2_language_model.train_char_lm"
LMParts = nn.Module  # a stand-in while this file is read; the definitions are executed beside the notebook's own LMParts

# -- KVCache, CachedLM -----------------------------------------------------------------------------------------------------

mutant_edit(
    CACHE,
    (
        "        positions = torch.arange(start, start + t)\n",
        "        positions = torch.arange(start, start + t)\n        stands, positions = positions, torch.arange(t)\n",
    ),
    (
        "            seen = torch.arange(start + t) <= positions[:, None]",
        "            seen = torch.arange(start + t) <= stands[:, None]",
    ),
    caught_by="one_token_at_a_time",
    label="positions restart at 0",
    hint="Your new tokens stand at position 0 again at every call.",
)
mutant_edit(
    CACHE,
    (
        "        start = 0 if cache is None else cache.length()\n",
        "        start = 0 if cache is None else cache.length()\n        moved = 0 if start == 0 else tokens.shape[1]\n",
    ),
    (
        "        positions = torch.arange(start, start + t)\n",
        "        positions = torch.arange(start, start + t)\n        twice = (positions + moved).clamp(max=self.cfg.n_ctx - 1)\n",
    ),
    ("x = x + self.pos_emb(positions)", "x = x + self.pos_emb(twice)"),
    ("q, k = rope(q, positions), rope(k, positions)", "q, k = rope(q, twice), rope(k, twice)"),
    caught_by="one_token_at_a_time",
    label="the chunk's length is added twice",
    hint="Your new tokens stand too far on, by the length of the chunk: is the cache's length read after they were added?",
)
mutant_edit(
    CACHE,
    (
        "    def __init__(self) -> None:\n        self._kept: dict[int, tuple[Tensor, Tensor]] = {}\n",
        "    def __init__(self, kept={}) -> None:\n        self._kept = kept\n",
    ),
    caught_by="append_gives_all_so_far",
    label="all caches share one dictionary",
    hint="A new cache holds what another one has kept: a default value is made once, not at every call.",
)
mutant_edit(
    CACHE,
    (
        "        start = 0 if cache is None else cache.length()\n",
        "        if cache is None:\n"
        "            cache = self.__dict__.setdefault('own_cache', KVCache())\n"
        "        start = cache.length()\n",
    ),
    caught_by=("caches_do_not_meet", "one_token_at_a_time"),
    label="calls without a cache share one",
    hint="Calls without a cache remember each other.",
)
mutant_edit(
    CACHE,
    ("                q, k = rope(q, positions), rope(k, positions)\n", "                q = rope(q, positions)\n"),
    (
        "            seen = torch",
        "                if self.pos_emb is None:\n"
        "                    k = rope(k, torch.arange(k.shape[2]))\n"
        "                    cache._kept[layer] = k, v\n"
        "            elif self.pos_emb is None:\n"
        "                k = rope(k, positions)\n"
        "            seen = torch",
    ),
    caught_by="one_token_at_a_time",
    label="keys in the cache are rotated again",
    hint="Keys that lie in the cache are rotated once more at every call.",
)
mutant_edit(
    CACHE,
    ("seen = torch.arange(start + t) <= positions[:, None]", "seen = torch.ones(t, start + t, dtype=torch.bool)"),
    caught_by=("any_chunks_give_the_same", "one_token_at_a_time"),
    label="no mask within a chunk",
    hint="Tokens of one chunk see those behind them. One token at a time does not show it.",
)
mutant_edit(
    CACHE,
    ("seen = torch.arange(start + t) <= positions[:, None]", "seen = torch.arange(start + t) <= torch.arange(t)[:, None]"),
    caught_by="one_token_at_a_time",
    label="the mask forgets the cache",
    hint="Your mask is aligned at the upper left: with a cache the newest token sees the oldest keys only.",
)
mutant_edit(
    CACHE,
    ("seen = torch.arange(start + t) <= positions[:, None]", "seen = torch.arange(start + t) < positions[:, None].clamp(min=1)"),
    caught_by="one_token_at_a_time",
    label="a token does not see itself",
    hint="Your tokens do not see their own keys.",
)
mutant_edit(
    CACHE,
    ("                k, v = cache.append(layer, k, v)\n", "                cache.append(layer, k, v)\n"),
    (
        "seen = torch.arange(start + t) <= positions[:, None]",
        "seen = torch.arange(k.shape[2]) + start + t - k.shape[2] <= positions[:, None]",
    ),
    caught_by="one_token_at_a_time",
    label="the cache is filled and not used",
    hint="You fill the cache and attend to the new keys only.",
)
mutant_edit(
    CACHE,
    (
        "                k, v = cache.append(layer, k, v)\n",
        "                k, v = cache.append(0, k, v)\n                k, v = k[:, :, -(start + t) :], v[:, :, -(start + t) :]\n",
    ),
    caught_by="one_token_at_a_time",
    label="all layers share one place in the cache",
    hint="All your layers use the same place in the cache.",
)
mutant_edit(
    CACHE,
    (
        "torch.cat([older_k, k], dim=2), torch.cat([older_v, v], dim=2)",
        "torch.cat([k, older_k], dim=2), torch.cat([v, older_v], dim=2)",
    ),
    caught_by="append_gives_all_so_far",
    label="the newest first",
    hint="Your cache puts new keys before old ones.",
)
mutant_edit(
    CACHE,
    (
        "torch.cat([older_k, k], dim=2), torch.cat([older_v, v], dim=2)",
        "torch.cat([older_k, k], dim=2), torch.cat([older_v[:, :, :0], older_k, v], dim=2)",
    ),
    caught_by="append_gives_all_so_far",
    label="old keys among the values",
    hint="Old keys stand where old values should.",
)
mutant_edit(
    CACHE,
    ("        self._kept[layer] = k, v\n", "        self._kept.setdefault(layer, (k, v))\n"),
    caught_by="append_gives_all_so_far",
    label="only the first chunk is kept",
    hint="Your cache keeps the first chunk only.",
)
mutant_edit(
    CACHE,
    ("min((k.shape[2] for k, _ in self._kept.values()), default=0)", "sum(k.shape[2] for k, _ in self._kept.values())"),
    caught_by="append_gives_all_so_far",
    label="tokens are counted once per layer",
    hint="Your length counts every token once per layer.",
)
mutant_edit(
    CACHE,
    ("min((k.shape[2] for k, _ in self._kept.values()), default=0)", "len(self._kept)"),
    caught_by="append_gives_all_so_far",
    label="the number of layers in place of tokens",
    hint="Your length is the number of layers.",
)
mutant_edit(
    CACHE,
    ("        if start + t > self.cfg.n_ctx:\n", "        if t > self.cfg.n_ctx:\n"),
    ("x = x + self.pos_emb(positions)", "x = x + self.pos_emb(positions.clamp(max=self.cfg.n_ctx - 1))"),
    caught_by="too_long_is_refused",
    label="tokens in the cache do not count towards n_ctx",
    hint="Only the new tokens are compared with n_ctx, not those in the cache.",
)
mutant_edit(
    CACHE,
    ("        if start + t > self.cfg.n_ctx:\n", "        too_long = start + t > self.cfg.n_ctx\n        if t < 0:\n"),
    (
        "        return self.unembed(self.norm_f(x))",
        "        if too_long:\n            raise ValueError\n        return self.unembed(self.norm_f(x))",
    ),
    ("x = x + self.pos_emb(positions)", "x = x + self.pos_emb(positions.clamp(max=self.cfg.n_ctx - 1))"),
    caught_by="too_long_is_refused",
    label="refuses after the cache was changed",
    hint="When you refuse, the tokens are in the cache already.",
)
mutant_edit(
    CACHE,
    ("                k, v = cache.append(layer, k, v)\n", "                k, v = cache.append(layer, k.detach(), v.detach())\n"),
    ("            x = block.add(x,", "            x = x.detach() if cache is None else x\n            x = block.add(x,"),
    caught_by="it_still_learns",
    label="no gradient between the layers",
    hint="Your stream is detached between the layers: the lower ones would never be trained.",
)
mutant_edit(
    CACHE,
    (
        "            x = block.add(x, F.scaled",
        "            x = block.add(x, (q.shape[-1] ** 0.5 / self.cfg.d_model**0.5) * F.scaled",
    ),
    caught_by="one_token_at_a_time",
    label="another scale",
    hint="What attention returns is scaled once more.",
)
mutant_edit(
    CACHE,
    ("attn_mask=seen))", "attn_mask=seen, scale=1.0))"),
    caught_by="one_token_at_a_time",
    label="scores are not scaled",
    hint="Your scores are not scaled by 1 / sqrt(d) of a head.",
)
mutant_edit(
    CACHE,
    ("        return self.unembed(self.norm_f(x))", "        return self.unembed(self.norm_f(x))[:, -1:]"),
    caught_by="one_token_at_a_time",
    label="the last logits only",
    hint="You return the logits of the last position only; they are asked for at every position.",
)
mutant_edit(
    CACHE,
    ("        return self.unembed(self.norm_f(x))", "        return self.unembed(x)"),
    caught_by="one_token_at_a_time",
    label="without the final norm",
    hint="The final norm is missing.",
)
mutant_edit(
    CACHE,
    (
        "                q, k = rope(q, positions), rope(k, positions)\n",
        "                q, k, v = rope(q, positions), rope(k, positions), rope(v, positions)\n",
    ),
    caught_by="one_token_at_a_time",
    label="values are rotated, too",
    hint="You rotate the values. Queries and keys are rotated, so that scores depend on the distance.",
)
mutant_edit(
    CACHE,
    (
        "                k, v = cache.append(layer, k, v)\n",
        "                k, v = cache.append(layer, k[:1], v[:1])\n"
        "                k, v = k.expand(len(tokens), -1, -1, -1), v.expand(len(tokens), -1, -1, -1)\n",
    ),
    caught_by="one_token_at_a_time",
    label="the first row's keys for all rows",
    hint="All rows read the first row's keys.",
)


@mutant(CACHE, caught_by="old_keys_are_kept", hint="You keep the tokens and compute the keys of all of them again at every call.")
class CachedLM(LMParts):
    """keeps the tokens and computes everything again"""

    def forward(self, tokens, cache=None):
        before = [] if cache is None else cache.__dict__.setdefault("tokens", [])
        whole = torch.cat([*before, tokens], dim=1)
        if whole.shape[1] > self.cfg.n_ctx:
            raise ValueError
        if cache is not None:
            before.append(tokens)
            nothing = torch.empty(1, 1, tokens.shape[1], 1)
            for layer in range(len(self.blocks)):
                cache.append(layer, nothing, nothing)
        positions = torch.arange(whole.shape[1])
        x = self.tok_emb(whole)
        if self.pos_emb is not None:
            x = x + self.pos_emb(positions)
        for block in self.blocks:
            q, k, v = block.heads(x)
            if self.pos_emb is None:
                q, k = rope(q, positions), rope(k, positions)
            x = block.add(x, F.scaled_dot_product_attention(q, k, v, is_causal=True))
        return self.unembed(self.norm_f(x))[:, -tokens.shape[1] :]


@alternative(CACHE, label="room for many tokens, made beforehand and doubled")
class KVCache:
    def __init__(self):
        self.layers = []

    def append(self, layer, k, v):
        while len(self.layers) <= layer:
            self.layers.append([None, None, 0])
        room = self.layers[layer]
        n, t = room[2], k.shape[2]
        if room[0] is None or n + t > room[0].shape[2]:
            larger = [x.new_zeros(*x.shape[:2], 2 * (n + t), x.shape[3]) for x in (k, v)]
            if n:
                larger[0][:, :, :n], larger[1][:, :, :n] = room[0][:, :, :n], room[1][:, :, :n]
            room[:2] = larger
        room[0][:, :, n : n + t], room[1][:, :, n : n + t] = k, v
        room[2] = n + t
        return room[0][:, :, : n + t], room[1][:, :, : n + t]

    def length(self):
        return self.layers[-1][2] if self.layers else 0


@alternative(CACHE, label="lists of chunks, one tensor for keys and values, another layout")
class KVCache:
    def __init__(self):
        self.chunks = {}

    def append(self, layer: int, k: Tensor, v: Tensor):
        both = torch.stack([k, v]).permute(3, 0, 1, 2, 4).contiguous()  # positions first
        self.chunks.setdefault(layer, []).append(both)
        k, v = torch.cat(self.chunks[layer]).permute(1, 2, 3, 0, 4)
        return k, v

    def length(self):
        if not self.chunks:
            return 0
        return sum(chunk.shape[0] for chunk in self.chunks[0])


@alternative(CACHE, label="attention written out, a bias in place of a mask")
class CachedLM(LMParts):
    def forward(self, tokens, cache=None):
        t = tokens.shape[1]
        past = cache.length() if cache is not None else 0
        total = past + t
        if total > self.cfg.n_ctx:
            raise ValueError("too long")
        pos = torch.arange(total)[past:]
        x = self.tok_emb(tokens)
        if self.cfg.positions == "learned":
            x = x + self.pos_emb.weight[past:total]
        bias = torch.zeros(t, total, dtype=x.dtype).masked_fill_(torch.ones(t, total).triu(past + 1).bool(), -math.inf)
        for i, block in enumerate(self.blocks):
            q, k, v = block.heads(x)
            if self.cfg.positions == "rope":
                q, k = rope(q, pos), rope(k, pos)
            if cache is not None:
                k, v = cache.append(i, k, v)
            weights = ((q @ k.transpose(-1, -2)) / math.sqrt(q.shape[-1]) + bias).softmax(dim=-1)
            x = block.add(x, weights @ v)
        return self.unembed(self.norm_f(x))


@alternative(CACHE, label="a chunk is read token by token")
class CachedLM(LMParts):
    def forward(self, tokens, cache=None):
        cache = KVCache() if cache is None else cache
        if cache.length() + tokens.shape[1] > self.cfg.n_ctx:
            raise ValueError
        return torch.cat([self.step(token[:, None], cache) for token in tokens.unbind(1)], dim=1)

    def step(self, token, cache):
        here = torch.tensor([cache.length()])
        x = self.tok_emb(token)
        if self.pos_emb is not None:
            x = x + self.pos_emb(here)
        for layer, block in enumerate(self.blocks):
            q, k, v = block.heads(x)
            if self.pos_emb is None:
                q, k = rope(q, here), rope(k, here)
            k, v = cache.append(layer, k, v)
            x = block.add(x, F.scaled_dot_product_attention(q, k, v))
        return self.unembed(self.norm_f(x))


alternative_edit(
    CACHE,
    ("self._kept: dict[int, tuple[Tensor, Tensor]] = {}", "self._kept = dict()"),
    (
        "min((k.shape[2] for k, _ in self._kept.values()), default=0)",
        "next(iter(self._kept.values()))[0].size(2) if self._kept else 0",
    ),
    label="the first layer's length",
)


# Keys are kept as they are, and rotated whenever they are read: all by the position at which they stand.
@alternative(CACHE, label="unrotated keys in the cache")
class CachedLM(LMParts):
    def forward(self, tokens, cache=None):
        past = 0 if cache is None else cache.length()
        total = past + tokens.shape[1]
        if total > self.cfg.n_ctx:
            raise ValueError
        everywhere = torch.arange(total)
        x = self.tok_emb(tokens)
        x = x if self.pos_emb is None else x + self.pos_emb(everywhere[past:])
        for layer, block in enumerate(self.blocks):
            q, k, v = block.heads(x)
            if cache is not None:
                k, v = cache.append(layer, k, v)
            if self.pos_emb is None:
                q, k = rope(q, everywhere[past:]), rope(k, everywhere)
            x = block.add(x, F.scaled_dot_product_attention(q, k, v, attn_mask=everywhere <= everywhere[past:, None]))
        return self.unembed(self.norm_f(x))


# -- train_char_lm ---------------------------------------------------------------------------------------------------------

mutant_edit(
    TRAIN,
    (
        "    whole = val[: (len(val) - 1) // 32 * 32 + 1]\n",
        "    val = train[: len(val)]\n    whole = val[: (len(val) - 1) // 32 * 32 + 1]\n",
    ),
    caught_by="the_best_on_validation_is_returned",
    label="evaluates on training text",
    hint="You choose by the loss on the training text, which only ever falls.",
)
mutant_edit(
    TRAIN,
    ("    return chosen\n", "    return model\n"),
    caught_by="the_best_on_validation_is_returned",
    label="returns the last weights",
    hint="You return the last state, not the best one.",
)
mutant_edit(
    TRAIN,
    ("copy.deepcopy(model)", "model"),
    caught_by="the_best_on_validation_is_returned",
    label="remembers the model, not its state",
    hint="What you remember as the best state is the model itself, and it goes on being trained.",
)
mutant_edit(
    TRAIN,
    ("            if loss < best:", "            if loss > best or best == math.inf:"),
    caught_by=("the_best_on_validation_is_returned", "unseen_text_is_predicted"),
    label="returns the worst state",
    hint="You keep the state with the highest loss.",
)
mutant_edit(
    TRAIN,
    ("        optimiser.step()\n", ""),
    caught_by="unseen_text_is_predicted",
    label="no step is taken",
    hint="Your optimiser never takes a step.",
)
mutant_edit(
    TRAIN,
    ("lr=1e-2, weight_decay=0.1)", "lr=1e-2, weight_decay=30.0)"),
    caught_by="unseen_text_is_predicted",
    label="weights decay to nothing",
    hint="Your weights decay faster than they learn.",
)
mutant_edit(
    TRAIN,
    ('            group["lr"] = 1e-2 *', '            group["lr"] = 3.0 *'),
    caught_by="unseen_text_is_predicted",
    label="diverges",
    hint="Your learning rate is too high: the loss rises.",
)
mutant_edit(
    TRAIN,
    ('            group["lr"] = 1e-2 *', '            group["lr"] = 1e-5 *'),
    caught_by="unseen_text_is_predicted",
    label="hardly learns",
    hint="Your learning rate is too low: after all steps the model knows next to nothing.",
)
mutant_edit(
    TRAIN,
    (
        "        F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()",
        "        F.cross_entropy(model(x).flatten(0, 1), x.flatten()).backward()",
    ),
    caught_by="unseen_text_is_predicted",
    label="learns to repeat its input",
    hint="Your model is trained to predict the token that it has just read.",
)
mutant_edit(
    TRAIN,
    ("        x, y = get_batch(train, 16, 32, generator)\n", "        x, y = get_batch(train[:33], 16, 32, generator)\n"),
    caught_by="unseen_text_is_predicted",
    label="trains on the first window only",
    hint="Your model sees one window of the text, again and again.",
)
mutant_edit(
    TRAIN,
    ("    for step in range(steps):", "    for step in range(min(steps, 5)):"),
    caught_by="unseen_text_is_predicted",
    label="stops after a few steps",
    hint="You stop long before the steps are over.",
)
mutant_edit(
    TRAIN,
    ("        if step % 20 == 19 or step == steps - 1:", "        if step % 20 == 19:"),
    ("    best, chosen = math.inf, model", "    best, chosen = math.inf, None"),
    caught_by="few_steps_and_short_texts",
    label="nothing is returned after few steps",
    hint="After a handful of steps nothing has been chosen yet, and nothing is returned.",
)
mutant_edit(
    TRAIN,
    (
        "    whole = val[: (len(val) - 1) // 32 * 32 + 1]\n"
        "    judged = torch.stack([whole[:-1].view(-1, 32), whole[1:].view(-1, 32)])\n",
        "    n = (len(val) - 1) // 64 * 64\n    judged = torch.stack([val[:n].view(-1, 32), val[1 : n + 1].view(-1, 32)])\n",
    ),
    ("    best, chosen = math.inf, model", "    best, chosen = math.inf, None"),
    caught_by="few_steps_and_short_texts",
    label="a short validation text is not judged",
    hint="When the validation text is little longer than a window, nothing is judged, and nothing is returned.",
)


@mutant(TRAIN, caught_by="unseen_text_is_predicted", hint="Your model sees the token that it should predict.")
def train_char_lm(train, val, d_vocab, steps, generator):
    """a model that sees the future"""

    class Peeks(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb = nn.Embedding(d_vocab, 48)
            self.mix = nn.Conv1d(48, 48, 5, padding=2)
            self.out = nn.Linear(48, d_vocab)

        def forward(self, tokens):
            return self.out(torch.relu(self.mix(self.emb(tokens).transpose(1, 2))).transpose(1, 2))

    model = Peeks()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        x, y = get_batch(train, 16, 32, generator)
        optimiser.zero_grad()
        F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
        optimiser.step()
    return model


@alternative(TRAIN, label="a recurrent network, states kept as tensors")
def train_char_lm(train, val, d_vocab, steps, generator):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb = nn.Embedding(d_vocab, 32)
            self.rnn = nn.GRU(32, 96, batch_first=True)
            self.out = nn.Linear(96, d_vocab)

        def forward(self, tokens):
            return self.out(self.rnn(self.emb(tokens))[0])

    model, opt, best = Recurrent(), None, None
    opt = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(steps):
        x, y = get_batch(train, 16, 32, generator)
        loss = F.cross_entropy(model(x).reshape(-1, d_vocab), y.reshape(-1))
        opt.zero_grad()
        loss.backward()
        opt.step()
        if step % 10 == 0 or step + 1 == steps:
            with torch.no_grad():
                logits = model(val[None, :-1])[0]
                score = float(F.cross_entropy(logits, val[1:]))
            if best is None or score < best[0]:
                best = score, {name: p.clone() for name, p in model.state_dict().items()}
    model.load_state_dict(best[1])
    return model


@alternative(TRAIN, label="a cosine schedule, random validation windows, averaged losses")
def train_char_lm(train, val, d_vocab, steps, generator):
    model = CachedLM(LMConfig(48, 3, 1, d_vocab, 32, positions="rope"))
    opt = torch.optim.Adam(model.parameters(), lr=8e-3, betas=(0.9, 0.98))
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(opt, max(1, steps))
    best_loss, best_state = float("inf"), None
    for step in range(steps):
        x, y = get_batch(train, 24, 32, generator)
        logp = model(x).log_softmax(-1)
        loss = -logp.gather(-1, y[..., None]).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        plan.step()
        if (step + 1) % 15 == 0 or step == steps - 1 or step < 2:
            with torch.no_grad():
                vx, vy = get_batch(val, 40, min(32, len(val) - 1), generator)
                now = float(F.cross_entropy(model(vx).flatten(0, 1), vy.flatten()))
            if now < best_loss:
                best_loss, best_state = now, copy.deepcopy(model.state_dict())
    if best_state is not None:
        model.load_state_dict(best_state)
    return model.eval()
