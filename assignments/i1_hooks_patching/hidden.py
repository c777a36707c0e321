"""Hidden checks of I1: the oracle that all parts share; Hooks, run_with_cache. Student and rng in, silence or a hint out.

The oracle computes a TinyGPT in float64 from its weights, head by head. Models are float64 too and have two blocks and under a
thousand parameters, so 1e-9 of the largest entry is a thousand roundings. The functions that a student's hooks call, and the
metrics, are the referee's own: they run here, and what they get is checked here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from autograder.grading.checks import hidden
from autograder.grading.compare import close, evaluate, integers, load, normal, pair, raises, same, sizes, tensor
from autograder.sandbox.student import Student, StudentModule

HOOKS, CACHE = "i1_hooks_patching.hooks", "i1_hooks_patching.run_with_cache"
F64 = torch.float64
Config = dict[str, Any]
Edit = Callable[[str, Tensor], Tensor]


@dataclass(frozen=True)
class Oracle:
    """A TinyGPT of known weights, as a function: `run` gives the logits and every submodule's output, by name."""

    config: Config
    state: Mapping[str, Tensor]

    @property
    def n_layers(self) -> int:
        return int(self.config["n_layers"])

    @property
    def unembedding(self) -> Tensor:
        return self.state.get("unembed.weight", self.state["tok_emb.weight"])

    def run(self, tokens: Tensor, edit: Edit = lambda name, value: value) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the model; `edit(name, value)` may replace each output before it is used."""
        seen: dict[str, Tensor] = {}

        def out(name: str, value: Tensor) -> Tensor:
            seen[name] = edit(name, value)
            return seen[name]

        x = out("tok_emb", self.state["tok_emb.weight"][tokens]) + out("pos_emb", self.state["pos_emb.weight"][: tokens.shape[1]])
        for i in range(self.n_layers):
            x = out(f"blocks.{i}", self._block(f"blocks.{i}.", x, out))
        logits = out("unembed", self._linear("unembed", out("norm_f", self.norm("norm_f", x))))
        return logits, seen

    def norm(self, name: str, x: Tensor) -> Tensor:
        if self.config.get("norm") == "none":
            return x
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return F.layer_norm(x, weight.shape, weight, bias, self.config.get("eps", 1e-5))

    def _linear(self, name: str, x: Tensor) -> Tensor:
        weight = self.unembedding if name == "unembed" else self.state[f"{name}.weight"]
        return F.linear(x, weight, self.state.get(f"{name}.bias"))

    def _block(self, at: str, x: Tensor, out: Callable[[str, Tensor], Tensor]) -> Tensor:
        x = out(f"{at}resid_pre", x)
        attn = self._attention(f"{at}attn.", out(f"{at}norm1", self.norm(f"{at}norm1", x)), out)
        x = out(f"{at}resid_mid", x + out(f"{at}attn", attn))
        hidden_in = out(f"{at}mlp.up", self._linear(f"{at}mlp.up", out(f"{at}norm2", self.norm(f"{at}norm2", x))))
        active = hidden_in if self.config.get("act") == "none" else F.gelu(hidden_in)
        post = out(f"{at}mlp.post", out(f"{at}mlp.act", active))
        return out(f"{at}resid_post", x + out(f"{at}mlp", out(f"{at}mlp.down", self._linear(f"{at}mlp.down", post))))

    def _attention(self, at: str, x: Tensor, out: Callable[[str, Tensor], Tensor]) -> Tensor:
        h, e, t = self.config["n_heads"], self.config["d_head"], x.shape[1]
        rows = out(f"{at}qkv", self._linear(f"{at}qkv", x)).view(*x.shape[:2], 3, h, e)
        q, k, v = (out(f"{at}{n}", rows[:, :, i]) for i, n in enumerate("qkv"))
        scores = torch.stack([q[:, :, i] @ k[:, :, i].mT for i in range(h)], dim=1) * e**-0.5
        future = torch.arange(t)[:, None] < torch.arange(t)
        pattern = out(f"{at}pattern", torch.where(future, -torch.inf, out(f"{at}scores", scores)).softmax(-1))
        z = out(f"{at}z", torch.stack([pattern[:, i] @ v[:, :, i] for i in range(h)], dim=2))
        return out(f"{at}out", self._linear(f"{at}out", z.reshape(*x.shape[:2], h * e)))


def draw_config(rng: np.random.Generator, **choices: Any) -> Config:
    """Draw a small ModelConfig: all sizes different, an eps that matters, two or three heads."""
    d_vocab, d_model, d_head, d_mlp = sizes(rng, 4, 5, 13)
    sized = {"d_vocab": d_vocab, "n_ctx": 14, "d_model": d_model, "n_heads": int(rng.integers(2, 4)), "d_head": d_head}
    return {**sized, "d_mlp": d_mlp, "n_layers": 2, "eps": float(rng.uniform(0.01, 0.2)), "dtype": F64, **choices}


def draw_state(rng: np.random.Generator, c: Config) -> dict[str, Tensor]:
    """Draw weights under which every part matters: norms are not 1, biases not 0, means not 0."""
    d, m, he, biased = c["d_model"], c["d_mlp"], c["n_heads"] * c["d_head"], c.get("bias", True)
    state = {"tok_emb.weight": normal(rng, c["d_vocab"], d) + 0.5, "pos_emb.weight": normal(rng, c["n_ctx"], d) - 0.3}
    for i in range(c["n_layers"]):
        for name, shape in (("attn.qkv", (3 * he, d)), ("attn.out", (d, he)), ("mlp.up", (m, d)), ("mlp.down", (d, m))):
            state[f"blocks.{i}.{name}.weight"] = normal(rng, *shape, scale=1.5 * shape[1] ** -0.5)
            if biased:
                state[f"blocks.{i}.{name}.bias"] = normal(rng, shape[0], scale=0.5)
    names = [f"blocks.{i}.norm{n}" for i in range(c["n_layers"]) for n in (1, 2)] + ["norm_f"]
    if c.get("norm") != "none":
        for name in names:
            state[f"{name}.weight"] = 1 + normal(rng, d, scale=0.3)
            state[f"{name}.bias"] = normal(rng, d, scale=0.5)
    return state if c.get("tied") else state | {"unembed.weight": normal(rng, c["d_vocab"], d)}


def give(student: Student, c: Config, state: Mapping[str, Tensor]) -> StudentModule:
    """Build the given class in the player, with these weights."""
    m = student.module("TinyGPT", student.make("ModelConfig", **c))
    load(m, state, "TinyGPT", {"unembed.weight": "tok_emb.weight"} if c.get("tied") else None)
    return m


def draw_model(student: Student, rng: np.random.Generator, **choices: Any) -> tuple[StudentModule, Oracle]:
    """Draw a model; return it as the student's code gets it, and the oracle."""
    c = draw_config(rng, **choices)
    state = draw_state(rng, c)
    return give(student, c, state), Oracle(c, state)


