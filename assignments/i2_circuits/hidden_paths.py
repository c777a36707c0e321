"""Hidden checks of I2, intervening: path_patch, circuit_metrics, prune_edges. Student and rng in, silence or a hint out.

The oracle (`Toy`) runs the same model head by head, in float64, and bends single connections by choosing what each part
reads. Runs are a few hundred operations long: 1e-9 of the largest entry is a thousand times the rounding error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.circuits import END, Node, Toy, Trace, Wrote, add_up, draw, named
from autograder.grading.compare import close, integers, number, raises, tensor
from autograder.sandbox.student import Student, StudentModule

PATCH, METRICS, PRUNE = "i2_circuits.path_patch", "i2_circuits.circuit_metrics", "i2_circuits.prune_edges"
F64 = torch.float64
Head = tuple[int, int]
Rows = dict[str, Tensor]


def _toy(rng: np.random.Generator, **choices: Any) -> Toy:
    n_heads, d_head = ((3, 4), (2, 5), (4, 3))[int(rng.integers(3))]
    drawn = {"n_layers": 3, "n_heads": n_heads, "d_model": int(rng.integers(8, 12)), "d_head": d_head}
    return draw(rng, 1.5, **{**drawn, "d_vocab": int(rng.integers(13, 17)), "n_ctx": 8, **choices})


def _place(student: Student, toy: Toy) -> StudentModule:
    m = student.module("Transformer", student.make("Config", **toy.sizes))
    m.call("double")
    m.load_state_dict(toy.weights)
    return m


def _texts(rng: np.random.Generator, toy: Toy, b: int, t: int) -> tuple[Tensor, Tensor]:
    return integers(rng, 0, toy.sizes["d_vocab"], b, t), integers(rng, 0, toy.sizes["d_vocab"], b, t)


def _patched(toy: Toy, clean: Tensor, corrupt: Tensor, sender: Head, receivers: list[Head], kind: str, freeze: bool) -> Tensor:
    """The oracle: receivers hear, instead of the corrupted stream, one in which the sender says what it says in the clean run."""
    new, old = toy.run(clean), toy.run(corrupt)
    special = ("head", *sender)

    def frozen(node: Node, value: Tensor) -> Tensor:
        if node == special:
            return new.wrote[node]
        return old.wrote[node] if node[0] == "head" or (node[0] == "mlp" and freeze) else value

    noted = toy.run(corrupt, write=frozen)
    nodes = [END] if kind == "logits" else named(receivers)

    def bent(node: Node, what: str, wrote: Wrote) -> Tensor:
        hears = node in nodes and what in (kind, "end")
        return noted.read[node, what] if hears else add_up(node, what, wrote)

    return toy.run(corrupt, read=bent).logits


def _patch(student: Student, m: StudentModule, *args: Any) -> Tensor:
    found: Tensor = student.fn("path_patch")(m, *args)
    return found


@hidden(PATCH, weight=3, core=True)
def one_edge_between_heads(student: Student, rng: np.random.Generator) -> None:
    """One sender, one receiver, for queries, keys and values; attention only, with and without norms."""
    for norm in (False, True):
        toy = _toy(rng, norm=norm)
        m = _place(student, toy)
        clean, corrupt = _texts(rng, toy, 3, 7)
        for sender, receiver in (((0, 1), (1, 0)), ((1, 0), (2, 1)), ((0, 0), (2, 0))):
            kind = "qkv"[int(rng.integers(3))]
            wanted = _patched(toy, clean, corrupt, sender, [receiver], kind, True)
            what = f'logits for {sender} -> {receiver}, kind="{kind}", {"with" if norm else "without"} norms'
            slip = "Which of the two runs is the ground, and which parts hear the sender?"
            close(_patch(student, m, clean, corrupt, sender, [receiver], kind), wanted, what, rtol=1e-9, slip=slip)


@hidden(PATCH, weight=2, core=True)
def every_kind_of_input(student: Student, rng: np.random.Generator) -> None:
    """Queries, keys and values are three inputs, and a patched one does not leak into another."""
    toy = _toy(rng)
    m = _place(student, toy)
    clean, corrupt = _texts(rng, toy, 2, 6)
    for kind in "qkv":
        wanted = _patched(toy, clean, corrupt, (0, 1), [(1, 1)], kind, True)
        close(_patch(student, m, clean, corrupt, (0, 1), [(1, 1)], kind), wanted, f'(0, 1) -> (1, 1), kind="{kind}"', rtol=1e-9)


@hidden(PATCH, weight=2)
def several_receivers(student: Student, rng: np.random.Generator) -> None:
    """Receivers of one layer and of two hear the sender directly, not what another receiver made of it."""
    toy = _toy(rng, n_layers=4, norm=True)
    m = _place(student, toy)
    clean, corrupt = _texts(rng, toy, 2, 7)
    for sender, receivers in (((0, 0), [(1, 0), (1, 1)]), ((0, 1), [(1, 1), (3, 0)]), ((1, 0), [(3, 1), (2, 0), (2, 1)])):
        kind = "qkv"[int(rng.integers(3))]
        wanted = _patched(toy, clean, corrupt, sender, receivers, kind, True)
        slip = "What each receiver reads is noted in the run where all heads are frozen."
        what = f'{sender} -> {receivers}, kind="{kind}"'
        close(_patch(student, m, clean, corrupt, sender, receivers, kind), wanted, what, rtol=1e-9, slip=slip)


@hidden(PATCH, weight=2)
def through_mlps_or_not(student: Student, rng: np.random.Generator) -> None:
    """With freeze_mlps=False the way through MLPs counts, otherwise it does not; True is the default."""
    toy = _toy(rng, d_mlp=10, norm=True)
    m = _place(student, toy)
    clean, corrupt = _texts(rng, toy, 2, 6)
    for given, freeze in (((), True), ((True,), True), ((False,), False)):
        for sender, receivers, kind in (((0, 1), [(2, 0)], "k"), ((1, 0), [], "logits")):
            wanted = _patched(toy, clean, corrupt, sender, receivers, kind, freeze)
            what = f'{sender} -> {receivers or "logits"}, kind="{kind}", freeze_mlps={freeze}'
            slip = "What do MLPs say in the run where heads are frozen?"
            close(_patch(student, m, clean, corrupt, sender, receivers, kind, *given), wanted, what, rtol=1e-9, slip=slip)


@hidden(PATCH, weight=2)
def straight_to_the_logits(student: Student, rng: np.random.Generator) -> None:
    """To the logits only the direct way counts; without norms the direct ways add up to the whole difference."""
    toy = _toy(rng, norm=True)
    m = _place(student, toy)
    clean, corrupt = _texts(rng, toy, 2, 6)
    wanted = _patched(toy, clean, corrupt, (0, 0), [], "logits", True)
    close(_patch(student, m, clean, corrupt, (0, 0), [], "logits"), wanted, "(0, 0) -> logits, with norms", rtol=1e-9)
    toy = _toy(rng, n_layers=2, n_heads=2)
    m, (clean, corrupt) = _place(student, toy), _texts(rng, toy, 2, 6)
    new, old = toy.run(clean), toy.run(corrupt)
    parts = [
        tensor(_patch(student, m, clean, corrupt, head, [(1, 0)], "logits"), "logits", old.logits.shape, F64) for head in toy.heads
    ]
    total = torch.stack([p - old.logits for p in parts]).sum(0)
    embed = (new.wrote["embed", -1, 0] - old.wrote["embed", -1, 0]) @ toy.weights["W_U"]
    wanted = new.logits - old.logits - embed
    slip = "Without norms every head's direct effect is what it writes, times W_U."
    close(total, wanted, "the sum of all heads' direct effects", rtol=1e-8, slip=slip)


@hidden(PATCH, weight=1)
def nothing_flows_backwards(student: Student, rng: np.random.Generator) -> None:
    """A receiver that does not come later, no receiver, and equal runs change nothing; another kind is refused."""
    toy = _toy(rng, norm=True)
    m = _place(student, toy)
    clean, corrupt = _texts(rng, toy, 2, 5)
    untouched = toy.run(corrupt).logits
    for sender, receivers in (((1, 0), [(0, 1)]), ((1, 0), [(1, 1)]), ((1, 1), [(1, 1)]), ((0, 0), [])):
        what = f'logits for {sender} -> {receivers}, kind="q"'
        close(
            _patch(student, m, clean, corrupt, sender, receivers, "q"),
            untouched,
            what,
            rtol=1e-10,
            slip="Nothing can be heard there.",
        )
    found = _patch(student, m, corrupt, corrupt, (0, 0), [(1, 0), (2, 1)], "v")
    close(found, untouched, "logits when both runs are the same", rtol=1e-10)
    raises("ValueError", lambda: _patch(student, m, clean, corrupt, (0, 0), [(1, 0)], "o"), 'path_patch with kind="o"')
    close(m(corrupt).detach(), untouched, "logits of the model afterwards", rtol=1e-10, slip="Is the model itself changed?")


def _rows(rng: np.random.Generator, toy: Toy, counts: tuple[int, ...], t: int) -> Rows:
    """Draw data as of ioi_dataset: so many rows of each template, mixed."""
    template = torch.from_numpy(rng.permutation(np.repeat(np.arange(len(counts)), counts)))
    b, v = len(template), toy.sizes["d_vocab"]
    clean, corrupt = _texts(rng, toy, b, t)
    pairs = torch.from_numpy(np.stack([rng.choice(v, 2, replace=False) for _ in range(b)]))
    places = {key: integers(rng, 0, t, b) for key in ("io_at", "s1_at", "s2_at", "end")}
    return {"clean": clean, "corrupt": corrupt, "io": pairs[:, 0], "s": pairs[:, 1], **places, "template": template}


class _Ablated:
    """The oracle: the mean logit difference when only some heads speak for themselves."""

    def __init__(self, toy: Toy, data: Rows) -> None:
        self.toy, self.data = toy, data
        corrupt = toy.run(data["corrupt"])
        self.means = {node: self._mean(corrupt.wrote[node]) for node in named(toy.heads)}

    def _mean(self, value: Tensor) -> Tensor:
        mean = torch.empty_like(value)
        for k in self.data["template"].unique():
            rows = self.data["template"] == k
            mean[rows] = value[rows].mean(0)
        return mean

    def f(self, kept: list[Head]) -> float:
        kept_nodes = set(named(kept))

        def write(node: Node, value: Tensor) -> Tensor:
            return self.means[node] if node[0] == "head" and node not in kept_nodes else value

        logits, d = self.toy.run(self.data["clean"], write=write).logits, self.data
        gaps = [logits[i, d["end"][i], d["io"][i]] - logits[i, d["end"][i], d["s"][i]] for i in range(len(d["end"]))]
        return float(torch.stack(gaps).mean())

    def metrics(self, circuit: list[Head]) -> tuple[float, float, list[float]]:
        everything = self.toy.heads
        whole, nothing, alone = self.f(everything), self.f([]), self.f(circuit)
        without = self.f([h for h in everything if h not in circuit])
        effect = whole - nothing
        minimal = [(alone - self.f([h for h in circuit if h != head])) / effect for head in circuit]
        return (alone - nothing) / effect, (without - nothing) / effect, minimal


def _clear(rng: np.random.Generator, counts: tuple[int, ...], **choices: Any) -> tuple[Toy, Rows, _Ablated]:
    """Draw a model and data whose whole effect is not small: shares of it are then not sums of rounding errors."""
    while True:
        toy = _toy(rng, **choices)
        data = _rows(rng, toy, counts, 6)
        oracle = _Ablated(toy, data)
        if abs(oracle.f(toy.heads) - oracle.f([])) > 0.1:
            return toy, data, oracle


def _metrics(student: Student, m: StudentModule, circuit: list[Head], data: Rows) -> tuple[float, float, list[float]]:
    found: Any = student.fn("circuit_metrics")(m, circuit, data)
    if type(found) not in (tuple, list) or len(found) != 3:
        raise AssertionError("circuit_metrics must return three things: faithfulness, completeness, minimality.")
    minimal = found[2].tolist() if type(found[2]) is Tensor and found[2].ndim == 1 else found[2]
    if type(minimal) not in (tuple, list) or len(minimal) != len(circuit):
        raise AssertionError(f"minimality must be a list with one number for each of the {len(circuit)} heads of the circuit.")
    shares = [number(x, f"minimality of {head}") for x, head in zip(minimal, circuit, strict=True)]
    return number(found[0], "faithfulness"), number(found[1], "completeness"), shares


def _near(found: float, wanted: float, what: str, slip: str = "") -> None:
    assert abs(found - wanted) <= 1e-8 * max(1.0, abs(wanted)), f"{what} is {found:.6g}, expected {wanted:.6g}. {slip}"


@hidden(METRICS, weight=3, core=True)
def faithful_and_complete(student: Student, rng: np.random.Generator) -> None:
    """Faithfulness and completeness of random circuits, with means by template over the corrupted prompts."""
    for choices in ({"n_layers": 2}, {"n_layers": 2, "norm": True, "d_mlp": 9}):
        toy, data, oracle = _clear(rng, (5, 2, 4), **choices)
        m = _place(student, toy)
        circuit: list[Head] = []
        # In one layer a head is kept whose number is not kept in the other: the layer must matter.
        while all((1 - layer, number) in circuit for layer, number in circuit):
            order = rng.permutation(len(toy.heads))
            circuit = [toy.heads[i] for i in order[: int(rng.integers(1, len(order)))]]
        found, wanted = _metrics(student, m, circuit, data), oracle.metrics(circuit)
        _near(
            found[0],
            wanted[0],
            f"faithfulness of {circuit}",
            "What are heads outside of the circuit replaced by, and on which prompts?",
        )
        _near(found[1], wanted[1], f"completeness of {circuit}", "Which heads speak for themselves, and what is it a share of?")


@hidden(METRICS, weight=2, core=True)
def one_head_at_a_time(student: Student, rng: np.random.Generator) -> None:
    """Minimality has the circuit's order, and takes away one head of the circuit only."""
    toy, data, oracle = _clear(rng, (4, 3), n_layers=2, n_heads=3)
    m = _place(student, toy)
    circuit = [toy.heads[i] for i in rng.permutation(6)[:4]]
    circuit = circuit[::-1] if circuit == sorted(circuit) else circuit  # its order must matter
    found, wanted = _metrics(student, m, circuit, data)[2], oracle.metrics(circuit)[2]
    for head, a, b in zip(circuit, found, wanted, strict=True):
        _near(a, b, f"minimality of {head} in {circuit}", "From the circuit alone one head is taken; the order is the circuit's.")


