"""Wrong and right answers to T2's sampling: apply_temperature with top_k and top_p, sample.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import math

import torch

from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit

FILTERS, SAMPLE = "t2_language_model.apply_temperature", "t2_language_model.sample"

# -- apply_temperature, top_k, top_p ---------------------------------------------------------------------------------------

mutant_edit(
    FILTERS,
    ("    return logits / temperature", "    return logits * temperature"),
    caught_by="temperature_divides",
    label="the temperature multiplies",
    hint="A high temperature sharpens your distribution: you multiply by it.",
)
mutant_edit(
    FILTERS,
    ("    return logits / temperature", "    return (logits.softmax(-1) / temperature).log()"),
    caught_by="temperature_divides",
    label="probabilities are divided",
    hint="You divide probabilities. Divided by one number they keep their ratios: the logits have to be divided.",
)
mutant_edit(
    FILTERS,
    ("    if temperature < 0:", "    if temperature < -1e9:"),
    caught_by="temperature_divides",
    label="a negative temperature is accepted",
    hint="A negative temperature is accepted, which makes the least likely token the most likely one.",
)
mutant_edit(
    FILTERS,
    ("    if temperature == 0:", "    if temperature == -1:"),
    ("    return logits / temperature", "    return logits / max(temperature, 1e-4)"),
    caught_by="temperature_zero_is_argmax",
    label="a small temperature in place of 0",
    hint="At temperature 0 you divide by something small. One token is to be left, exactly.",
)
mutant_edit(
    FILTERS,
    ("    if temperature == 0:", "    if temperature == -1:"),
    caught_by="temperature_zero_is_argmax",
    label="division by 0",
    hint="At temperature 0 your logits are infinite or NaN.",
)
mutant_edit(
    FILTERS,
    (
        "        rest = torch.ones_like(logits, dtype=torch.bool).scatter(-1, logits.argmax(-1, keepdim=True), False)\n"
        "        return logits.masked_fill(rest, -math.inf)",
        "        return logits.masked_fill(logits < logits.amax(-1, keepdim=True), -math.inf)",
    ),
    caught_by="temperature_zero_is_argmax",
    label="temperature 0 keeps all of the largest",
    hint="At temperature 0 several equally large logits stay. One is to be left.",
)
mutant_edit(
    FILTERS,
    (
        "logits.argmax(-1, keepdim=True), False)\n        return logits.masked_fill(rest, -math.inf)",
        "logits.argmax(-1, keepdim=True), False)\n        return logits.masked_fill(rest, 0.0)",
    ),
    caught_by="temperature_zero_is_argmax",
    label="0 in place of -inf",
    hint="Tokens that are out get a logit of 0, which is still a probability.",
)
mutant_edit(
    FILTERS,
    (
        "logits.argmax(-1, keepdim=True), False)\n        return logits.masked_fill(rest, -math.inf)",
        "logits.argmax(-1, keepdim=True), False)\n        return torch.zeros_like(logits).masked_fill(rest, -math.inf)",
    ),
    caught_by="temperature_zero_is_argmax",
    label="temperature 0 changes the logit that stays",
    hint="At temperature 0 the logit that is left has another value than before.",
)
mutant_edit(
    FILTERS,
    ("logits.topk(min(k, logits.shape[-1]), dim=-1)", "logits.topk(k, dim=-1)"),
    caught_by="the_k_largest_stay",
    label="k larger than v crashes",
    hint="With k larger than the vocabulary your function raises an error. Then everything stays.",
)
mutant_edit(
    FILTERS,
    ("logits.masked_fill(logits < kth, -math.inf)", "logits.masked_fill(logits <= kth, -math.inf)"),
    caught_by="the_k_largest_stay",
    label="the k-th itself is dropped",
    hint="Your top_k keeps k - 1 tokens: the k-th is lost.",
)
mutant_edit(
    FILTERS,
    (
        "    return logits.masked_fill(logits < kth, -math.inf)",
        "    best = logits.topk(min(k, logits.shape[-1]), dim=-1)\n"
        "    return torch.full_like(logits, -math.inf).scatter(-1, best.indices, best.values) if kth.numel() else logits",
    ),
    caught_by="ties_with_the_kth_stay",
    label="of those that tie with the k-th only some stay",
    hint="Of several logits that tie with the k-th you keep as many as make k. All of them are to be kept.",
)
mutant_edit(
    FILTERS,
    (
        "    kth = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]",
        "    kth = logits.unique(sorted=True)[-min(k, len(logits.unique())) :][:1]",
    ),
    caught_by=("ties_with_the_kth_stay", "the_k_largest_stay"),
    label="one threshold for the whole batch, by distinct values",
    hint="Your top_k has one threshold for all rows.",
)
mutant_edit(
    FILTERS,
    (".values[..., -1:]", ".values[..., -1:].amax()"),
    caught_by="the_k_largest_stay",
    label="the threshold of top_k is shared by the batch",
    hint="Your top_k has one threshold for all rows: a row of small logits loses everything.",
)
mutant_edit(
    FILTERS,
    ("    if k < 1:", "    if k < 0:"),
    ("min(k, logits", "min(max(k, 1), logits"),
    caught_by="the_k_largest_stay",
    label="k=0 is accepted",
    hint="k=0 is accepted. At least one token must be left.",
)
mutant_edit(
    FILTERS,
    ("before = largest_first.cumsum(-1) - largest_first", "before = largest_first.cumsum(-1)"),
    caught_by="the_nucleus_crosses_p",
    label="top_p drops the crossing token",
    hint="The token that crosses p is missing from your nucleus.",
)
mutant_edit(
    FILTERS,
    ("dropped.scatter(-1, order, dropped)", "dropped"),
    caught_by=("the_nucleus_crosses_p", "each_row_has_its_own_nucleus"),
    label="places in the sorted order, not tokens",
    hint="You drop places of the sorted order as if they were tokens. The sort has to be undone.",
)
mutant_edit(
    FILTERS,
    ("dropped.scatter(-1, order, dropped)", "dropped.gather(-1, order)"),
    caught_by=("the_nucleus_crosses_p", "each_row_has_its_own_nucleus"),
    label="sorted once more in place of back",
    hint="You apply the sorting once more in place of undoing it.",
)
mutant_edit(
    FILTERS,
    ("sort(dim=-1, descending=True)", "sort(dim=-1)"),
    caught_by="the_nucleus_crosses_p",
    label="from the smallest up",
    hint="You add probabilities from the smallest up.",
)
mutant_edit(
    FILTERS,
    (
        "logits.softmax(-1).sort(dim=-1, descending=True)",
        "logits.softmax(-1).sort(dim=-1, descending=True)\n    order = order.reshape(-1, order.shape[-1])[:1].expand_as(order)",
    ),
    caught_by="each_row_has_its_own_nucleus",
    label="the first row's order for the whole batch",
    hint="All rows are put back in the order of the first one.",
)
mutant_edit(
    FILTERS,
    ("    dropped = before >= p", "    dropped = (before >= p).reshape(-1, before.shape[-1]).any(0).expand_as(before).clone()"),
    caught_by="each_row_has_its_own_nucleus",
    label="the nucleus' size is shared by the batch",
    hint="All rows keep as many tokens as the sharpest one.",
)
mutant_edit(
    FILTERS,
    ("    dropped[..., 0] = False\n", ""),
    caught_by="edges_of_the_filters",
    label="p=0 leaves nothing",
    hint="With p=0 nothing is left, and a softmax of nothing is NaN.",
)
mutant_edit(
    FILTERS,
    ("    if p == 1:\n        return logits.clone()\n", ""),
    caught_by="edges_of_the_filters",
    label="p=1 loses the tail to rounding",
    hint="With p=1 improbable tokens are lost, because the sum reaches 1 by rounding.",
)
mutant_edit(
    FILTERS,
    ("    if not 0 <= p <= 1:", "    if p < 0:"),
    caught_by="edges_of_the_filters",
    label="p above 1 is accepted",
    hint="A p above 1 is accepted.",
)
mutant_edit(
    FILTERS,
    (
        "    return logits.masked_fill(dropped.scatter(-1, order, dropped), -math.inf)",
        "    return logits.masked_fill_(dropped.scatter(-1, order, dropped), -math.inf)",
    ),
    caught_by="edges_of_the_filters",
    label="top_p fills in place",
    hint="Your top_p changes the logits that it is given.",
)
mutant_edit(
    FILTERS,
    ("    return logits.masked_fill(logits < kth, -math.inf)", "    return logits.masked_fill_(logits < kth, -math.inf)"),
    caught_by="edges_of_the_filters",
    label="top_k fills in place",
    hint="Your top_k changes the logits that it is given.",
)
mutant_edit(
    FILTERS,
    ("logits.softmax(-1).sort(dim=-1, descending=True)", "logits.sort(dim=-1, descending=True)"),
    caught_by="the_nucleus_crosses_p",
    label="adds logits in place of probabilities",
    hint="You add up logits. p is a sum of probabilities.",
)


@mutant(
    FILTERS,
    caught_by="the_nucleus_crosses_p",
    hint="You keep the tokens whose own probability is at least 1 - p. The nucleus is a sum.",
)
def top_p(logits, p):
    """a threshold for each token's own probability"""
    if not 0 <= p <= 1:
        raise ValueError
    probs = logits.softmax(-1)
    return logits.masked_fill((probs < 1 - p) & (probs < probs.amax(-1, keepdim=True)), -math.inf)


