"""Wrong and right answers to T2's search and speculation: beam_search, speculative_sample.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

import math

import torch

from autograder.grading.checks import alternative, alternative_edit, mutant, mutant_edit

BEAM, SPECULATIVE = "t2_language_model.beam_search", "t2_language_model.speculative_sample"

# -- beam_search -----------------------------------------------------------------------------------------------------------

mutant_edit(
    BEAM,
    ("            logp = logp.masked_fill(finished[..., None], -math.inf)\n", ""),
    caught_by="finished_hypotheses_stay",
    label="finished beams are extended",
    hint="Hypotheses that have ended are extended by more tokens.",
)
mutant_edit(
    BEAM,
    ("logp[..., stop].masked_fill(finished, 0.0)", "logp[..., stop]"),
    caught_by="finished_hypotheses_stay",
    label="finished beams are lost",
    hint="A hypothesis that has ended disappears at the next step.",
)
mutant_edit(
    BEAM,
    (
        "        sums = total[..., None] + logp\n",
        "        logp = logp.masked_fill(logp < logp.amax(-1, keepdim=True), -math.inf)\n        sums = total[..., None] + logp\n",
    ),
    caught_by=("few_beams_keep_the_best", "enough_beams_find_everything"),
    label="expands only the best token of each beam",
    hint="Each hypothesis is extended by its best token only.",
)
mutant_edit(
    BEAM,
    (
        "            total = logp.new_full((b, beams), -math.inf)\n            total[:, 0] = 0.0\n",
        "            total = logp.new_zeros(b, beams)\n",
    ),
    caught_by=("few_beams_keep_the_best", "enough_beams_find_everything"),
    label="the same hypothesis in every beam",
    hint="All beams start as the same hypothesis, so each one is counted as often as there are beams.",
)
mutant_edit(
    BEAM,
    ("    length = torch.zeros(b, beams, dtype=torch.int64)", "    length = torch.full((b, beams), prompt.shape[1])"),
    caught_by="longer_ones_are_forgiven",
    label="the length penalty counts the prompt",
    hint="Your length includes the prompt.",
)
mutant_edit(
    BEAM,
    ("(5 + longer[..., None].to(sums.dtype))", "(5 + length[..., None].to(sums.dtype))"),
    caught_by="longer_ones_are_forgiven",
    label="the length before the new token",
    hint="Your length is one short: the token that is being added counts, too.",
)
mutant_edit(
    BEAM,
    ("longer = length + ~finished", "longer = length + 1"),
    caught_by="longer_ones_are_forgiven",
    label="finished hypotheses grow longer",
    hint="The length of a finished hypothesis goes on growing, so its score keeps changing.",
)
mutant_edit(
    BEAM,
    ("((5 + longer[..., None].to(sums.dtype)) / 6) ** length_penalty", "longer[..., None].to(sums.dtype) ** length_penalty"),
    caught_by="longer_ones_are_forgiven",
    label="the plain length in place of Wu's formula",
    hint="You divide by a power of the length itself. The docstring gives another formula.",
)
mutant_edit(
    BEAM,
    ("(sums / ((5 +", "(sums * ((5 +"),
    caught_by="longer_ones_are_forgiven",
    label="multiplied by the penalty",
    hint="You multiply by the length penalty. Log probabilities are negative: which way makes longer ones better?",
)
mutant_edit(
    BEAM,
    ("        total = sums.flatten(1).gather(1, best)\n", "        total = scores\n"),
    caught_by="longer_ones_are_forgiven",
    label="divides again at every step",
    hint="You add new log probabilities to scores that are divided already.",
)
mutant_edit(
    BEAM,
    (
        "        scores, best = (sums /",
        "        _, best = sums.flatten(1).topk(beams)\n"
        "        scores, best = (sums.where(sums >= sums.flatten(1).gather(1, best)[:, -1][:, None, None], -torch.inf) /",
    ),
    caught_by="longer_ones_are_forgiven",
    label="kept by sums, ranked by scores",
    hint="You keep the hypotheses with the highest sums and divide by the length afterwards. Who is kept is decided by scores.",
)
mutant_edit(
    BEAM,
    ("tokens.gather(1, parent[..., None].expand_as(tokens))", "tokens"),
    caught_by=("few_beams_keep_the_best", "enough_beams_find_everything"),
    label="parents do not move along",
    hint="New tokens are put behind hypotheses that they do not belong to: parents must move along with their children.",
)
mutant_edit(
    BEAM,
    ("finished = finished.gather(1, parent) |", "finished = finished |"),
    caught_by="finished_hypotheses_stay",
    label="who has finished does not move along",
    hint="Which hypotheses have ended is not carried along when beams change places.",
)
mutant_edit(
    BEAM,
    ("        length = longer.gather(1, parent)\n", "        length = longer\n"),
    caught_by="longer_ones_are_forgiven",
    label="lengths do not move along",
    hint="Lengths are not carried along when beams change places.",
)
mutant_edit(
    BEAM,
    (
        "best // logp.shape[-1], best % logp.shape[-1]",
        "best % beams, torch.div(best, beams, rounding_mode='floor').clamp(max=logp.shape[-1] - 1)",
    ),
    caught_by=("one_beam_is_greedy", "enough_beams_find_everything", "few_beams_keep_the_best"),
    label="parent and token mixed up",
    hint="From the place in the flattened table you compute parent and token the wrong way round.",
)
mutant_edit(
    BEAM,
    (".log_softmax(-1).unflatten", ".unflatten"),
    caught_by="one_beam_is_greedy",
    label="logits in place of log probabilities",
    hint="You add up logits. Between hypotheses with different pasts only log probabilities can be compared.",
)
mutant_edit(
    BEAM,
    (".log_softmax(-1).unflatten", ".softmax(-1).unflatten"),
    caught_by="one_beam_is_greedy",
    label="probabilities are added",
    hint="You add up probabilities; the logarithms are added.",
)
mutant_edit(
    BEAM,
    ("model(tokens.flatten(0, 1))[:, -1]", "model(tokens.flatten(0, 1))[:, 0]"),
    caught_by="one_beam_is_greedy",
    label="the first position's logits",
    hint="You use the logits of the first position.",
)
mutant_edit(
    BEAM,
    ("    finished = torch.zeros(b, beams, dtype=torch.bool)", "    finished = (tokens == (-1 if stop is None else stop)).any(-1)"),
    caught_by="finished_hypotheses_stay",
    label="a stop in the prompt ends the search",
    hint="A stop token in the prompt ends your search before it begins.",
)
mutant_edit(
    BEAM,
    ("    return tokens, scores", "    return tokens.flip(1), scores.flip(1)"),
    caught_by=("enough_beams_find_everything", "few_beams_keep_the_best"),
    label="worst first",
    hint="Your hypotheses come in the wrong order: the best one is to come first.",
)
mutant_edit(
    BEAM,
    ("    return tokens, scores", "    scores = scores.new_tensor([]) if total is None else total\n    return tokens, scores"),
    caught_by="longer_ones_are_forgiven",
    label="returns sums in place of scores",
    hint="You return sums of log probabilities, not the scores that the length penalty makes of them.",
)


mutant_edit(
    BEAM,
    (".log_softmax(-1).unflatten", ".log_softmax(-1).clamp(min=-1e4).unflatten"),
    caught_by="where_greedy_fails",
    label="impossible tokens become very improbable ones",
    hint="A token whose logit is -inf is part of your hypotheses, with a score that is only very low.",
)
mutant_edit(
    BEAM,
    (
        "    tokens = prompt[:, None].repeat(1, beams, 1)\n",
        "    prompt.clamp_(min=1)\n    tokens = prompt[:, None].repeat(1, beams, 1)\n",
    ),
    caught_by=("where_greedy_fails", "one_beam_is_greedy"),
    label="changes the prompt in place",
    hint="Your function changes the prompt that it is given.",
)
mutant_edit(
    BEAM,
    ("logp.new_full((b, beams), -math.inf)", "logp.new_full((b, beams), -1e9)"),
    caught_by=("where_greedy_fails", "enough_beams_find_everything"),
    label="empty places have a score",
    hint="Places without a hypothesis have a finite score, and count as hypotheses.",
)


@mutant(
    BEAM,
    caught_by=("few_beams_keep_the_best", "finished_hypotheses_stay"),
    hint="Hypotheses of different rows of the batch compete with each other.",
)
def beam_search(model, prompt, beams, n, length_penalty=0.0, stop=None):
    """the first row's parents used for every row"""
    b = len(prompt)
    tokens = prompt[:, None].repeat(1, beams, 1)
    total = None
    for _ in range(n):
        logp = model(tokens.flatten(0, 1))[:, -1].log_softmax(-1).unflatten(0, (b, beams))
        if total is None:
            total = logp.new_full((b, beams), -math.inf)
            total[:, 0] = 0.0
        sums = (total[..., None] + logp).flatten(1)
        best = sums.topk(beams).indices[:1].expand(b, beams)
        parent, token = best // logp.shape[-1], best % logp.shape[-1]
        total = sums.gather(1, best)
        tokens = torch.cat([tokens.gather(1, parent[..., None].expand_as(tokens)), token[..., None]], -1)
    return tokens, total