def draw_tokens(rng: np.random.Generator, oracle: Oracle, b: int, t: int) -> Tensor:
    return integers(rng, 0, oracle.config["d_vocab"], b, t)


def as_before(student: Student, m: StudentModule, tokens: Tensor, before: Tensor, what: str, n_hooks: int = 0) -> None:
    """Assert that the model computes what it computed, bit for bit, and has as many hooks as it had."""
    same(evaluate(m, tokens), before, f"logits of the model after {what}", "Does something of yours stay on the model?")
    found = student.fn("count_hooks")(m)
    assert found == n_hooks, (
        f"after {what} the model has {found} hooks; before it had {n_hooks}. Whose are they, and who removes them?"
    )


# -- Hooks -----------------------------------------------------------------------------------------------------------------


class Watch:
    """A hook's function of the referee: it notes what it gets, and returns None or what `change` makes of it."""

    def __init__(self, change: Callable[[Tensor], Tensor] | None = None) -> None:
        self.change, self.seen, self.names = change, [], []

    def __call__(self, value: Any, name: Any) -> Tensor | None:
        found = tensor(value, "what a hook's function is given first").detach()
        self.seen.append(found)
        self.names.append(name)
        return self.change(found) if self.change else None


def within(student: Student, hooks: Any, body: Callable[[], Any]) -> Any:
    with torch.no_grad():
        return student.fn("inside")(hooks, body)


