"""Wrong and right answers to I1: Hooks, run_with_cache.

A mutant is a slip that people make: the checks that it names must reject it, and its hint is what a student reads whose
outputs equal its. An alternative is right in another way: every check must accept it.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import nn

from autograder.grading.checks import alternative, mutant, mutant_edit

HOOKS, CACHE = "i1_hooks_patching.hooks", "i1_hooks_patching.run_with_cache"

# -- Hooks -----------------------------------------------------------------------------------------------------------------

REGISTER = "part.register_forward_hook(lambda _part, _args, out, name=name, fn=fn: fn(out, name))"


@mutant(HOOKS, caught_by="hooks_of_others_stay", hint="On leaving you remove every hook of the submodule. Some are not yours.")
class Hooks:
    """removes all hooks of the module"""

    def __init__(self, model, hooks):
        self.hooks = [(model.get_submodule(name), name, fn) for name, fn in hooks if name in dict(model.named_modules())]
        if len(self.hooks) < len(hooks):
            raise ValueError("unknown name")

    def __enter__(self):
        for part, name, fn in self.hooks:
            part.register_forward_hook(lambda m, a, out, name=name, fn=fn: fn(out, name))
        return self

    def __exit__(self, *exception):
        for part, _, _ in self.hooks:
            part._forward_hooks.clear()


mutant_edit(
    HOOKS,
    ("lambda _part, _args, out, name=name, fn=fn: fn(out, name)", "lambda _part, _args, out, fn=fn: fn(out, name)"),
    caught_by="each_with_its_name_and_in_order",
    label="the closure sees the last name of the loop",
    hint="All your functions are called with the last name: a closure looks its variable up when it runs, not when it is made.",
)
mutant_edit(
    HOOKS,
    ("lambda _part, _args, out, name=name, fn=fn: fn(out, name)", "lambda _part, _args, out: fn(out, name)"),
    caught_by="each_with_its_name_and_in_order",
    label="the closure sees the last function of the loop",
    hint="All your hooks call the last function: a closure looks its variable up when it runs, not when it is made.",
)
mutant_edit(
    HOOKS,
    (": fn(out, name))\n", ": (fn(out, name), None)[1])\n"),
    caught_by="sees_and_replaces",
    label="the return value is ignored",
    hint="Your functions are called, but what they return is dropped. It should take the output's place.",
)
mutant_edit(
    HOOKS,
    ("lambda _part, _args, out, name=name, fn=fn: fn(out, name)", "lambda _part, args, out, name=name, fn=fn: fn(args[0], name)"),
    caught_by="sees_and_replaces",
    label="functions get the input",
    hint="Your functions are given what goes into the submodule. They should see what comes out.",
)
mutant_edit(
    HOOKS,
    ("register_forward_hook(lambda _part, _args, out, ", "register_forward_hook(prepend=True, hook=lambda _part, _args, out, "),
    caught_by=("each_with_its_name_and_in_order", "hooks_of_others_stay", "nested_and_entered_again"),
    label="the last hook acts first",
    hint="Your hooks act before those that were there already: the order is turned round.",
)
mutant_edit(
    HOOKS,
    (
        "    def __exit__(self, *exception: object) -> None:\n        self._handles.close()",
        "    def __exit__(self, *exception: object) -> None:\n        if exception[0] is None:\n            self._handles.close()",
    ),
    caught_by="nothing_stays",
    label="hooks stay after an exception",
    hint="When something raises inside the block, your hooks stay on the model.",
)
mutant_edit(
    HOOKS,
    (
        "    def __exit__(self, *exception: object) -> None:\n        self._handles.close()",
        "    def __exit__(self, *exception: object) -> bool:\n        self._handles.close()\n        return True",
    ),
    caught_by="nothing_stays",
    label="exceptions are swallowed",
    hint="An exception inside the block disappears: what `__exit__` returns decides whether it goes on.",
)
mutant_edit(
    HOOKS,
    ("        self._handles.close()", "        self._handles.pop_all()"),
    caught_by="nothing_stays",
    label="nothing is removed",
    hint="Your hooks stay on the model after the block.",
)


@mutant(
    HOOKS,
    caught_by="nothing_stays",
    hint="Your hooks are on the model as soon as the object exists. They should be added on entering.",
)
class Hooks:
    """adds hooks when it is made"""

    def __init__(self, model, hooks):
        parts = dict(model.named_modules())
        if any(name not in parts for name, _ in hooks):
            raise ValueError("unknown name")
        self.handles = [parts[name].register_forward_hook(lambda m, a, out, n=name, f=fn: f(out, n)) for name, fn in hooks]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for handle in self.handles:
            handle.remove()


@mutant(
    HOOKS,
    caught_by="unknown_names_are_refused",
    hint="When one name is unknown, the hooks before it in the list stay on the model.",
)
class Hooks:
    """half of the hooks stay when a name is unknown"""

    def __init__(self, model, hooks):
        self.model, self.hooks, self.handles = model, hooks, []

    def __enter__(self):
        parts = dict(self.model.named_modules())
        for name, fn in self.hooks:
            if name not in parts:
                raise ValueError(f"no submodule {name}")
            self.handles.append(parts[name].register_forward_hook(lambda m, a, out, n=name, f=fn: f(out, n)))
        return self

    def __exit__(self, *exception):
        while self.handles:
            self.handles.pop().remove()


@mutant(
    HOOKS, caught_by="unknown_names_are_refused", hint="An unknown name gives AttributeError. The docstring asks for ValueError."
)
class Hooks:
    """get_submodule's own error"""

    def __init__(self, model, hooks):
        self.hooks = [(model.get_submodule(name), name, fn) for name, fn in hooks]
        self.handles = []

    def __enter__(self):
        self.handles = [part.register_forward_hook(lambda m, a, out, n=n, f=f: f(out, n)) for part, n, f in self.hooks]
        return self

    def __exit__(self, *exception):
        for handle in self.handles:
            handle.remove()


