"""One attempt and where it stands in, a page that needs nothing else out: what nbgrader's fetch_feedback puts on a disk.

Rendered from verdicts: points, hints and notes, never a hidden check's text. Style and signs stand in the file itself, so
it reads the same offline, in JupyterLab's viewer and in ten years.
"""

from __future__ import annotations

from jinja2 import Environment
from markupsafe import Markup

from autograder.pages import student
from autograder.pages.catalog import Catalog
from autograder.pages.standing import Queued
from autograder.records import AssignmentResult, AttemptResult


class Feedback:
    """Renders feedback. `style` is the pages' own sheet."""

    def __init__(self, catalog: Catalog, templates: Environment, style: str) -> None:
        self.catalog, self.templates, self.style = catalog, templates, style

    def page(self, name: str, result: AssignmentResult, attempt: AttemptResult, states: Queued) -> bytes:
        """Return the page about one attempt of the result, for the student of this name."""
        of = attempt.attempt
        view = student.attempt_view(self.catalog, result, attempt, states, (name, of.pseudonym))
        text = self.templates.get_template("feedback.html").render(
            course=self.catalog.title,
            assignment=self.catalog.name(of.assignment),
            attempt=view,
            # Nothing can be sent from a file.
            live=False,
            xsrf="",
            version=states.version(attempt),
            # Our own file, and it holds no "</": a style element ends at the first one.
            style=Markup(self.style),
        )
        return text.encode("utf-8", "replace")