def make_hooks(student: Student, m: StudentModule, *hooks: tuple[str, Any]) -> Any:
    return student.make("Hooks", m, list(hooks))


@hidden(HOOKS, weight=2, core=True)
def sees_and_replaces(student: Student, rng: np.random.Generator) -> None:
    """A function sees the output of its submodule; what it returns takes the output's place, None leaves it."""
    for site in ("blocks.0.attn.z", "blocks.1.resid_mid", "blocks.1.mlp", "tok_emb"):
        m, oracle = draw_model(student, rng)
        tokens = draw_tokens(rng, oracle, 3, 5)
        plain, seen = oracle.run(tokens)
        watch = Watch()
        found = within(student, make_hooks(student, m, (site, watch)), lambda m=m, x=tokens: evaluate(m, x))
        close(found, plain, f"logits while a function at {site} returns None", rtol=1e-9, slip="None leaves the output as it is.")
        assert len(watch.seen) == 1, f"in one run the function at {site} is called {len(watch.seen)} times, expected once."
        close(watch.seen[0], seen[site], f"what the function at {site} is given", rtol=1e-9, slip="The output, not the input.")
        assert watch.names == [site], f"the function at {site} is given another name than {site} as its second argument."
        scale = float(rng.uniform(1.5, 3))
        expected, _ = oracle.run(tokens, lambda n, x, s=site, k=scale: x * k if n == s else x)
        change = Watch(lambda x, k=scale: x * k)
        found = within(student, make_hooks(student, m, (site, change)), lambda m=m, x=tokens: evaluate(m, x))
        close(found, expected, f"logits while {site} is multiplied by {scale:.2f}", rtol=1e-9, slip="Is what fn returns used?")


@hidden(HOOKS, weight=2)
def each_with_its_name_and_in_order(student: Student, rng: np.random.Generator) -> None:
    """Several hooks: each is called with its own name, and two at one place act in the order of the list."""
    m, oracle = draw_model(student, rng)
    tokens = draw_tokens(rng, oracle, 2, 4)
    sites = ["blocks.1.attn.z", "blocks.0.mlp.post", "blocks.0.resid_pre", "norm_f"]
    watches = [Watch() for _ in sites]
    within(student, make_hooks(student, m, *zip(sites, watches, strict=True)), lambda: evaluate(m, tokens))
    for site, watch in zip(sites, watches, strict=True):
        assert watch.names == [site], f"of 4 hooks, the one at {site} is called for {watch.names}. Which name does each keep?"
    # A shift by the same number in every feature would be taken away by the norms.
    site, shift, scale = "blocks.1.resid_pre", normal(rng, oracle.config["d_model"]), float(rng.uniform(2, 3))
    first, second, third = Watch(lambda x: x + shift), Watch(), Watch(lambda x: x * scale)
    found = within(student, make_hooks(student, m, (site, first), (site, second), (site, third)), lambda: evaluate(m, tokens))
    expected, _ = oracle.run(tokens, lambda n, x: (x + shift) * scale if n == site else x)
    _, seen = oracle.run(tokens)
    assert len(second.seen) == 1, "of three functions for one name the second is not called once."
    slip = "Each function sees what the one before it in the list left."
    close(second.seen[0], seen[site] + shift, "what the second of three functions for one name sees", rtol=1e-9, slip=slip)
    close(found, expected, "logits while one name has three functions (+, None, x)", rtol=1e-9, slip=slip)