@hidden(METRICS, weight=2)
def everything_and_nothing(student: Student, rng: np.random.Generator) -> None:
    """All heads together have faithfulness 1 and completeness 0; no head has 0 and 1."""
    toy, data, _ = _clear(rng, (3, 4), n_layers=2)
    m = _place(student, toy)
    for circuit, wanted, said in ((toy.heads, (1, 0), "all heads"), ([], (0, 1), "no head")):
        found = _metrics(student, m, list(circuit), data)
        _near(found[0], wanted[0], f"faithfulness of {said}")
        _near(found[1], wanted[1], f"completeness of {said}")


@hidden(METRICS, weight=2)
def rows_of_a_template_share_a_mean(student: Student, rng: np.random.Generator) -> None:
    """With templates of very different texts, and one of a single row, the mean is the template's own."""
    while True:
        toy = _toy(rng, n_layers=2)
        data = _rows(rng, toy, (1, 6, 3), 7)
        for k in range(3):
            data["corrupt"][data["template"] == k, :4] = integers(rng, 0, toy.sizes["d_vocab"], 4)
        oracle = _Ablated(toy, data)
        if abs(oracle.f(toy.heads) - oracle.f([])) > 0.1:
            break
    circuit = [toy.heads[-1]]
    found, wanted = _metrics(student, _place(student, toy), circuit, data), oracle.metrics(circuit)
    _near(
        found[0],
        wanted[0],
        "faithfulness, templates of 1, 6 and 3 rows",
        "Over which rows is the mean taken, and position by position?",
    )