@alternative(FILTERS, label="shifted masks, as in many libraries")
def apply_temperature(logits, temperature):
    if temperature < 0:
        raise ValueError("temperature")
    if temperature == 0:
        out = torch.full_like(logits, float("-inf"))
        best = logits.max(dim=-1, keepdim=True)
        index = (logits == best.values).to(torch.uint8).argmax(dim=-1, keepdim=True)
        return out.scatter_(-1, index, logits.gather(-1, index))
    return logits * (1.0 / temperature) if temperature == 1 else logits.div(temperature)


@alternative(FILTERS, label="sort, shift, scatter back")
def top_p(logits, p):
    if p < 0 or p > 1:
        raise ValueError
    if p >= 1:
        return logits.clone()
    values, index = torch.sort(logits, descending=True, dim=-1)
    remove = torch.softmax(values, dim=-1).cumsum(dim=-1) >= p
    remove = torch.cat([torch.zeros_like(remove[..., :1]), remove[..., :-1]], dim=-1)
    return torch.full_like(logits, -math.inf).scatter(-1, index, values.masked_fill(remove, -math.inf))


@alternative(FILTERS, label="compares every pair of tokens")
def top_k(logits, k):
    if k < 1:
        raise ValueError
    larger = (logits.unsqueeze(-2) > logits.unsqueeze(-1)).sum(-1)
    return torch.where(larger < k, logits, torch.tensor(-math.inf, dtype=logits.dtype))


