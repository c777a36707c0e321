"""A grant's number in, something callable out: the check's functions and modules, as the student's code sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

AskBack = Callable[[str, dict[str, Any]], Any]


class Granted:
    """A function of the check, as the student's code sees it: calling it lets the other side compute."""

    def __init__(self, ask: AskBack, grant: int, name: str) -> None:
        self._ask, self.grant, self.__name__ = ask, grant, name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._ask("callback", {"grant": self.grant, "a": list(args), "k": kwargs, "training": None})


class GrantedModule(nn.Module):
    """A module of the check: the other side runs it; its parameters stand here as copies, under their names.

    So `next(model.parameters()).device` and its like work; hooks on submodules do not fire, since nothing runs here.
    """

    def __init__(self, ask: AskBack, fields: dict[str, Any]) -> None:
        super().__init__()
        self._ask = ask
        self.grant = fields["i"]
        for name, value, wanted in ask("parameters", {"grant": self.grant}):
            *path, last = name.split(".")
            _at(self, path).register_parameter(last, nn.Parameter(value, requires_grad=wanted))
        self.train(fields["training"])

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        request = {"grant": self.grant, "a": list(args), "k": kwargs, "training": self.training}
        return self._ask("callback", request)


def _at(module: nn.Module, path: list[str]) -> nn.Module:
    for name in path:
        if name not in module._modules:
            module.add_module(name, nn.Module())
        module = module.get_submodule(name)
    return module