@hidden(METRICS, weight=1)
def a_gap_in_completeness(student: Student, rng: np.random.Generator) -> None:
    """A twin outside of the circuit does the same work: faithful as it is, the circuit is not complete."""
    toy, data, _ = _clear(rng, (4, 4), n_layers=1, n_heads=2)
    for name in ("W_Q", "W_K", "W_V", "W_O"):
        toy.weights[f"blocks.0.{name}"][1] = toy.weights[f"blocks.0.{name}"][0]
    found = _metrics(student, _place(student, toy), [(0, 1)], data)
    for name, share in zip(("faithfulness", "completeness"), found[:2], strict=True):
        _near(share, 0.5, f"{name} of one of two twins")


def _name(node: Node) -> str:
    return {"embed": "embed", "end": "logits"}.get(node[0], f"{node[1]}.{node[2]}")


class _Pruner:
    """The oracle: greedy pruning, each edge by what its receiver reads."""

    def __init__(self, toy: Toy, data: Rows) -> None:
        self.toy, self.data = toy, data
        self.old: Trace = toy.run(data["corrupt"])
        heads = sorted(named(toy.heads), key=lambda n: (n[1], n[2]), reverse=True)
        embed: Node = ("embed", -1, 0)
        self.order = [(s, r) for r in (END, *heads) for s in (*heads, embed) if r == END or s[1] < r[1]]
        self.full = self._log_probs(set(self.order))

    def _log_probs(self, edges: set[tuple[Node, Node]]) -> Tensor:
        def read(node: Node, kind: str, wrote: Wrote) -> Tensor:
            return torch.stack([v if (s, node) in edges else self.old.wrote[s] for s, v in wrote]).sum(0)

        logits = self.toy.run(self.data["clean"], read=read).logits
        return torch.stack([row[int(i)] for row, i in zip(logits, self.data["end"], strict=True)]).log_softmax(-1)

    def divergence(self, edges: set[tuple[Node, Node]]) -> float:
        return float((self.full.exp() * (self.full - self._log_probs(edges))).sum(1).mean())

    def prune(self, tau: float) -> tuple[set[tuple[str, str]], list[float]]:
        """Return the edges that are left, and by how much each removal that was tried raised the divergence."""
        edges, now, rises = set(self.order), 0.0, []
        for edge in self.order:
            found = self.divergence(edges - {edge})
            rises.append(found - now)
            if rises[-1] < tau:
                edges, now = edges - {edge}, found
        return {(_name(s), _name(r)) for s, r in edges}, rises