@alternative(FILTERS, label="row by row, in lists")
def top_p(logits, p):
    if not (0 <= p and p <= 1):
        raise ValueError
    out = torch.full_like(logits, -math.inf).reshape(-1, logits.shape[-1])
    for i, row in enumerate(logits.reshape(-1, logits.shape[-1])):
        probs, total = torch.softmax(row, 0).tolist(), 0.0
        for token in sorted(range(len(probs)), key=lambda t: -probs[t]):
            out[i, token] = row[token]
            total += probs[token]
            if total >= p and p < 1:
                break
    return out.reshape(logits.shape)


alternative_edit(
    FILTERS,
    (
        "    kth = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]",
        "    kth = logits.sort(dim=-1, descending=True).values[..., :k][..., -1:]",
    ),
    label="the k-th by sorting",
)

# -- sample ----------------------------------------------------------------------------------------------------------------

mutant_edit(
    SAMPLE,
    ("[:, -1]\n", "[:, 0]\n"),
    caught_by=("three_tokens_follow_the_law", "greedy_walks_the_table"),
    label="samples from the first position",
    hint="You use the logits of the first position, which have seen one token only.",
)
mutant_edit(
    SAMPLE,
    ("tokens[:, -cfg.n_ctx :]", "tokens[:, : cfg.n_ctx]"),
    caught_by="the_window_is_the_last_part",
    label="crops from the wrong end",
    hint="You give the model the beginning of the row; what matters most is its end.",
)
mutant_edit(
    SAMPLE,
    ("finished = finished | (drawn == cfg.stop)", "finished = (finished | (drawn == cfg.stop)).any().expand_as(finished)"),
    caught_by="each_row_stops_by_itself",
    label="one row's stop ends the batch",
    hint="As soon as one row has stopped, all of them do.",
)
mutant_edit(
    SAMPLE,
    ("            drawn = drawn.masked_fill(finished, cfg.stop)\n", ""),
    caught_by="each_row_stops_by_itself",
    label="finished rows go on",
    hint="Behind its stop token a row goes on with new tokens.",
)
mutant_edit(
    SAMPLE,
    (
        "    finished = torch.zeros(len(prompt), 1, dtype=torch.bool)",
        "    finished = (prompt == (-9 if cfg.stop is None else cfg.stop)).any(1, keepdim=True)",
    ),
    caught_by="each_row_stops_by_itself",
    label="a stop in the prompt counts",
    hint="A row whose prompt holds the stop token is never continued.",
)
mutant_edit(
    SAMPLE,
    ("            drawn = drawn.masked_fill(finished, cfg.stop)\n", "            drawn = drawn.masked_fill(finished, 0)\n"),
    caught_by=("each_row_stops_by_itself", "finished_is_finished"),
    label="finished rows are filled with 0",
    hint="Finished rows are filled with 0; the docstring says with what.",
)
mutant_edit(
    SAMPLE,
    ("        if finished.all():", "        if finished.all() and len(prompt) < 0:"),
    caught_by="finished_is_finished",
    label="asks on when everything is finished",
    hint="The model is asked although every row is finished.",
)
mutant_edit(
    SAMPLE,
    ("            return torch.cat([tokens, rest], dim=1)", "            return tokens if rest.numel() else tokens"),
    caught_by=("finished_is_finished",),
    label="too narrow when everything stops early",
    hint="When all rows stop early your result is narrower than t + n.",
)
mutant_edit(
    SAMPLE,
    ("torch.multinomial(logits.softmax(-1), 1, generator=generator)", "torch.multinomial(logits.softmax(-1), 1)"),
    caught_by="only_the_generator_is_used",
    label="the generator is ignored",
    hint="You draw from torch's own generator, not from the one that is given.",
)
mutant_edit(
    SAMPLE,
    ("torch.multinomial(logits.softmax(-1), 1, generator=generator)", "logits.argmax(-1, keepdim=True)"),
    caught_by="three_tokens_follow_the_law",
    label="always the most probable token",
    hint="Your samples are always the most probable token.",
)
mutant_edit(
    SAMPLE,
    (
        "torch.multinomial(logits.softmax(-1), 1, generator=generator)",
        "torch.multinomial(logits.exp().softmax(-1), 1, generator=generator)",
    ),
    caught_by="three_tokens_follow_the_law",
    label="softmax of exponentials",
    hint="Your distribution is a softmax of exponentials: too sharp.",
)
mutant_edit(
    SAMPLE,
    (
        "torch.multinomial(logits.softmax(-1), 1, generator=generator)",
        "torch.multinomial(logits[:1].softmax(-1), 1, generator=generator).expand(len(logits), 1)",
    ),
    caught_by="three_tokens_follow_the_law",
    label="one draw for all rows",
    hint="One token is drawn for all rows.",
)
mutant_edit(
    SAMPLE,
    (
        "        drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)",
        "        u = torch.rand(1, 1, generator=generator, dtype=logits.dtype).expand(len(logits), 1)\n"
        "        drawn = (logits.softmax(-1).cumsum(-1) < u).sum(-1, keepdim=True).clamp(max=logits.shape[-1] - 1)",
    ),
    caught_by="three_tokens_follow_the_law",
    label="one random number for all rows",
    hint="All rows share one random number, so equal rows get equal tokens.",
)
mutant_edit(
    SAMPLE,
    (
        "        drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)",
        "        again = torch.Generator().manual_seed(generator.initial_seed())\n"
        "        drawn = torch.multinomial(logits.softmax(-1), 1, generator=again)",
    ),
    caught_by="three_tokens_follow_the_law",
    label="the generator is set back at every step",
    hint="Each step draws the same random numbers as the one before.",
)
mutant_edit(
    SAMPLE,
    ("        logits = apply_temperature(logits, cfg.temperature)\n", ""),
    (
        "        drawn = torch.multinomial",
        "        logits = apply_temperature(logits, cfg.temperature)\n        drawn = torch.multinomial",
    ),
    caught_by="filters_in_order",
    label="the temperature comes last",
    hint="Your temperature comes after the nucleus was chosen.",
)
mutant_edit(
    SAMPLE,
    ("        logits = logits if cfg.top_k is None else top_k(logits, cfg.top_k)\n", ""),
    (
        "        drawn = torch.multinomial",
        "        logits = logits if cfg.top_k is None else top_k(logits, cfg.top_k)\n        drawn = torch.multinomial",
    ),
    caught_by="filters_in_order",
    label="top_p before top_k",
    hint="Your nucleus is chosen before top_k has left anything out.",
)
mutant_edit(
    SAMPLE,
    ("        logits = logits if cfg.top_p is None else top_p(logits, cfg.top_p)\n", ""),
    caught_by="filters_in_order",
    label="top_p is forgotten",
    hint="cfg.top_p has no effect.",
)
mutant_edit(
    SAMPLE,
    (
        "        tokens = torch.cat([tokens, drawn], dim=1)\n    return tokens.clone()",
        "        new = drawn if done == 0 else torch.cat([new, drawn], dim=1)\n"
        "    return torch.cat([prompt, new], dim=1) if n else prompt.clone()",
    ),
    caught_by=("greedy_walks_the_table", "three_tokens_follow_the_law"),
    label="every token given the prompt only",
    hint="Each of your tokens is drawn given the prompt alone, not the tokens drawn before it.",
)
mutant_edit(
    SAMPLE,
    (
        "model(tokens if cfg.n_ctx is None else tokens[:, -cfg.n_ctx :])",
        "model(tokens[:, -1:] if tokens.shape[1] > prompt.shape[1] else tokens if cfg.n_ctx is None else tokens[:, -cfg.n_ctx :])",
    ),
    caught_by=("greedy_walks_the_table", "the_window_is_the_last_part"),
    label="shows the model the last token only, without a cache",
    hint="After the first step the model sees one token only, and it has no cache.",
)
mutant_edit(
    SAMPLE,
    ("tokens[:, -cfg.n_ctx :]", "tokens[:, -(cfg.n_ctx - 1) :] if cfg.n_ctx > 1 else tokens[:, -1:]"),
    caught_by="the_window_is_the_last_part",
    label="the window is one too short",
    hint="Your window is one token shorter than n_ctx.",
)
mutant_edit(
    SAMPLE,
    (
        "model(tokens if cfg.n_ctx is None else tokens[:, -cfg.n_ctx :])",
        "model(tokens if cfg.n_ctx is None else tokens[:, (tokens.shape[1] - 1) // cfg.n_ctx * cfg.n_ctx :])",
    ),
    caught_by="the_window_is_the_last_part",
    label="a fresh window after every n_ctx tokens",
    hint="When the window is full you start an empty one, and the model forgets everything at once.",
)
mutant_edit(
    SAMPLE,
    ("    return tokens.clone()", "    return tokens[:, prompt.shape[1] :].clone()"),
    caught_by="greedy_walks_the_table",
    label="without the prompt",
    hint="The prompt is missing from your result.",
)


