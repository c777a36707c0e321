"""The Python of a notebook's cell in, code out; and what a notebook has beside Python's builtins. No torch.

What IPython adds to Python is made harmless before a cell comes here (autograder/submission/ipython.py).
"""

from __future__ import annotations

import ast
from types import CodeType
from typing import Any


def compile_cell(source: str, filename: str) -> CodeType:
    """Compile a cell as a notebook does: top-level await is allowed.

    Raises: SyntaxError, with the cell's own line numbers; ValueError on null bytes.
    """
    return compile(source, filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


class Shell:
    """What get_ipython() returns here: every method does nothing. Output of a shell command is an empty list."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: [] if name == "getoutput" else None


def display(*objects: Any, **options: Any) -> None:
    """Show nothing: nobody looks."""


def notebook_names() -> dict[str, Any]:
    """Return what every notebook finds defined, to be put among a program's names."""
    return {"display": display, "get_ipython": Shell}
