"""A permitted request in, its page out: read the parameters, ask the desk, place the template."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote

from tornado import web

from autograder.pages.cohort import ORDERS
from autograder.service.background import NotYetError
from autograder.service.desk import Desk
from autograder.service.exchange import Refused
from autograder.service.roles import FLAGS, MENTOR, READ_ALL
from autograder.service.shell import Guarded, Viewer

T = TypeVar("T")
_ASSET_MAX_AGE_S = 3600
_PART = re.compile(r"[1-9][0-9]{0,5}")


class Page(Guarded):
    """A page for a person whom `prepare` let in."""

    @property
    def desk(self) -> Desk:
        desk: Desk = self.settings["desk"]
        return desk

    @property
    def who(self) -> Viewer:
        if self.viewer is None:  # a route that forgot to ask who it is must show nothing
            raise web.HTTPError(403)
        return self.viewer

    async def ask(self, work: Callable[..., T], *args: Any) -> T:
        """Return what the desk says, asked in a thread; while that is still being computed, place a page that says so and fills."""
        try:
            return await asyncio.to_thread(work, *args)
        except NotYetError as e:
            self.place("pending.html", failed=e.has_failed, address=self.request.uri, here="")
            raise web.Finish from None

    async def refusing(self, work: Callable[..., T], *args: Any) -> T:
        """Ask the desk for what it may refuse. Raises: HTTPError with the status of the refusal."""
        try:
            return await self.ask(work, *args)
        except Refused as e:
            raise web.HTTPError(e.status) from None

    def show_page(self, template: str, page: object | None, **around: Any) -> None:
        """Place the page; nothing is a page that does not exist."""
        if page is None:
            raise web.HTTPError(404)
        self.place(template, page=page, **around)

    async def show_attempt(self, pseudonym: str, attempt_id: str, person: str, here: str) -> None:
        """Place one attempt of a student, as staff see it, with the way back to the student's page below `person`."""
        page = await self.ask(self.desk.attempt_for, pseudonym, attempt_id, self.who.name)
        back, name = f"{self.settings['prefix']}{person}/{pseudonym}", page.name if page else ""
        self.show_page("attempt.html", page, own=False, reported="", back=back, back_text=name, here=here)


def part_of(page: Page) -> int:
    """Return which part of a long table a reader asked for, from 1. Raises: HTTPError on what is no such number."""
    part = page.get_query_argument("part", "1")
    if not _PART.fullmatch(part):
        raise web.HTTPError(400)
    return int(part)


class Start(Page):
    """The service's own address: staff land at the overview, mentors at their invitees, everybody else at their own work."""

    def get(self) -> None:
        landing = "overview" if self.who.may(READ_ALL) else "mentees" if self.who.may(MENTOR) else "me"
        self.redirect(self.settings["prefix"] + landing)


class OwnAttempt(Page):
    """One own attempt; somebody else's does not exist here."""

    async def get(self, attempt_id: str) -> None:
        page = await self.ask(self.desk.own_attempt, self.who.name, attempt_id)
        if page is None:
            raise web.HTTPError(404)
        reported = self.get_query_argument("reported", "")
        self.place(
            "attempt.html",
            page=page,
            own=True,
            live=True,
            reported=reported,
            back=self.settings["prefix"] + "me",
            back_text="My work",
            here="me",
        )


class OwnState(Page):
    """Where one own attempt stands, as a piece of a page; when it is settled, the page is asked to load anew."""

    async def get(self, attempt_id: str) -> None:
        found = await self.ask(self.desk.own_state, self.who.name, attempt_id)
        if found is None:
            raise web.HTTPError(404)
        mark, poll_s = found
        if not poll_s:
            self.set_header("HX-Refresh", "true")
        self.place("state.html", mark=mark, poll_s=poll_s or 1, attempt_id=attempt_id)


class Dispute(Page):
    """Where a student says that a result is wrong."""

    async def post(self, attempt_id: str) -> None:
        exercise, why = self.get_body_argument("exercise", ""), self.get_body_argument("why", "")
        await self.refusing(self.desk.dispute, self.who.name, attempt_id, exercise, why)
        self.redirect(f"{self.settings['prefix']}me/attempt/{attempt_id}?reported={quote(exercise)}", status=303)


class Cohort(Page):
    """The cohort table."""

    async def get(self) -> None:
        order = self.get_query_argument("order", "name")
        part = part_of(self)
        if order not in ORDERS:
            raise web.HTTPError(400)
        page = await self.ask(self.desk.cohort, self.get_query_argument("cohort", ""), order, part)
        self.show_page("cohort.html", page, may_open=self.who.may(FLAGS), here="cohort")


class Grading(Page):
    """How grading is doing, for instructors."""

    async def get(self) -> None:
        page = await self.ask(self.desk.grading)
        self.place("grading.html", page=page, here="grading")


class Retry(Page):
    """Where an instructor gives a hand-in that our grader gave up on all its tries again."""

    async def post(self, attempt_id: str) -> None:
        if not await self.ask(self.desk.retry, attempt_id, self.who.name):
            raise web.HTTPError(404)
        self.redirect(f"{self.settings['prefix']}grading", status=303)


class Health(Guarded):
    """Whether the service can read its ledger; says nothing else, because everybody may ask."""

    async def get(self) -> None:
        desk: Desk = self.settings["desk"]
        await asyncio.to_thread(desk.ledger.last_event)
        self.set_header("Content-Type", "application/json")
        self.finish('{"status": "ok"}')


@dataclass(frozen=True)
class Asset:
    """A file that pages refer to, read once at start."""

    content: bytes
    kind: str


class AssetFile(Guarded):
    """The style sheet and the icon: nobody's data, so nobody is asked who they are."""

    def get(self, name: str) -> None:
        assets: Mapping[str, Asset] = self.settings["assets"]
        if (asset := assets.get(name)) is None:
            raise web.HTTPError(404)
        self.set_header("Content-Type", asset.kind)
        self.set_header("Cache-Control", f"public, max-age={_ASSET_MAX_AGE_S}")
        self.finish(asset.content)