@alternative(SAMPLE, label="Gumbel noise, all of it drawn beforehand")
def sample(model, prompt, n, cfg, generator):
    b, t = prompt.shape
    out = torch.cat([prompt, torch.zeros(b, n, dtype=torch.long)], dim=1)
    going = torch.ones(b, dtype=torch.bool)
    for i in range(t, t + n):
        if not going.any():
            out[:, i:] = cfg.stop
            break
        start = 0 if cfg.n_ctx is None else max(0, i - cfg.n_ctx)
        z = apply_temperature(model(out[:, start:i])[:, -1, :], cfg.temperature)
        if cfg.top_k is not None:
            z = top_k(z, cfg.top_k)
        if cfg.top_p is not None:
            z = top_p(z, cfg.top_p)
        noise = -torch.log(-torch.log(torch.rand(z.shape, generator=generator, dtype=torch.float64).clamp(1e-300, 1 - 1e-16)))
        token = (z + noise).argmax(-1)
        if cfg.stop is not None:
            token = torch.where(going, token, torch.tensor(cfg.stop))
            going = going & (token != cfg.stop)
        out[:, i] = token
    return out


@alternative(SAMPLE, label="row by row, by the inverse of the distribution function")
def sample(model, prompt, n, cfg, generator):
    rows = []
    for row in prompt:
        tokens = row[None]
        while tokens.shape[1] < prompt.shape[1] + n:
            if cfg.stop is not None and tokens.shape[1] > prompt.shape[1] and int(tokens[0, -1]) == cfg.stop:
                tokens = torch.cat([tokens, tokens[:, -1:]], 1)
                continue
            z = apply_temperature(model(tokens[:, -(cfg.n_ctx or 10**9) :])[0, -1], cfg.temperature)
            z = top_k(z, cfg.top_k) if cfg.top_k else z
            z = z if cfg.top_p is None else top_p(z, cfg.top_p)
            p = torch.softmax(z.double(), 0)
            u = torch.rand((), generator=generator, dtype=torch.float64)
            token = int((p.cumsum(0) <= u * p.sum()).sum().clamp(max=len(p) - 1))
            tokens = torch.cat([tokens, torch.tensor([[token]])], 1)
        rows.append(tokens)
    return torch.cat(rows)


