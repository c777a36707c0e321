"""Wrong and right answers to I2, reading weights: ov_circuit, copying_score, qk_circuit, composition and its baseline."""

from __future__ import annotations

from autograder.grading.checks import alternative, alternative_edit, mutant_edit

OV, QK, COMPOSE = "i2_circuits.ov_circuit", "i2_circuits.qk_circuit", "i2_circuits.composition"
VALUES, ROW, EIGEN, KNOWN = "token_to_logit", "what_attention_moves", "eigenvalues_of_the_whole", "copiers_and_their_opposites"
OV_LINE = "return model.W_E @ w.W_V[h], w.W_O[h] @ model.W_U"
SCORE_LINE = "return (values.real.sum() / total).item() if total > 0 else 0.0"


def _ov(new: str, label: str, hint: str, by: str | tuple[str, ...] = (VALUES, ROW)) -> None:
    mutant_edit(OV, (OV_LINE, new), caught_by=by, label=label, hint=hint)


_ov(
    "return (w.W_O[h] @ model.W_U).T, (model.W_E @ w.W_V[h]).T",
    "transposed",
    "Your matrix is transposed: rows are the tokens that are attended to.",
)
_ov("return model.W_E @ w.W_K[h], w.W_O[h] @ model.W_U", "keys in place of values", "You go through the keys; a head moves values.")
_ov(
    "return model.W_E @ w.W_Q[h], w.W_O[h] @ model.W_U",
    "queries in place of values",
    "You go through the queries; a head moves values.",
)
_ov(
    "return model.W_E @ w.W_V.sum(0), w.W_O.sum(0) @ model.W_U",
    "all heads added up",
    "You add up the matrices of all heads of the layer.",
)
_ov("return model.W_E @ w.W_V[h], w.W_O[h - 1] @ model.W_U", "another head's output", "Your output matrix is that of another head.")
_ov("return model.W_E @ w.W_V[h - 1], w.W_O[h] @ model.W_U", "another head's values", "Your value matrix is that of another head.")
_ov(
    "w = model.blocks[layer - 1]\n    return model.W_E @ w.W_V[h], w.W_O[h] @ model.W_U",
    "another layer",
    "Your matrices are those of another layer.",
    (VALUES,),
)
_ov(
    "return (model.W_E + model.W_pos.mean(0)) @ w.W_V[h], w.W_O[h] @ model.W_U",
    "with the mean position",
    "You add positions to the embeddings; the circuit is about tokens alone.",
    (VALUES,),
)
_ov(
    "return model.W_E @ w.W_V[h] / math.sqrt(model.cfg.d_head), w.W_O[h] @ model.W_U",
    "scaled like scores",
    "You divide by the root of d_head: that belongs to the scores, not to what is moved.",
)
_ov(
    "return model.W_E, w.W_V[h] @ w.W_O[h] @ model.W_U",
    "cut at the stream",
    "Your factors meet in the stream, d_model wide; the head itself is the thinnest place.",
    (VALUES,),
)
_ov(
    "return model.W_E @ w.W_V[h] @ w.W_O[h] @ model.W_U, torch.eye(model.cfg.d_vocab, dtype=model.W_E.dtype)",
    "the dense product",
    "You form the whole v x v matrix.",
    (VALUES,),
)
_ov(
    "return model.W_E @ w.W_V[h], w.W_O[h] @ model.W_E.T",
    "the embedding in place of the unembedding",
    "You read the logits with the embedding; this model has an unembedding of its own.",
)
for _new, _label, _hint, _by in (
    (
        "return (values.abs().sum() / total).item()",
        "magnitudes over magnitudes",
        "Your score is always 1: sums of magnitudes above and below.",
        (EIGEN, KNOWN),
    ),
    (
        "return (values.real.sum() / values.real.abs().sum()).item()",
        "magnitudes of the real parts",
        "You take the magnitudes of real parts; complex eigenvalues are larger than that.",
        (EIGEN,),
    ),
    (
        "return (values.real.abs().sum() / total).item()",
        "signs are lost",
        "Your score cannot be negative: signs are lost before the sum.",
        (EIGEN, KNOWN),
    ),
    (
        "return ((values.real > 0).double().mean()).item()",
        "the share of positive eigenvalues",
        "You count positive eigenvalues; the score weighs them by their size.",
        (EIGEN, KNOWN),
    ),
    (
        "return (values.real.sum() / total.square().sqrt() / len(values)).item()",
        "a mean in place of a sum",
        "Your score is divided by the number of eigenvalues.",
        (EIGEN, KNOWN),
    ),
    (
        "return (values.real.sum() / values.abs().square().sum().sqrt()).item()",
        "a Euclidean norm below",
        "You divide by the root of summed squares; it is the sum of magnitudes.",
        (EIGEN, KNOWN),
    ),
    (
        "return (values.real[0] / total).item()",
        "one eigenvalue only",
        "You use one eigenvalue only.",
        (EIGEN, KNOWN),
    ),
):
    mutant_edit(OV, (SCORE_LINE, _new), caught_by=_by, label=_label, hint=_hint)
