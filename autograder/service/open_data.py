"""A permitted request with a Hub token in; what pages show, as versioned JSON with its dictionary and in parts, out.

`api/v1` describes itself: which addresses the reader may ask, their parameters, and what every field means. Behind
`api/v1/pages/` stands the twin of every page, with the page's own scope, record of looking and parameters: its dataclass in
place of the template, figures as tables. `api/v1/data/` and `api/v1/results` hold numbers rather than words.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, get_type_hints

from markupsafe import Markup
from tornado import web

from autograder.pages.models import Scale, Strip
from autograder.pages.organizers.datasets import DATASETS, as_json
from autograder.pages.wording import Moment, plain, query
from autograder.records import exporting, roll
from autograder.service.api import Api
from autograder.service.background import NotYetError
from autograder.service.classroom import VIEWED_MANY
from autograder.service.handlers import Page, part_of
from autograder.service.office import Office

VERSION = 1
BASE = "api/v1"
PART_ROWS, PART_STUDENTS = 500, 5
T = TypeVar("T")
# What only a drawing needs.
_DRAWN = (Strip, Scale)
_ABOUT: Mapping[str, str] = {
    BASE: "This description: what the reader may ask.",
    f"{BASE}/pages/": "A page as data: page (the dataclass), dictionary (what its fields mean). Figures are tables.",
    f"{BASE}/data/": f"A table of a cohort with its dictionary, {PART_ROWS} rows a part. Taking it is recorded.",
    f"{BASE}/results": f"Standing verdicts on newest attempts, {PART_STUDENTS} students a part, by name. Looking is recorded.",
}
_PARAMETERS: Mapping[str, Mapping[str, str]] = {
    f"{BASE}/data/": {"cohort": "default: the newest", "part": "from 1"},
    f"{BASE}/results": {"cohort": "default: the newest", "assignment": "default: all", "part": "from 1"},
}


class Data(Api):
    """What answers in JSON where a page would place a template."""

    def place(self, template: str, **values: Any) -> None:
        """Answer with the page's data."""
        page = values["page"]
        self.answer({"version": VERSION, "page": as_data(page), "dictionary": dictionary(type(page))})

    async def ask(self, work: Callable[..., T], *args: Any) -> T:
        """Return what the desk says. Raises: HTTPError 503 while that is still being computed."""
        try:
            return await self.work(work, *args)
        except NotYetError as e:
            why = "could not be computed; it is tried again within a minute" if e.has_failed else "are being computed"
            raise self.refused(503, f"the numbers of this cohort {why}.") from None

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with the reason, and with when to come again."""
        if status_code == 503:
            self.set_header("Retry-After", "5")
        super().write_error(status_code, **kwargs)

    def part(self, here: int, n: int, **more: str) -> dict[str, Any]:
        """Return where this part stands among n, and the query of the next. Raises: HTTPError beyond the last one."""
        if here > max(n, 1):
            raise self.refused(404, f"there is no part {here}: the last one is {max(n, 1)}.")
        following = query(**{k: v for k, v in more.items() if v}, part=here + 1) if here < n else None
        return {"part": here, "n_parts": max(n, 1), "next": following}


def twin(handler: type[web.RequestHandler]) -> type[web.RequestHandler]:
    """Return the handler that answers with the data of a page of the other."""
    return type(f"{handler.__name__}Data", (Data, handler), {"__doc__": handler.__doc__})


def as_data(value: Any) -> Any:
    """Return a page as plain data: words without control characters, times in ISO 8601, no drawing."""
    if isinstance(value, Moment):
        return value.iso
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        shown = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {k: as_data(v) for k, v in shown.items() if not isinstance(v, (Markup, *_DRAWN))}
    if isinstance(value, Mapping):
        return {str(k): as_data(v) for k, v in value.items()}
    return [as_data(v) for v in value] if isinstance(value, list | tuple) else plain(value)


def dictionary(page: type) -> dict[str, dict[str, str]]:
    """Return what the fields of a page mean, and those of every dataclass within it: class -> field -> meaning."""
    found: dict[str, dict[str, str]] = {}
    waiting: list[Any] = [page]
    while waiting:
        kind = waiting.pop()
        if dataclasses.is_dataclass(kind) and isinstance(kind, type) and kind.__name__ not in found and kind not in _DRAWN:
            hints = get_type_hints(kind, include_extras=True)
            found[kind.__name__] = {k: h.__metadata__[0] for k, h in hints.items() if hasattr(h, "__metadata__")}
            waiting += hints.values()
        else:
            waiting += getattr(kind, "__args__", ())
            waiting += [kind.__origin__] if hasattr(kind, "__metadata__") else []
    return {k: v for k, v in found.items() if v}


class Index(Data, Page):
    """What can be asked here, by whoever asks."""

    def get(self) -> None:
        routes: Sequence[Any] = self.settings["routes"]
        open_to = [r for r in routes if r.path.startswith(BASE) and self.who.can(r.needs["GET"])]
        found = []
        for route in open_to:
            about = max((a for a in _ABOUT if route.path.startswith(a)), key=len)
            said = {"address": route.path, "takes": route.needs["GET"], "is": _ABOUT[about]}
            found.append(said | {"parameters": _PARAMETERS.get(about, {"the page's own": "as in its address"})})
        self.answer({"version": VERSION, "token": "Authorization: token <a token of the Hub>", "addresses": found})


class Table(Data, Page):
    """One table of a cohort, in parts; taking it is recorded."""

    async def get(self, name: str) -> None:
        cohort = self.get_query_argument("cohort", "")
        if name not in DATASETS:
            raise self.refused(404, f"there is no such table. Expected one of: {', '.join(DATASETS)}.")
        here = part_of(self)
        found = await self.ask(Office(self.desk).export, cohort, name, self.who.name)
        if found is None:
            raise self.refused(404, "there is no such cohort.")
        data, survey = found
        where = self.part(here, -(-len(data.rows) // PART_ROWS), cohort=cohort)
        rows = data.rows[(here - 1) * PART_ROWS : here * PART_ROWS]
        self.answer({**as_json(dataclasses.replace(data, rows=rows), survey), **where, "n_rows": len(data.rows)})


class Results(Data, Page):
    """Standing verdicts of everybody's newest attempts, in parts; looking is recorded."""

    async def get(self) -> None:
        cohort, assignment = (self.get_query_argument(x, "") for x in ("cohort", "assignment"))
        here = part_of(self)
        n, rows, event = await self.ask(self._rows, cohort, assignment, here)
        where = self.part(here, -(-n // PART_STUDENTS), cohort=cohort, assignment=assignment)
        fields = [{"name": name, "meaning": exporting.MEANINGS[name]} for name in exporting.COLUMNS]
        self.answer({"version": VERSION, "event": event, "n_students": n, **where, "fields": fields, "rows": rows})

    def _rows(self, cohort: str, assignment: str, here: int) -> tuple[int, list[dict[str, Any]], int]:
        ledger = self.desk.ledger
        if (known := roll.chosen(cohort, roll.cohorts(ledger))) is None:
            raise self.refused(404, "there is no such cohort.")
        if assignment and self.desk.catalog.assignment(assignment) is None:
            raise self.refused(404, "there is no such assignment.")
        event = ledger.last_event()
        found = roll.enrolled(ledger, known, "", (here - 1) * PART_STUDENTS, PART_STUDENTS)
        people = [s.pseudonym for s, _ in found.lines]
        if people:
            ledger.record(VIEWED_MANY, self.desk.clock(), self.who.name, None, {"page": f"{BASE}/results", "people": people})
        batches = exporting.rows(ledger, None, assignment or None, event, among=people) if people else ()
        return found.n, [_result(row) for batch in batches for row in batch], event


def _result(row: exporting.Row) -> dict[str, Any]:
    *said, at, attempt = row
    return dict(zip(exporting.COLUMNS, (*said, exporting.moment(at).isoformat(), attempt), strict=True))