def _tau(rng: np.random.Generator, oracle: _Pruner, quantile: float) -> tuple[float, set[tuple[str, str]]]:
    """Return a threshold to which no decision is close, and what it leaves."""
    # Not below 1e-3: edges without any effect rise by rounding errors, and no decision may hang on those.
    tau = max(float(np.quantile(oracle.prune(1e-9)[1], quantile)), 1e-3)
    for _ in range(20):
        left, rises = oracle.prune(tau)
        if min(abs(r - tau) for r in rises) > 1e-7:
            return tau, left
        tau *= float(rng.uniform(1.01, 1.1))
    raise RuntimeError("no threshold was found that is far from every decision")


def _edges(student: Student, m: StudentModule, data: Rows, tau: float) -> set[tuple[str, str]]:
    found: Any = student.fn("prune_edges")(m, data, tau)
    pairs = type(found) in (set, frozenset, list) and all(type(e) is tuple and len(e) == 2 for e in found)
    if not pairs or not all(type(name) is str for e in found for name in e):
        raise AssertionError('prune_edges must return a set of pairs of names, such as ("0.1", "logits").')
    return set(found)


def _agree(found: set[tuple[str, str]], wanted: set[tuple[str, str]], what: str, slip: str) -> None:
    for said, some in (("is missing", wanted - found), ("should have been removed", found - wanted)):
        if some:
            more = f" and {len(some) - 1} more" if len(some) > 1 else ""
            # Names that a student made up are not repeated.
            edge = min(some & wanted) if some & wanted else min(some)
            shown = f"{edge[0]} -> {edge[1]}" if all(len(x) < 12 for x in edge) else "an edge with a strange name"
            raise AssertionError(f"{what}: {shown}{more} {said} ({len(wanted)} edges are expected). {slip}")