@alternative(BEAM, label="lists of hypotheses, row by row")
def beam_search(model, prompt, beams, n, length_penalty=0.0, stop=None):
    t, all_tokens, all_scores = prompt.shape[1], [], []
    dtype = None
    for row in prompt:
        live, done = [(0.0, row)], []
        for step in range(n):
            if not live:
                break
            logits = model(torch.stack([tokens for _, tokens in live]))[:, -1]
            dtype = logits.dtype
            logp = torch.log_softmax(logits, -1)
            grown = []
            for (total, tokens), lp in zip(live, logp.tolist()):
                for token, x in enumerate(lp):
                    if x > -math.inf:
                        grown.append((total + x, torch.cat([tokens, torch.tensor([token])])))
            candidates = [(s / ((5 + len(w) - t) / 6) ** length_penalty, s, w) for s, w in grown + done]
            candidates.sort(key=lambda c: c[0], reverse=True)
            candidates = candidates[:beams]
            done = [(s, w) for _, s, w in candidates if stop is not None and int(w[-1]) == stop]
            live = [(s, w) for _, s, w in candidates if stop is None or int(w[-1]) != stop]
        found = [(s / ((5 + len(w) - t) / 6) ** length_penalty, w) for s, w in live + done]
        found.sort(key=lambda c: -c[0])
        found += [(-math.inf, row)] * (beams - len(found))
        fill = 0 if stop is None else stop
        all_tokens.append(torch.stack([torch.cat([w, torch.full((t + n - len(w),), fill)]) for _, w in found]))
        all_scores.append(torch.tensor([s for s, _ in found], dtype=dtype))
    return torch.stack(all_tokens), torch.stack(all_scores)


