"""Organizers' and mentors' requests in, their pages out: read the parameters, ask the office, place the template."""

from __future__ import annotations

import json
import re
from urllib.parse import urlencode

from tornado import web

from autograder.pages.organizers.datasets import as_csv, as_json
from autograder.pages.organizers.flags import Wanted
from autograder.service.handlers import Page, part_of
from autograder.service.office import Office

_WHOLE = re.compile(r"[0-9]{1,4}")


class OfficePage(Page):
    """A page of the organizers' side."""

    @property
    def office(self) -> Office:
        return Office(self.desk)

    @property
    def cohort(self) -> str:
        return str(self.get_query_argument("cohort", ""))

    def wanted(self) -> Wanted | None:
        """Return the alpha and the seats that were asked for, None without any. Raises: HTTPError on what is no such number."""
        alpha, seats = self.get_query_argument("alpha", ""), self.get_query_argument("seats", "")
        if not alpha and not seats:
            return None
        if not (_WHOLE.fullmatch(alpha) and _WHOLE.fullmatch(seats)):
            raise web.HTTPError(400)
        wanted = Wanted(int(alpha), int(seats))
        if not wanted.is_sound():
            raise web.HTTPError(400)
        return wanted


class Overview(OfficePage):
    """A cohort at a glance."""

    async def get(self) -> None:
        self.show_page("overview.html", await self.ask(self.office.overview, self.cohort), here="overview")


class Comparison(OfficePage):
    """Cohorts beside each other."""

    async def get(self) -> None:
        self.show_page("comparison.html", await self.ask(self.office.comparison, self.cohort), here="comparison")


class Calibration(OfficePage):
    """Whether chances come true, and for whom."""

    async def get(self) -> None:
        self.show_page("calibration.html", await self.ask(self.office.calibration, self.cohort), here="calibration")


class Flags(OfficePage):
    """Whom to look at."""

    async def get(self) -> None:
        wanted, part = self.wanted(), part_of(self)
        self.show_page("flags.html", await self.ask(self.office.flags, self.cohort, wanted, part), here="flags")


class FlagsList(OfficePage):
    """Whom the policy would invite at some alpha and some seats, as a piece of a page."""

    async def get(self) -> None:
        wanted = self.wanted()
        if wanted is None:
            raise web.HTTPError(400)
        found = await self.ask(self.office.shortlist, self.cohort, wanted)
        if found is None:
            raise web.HTTPError(404)
        self.place("flags_list.html", list=found)


class Shortlist(OfficePage):
    """The shortlist of a decision date: shown first, and recorded by who has seen it."""

    async def get(self) -> None:
        page = await self.refusing(self.office.drafted, self.cohort, self.get_query_argument("date", ""))
        self.show_page("shortlist.html", page, here="flags")

    async def post(self) -> None:
        cohort, day, evaluation = (self.get_body_argument(x, "") for x in ("cohort", "date", "evaluation"))
        await self.refusing(self.office.record_shortlist, cohort, day, evaluation, self.who.name)
        self.redirect(f"{self.settings['prefix']}flags/shortlist?{urlencode({'cohort': cohort, 'date': day})}", status=303)


class Evaluate(OfficePage):
    """Where an organizer records what the newest survey says, so that decisions can be about it."""

    async def post(self) -> None:
        cohort = self.get_body_argument("cohort", "")
        await self.refusing(self.office.evaluate, cohort, self.who.name)
        self.redirect(f"{self.settings['prefix']}flags", status=303)


class Person(OfficePage):
    """One student, as organizers see them; looking is recorded."""

    async def get(self, pseudonym: str) -> None:
        self.show_page("person.html", await self.ask(self.office.profile, pseudonym, self.who.name), here="cohort")


class PersonAttempt(OfficePage):
    """One attempt of one student, as organizers see it; looking is recorded."""

    async def get(self, pseudonym: str, attempt_id: str) -> None:
        await self.show_attempt(pseudonym, attempt_id, "cohort/student", "cohort")


class Review(OfficePage):
    """Where an organizer confirms, defers or declines, with a reason."""

    async def post(self, pseudonym: str) -> None:
        decision, reason = self.get_body_argument("decision", ""), self.get_body_argument("reason", "")
        await self.refusing(self.office.review, pseudonym, decision, reason, self.who.name)
        self.redirect(f"{self.settings['prefix']}cohort/student/{pseudonym}#timeline", status=303)


class Exports(OfficePage):
    """What can be taken away, with its dictionary."""

    async def get(self) -> None:
        self.show_page("exports.html", await self.ask(self.office.exports, self.cohort), here="exports")


class Export(OfficePage):
    """One table, as CSV or as JSON with its dictionary; taking it is recorded."""

    async def get(self, name: str, kind: str) -> None:
        found = await self.ask(self.office.export, self.cohort, name, self.who.name)
        if found is None:
            raise web.HTTPError(404)
        data, survey = found
        self.set_header("Content-Disposition", f'attachment; filename="{name}.{kind}"')
        if kind == "csv":
            self.set_header("Content-Type", "text/csv; charset=utf-8")
            self.finish(as_csv(data))
        else:
            self.set_header("Content-Type", "application/json")
            self.finish(json.dumps(as_json(data, survey), allow_nan=False))


class Mentees(OfficePage):
    """Whom an organizer has confirmed, for mentors."""

    async def get(self) -> None:
        self.show_page("mentees.html", await self.ask(self.office.mentees), here="mentees")


class Mentee(OfficePage):
    """One confirmed invitee; whoever is not confirmed does not exist here. Looking is recorded."""

    async def get(self, pseudonym: str) -> None:
        self.show_page("mentee.html", await self.ask(self.office.mentee, pseudonym, self.who.name), here="mentees")
