"""The service's pages about a student's attempts in, HTML files in the student's feedback folder out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from nbgrader.exchange import abc

from autograder.nbgrader_bridge.exchange.base import Exchange, write_files

_HEAD_BYTES = 4096
_VERSION = re.compile(rb'<meta name="bootcamp-version" content="([0-9a-f]{8,64})">')


class ExchangeFetchFeedback(Exchange, abc.ExchangeFetchFeedback):
    """Writes ASSIGNMENT/feedback/TIME/ASSIGNMENT.html for every own attempt whose state has changed."""

    def exchange(self) -> None:
        client, query = self.client(), {"assignment": self.named()} if self.named() else {}
        for one in client.get("api/attempts", **query)["attempts"]:
            path = feedback_file(self, one)
            if version_in(path) != one["feedback"]:
                page = client.text(f"api/attempts/{one['attempt']}/feedback")
                write_files(path.parent, {path.name: page}, replace=True)
                self.log.info("Fetched feedback: %s", path)


class ExchangeReleaseFeedback(Exchange, abc.ExchangeReleaseFeedback):
    """Has nothing to do: students can fetch feedback from the moment at which they hand in."""

    def exchange(self) -> None:
        self.log.info("Feedback is rendered from the verdicts, and students fetch it without a release. Nothing was changed.")


def feedback_file(exchange: Exchange, attempt: dict[str, Any]) -> Path:
    """Return where the feedback on an attempt lies in the student's folder."""
    assignment = attempt["assignment_id"]
    return exchange.assignment_folder(assignment) / "feedback" / exchange.stamp(attempt["received_at"]) / f"{assignment}.html"


def version_in(path: Path) -> str | None:
    """Return the version that a feedback file names, None when there is no such file."""
    try:
        with path.open("rb") as f:
            found = _VERSION.search(f.read(_HEAD_BYTES))
    except OSError:
        return None
    return found[1].decode() if found else ""