def _wired(rng: np.random.Generator) -> tuple[Toy, set[tuple[str, str]]]:
    """Plant a circuit: every sender writes into features of its own, every receiver reads those of some senders only."""
    n_heads, n_layers, width = 2, 3, 2
    senders: list[Node] = [("embed", -1, 0), *(("head", layer, h) for layer in range(n_layers) for h in range(n_heads))]
    d = width * len(senders)
    toy = _toy(rng, n_layers=n_layers, n_heads=n_heads, d_model=d, d_head=3)
    at = {s: slice(width * i, width * (i + 1)) for i, s in enumerate(senders)}
    hears: dict[Node, list[Node]] = {}
    for r in [*senders[1:], END]:
        before = [s for s in senders if r == END or s[1] < r[1]]
        hears[r] = [s for s in before if rng.random() < 0.5] or [before[-1]]
    for node in senders:
        silent = torch.ones(d, dtype=torch.bool)
        silent[at[node]] = False
        if node[0] == "embed":
            toy.weights["W_E"][:, silent] = toy.weights["W_pos"][:, silent] = 0
        else:
            toy.weights[f"blocks.{node[1]}.W_O"][node[2]][:, silent] = 0
    for node, heard in hears.items():
        deaf = torch.ones(d, dtype=torch.bool)
        for s in heard:
            deaf[at[s]] = False
        names = ["W_U"] if node == END else [f"blocks.{node[1]}.{name}" for name in ("W_Q", "W_K", "W_V")]
        for name in names:
            matrix = toy.weights[name]
            (matrix if node == END else matrix[node[2]])[deaf] = 0
    reached, todo = set(), [END]
    while todo:
        r = todo.pop()
        new = {(s, r) for s in hears[r]} - reached
        reached |= new
        todo += [s for s, _ in new if s[0] == "head"]
    return toy, {(_name(s), _name(r)) for s, r in reached}