@alternative(BEAM, label="starts from the first step's best, keeps the finished ones in a table")
def beam_search(model, prompt, beams, n, length_penalty=0.0, stop=None):
    b, _ = prompt.shape
    seq = prompt.unsqueeze(1)
    sums = None
    for m in range(1, n + 1):
        width = seq.shape[1]
        lp = torch.log_softmax(model(seq.reshape(b * width, -1))[:, -1], dim=-1).reshape(b, width, -1)
        v = lp.shape[-1]
        if sums is None:
            sums, new = lp.new_zeros(b, 1), torch.zeros(b, 1, dtype=torch.long)
            over = torch.zeros(b, 1, dtype=torch.bool)
        grown = sums[:, :, None] + lp
        grown = torch.where(over[:, :, None], torch.tensor(-math.inf, dtype=lp.dtype), grown)
        lengths = (new + 1)[:, :, None].expand_as(grown)
        stay = torch.where(over, sums, torch.tensor(-math.inf, dtype=lp.dtype))
        pool = torch.cat([grown.reshape(b, -1), stay], 1)
        pool_length = torch.cat([lengths.reshape(b, -1), new], 1)
        rank = pool / ((5.0 + pool_length) / 6.0) ** length_penalty
        order = rank.argsort(dim=1, descending=True, stable=True)[:, :beams]
        is_old = order >= width * v
        parent = torch.where(is_old, order - width * v, order // v)
        token = torch.where(is_old, 0 if stop is None else stop, order % v)
        sums, new = pool.gather(1, order), pool_length.gather(1, order)
        over = is_old | (token == stop) if stop is not None else is_old
        seq = torch.cat([seq.gather(1, parent[:, :, None].expand(-1, -1, seq.shape[2])), token[:, :, None]], 2)
    scores = sums / ((5.0 + new) / 6.0) ** length_penalty
    if seq.shape[1] < beams:
        missing = beams - seq.shape[1]
        seq = torch.cat([seq, seq[:, :1].expand(-1, missing, -1)], 1)
        scores = torch.cat([scores, torch.full((b, missing), -math.inf, dtype=scores.dtype)], 1)
    return seq, scores


alternative_edit(
    BEAM,
    (
        "    for _ in range(n):\n",
        "    for done in range(n):\n"
        "        if finished.all():\n"
        "            tokens = torch.cat([tokens, torch.full((b, beams, n - done), stop)], dim=-1)\n"
        "            break\n",
    ),
    label="stops early when everything has ended",
)
alternative_edit(
    BEAM,
    ("((5 + longer[..., None].to(sums.dtype)) / 6) ** length_penalty", "((5 + longer[..., None]) / 6) ** length_penalty"),
    label="the penalty in float32",
)

# -- speculative_sample ----------------------------------------------------------------------------------------------------

mutant_edit(
    SPECULATIVE,
    ("    rest = (p - q)[row, n_accepted].clamp(min=0.0)\n", "    rest = p[row, n_accepted]\n"),
    caught_by="the_law_is_the_targets",
    label="resamples from the target",
    hint="In place of a rejected proposal you draw from the target. What the draft proposes often then comes too often.",
)
mutant_edit(
    SPECULATIVE,
    ("    rest = (p - q)[row, n_accepted].clamp(min=0.0)\n", "    rest = (p - q)[row, n_accepted].abs()\n"),
    caught_by="the_law_is_the_targets",
    label="the distance in place of the positive part",
    hint="In place of a rejected proposal you draw from |p - q|: the part where q is larger does not belong to it.",
)
mutant_edit(
    SPECULATIVE,
    ("    rest = (p - q)[row, n_accepted].clamp(min=0.0)\n", "    rest = (q - p)[row, n_accepted].clamp(min=0.0)\n"),
    caught_by="the_law_is_the_targets",
    label="the positive part of q - p",
    hint="Your replacement comes from where the draft is too likely, not from where it is too unlikely.",
)
mutant_edit(
    SPECULATIVE,
    ("    rest = (p - q)[row, n_accepted].clamp(min=0.0)\n", "    rest = (p - q)[row, n_accepted].softmax(-1)\n"),
    caught_by="the_law_is_the_targets",
    label="a softmax of the difference",
    hint="You take a softmax of p - q. The positive part is scaled by a division.",
)
mutant_edit(
    SPECULATIVE,
    ("accepted.long().cumprod(dim=1).sum(dim=1)", "accepted.long().sum(dim=1)"),
    caught_by=("the_law_is_the_targets", "as_many_as_can_be_accepted"),
    label="counts what is accepted behind a rejection",
    hint="A proposal behind a rejected one is counted as accepted. It was made for another past.",
)
mutant_edit(
    SPECULATIVE,
    (".masked_fill(place > n_accepted[:, None], -1)", ".masked_fill(place > k, -1)"),
    caught_by=("the_law_is_the_targets", "one_question_to_the_target"),
    label="keeps tokens after a rejection",
    hint="Tokens behind a rejected proposal are kept.",
)
mutant_edit(
    SPECULATIVE,
    (
        "    return torch.cat([prompt, out], dim=1), n_accepted + 1",
        "    out = out.masked_fill(place >= k, -1)\n    return torch.cat([prompt, out], dim=1), (n_accepted + 1).clamp(max=k)",
    ),
    caught_by=("a_perfect_draft_is_accepted", "as_many_as_can_be_accepted"),
    label="the additional token is missing",
    hint="When all proposals are accepted, one more token can be drawn: the target has been asked about it anyway.",
)
mutant_edit(
    SPECULATIVE,
    (
        "    last = torch.multinomial(rest, 1, generator=generator)\n",
        "    last = torch.multinomial(rest, 1, generator=generator)\n"
        "    bonus = torch.multinomial(draft(tokens)[:, -1].softmax(-1), 1, generator=generator)\n"
        "    last = torch.where(n_accepted[:, None] == k, bonus, last)\n",
    ),
    caught_by=("the_law_is_the_targets", "one_question_to_the_target"),
    label="the additional token comes from the draft",
    hint="When all proposals are accepted, your additional token is the draft's.",
)
mutant_edit(
    SPECULATIVE,
    ("accepted = chance * q", "accepted = 0.5 * q"),
    caught_by="the_law_is_the_targets",
    label="accepts by a threshold",
    hint="You accept by a threshold, without chance.",
)
mutant_edit(
    SPECULATIVE,
    (
        "    accepted = chance * q[:, :k].gather(2, new)[..., 0] < p[:, :k].gather(2, new)[..., 0]",
        "    accepted = chance < p[:, :k].gather(2, new)[..., 0]",
    ),
    caught_by=("the_law_is_the_targets", "a_perfect_draft_is_accepted"),
    label="accepts with probability p",
    hint="You accept with probability p(x), not with the ratio of p and q.",
)
mutant_edit(
    SPECULATIVE,
    (
        "    accepted = chance * q[:, :k].gather(2, new)[..., 0] < p[:, :k].gather(2, new)[..., 0]",
        "    accepted = chance * p[:, :k].gather(2, new)[..., 0] < q[:, :k].gather(2, new)[..., 0]",
    ),
    caught_by="the_law_is_the_targets",
    label="the ratio upside down",
    hint="Your ratio is upside down: what the target likes less than the draft is always accepted.",
)
mutant_edit(
    SPECULATIVE,
    (
        "    accepted = chance * q[:, :k].gather(2, new)[..., 0] < p[:, :k].gather(2, new)[..., 0]",
        "    accepted = (p[:, :k].argmax(2) == tokens[:, t:]) & (chance >= 0)",
    ),
    caught_by=("the_law_is_the_targets", "a_perfect_draft_is_accepted"),
    label="accepts what the target likes best",
    hint="You accept a proposal when it is the target's favourite. That is right for greedy decoding only.",
)
mutant_edit(
    SPECULATIVE,
    ("chance = torch.rand(new.shape[:2], generator", "chance = torch.rand((len(prompt), 1), generator"),
    caught_by=("the_law_is_the_targets", "as_many_as_can_be_accepted"),
    label="one random number for all proposals of a row",
    hint="All proposals of a row are judged by the same random number: they are not independent.",
)
mutant_edit(
    SPECULATIVE,
    ("chance = torch.rand(new.shape[:2], generator", "chance = torch.rand((1, k), generator"),
    caught_by=("the_law_is_the_targets", "as_many_as_can_be_accepted"),
    label="one random number for all rows",
    hint="All rows are judged by the same random numbers.",
)
mutant_edit(
    SPECULATIVE,
    (
        "p = target(tokens)[:, t - 1 :].softmax(-1)",
        "p = target(tokens)[:, t:].softmax(-1)\n    p = torch.cat([p, p[:, -1:]], dim=1)",
    ),
    caught_by="the_law_is_the_targets",
    label="the target's logits one place too late",
    hint="You compare each proposal with the target's prediction of the token behind it.",
)
mutant_edit(
    SPECULATIVE,
    (
        "    p = target(tokens)[:, t - 1 :].softmax(-1)",
        "    p = torch.stack([target(tokens[:, : t + i])[:, -1] for i in range(k + 1)], dim=1).softmax(-1)",
    ),
    caught_by="one_question_to_the_target",
    label="asks the target for every token",
    hint="The target is asked once per token, which saves nothing.",
)
mutant_edit(
    SPECULATIVE,
    (
        "    n_accepted = accepted.long().cumprod(dim=1).sum(dim=1)",
        "    n_accepted = accepted.long().cumprod(dim=1).sum(dim=1).min().expand(len(prompt))",
    ),
    caught_by=("as_many_as_can_be_accepted", "the_law_is_the_targets"),
    label="one row's rejection ends all rows",
    hint="As soon as one row rejects, all rows do.",
)
mutant_edit(
    SPECULATIVE,
    (
        "    out = torch.where(place == n_accepted[:, None], last, out)\n",
        "    out = torch.where((place == n_accepted[:, None]) & (place == k), last, out)\n",
    ),
    caught_by=("certain_models", "the_law_is_the_targets"),
    label="the rejected proposal is returned",
    hint="The rejected proposal itself stands where its replacement should be.",
)
mutant_edit(
    SPECULATIVE,
    (
        "        tokens = torch.cat([tokens, torch.multinomial(proposed[-1], 1, generator=generator)], dim=1)",
        "        tokens = torch.cat([tokens, proposed[-1].argmax(-1, keepdim=True)], dim=1)",
    ),
    caught_by=("the_law_is_the_targets", "as_many_as_can_be_accepted"),
    label="the draft proposes its favourite",
    hint="Your draft proposes its favourite token and is judged as if it had drawn it.",
)
mutant_edit(
    SPECULATIVE,
    (
        "        proposed.append(draft(tokens)[:, -1].softmax(-1))",
        "        proposed.append(draft(tokens)[:, -1].softmax(-1) if not proposed else proposed[0])",
    ),
    caught_by="one_question_to_the_target",
    label="all proposals from the first distribution",
    hint="The draft is asked once, and all proposals are drawn from that one distribution.",
)
mutant_edit(
    SPECULATIVE,
    ("chance = torch.rand(new.shape[:2], generator=generator, dtype", "chance = torch.rand(new.shape[:2], dtype"),
    caught_by="speculation_is_repeatable",
    label="chance from torch's own generator",
    hint="Part of your randomness comes from torch's own generator.",
)


@mutant(
    SPECULATIVE,
    caught_by=("a_perfect_draft_is_accepted", "as_many_as_can_be_accepted"),
    hint="You ignore the proposals and draw from the target: the law is right, and nothing is gained.",
)
def speculative_sample(target, draft, prompt, k, generator):
    """draws from the target, accepting nothing"""
    t, tokens = prompt.shape[1], prompt
    for _ in range(k):
        tokens = torch.cat([tokens, torch.multinomial(draft(tokens)[:, -1].softmax(-1), 1, generator=generator)], dim=1)
    first = torch.multinomial(target(tokens)[:, t - 1].softmax(-1), 1, generator=generator)
    empty = torch.full((len(prompt), k), -1)
    return torch.cat([prompt, first, empty], 1), torch.ones(len(prompt), dtype=torch.long)


@alternative(SPECULATIVE, label="proposal by proposal, row by row")
def speculative_sample(target, draft, prompt, k, generator):
    b, t = prompt.shape
    tokens, qs = prompt.clone(), []
    for _ in range(k):
        qs.append(torch.softmax(draft(tokens)[:, -1], dim=-1))
        tokens = torch.cat([tokens, torch.multinomial(qs[-1], 1, generator=generator)], dim=1)
    p = torch.softmax(target(tokens), dim=-1)
    out, n_new = torch.full((b, t + k + 1), -1), torch.zeros(b, dtype=torch.long)
    out[:, :t] = prompt
    for row in range(b):
        for i in range(k):
            x = tokens[row, t + i]
            ratio = p[row, t - 1 + i, x] / qs[i][row, x]
            if torch.rand((), generator=generator) < ratio:
                out[row, t + i] = x
                continue
            rest = torch.relu(p[row, t - 1 + i] - qs[i][row])
            out[row, t + i] = torch.multinomial(rest / rest.sum(), 1, generator=generator)[0]
            break
        else:
            i = k
            out[row, t + k] = torch.multinomial(p[row, -1], 1, generator=generator)[0]
        n_new[row] = i + 1
    return out, n_new


@alternative(SPECULATIVE, label="Gumbel noise, logarithms, all replacements drawn beforehand")
def speculative_sample(target, draft, prompt, k, generator):
    def draw(logp):
        u = torch.rand(logp.shape, generator=generator, dtype=torch.float64).clamp(1e-300, 1 - 1e-16)
        return (logp - torch.log(-torch.log(u))).argmax(-1)

    b, _ = prompt.shape
    tokens, logq = prompt, []
    for _ in range(k):
        logq.append(draft(tokens)[:, -1].double().log_softmax(-1))
        tokens = torch.cat([tokens, draw(logq[-1])[:, None]], 1)
    logq = torch.stack(logq, 1)
    logp = target(tokens)[:, -k - 1 :].double().log_softmax(-1)
    x = tokens[:, -k:, None]
    gap = (logp[:, :k].gather(2, x) - logq.gather(2, x)).squeeze(2)
    u = torch.rand(b, k, generator=generator, dtype=torch.float64)
    n = (torch.log(u.clamp(min=1e-300)) < gap).int().cumprod(1).sum(1).long()
    positive = (logp[:, :k].exp() - logq.exp()).clamp(min=0)
    spare = torch.cat([draw(positive.log()), draw(logp[:, -1])[:, None]], 1)
    columns = torch.arange(k + 1)[None]
    mine = torch.cat([tokens[:, -k:], torch.full((b, 1), -1)], 1)
    new = torch.where(columns < n[:, None], mine, torch.where(columns == n[:, None], spare, -1))
    return torch.cat([prompt, new], 1), n + 1


alternative_edit(
    SPECULATIVE,
    (
        "    last = torch.multinomial(rest, 1, generator=generator)\n",
        "    rest = rest / rest.sum(-1, keepdim=True)\n"
        "    last = (rest.cumsum(-1) <= torch.rand(len(rest), 1, generator=generator, dtype=rest.dtype)).sum(-1, keepdim=True)\n"
        "    last = last.clamp(max=p.shape[-1] - 1)\n",
    ),
    (
        "    chance = torch.rand(new.shape[:2], generator=generator, dtype=p.dtype)\n",
        "    chance = 1 - torch.rand(new.shape[:2], generator=generator, dtype=p.dtype)\n",
    ),
    label="the inverse of the distribution function",
)