mutant_edit(
    OV,
    ("torch.linalg.eigvals(right @ left)", "torch.linalg.svdvals(right @ left).to(torch.complex128)"),
    caught_by=(EIGEN, KNOWN),
    label="singular values",
    hint="You use singular values, which are never negative.",
)
mutant_edit(
    OV,
    ("torch.linalg.eigvals(right @ left)", "torch.diagonal(right @ left).to(torch.complex128)"),
    caught_by=(EIGEN,),
    label="the diagonal",
    hint="You use the diagonal of the small matrix; its sum is right, its magnitudes are not.",
)
mutant_edit(
    OV,
    ("torch.linalg.eigvals(right @ left)", "torch.linalg.eigvalsh(right @ left + (right @ left).T).to(torch.complex128) / 2"),
    caught_by=(EIGEN,),
    label="the symmetric part",
    hint="You use the eigenvalues of the symmetric part: rotations are lost.",
)
mutant_edit(
    OV,
    (" if total > 0 else 0.0", ""),
    caught_by=KNOWN,
    label="nan for a silent head",
    hint="For a head that writes nothing your score is nan.",
)

alternative_edit(OV, (OV_LINE, "return torch.matmul(model.W_E, w.W_V[h]), torch.matmul(w.W_O[h], model.W_U)"), label="matmul")
alternative_edit(
    OV,
    ("torch.linalg.eigvals(right @ left)", "torch.linalg.eigvals(left @ right)"),
    label="eigenvalues of the whole",
)
alternative_edit(
    OV,
    (OV_LINE, 'return torch.einsum("v d, d e -> v e", model.W_E, w.W_V[h]), torch.einsum("e d, d v -> e v", w.W_O[h], model.W_U)'),
    (
        "    values = torch.linalg.eigvals(right @ left)\n    total = values.abs().sum()\n    " + SCORE_LINE,
        "    small = right @ left\n    sizes = torch.linalg.eig(small).eigenvalues.abs().sum()\n"
        "    return float(torch.trace(small) / sizes) if float(sizes) != 0.0 else 0.0",
    ),
    label="the trace above",
)

TOKENS, POSITIONS, ATTENDS, KIND = "scores_of_tokens", "scores_of_positions", "as_the_model_attends", "no_other_kind"
QK_LINE = "return table @ w.W_Q[h] / math.sqrt(model.cfg.d_head), (table @ w.W_K[h]).T"


def _qk(new: str, label: str, hint: str, by: str | tuple[str, ...] = (TOKENS, POSITIONS, ATTENDS)) -> None:
    mutant_edit(QK, (QK_LINE, new), caught_by=by, label=label, hint=hint)