@alternative(SAMPLE, label="only the rows that are not finished are asked about")
def sample(model, prompt, n, cfg, generator):
    tokens = prompt.clone()
    alive = torch.arange(len(prompt))
    for _ in range(n):
        new = torch.full((len(prompt), 1), -1 if cfg.stop is None else cfg.stop)
        if len(alive):
            seen = tokens[alive]
            if cfg.n_ctx is not None and seen.shape[1] > cfg.n_ctx:
                seen = seen[:, seen.shape[1] - cfg.n_ctx :]
            z = apply_temperature(model(seen)[:, -1], cfg.temperature)
            for value, keep in ((cfg.top_k, top_k), (cfg.top_p, top_p)):
                if value is not None:
                    z = keep(z, value)
            new[alive] = torch.multinomial(torch.softmax(z, dim=-1), num_samples=1, generator=generator)
            if cfg.stop is not None:
                alive = alive[new[alive, 0] != cfg.stop]
        tokens = torch.cat((tokens, new), 1)
    return tokens


alternative_edit(
    SAMPLE,
    (
        "drawn = torch.multinomial(logits.softmax(-1), 1, generator=generator)",
        "drawn = (logits.softmax(-1) / torch.empty_like(logits).exponential_(generator=generator)).argmax(-1, keepdim=True)",
    ),
    label="exponential races",
)