@mutant(
    HOOKS,
    caught_by="each_with_its_name_and_in_order",
    hint="Of several functions for one name only the last acts. Is there a dict by name?",
)
class Hooks:
    """one function per name"""

    def __init__(self, model, hooks):
        parts = dict(model.named_modules())
        if any(name not in parts for name, _ in hooks):
            raise ValueError("unknown name")
        self.parts, self.hooks, self.handles = parts, dict(hooks), []

    def __enter__(self):
        for name, fn in self.hooks.items():
            self.handles.append(self.parts[name].register_forward_hook(lambda m, a, out, n=name, f=fn: f(out, n)))
        return self

    def __exit__(self, *exception):
        while self.handles:
            self.handles.pop().remove()


@mutant(HOOKS, caught_by="nested_and_entered_again", hint="Entered a second time, your object adds nothing. Where are hooks added?")
class Hooks:
    """works once"""

    def __init__(self, model, hooks):
        self.parts, self.todo, self.handles = dict(model.named_modules()), list(hooks), []
        if any(name not in self.parts for name, _ in hooks):
            raise ValueError("unknown name")

    def __enter__(self):
        while self.todo:
            name, fn = self.todo.pop(0)
            self.handles.append(self.parts[name].register_forward_hook(lambda m, a, out, n=name, f=fn: f(out, n)))
        return self

    def __exit__(self, *exception):
        while self.handles:
            self.handles.pop().remove()


@mutant(
    HOOKS,
    caught_by="hooks_of_others_stay",
    hint="You put the hooks away that were there and bring them back later. They should act inside the block as well.",
)
class Hooks:
    """the hooks of others are put away for the block"""

    def __init__(self, model, hooks):
        parts = dict(model.named_modules())
        if any(name not in parts for name, _ in hooks):
            raise ValueError("unknown name")
        self.hooks = [(parts[name], name, fn) for name, fn in hooks]

    def __enter__(self):
        self.saved = [(part, dict(part._forward_hooks)) for part in {id(p): p for p, _, _ in self.hooks}.values()]
        for part, _ in self.saved:
            part._forward_hooks.clear()
        for part, name, fn in self.hooks:
            part.register_forward_hook(lambda m, a, out, n=name, f=fn: f(out, n))
        return self

    def __exit__(self, *exception):
        for part, hooks in self.saved:
            part._forward_hooks.clear()
            part._forward_hooks.update(hooks)