_qk(
    "return table @ w.W_K[h] / math.sqrt(model.cfg.d_head), (table @ w.W_Q[h]).T",
    "keys are rows",
    "Your rows are keys and your columns queries; it is the other way round.",
)
_qk("return table @ w.W_Q[h] / math.sqrt(model.cfg.d_model), (table @ w.W_K[h]).T", "the scale of d_model", "You scale by d_model.")
_qk("return table @ w.W_Q[h], (table @ w.W_K[h]).T", "no scale", "Your scores are not scaled.")
_qk(
    "return table @ w.W_Q[h] / model.cfg.d_head, (table @ w.W_K[h]).T",
    "divided by d_head",
    "You divide by d_head; scores are divided by its root.",
)
_qk(
    "return table @ w.W_Q[h] / math.sqrt(model.cfg.d_head), (table @ w.W_K[h]).T / math.sqrt(model.cfg.d_head)",
    "scaled twice",
    "You scale both factors: once is enough.",
)
_qk(
    "return table @ w.W_Q[h] / math.sqrt(model.cfg.d_head), (table @ w.W_Q[h]).T",
    "queries twice",
    "Your matrix is symmetric: you use the query matrix on both sides.",
)
_qk(
    "return table @ w.W_K[h] / math.sqrt(model.cfg.d_head), (table @ w.W_K[h]).T",
    "keys twice",
    "You use the key matrix on both sides.",
)
_qk(
    "return table @ w.W_Q[h] / math.sqrt(model.cfg.d_head), (table @ w.W_V[h]).T",
    "values in place of keys",
    "You compare queries with values.",
)
_qk(
    "return table @ w.W_V[h] / math.sqrt(model.cfg.d_head), w.W_O[h] @ table.T",
    "applies W_O",
    "That is a circuit of values and output; scores come from queries and keys.",
)
_qk(
    "return table @ w.W_Q[h - 1] / math.sqrt(model.cfg.d_head), (table @ w.W_K[h - 1]).T",
    "another head",
    "Your matrices are those of another head.",
)
_qk(
    "return table @ w.W_Q.mean(0) / math.sqrt(model.cfg.d_head), (table @ w.W_K.mean(0)).T",
    "the mean head",
    "You average the heads of the layer.",
)
_qk(
    "return table @ w.W_Q[h] @ w.W_K[h].T / math.sqrt(model.cfg.d_head), table.T",
    "cut at the stream",
    "Your factors meet in the stream, d_model wide; the head itself is the thinnest place.",
    (TOKENS, POSITIONS),
)
mutant_edit(
    QK,
    ('table = model.blocks[layer], model.W_E if kind == "token" else model.W_pos', "table = model.blocks[layer], model.W_E"),
    caught_by=POSITIONS,
    label="tokens always",
    hint='You use the token table also when kind is "position".',
)
mutant_edit(
    QK,
    ('model.W_E if kind == "token" else model.W_pos', 'model.W_pos if kind == "token" else model.W_E'),
    caught_by=(TOKENS, POSITIONS),
    label="tables exchanged",
    hint="Your token and position tables are exchanged.",
)
mutant_edit(
    QK,
    ('model.W_E if kind == "token" else model.W_pos', 'model.W_U.T if kind == "token" else model.W_pos'),
    caught_by=(TOKENS, ATTENDS),
    label="the unembedding",
    hint="You put the unembedding in; heads read what the embedding wrote.",
)
mutant_edit(
    QK,
    (
        '    if kind not in ("token", "position"):\n'
        '        raise ValueError(f\'kind is {kind!r}, expected "token" or "position"\')\n',
        "",
    ),
    caught_by=KIND,
    label="any kind is accepted",
    hint="Your function accepts every kind.",
)
mutant_edit(
    QK,
    ("raise ValueError(", "raise KeyError("),
    caught_by=KIND,
    label="another exception",
    hint="Another kind raises another exception than ValueError.",
)
mutant_edit(
    QK,
    ("w, table = model.blocks[layer],", "w, table = model.blocks[layer - 1],"),
    caught_by=TOKENS,
    label="another layer",
    hint="Your matrices are those of another layer.",
)

alternative_edit(
    QK,
    (QK_LINE, "e = w.W_Q[h].shape[1]\n    return table @ w.W_Q[h], torch.einsum('n d, d e -> e n', table, w.W_K[h]) * e**-0.5"),
    label="scaled on the right",
)


@alternative(QK, label="a dictionary of tables, scaled by the fourth root twice")
def qk_circuit(model, head, kind):
    tables = {"token": model.W_E, "position": model.W_pos}
    if kind not in tables:
        raise ValueError(kind)
    block = model.blocks[head[0]]
    half = model.cfg.d_head**-0.25
    return tables[kind] @ block.W_Q[head[1]] * half, (tables[kind] @ block.W_K[head[1]] * half).mT


RATIO, PLANTED, REFUSES, MEAN, FOLLOWS = (
    "ratio_of_norms",
    "planted_pairs",
    "refuses_what_cannot_be",
    "mean_of_strangers",
    "baseline_follows_its_arguments",
)