@hidden(HOOKS, weight=3)
def nothing_stays(student: Student, rng: np.random.Generator) -> None:
    """Before entering and after leaving the model is itself, also when the block or a function raises; exceptions pass."""
    m, oracle = draw_model(student, rng)
    tokens = draw_tokens(rng, oracle, 2, 4)
    plain = evaluate(m, tokens)
    watch = Watch(lambda x: x * 2)
    hooks = make_hooks(student, m, ("blocks.0.attn.z", watch), ("blocks.1.mlp", watch))
    as_before(student, m, tokens, plain, "making Hooks without entering it")
    within(student, hooks, lambda: evaluate(m, tokens))
    as_before(student, m, tokens, plain, "a `with Hooks` block")

    def fails(*_: Any) -> None:
        evaluate(m, tokens)
        raise ValueError("drawn")

    def unanswerable(value: Any, name: Any) -> None:
        raise ValueError("drawn")

    # A function of ours that raises reaches the student's code as RuntimeError, whatever it raised here.
    raises("RuntimeError", lambda: within(student, hooks, fails), "an exception inside the block")
    as_before(student, m, tokens, plain, "a block in which an exception was raised")
    bad = make_hooks(student, m, ("blocks.0.attn.z", watch), ("blocks.1.mlp", unanswerable))
    raises("RuntimeError", lambda: within(student, bad, lambda: evaluate(m, tokens)), "an exception in a hook's function")
    as_before(student, m, tokens, plain, "a block in which a hook's function raised")


@hidden(HOOKS, weight=2)
def hooks_of_others_stay(student: Student, rng: np.random.Generator) -> None:
    """Hooks that somebody else put on the same submodules act during the block and are there after it."""
    m, oracle = draw_model(student, rng)
    tokens = draw_tokens(rng, oracle, 2, 4)
    site, scale = "blocks.0.mlp", float(rng.uniform(1.5, 3))
    calls: list[int] = []

    def permanent(part: Any, args: Any, out: Tensor) -> Tensor:
        calls.append(1)
        return out * scale

    handle = m.part(site).call("register_forward_hook", permanent)
    before, watch = evaluate(m, tokens), Watch()
    expected, seen = oracle.run(tokens, lambda n, x: x * scale if n == site else x)
    found = within(student, make_hooks(student, m, (site, watch), ("blocks.0.resid_post", watch)), lambda: evaluate(m, tokens))
    slip = "Only your own hooks are yours to remove or to replace."
    close(found, expected, f"logits inside the block, with a permanent hook on {site}", rtol=1e-9, slip=slip)
    assert len(watch.seen) == 2, f"two hooks, one run: {len(watch.seen)} calls."
    close(watch.seen[0], seen[site], f"what a function at {site} sees after a permanent hook", rtol=1e-9, slip=slip)
    as_before(student, m, tokens, before, f"a block, with a permanent hook on {site}", n_hooks=1)
    assert len(calls) == 3, f"in three runs the permanent hook was called {len(calls)} times. {slip}"
    handle.call("remove")


@hidden(HOOKS, weight=2)
def nested_and_entered_again(student: Student, rng: np.random.Generator) -> None:
    """Blocks nest on one submodule: the outer one acts first and outlives the inner one; an object can be entered again."""
    m, oracle = draw_model(student, rng)
    tokens = draw_tokens(rng, oracle, 2, 4)
    # A shift by the same number in every feature would be taken away by the norms.
    site, shift, scale = "blocks.1.resid_pre", normal(rng, oracle.config["d_model"]), float(rng.uniform(2, 3))
    outer = make_hooks(student, m, (site, Watch(lambda x: x + shift)))
    inner = make_hooks(student, m, (site, Watch(lambda x: x * scale)))
    found: list[Tensor] = []

    def nested() -> Tensor:
        found.append(within(student, inner, lambda: evaluate(m, tokens)))
        found.append(evaluate(m, tokens))
        return found[-1]

    plain = evaluate(m, tokens)
    for turn in ("entered", "entered again"):
        found.clear()
        within(student, outer, nested)
        both, _ = oracle.run(tokens, lambda n, x: (x + shift) * scale if n == site else x)
        one, _ = oracle.run(tokens, lambda n, x: x + shift if n == site else x)
        close(found[0], both, f"logits in two nested blocks, {turn}", rtol=1e-9, slip="Does the outer function act first?")
        close(found[1], one, f"logits after the inner block, {turn}", rtol=1e-9, slip="Does the inner block remove too much?")
        as_before(student, m, tokens, plain, f"two nested blocks, {turn}")