@hidden(PRUNE, weight=3, core=True)
def planted_circuits(student: Student, rng: np.random.Generator) -> None:
    """Three models that are wired by hand: exactly the wires that lead to the logits are left."""
    for _ in range(3):
        toy, wanted = _wired(rng)
        data = _rows(rng, toy, (5,), 5)
        found = _edges(student, _place(student, toy), data, 1e-9)
        _agree(found, wanted, "a model that is wired by hand", "An edge without any effect goes, whatever tau is; the others stay.")


@hidden(PRUNE, weight=3, core=True)
def greedy_from_the_output(student: Student, rng: np.random.Generator) -> None:
    """On random models, with and without norms, the same edges are left as by the written procedure."""
    for norm, n_layers, n_heads, quantile in ((False, 2, 2, 0.5), (True, 2, 3, 0.35), (False, 3, 2, 0.7)):
        toy = _toy(rng, n_layers=n_layers, n_heads=n_heads, norm=norm)
        data = _rows(rng, toy, (6,), 5)
        tau, wanted = _tau(rng, _Pruner(toy, data), quantile)
        slip = "Each removal is judged by how much it raises the divergence over its value before; removed senders are corrupted."
        what = f"a random model, {n_layers} layers of {n_heads} heads, tau={tau:.3g}"
        _agree(_edges(student, _place(student, toy), data, tau), wanted, what, slip)