@alternative(HOOKS, label="handles in a list, names found on entering")
class Hooks:
    def __init__(self, model: nn.Module, hooks) -> None:
        self.model, self.hooks, self.handles = model, list(hooks), []

    def _hook(self, name, fn):
        def hook(module, args, output):
            return fn(output, name)

        return hook

    def __enter__(self) -> Self:
        try:
            for name, fn in self.hooks:
                self.handles.append(self.model.get_submodule(name).register_forward_hook(self._hook(name, fn)))
        except AttributeError as e:
            self.__exit__()
            raise ValueError(str(e)) from e
        return self

    def __exit__(self, *exception) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles.clear()


@alternative(HOOKS, label="a generator inside, one hook per submodule")
class Hooks:
    def __init__(self, model, hooks):
        by_name = {}
        for name, fn in hooks:
            by_name.setdefault(name, []).append(fn)
        known = dict(model.named_modules())
        for name in by_name:
            if name not in known:
                raise ValueError(name)
        self._parts = [(known[name], name, fns) for name, fns in by_name.items()]

    from contextlib import contextmanager

    @contextmanager
    def _on(self):
        handles = []
        try:
            for part, name, fns in self._parts:

                def chain(module, args, out, name=name, fns=fns):
                    for fn in fns:
                        new = fn(out, name)
                        out = out if new is None else new
                    return out

                handles.append(part.register_forward_hook(chain))
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def __enter__(self):
        self._context = self._on()
        return self._context.__enter__()

    def __exit__(self, *exception):
        return self._context.__exit__(*exception)


# -- run_with_cache --------------------------------------------------------------------------------------------------------

mutant_edit(
    CACHE,
    ("cache[name] = value.clone()", "cache[name] = value"),
    caught_by="copies_not_views",
    label="keeps the tensor itself",
    hint="Your cache holds the model's own tensors. The model goes on working in them: its scores come back masked.",
)
mutant_edit(
    CACHE,
    ("cache[name] = value.clone()", "cache[name] = value.detach()"),
    caught_by=("copies_not_views", "graph_when_asked"),
    label="detach is not a copy",
    hint="A detached tensor shares its memory with the model's own, and has no graph when one was asked for.",
)
mutant_edit(
    CACHE,
    ("cache[name] = value.clone()", "cache[name] = value.detach().clone()"),
    caught_by="graph_when_asked",
    label="detaches when grad is asked",
    hint="With grad=True your copies have no graph: they are detached.",
)
mutant_edit(
    CACHE,
    ("torch.set_grad_enabled(grad)", "torch.set_grad_enabled(True)"),
    caught_by="graph_when_asked",
    label="always records a graph",
    hint="Without grad your logits and copies carry a graph. It keeps every activation alive.",
)
mutant_edit(
    CACHE,
    ("torch.set_grad_enabled(grad)", "torch.no_grad()"),
    caught_by="graph_when_asked",
    label="never records a graph",
    hint="You ignore `grad`: nothing ever has a graph.",
)
mutant_edit(
    CACHE,
    ("        logits = model(tokens)\n", "        logits = model(tokens)\n        logits = logits.detach()\n"),
    caught_by="graph_when_asked",
    label="logits are detached",
    hint="With grad=True the copies have a graph, the logits have none.",
)
mutant_edit(
    CACHE,
    ("if names is None else list(names)", "if not names else list(names)"),
    caught_by="everything_by_default",
    label="an empty list stands for everything",
    hint="An empty list of names asks for nothing. Only None asks for everything.",
)
mutant_edit(
    CACHE,
    ("if names is None else list(names)", ""),
    caught_by="outputs_by_name",
    label="the names are ignored",
    hint="Your cache holds everything, whatever names are asked for.",
)
mutant_edit(
    CACHE,
    ("for name, _ in model.named_modules() if name]", 'for name, _ in model.named_modules() if name.startswith("blocks.0")]'),
    caught_by="everything_by_default",
    label="by default only one block",
    hint="Without names your cache lacks some submodules.",
)
mutant_edit(
    CACHE,
    ("for name, _ in model.named_modules() if name]", "for name, part in model.named_modules() if not list(part.children())]"),
    caught_by="everything_by_default",
    label="by default only submodules without parts",
    hint="Without names your cache lacks what has parts itself, such as blocks.0.mlp. Its output is one too.",
)