@hidden(HOOKS, weight=1)
def unknown_names_are_refused(student: Student, rng: np.random.Generator) -> None:
    """A name that is no submodule: ValueError, and the hooks before it in the list are not left behind."""
    m, oracle = draw_model(student, rng)
    tokens = draw_tokens(rng, oracle, 2, 4)
    plain, watch = evaluate(m, tokens), Watch(lambda x: x * 2)
    for name in ("blocks.7.mlp", "attn", "blocks.0.attn.zz"):

        def attempt(name: str = name) -> None:
            hooks = make_hooks(student, m, ("blocks.0.mlp", watch), (name, watch), ("blocks.1.mlp", watch))
            within(student, hooks, lambda: evaluate(m, tokens))

        raises("ValueError", attempt, f'Hooks at "blocks.0.mlp", "{name}", "blocks.1.mlp"')
        as_before(student, m, tokens, plain, "an unknown name")


# -- run_with_cache --------------------------------------------------------------------------------------------------------


def cached(student: Student, m: StudentModule, tokens: Tensor, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
    logits, cache = pair(student.fn("run_with_cache")(m, tokens, *args, **kwargs), "run_with_cache(...)")
    assert type(cache) is dict, "the second thing that run_with_cache returns must be a dict."
    return logits, cache


@hidden(CACHE, weight=3, core=True)
def outputs_by_name(student: Student, rng: np.random.Generator) -> None:
    """The logits of a plain run, and the outputs of exactly the named submodules."""
    for names in (["blocks.1.attn.z", "tok_emb", "blocks.0.mlp"], ["blocks.0.norm1"], ("norm_f", "blocks.1.attn.pattern")):
        m, oracle = draw_model(student, rng)
        tokens = draw_tokens(rng, oracle, *sizes(rng, 2, 1, 7))
        plain, seen = oracle.run(tokens)
        logits, cache = cached(student, m, tokens, names)
        close(logits, plain, f"logits with names {names}", rtol=1e-9)
        assert set(cache) == set(names), (
            f"asked for {len(names)} names, the cache has {len(cache)}: the names asked for, no others."
        )
        for name in names:
            close(cache[name], seen[name], f'cache["{name}"]', rtol=1e-9, slip="What the submodule returned, not what it got.")


@hidden(CACHE, weight=1)
def everything_by_default(student: Student, rng: np.random.Generator) -> None:
    """Without names every submodule that returns a tensor is there; no names at all give an empty cache."""
    m, oracle = draw_model(student, rng)
    tokens = draw_tokens(rng, oracle, 2, 4)
    plain, seen = oracle.run(tokens)
    logits, cache = cached(student, m, tokens)
    missing = [name for name in seen if name not in cache]
    assert not missing, f"names=None: {len(missing)} submodules are missing in the cache, the first is {missing[0]}."
    surplus = len(set(cache) - set(seen))
    assert not surplus, f"names=None: {surplus} entries of the cache are no outputs of a submodule. See the docstring, first lines."
    for name, value in seen.items():
        close(cache[name], value, f'cache["{name}"], names=None', rtol=1e-9)
    logits, cache = cached(student, m, tokens, [])
    close(logits, plain, "logits with names=[]", rtol=1e-9)
    assert not cache, f"names=[]: the cache has {len(cache)} entries, expected none. [] is not None."


@hidden(CACHE, weight=2)
def copies_not_views(student: Student, rng: np.random.Generator) -> None:
    """A copy holds the output as it was returned: the model masks its scores in place afterwards."""
    m, oracle = draw_model(student, rng)
    tokens = draw_tokens(rng, oracle, 2, 5)
    _, seen = oracle.run(tokens)
    for grad in (False, True):
        _, cache = cached(student, m, tokens, ["blocks.0.attn.scores", "blocks.1.attn.scores"], grad=grad)
        for name in ("blocks.0.attn.scores", "blocks.1.attn.scores"):
            slip = "The model goes on working with its own tensor, in place. Did you keep that tensor, or a copy?"
            close(cache.get(name), seen[name], f'cache["{name}"], grad={grad}', rtol=1e-9, slip=slip)


@hidden(CACHE, weight=2)
def graph_when_asked(student: Student, rng: np.random.Generator) -> None:
    """Without grad nothing carries a graph; with grad, gradients flow from logits and copies to the parameters."""
    m, oracle = draw_model(student, rng)
    tokens, names = draw_tokens(rng, oracle, 2, 4), ["blocks.0.mlp", "blocks.1.resid_mid"]
    logits, cache = cached(student, m, tokens, names)
    for name, value in {"logits": logits, **cache}.items():
        assert not tensor(value, name).requires_grad, f"grad=False: {name} requires gradients. Nobody asked for a graph."
    logits, cache = cached(student, m, tokens, names, True)
    leaves = {n: w.clone().requires_grad_() for n, w in oracle.state.items()}
    right_logits, seen = Oracle(oracle.config, leaves).run(tokens)
    own = dict(m.named_parameters())
    wanted = [n for n in leaves if n in ("tok_emb.weight", "blocks.0.attn.out.weight", "blocks.0.mlp.down.bias")]
    for name, value in {"logits": logits, **{n: cache.get(n) for n in names}}.items():
        found, right = tensor(value, name), right_logits if name == "logits" else seen[name]
        assert found.requires_grad, f"grad=True: {name} does not require gradients. Is it detached, or made under no_grad?"
        upstream = normal(rng, *right.shape)
        expected = torch.autograd.grad(right, [leaves[n] for n in wanted], upstream, retain_graph=True, allow_unused=True)
        gradients = torch.autograd.grad(found, [own[n] for n in wanted], upstream, retain_graph=True, allow_unused=True)
        for n, g, e in zip(wanted, gradients, expected, strict=True):
            zero = torch.zeros_like(leaves[n])
            close(zero if g is None else g, zero if e is None else e, f"gradient of {n} from {name}", rtol=1e-9)


@hidden(CACHE, weight=2)
def leaves_no_hook(student: Student, rng: np.random.Generator) -> None:
    """Afterwards the model has the hooks it had, also when it raises; those of others act as ever; unknown names are refused."""
    m, oracle = draw_model(student, rng)
    tokens, scale = draw_tokens(rng, oracle, 2, 4), float(rng.uniform(1.5, 3))
    plain = evaluate(m, tokens)
    cached(student, m, tokens, ["blocks.0.attn.z"])
    cached(student, m, tokens)
    as_before(student, m, tokens, plain, "run_with_cache")
    raises("ValueError", lambda: cached(student, m, tokens, ["blocks.0.mlp", "blocks.0.mpl"]), 'run_with_cache with "blocks.0.mpl"')
    as_before(student, m, tokens, plain, "run_with_cache with an unknown name")
    long = draw_tokens(rng, oracle, 1, oracle.config["n_ctx"] + 1)
    raises("ValueError", lambda: cached(student, m, long, ["blocks.0.mlp"]), "run_with_cache on more tokens than positions")
    as_before(student, m, tokens, plain, "run_with_cache of a model that raises")
    handle = m.part("blocks.0.mlp").call("register_forward_hook", lambda part, args, out: out * scale)
    before = evaluate(m, tokens)
    expected, seen = oracle.run(tokens, lambda n, x: x * scale if n == "blocks.0.mlp" else x)
    logits, cache = cached(student, m, tokens, ["blocks.0.mlp"])
    close(logits, expected, "logits with a permanent hook on blocks.0.mlp", rtol=1e-9)
    close(cache.get("blocks.0.mlp"), seen["blocks.0.mlp"], 'cache["blocks.0.mlp"] with a permanent hook there', rtol=1e-9)
    as_before(student, m, tokens, before, "run_with_cache, with a permanent hook", n_hooks=1)
    handle.call("remove")
