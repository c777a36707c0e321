"""What one build said of attempts in; kept in a private file for previews, commits and orders to use again, out."""

from __future__ import annotations

import json
import os
from pathlib import Path

from autograder.grading.verdict import Graded


class Replays:
    """Results of one build, in a file. A line that cannot be read is forgotten."""

    def __init__(self, folder: Path, assignment: str, build: str) -> None:
        self.path = folder / f"{assignment}-{build}.jsonl"

    def load(self) -> dict[str, Graded]:
        try:
            lines = self.path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return {}
        found = {}
        for line in lines:
            try:
                data = json.loads(line)
                found[data["attempt"]] = Graded.from_json(data["graded"])
            except (ValueError, KeyError, TypeError):
                continue
        return found

    def add(self, attempt: str, graded: Graded) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(fd, "a", encoding="utf-8") as f:
            f.write(json.dumps({"attempt": attempt, "graded": graded.as_json()}) + "\n")