@mutant(CACHE, caught_by="outputs_by_name", hint="Your cache holds what goes into the submodules. Their outputs are asked for.")
def run_with_cache(model, tokens, names=None, grad=False):
    """caches inputs"""
    cache, handles, parts = {}, [], dict(model.named_modules())
    chosen = [n for n in parts if n] if names is None else list(names)
    if any(n not in parts for n in chosen):
        raise ValueError("unknown")
    for n in chosen:
        handles.append(parts[n].register_forward_pre_hook(lambda m, a, n=n: cache.update({n: a[0].clone()})))
    try:
        with torch.set_grad_enabled(grad):
            return model(tokens), cache
    finally:
        for handle in handles:
            handle.remove()


@mutant(CACHE, caught_by="leaves_no_hook", hint="Your hooks stay on the model after the run.")
def run_with_cache(model, tokens, names=None, grad=False):
    """leaves its hooks"""
    cache, parts = {}, dict(model.named_modules())
    chosen = [n for n in parts if n] if names is None else list(names)
    if any(n not in parts for n in chosen):
        raise ValueError("unknown")
    for n in chosen:
        parts[n].register_forward_hook(lambda m, a, out, n=n: cache.update({n: out.clone()}))
    with torch.set_grad_enabled(grad):
        return model(tokens), dict(cache)


@mutant(CACHE, caught_by="leaves_no_hook", hint="When the model raises, your hooks stay on it.")
def run_with_cache(model, tokens, names=None, grad=False):
    """leaves its hooks when the model raises"""
    cache, handles, parts = {}, [], dict(model.named_modules())
    chosen = [n for n in parts if n] if names is None else list(names)
    if any(n not in parts for n in chosen):
        raise ValueError("unknown")
    for n in chosen:
        handles.append(parts[n].register_forward_hook(lambda m, a, out, n=n: cache.update({n: out.clone()})))
    with torch.set_grad_enabled(grad):
        logits = model(tokens)
    for handle in handles:
        handle.remove()
    return logits, cache


@mutant(
    CACHE, caught_by="leaves_no_hook", hint="Unknown names are left out in silence. They are mistakes of the caller: ValueError."
)
def run_with_cache(model, tokens, names=None, grad=False):
    """unknown names are left out"""
    known = [n for n, _ in model.named_modules() if n]
    cache = {}
    hooks = [(n, lambda v, n: cache.update({n: v.clone()})) for n in known if names is None or n in names]
    with torch.set_grad_enabled(grad), Hooks(model, hooks):
        return model(tokens), cache


@alternative(CACHE, label="torch's hooks by hand")
def run_with_cache(model, tokens, names=None, grad=False):
    parts = dict(model.named_modules())
    if names is not None and not set(names) <= set(parts):
        raise ValueError("unknown name")
    cache, handles = {}, []

    def keeper(name):
        def keep(module, args, output):
            cache[name] = torch.clone(output)

        return keep

    try:
        for name, part in parts.items():
            if name and (names is None or name in names) and not isinstance(part, nn.ModuleList):
                handles.append(part.register_forward_hook(keeper(name)))
        if grad:
            with torch.enable_grad():
                return model(tokens), cache
        with torch.no_grad():
            return model(tokens), cache
    finally:
        for handle in handles:
            handle.remove()


@alternative(CACHE, label="a graph first, thrown away later")
def run_with_cache(model, tokens, names=None, grad=False):
    cache = {}
    wanted = [name for name, _ in model.named_modules() if name] if names is None else names
    with torch.enable_grad(), Hooks(model, [(n, lambda v, n: cache.update({n: v + 0})) for n in wanted]):
        logits = model(tokens)
    if not grad:
        logits, cache = logits.detach(), {n: v.detach() for n, v in cache.items()}
    return logits, cache