def _compose(*edits: tuple[str, str], label: str, hint: str, by: str | tuple[str, ...] = (RATIO,)) -> None:
    mutant_edit(COMPOSE, *edits, caught_by=by, label=label, hint=hint)


_compose(
    ('"K": b.W_K[s] @ b.W_Q[s].T', '"K": b.W_Q[s] @ b.W_K[s].T'),
    label="no transpose for K",
    hint="Your K-composition equals your Q-composition: to be read as a key, the matrix must be turned round.",
    by=(RATIO, PLANTED),
)
_compose(
    ('"Q": b.W_Q[s] @ b.W_K[s].T', '"Q": b.W_K[s] @ b.W_Q[s].T'),
    label="a transpose for Q",
    hint="Your Q-composition is that of keys: queries stand on the left side of QK.",
    by=(RATIO, PLANTED),
)
_compose(
    ('"V": b.W_V[s] @ b.W_O[s]', '"V": b.W_Q[s] @ b.W_K[s].T'),
    label="V uses QK",
    hint="Your V-composition uses QK; values are read by OV.",
    by=(RATIO,),
)
_compose(
    ('"V": b.W_V[s] @ b.W_O[s]', '"V": b.W_V[s]'),
    label="V without the output",
    hint="Your V-composition stops at the values; OV includes the output matrix.",
)
_compose(
    ('"V": b.W_V[s] @ b.W_O[s]', '"V": (b.W_V[s] @ b.W_O[s]).T'),
    label="V transposed",
    hint="Your V-composition has OV of the second head transposed.",
    by=(RATIO, PLANTED),
)
_compose(
    ("(writes @ reads).norm()", "(reads @ writes).norm()"),
    label="the factors exchanged",
    hint="Your product has the second head first.",
)
_compose(
    ("writes = a.W_V[f] @ a.W_O[f]", "writes = (a.W_V[f] @ a.W_O[f]).T"),
    label="OV transposed",
    hint="Your OV of the first head is transposed.",
)
_compose(
    ("writes = a.W_V[f] @ a.W_O[f]", "writes = a.W_O[f]"),
    label="the output matrix alone",
    hint="You use the output matrix alone for what the first head writes; OV includes the values.",
)
_compose(
    ("writes = a.W_V[f] @ a.W_O[f]", "writes = a.W_Q[f] @ a.W_K[f].T"),
    label="QK of the first head",
    hint="You use QK of the first head; what it writes is OV.",
    by=(RATIO, PLANTED),
)
_compose(
    ("f, s = first[1], second[1]", "s, f = first[1], second[1]"),
    label="the head numbers exchanged",
    hint="The numbers of your two heads are exchanged.",
)
_compose(
    ("/ (writes.norm() * reads.norm())).item()", "/ (writes.norm() + reads.norm())).item()"),
    label="a sum below",
    hint="You divide by the sum of the norms; it is their product.",
)
_compose(
    ("/ (writes.norm() * reads.norm())).item()", "/ writes.norm()).item()"),
    label="one norm below",
    hint="You divide by one of the two norms only.",
)
_compose(
    (
        "(writes @ reads).norm() / (writes.norm() * reads.norm())",
        "torch.linalg.matrix_norm(writes @ reads, 2) / (torch.linalg.matrix_norm(writes, 2) * torch.linalg.matrix_norm(reads, 2))",
    ),
    label="spectral norms",
    hint="You use spectral norms; the docstring asks for Frobenius norms.",
)
_compose(
    (
        "(writes @ reads).norm() / (writes.norm() * reads.norm())",
        "(writes @ reads).norm() ** 2 / (writes.norm() * reads.norm()) ** 2",
    ),
    label="squared",
    hint="Your ratio is squared.",
)
_compose(
    ("if second[0] <= first[0]:", "if second[0] < first[0]:"),
    label="the same layer is accepted",
    hint="Heads of one layer do not hear each other: nothing can be composed.",
    by=REFUSES,
)
_compose(
    ('    if kind not in ("Q", "K", "V"):\n', '    kind = kind.upper()\n    if kind not in ("Q", "K", "V"):\n'),
    label="small letters are accepted",
    hint="Your function accepts a kind that is none of the three.",
    by=REFUSES,
)
_compose(
    ("if second[0] <= first[0]:", "if False:"),
    label="any order is accepted",
    hint="Your function composes heads in any order.",
    by=REFUSES,
)
_compose(
    (
        "        a, c = (torch.randn(d_model, d_head, generator=gen, dtype=torch.float64) for _ in range(2))\n"
        "        b, d = (torch.randn(d_head, d_model, generator=gen, dtype=torch.float64) for _ in range(2))\n"
        "        first, second = a @ b, c @ d\n",
        "        first, second = (torch.randn(d_model, d_model, generator=gen, dtype=torch.float64) for _ in range(2))\n",
    ),
    label="strangers of full rank",
    hint="Your random maps have full rank; those of heads are products of thin matrices.",
    by=MEAN,
)
_compose(
    ("first, second = a @ b, c @ d", "first, second = a @ b, torch.eye(d_model, dtype=torch.float64)"),
    label="a baseline from the identity",
    hint="Your baseline compares a random map with the identity.",
    by=MEAN,
)
_compose(
    ("    return total / n", "    return total"),
    label="a sum in place of a mean",
    hint="Your baseline is a sum over pairs.",
    by=MEAN,
)
_compose(
    (
        "torch.randn(d_model, d_head, generator=gen, dtype=torch.float64)",
        "torch.rand(d_model, d_head, generator=gen, dtype=torch.float64)",
    ),
    (
        "torch.randn(d_head, d_model, generator=gen, dtype=torch.float64)",
        "torch.rand(d_head, d_model, generator=gen, dtype=torch.float64)",
    ),
    label="uniform entries",
    hint="Your random entries are uniform between 0 and 1: their mean is not 0, and all maps resemble each other.",
    by=MEAN,
)
_compose(
    ("for _ in range(n):", "for _ in range(1):"),
    ("    return total / n", "    return total"),
    label="one pair only",
    hint="Your baseline draws one pair, whatever n is.",
    by=FOLLOWS,
)
_compose(
    ("torch.randn(d_model, d_head, generator=gen, dtype=torch.float64)", "torch.randn(d_model, d_head, dtype=torch.float64)"),
    label="half of the draws from the global generator",
    hint="Not all of your draws come from gen.",
    by=FOLLOWS,
)
_compose(
    ("    total = 0.0\n", "    total = 0.0\n    gen = torch.Generator().manual_seed(0)\n"),
    label="a generator of its own",
    hint="Your baseline is always the same, whatever generator is given.",
    by=FOLLOWS,
)


