"""Released files and secret texts in, the lines that leaked out. Pure text.

The last check of a build. A line counts when it is long enough to say something; lines that the course publishes anyway
(a signature, a docstring, an import) are no secret.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MIN_CHARS = 24


@dataclass(frozen=True)
class Leak:
    """`text` is a line of `secret` that the released `file` contains."""

    file: str
    text: str
    secret: str


def leaks(released: Mapping[str, bytes], secrets: Mapping[str, Iterable[str]], public: str) -> list[Leak]:
    """Return every line of a secret that a released file contains; secrets and released files are given by name."""
    wanted = {line.strip(): name for name, lines in secrets.items() for line in lines if _tells(line.strip(), public)}
    found = []
    for file, raw in released.items():
        content = _text(file, raw)
        found += [Leak(file, text, name) for text, name in wanted.items() if text in content]
    return found


def _tells(line: str, public: str) -> bool:
    return len(line) >= MIN_CHARS and not line.startswith(("import ", "from ")) and line not in public


def _text(file: str, raw: bytes) -> str:
    """Return what a reader of the file sees: JSON hides a text behind its escapes, so there every string is unpacked."""
    content = raw.decode("utf-8", "replace")
    return "\n".join(_strings(json.loads(content))) if file.endswith((".ipynb", ".json")) else content


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        # A notebook may keep a cell's source as a list of lines, each with its newline.
        yield "".join(value) if all(isinstance(v, str) for v in value) else "\n".join(s for v in value for s in _strings(v))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _strings(inner)
