"""An exercise's name in, its official verdict out, inside a student's notebook: `from official import check`.

The bootcamp's service hands this file out beside the notebook where the course allows it. It needs the standard library
only, and what it says comes from the graders: nothing that is changed here changes a verdict.
"""

from __future__ import annotations

import ast
import json
import os
import pathlib
import sys
import urllib.error
import urllib.request

_TIMEOUT_S = 120.0


def check(name: str) -> None:
    """Print the official verdict on the exercise that asks for `name`, as you last ran or saved it."""
    print(_ask(name))


def _ask(name: str) -> str:
    missing = [v for v in ("BOOTCAMP_SERVICE", "JUPYTERHUB_API_TOKEN") if not os.environ.get(v)]
    if missing:
        return f"{' and '.join(missing)} not set: official verdicts are given in JupyterLab on the bootcamp's Hub."
    path = _notebook()
    if path is None:
        return f"Which notebook? Save it, and run this in its own folder ({pathlib.Path.cwd()})."
    try:
        notebook = json.loads(path.read_text("utf-8"))
        body = json.dumps(_as_last_run(notebook, name, _history())).encode()
    except (OSError, ValueError, KeyError, TypeError) as e:
        return f"{path.name} cannot be read ({e}). Save it and try again."
    url = f"{os.environ['BOOTCAMP_SERVICE'].rstrip('/')}/api/assignments/{path.stem}/check/{name}"
    headers = {"Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}", "Content-Type": "application/json"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, body, headers), timeout=_TIMEOUT_S) as reply:
            return _shown(json.load(reply))
    except urllib.error.HTTPError as e:
        return _refusal(e)
    except (OSError, ValueError) as e:
        return f"The bootcamp's service does not answer ({e}). Nothing was counted; try again in a minute."


def _notebook() -> pathlib.Path | None:
    """The notebook of this kernel: Jupyter says so, else the only one that is here."""
    session = pathlib.Path(os.environ.get("JPY_SESSION_NAME", ""))
    if session.suffix == ".ipynb" and session.is_file():
        return session
    here = sorted(pathlib.Path.cwd().glob("*.ipynb"))
    return here[0] if len(here) == 1 else None


def _history() -> list[str]:
    """The cells that were run in this kernel, oldest first."""
    return [str(source) for source in getattr(sys.modules.get("__main__"), "In", [])]


def _as_last_run(notebook: dict, name: str, history: list[str]) -> dict:
    """The saved notebook without outputs; where the answer was run since in another form, that form."""
    run = next((source for source in reversed(history) if _defines(source, name)), None)
    cells = []
    for cell in notebook["cells"]:
        cell = {**cell, "outputs": [], "execution_count": None} if cell.get("cell_type") == "code" else dict(cell)
        source = cell.get("source", "")
        cells.append({**cell, "source": source if isinstance(source, str) else "".join(source)})
    holding = [cell for cell in cells if cell.get("cell_type") == "code" and _defines(cell["source"], name)]
    if run is not None and holding:
        holding[-1]["source"] = run
    return {**notebook, "cells": cells}


def _defines(source: str, name: str) -> bool:
    if name not in source:
        return False
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError):
        return False
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return any(isinstance(s, kinds) and s.name == name for s in statements)


def _shown(verdict: dict) -> str:
    lines = [f"{verdict['exercise']}: {verdict['words']}", *verdict["hints"], *verdict["notes"], verdict["counted"]]
    return "\n".join(line for line in lines if line)


def _refusal(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(65536))["error"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"The service answered {error.code}. Nothing was counted."