@alternative(COMPOSE, label="thin factors only, pairs side by side")
def composition(model, first, second, kind):
    if kind not in {"Q", "K", "V"} or not first[0] < second[0]:
        raise ValueError("no such composition")
    v, o = (getattr(model.blocks[first[0]], name)[first[1]] for name in ("W_V", "W_O"))
    names = {"Q": ("W_Q", "W_K"), "K": ("W_K", "W_Q"), "V": ("W_V", "W_O")}[kind]
    x, y = (getattr(model.blocks[second[0]], name)[second[1]] for name in names)
    y = y if kind == "V" else y.T

    def size(a, b):  # of a @ b, by the small matrices
        return ((a.T @ a) * (b @ b.T)).sum().clamp(min=0).sqrt()

    return float((size(v, o @ x @ y) / size(v, o) / size(x, y)).detach())


alternative_edit(
    COMPOSE,
    (
        "    total = 0.0\n    for _ in range(n):\n"
        "        a, c = (torch.randn(d_model, d_head, generator=gen, dtype=torch.float64) for _ in range(2))\n"
        "        b, d = (torch.randn(d_head, d_model, generator=gen, dtype=torch.float64) for _ in range(2))\n"
        "        first, second = a @ b, c @ d\n"
        "        total += float((first @ second).norm() / (first.norm() * second.norm()))\n"
        "    return total / n\n",
        "    a, c = torch.randn(2, n, d_model, d_head, generator=gen)\n"
        "    b, d = torch.randn(2, n, d_head, d_model, generator=gen)\n"
        "    size = torch.linalg.matrix_norm\n"
        "    return float((size(a @ b @ c @ d) / size(a @ b) / size(c @ d)).mean())\n",
    ),
    label="all pairs at once, in float32",
)
