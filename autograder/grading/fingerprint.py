"""The engine and an assignment's files in, hashes of what one exercise's verdict depends on besides the answer out.

A check depends on its own lines and on those top-level statements of its file that bind the names it loads, and so on;
statements that bind nothing run for every check. A check that is no plain function at the top level of its file depends
on all files of checks: finer is guessed at nowhere.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path

from autograder.course import Exercise
from autograder.grading.checks import Check
from autograder.submission.names import Code, read_code

_ENGINE_ROOMS = ("submission", "sandbox", "grading")


@cache
def engine_id() -> str:
    """Return the hash of the engine's code and of the versions that decide what torch computes."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256(f"{platform.python_version()} {version('torch')} {version('numpy')}".encode())
    for room in _ENGINE_ROOMS:
        for path in sorted((package / room).rglob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def fingerprints(
    exercises: Iterable[Exercise], checks: Mapping[str, Sequence[Check]], needed: Mapping[str, Sequence[str]], paths: Sequence[Path]
) -> dict[str, str]:
    """Return exercise id -> hash of its rules, its checks and the references (`needed`: sources) that they rest on."""
    files = {str(p): p.read_text("utf-8") for p in paths}
    code = {name: read_code(text) for name, text in files.items()}
    found = {}
    for e in exercises:
        parts = [repr(sorted(vars(e).items())), *needed[e.id]]
        for check in checks[e.id]:
            file = check.run.__code__.co_filename
            parts += [check.name, *((_closure(check, code[file]) if file in code else None) or files.values())]
        found[e.id] = _hash(parts)
    return found


def _closure(check: Check, code: Code) -> list[str] | None:
    """Return the statements that the check rests on, in the order of the file; None when that cannot be told."""
    line = check.run.__code__.co_firstlineno
    own = [i for i, s in enumerate(code.statements) if s.first_line <= line <= s.last_line and check.run.__name__ in s.binds]
    if code.tree is None or len(own) != 1 or any(s.star for s in code.statements):
        return None
    taken = {own[0], *(i for i, s in enumerate(code.statements) if not s.binds)}
    names = set().union(*(code.statements[i].loads for i in taken))
    seen: set[str] = set()
    while names - seen:
        name = (names - seen).pop()
        seen.add(name)
        for i, s in enumerate(code.statements):
            if name in s.binds and i not in taken:
                taken.add(i)
                names |= s.loads
    lines = code.source.split("\n")
    return ["\n".join(lines[s.first_line - 1 : s.last_line]) for i, s in enumerate(code.statements) if i in taken]


def _hash(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode()
        digest.update(b"%d:" % len(content) + content)
    return digest.hexdigest()