@hidden(PRUNE, weight=1)
def what_helps_goes_too(student: Student, rng: np.random.Generator) -> None:
    """A removal that lowers the divergence, by however much, stays."""
    # Head 0 cancels what heads 1 and 2 say: without one of them the divergence rises by r, without both by about 4 r, and
    # without all three it falls to where it was.
    toy = _toy(rng, n_layers=1, n_heads=3)
    for name in ("W_Q", "W_K", "W_V", "W_O"):
        matrix = toy.weights[f"blocks.0.{name}"]
        matrix[1] = matrix[2] = matrix[0] * (0.3 if name == "W_O" else 1.0)
    toy.weights["blocks.0.W_O"][0] = -2 * toy.weights["blocks.0.W_O"][1]
    data = _rows(rng, toy, (5,), 5)
    oracle = _Pruner(toy, data)
    first, second = oracle.prune(1e9)[1][:2]
    tau = (max(first, second) + first + second) / 2
    wanted, _ = oracle.prune(tau)
    slip = "What is less than tau? A fall is, however deep."
    _agree(_edges(student, _place(student, toy), data, tau), wanted, f"a model in which some edge does harm, tau={tau:.3g}", slip)


@hidden(PRUNE, weight=2)
def one_of_two_twins(student: Student, rng: np.random.Generator) -> None:
    """Of two heads that say the same, the order of the search decides which one goes."""
    toy = _toy(rng, n_layers=2, n_heads=3)
    for name in ("W_Q", "W_K", "W_V", "W_O"):
        toy.weights[f"blocks.0.{name}"][2] = toy.weights[f"blocks.0.{name}"][0]
    data = _rows(rng, toy, (6,), 5)
    tau, wanted = _tau(rng, _Pruner(toy, data), 0.6)
    slip = "In which order are receivers and senders gone through?"
    _agree(_edges(student, _place(student, toy), data, tau), wanted, f"a model with two equal heads, tau={tau:.3g}", slip)


@hidden(PRUNE, weight=1)
def no_threshold_and_a_huge_one(student: Student, rng: np.random.Generator) -> None:
    """Under a huge tau nothing is left, under a tiny one everything that has an effect."""
    toy = _toy(rng, n_layers=2, n_heads=2)
    m, data = _place(student, toy), _rows(rng, toy, (5,), 5)
    _agree(_edges(student, m, data, 1e9), set(), "tau=1e9", "Every removal raises the divergence by less.")
    oracle = _Pruner(toy, data)
    wanted, rises = oracle.prune(1e-12)
    if min(abs(r) for r in rises) > 1e-9:
        _agree(_edges(student, m, data, 1e-12), wanted, "tau=1e-12", "A removal that raises the divergence by more stays undone.")


@hidden(PRUNE, weight=1)
def knows_its_limits(student: Student, rng: np.random.Generator) -> None:
    """A model with an MLP is refused, and the model is left as it was."""
    toy = _toy(rng, n_layers=1, d_mlp=5)
    data = _rows(rng, toy, (3,), 4)
    raises("ValueError", lambda: student.fn("prune_edges")(_place(student, toy), data, 0.1), "prune_edges on a model with an MLP")
    toy = _toy(rng, n_layers=1, n_heads=2)
    m = _place(student, toy)
    student.fn("prune_edges")(m, _rows(rng, toy, (3,), 4), 0.1)
    tokens = integers(rng, 0, toy.sizes["d_vocab"], 2, 4)
    close(
        m(tokens).detach(),
        toy.run(tokens).logits,
        "logits of the model afterwards",
        rtol=1e-10,
        slip="Is the model itself changed?",
    )
