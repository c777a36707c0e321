"""A permitted request of an instructor in, its page out."""

from __future__ import annotations

import asyncio
import re

from tornado import web

from autograder.service.classroom import Classroom
from autograder.service.exchange import Refused
from autograder.service.handlers import Page

HERE = "teaching"
_PART = re.compile(r"[1-9][0-9]{0,5}")
_MAX_QUERY_CHARS = 100


class ClassroomPage(Page):
    """A page about a cohort."""

    @property
    def room(self) -> Classroom:
        return Classroom(self.desk)

    @property
    def cohort(self) -> str:
        return self.get_query_argument("cohort", "")

    def lay(self, template: str, page: object, tab: str, **more: object) -> None:
        """Place a page under its tab. Raises: HTTPError 404 when there is none."""
        if page is None:
            raise web.HTTPError(404)
        self.place(template, page=page, tab=tab, cohort=self.cohort, here=HERE, **more)


class Health(ClassroomPage):
    """How grading does, assignment by assignment."""

    async def get(self) -> None:
        self.lay("teaching_health.html", await self.ask(self.room.health, self.cohort), "")


class Assignment(ClassroomPage):
    """How grading does at one assignment."""

    async def get(self, assignment: str) -> None:
        self.lay("teaching_assignment.html", await self.ask(self.room.assignment, self.cohort, assignment), "")


class Items(ClassroomPage):
    """How exercises measure."""

    async def get(self) -> None:
        self.lay("teaching_items.html", await self.ask(self.room.items, self.cohort), "exercises")


class Item(ClassroomPage):
    """How one exercise measures, and what it fails at."""

    async def get(self, assignment: str, name: str) -> None:
        self.lay("teaching_item.html", await self.ask(self.room.item, self.cohort, assignment, name), "exercises")


class Stuck(ClassroomPage):
    """Who needs help; looking is recorded."""

    async def get(self) -> None:
        await self.show()

    async def show(self, problem: str = "") -> None:
        page = await self.ask(self.room.stuck, self.cohort, self.who.name)
        self.lay("teaching_stuck.html", page, "stuck", problem=problem)


class AnswerWish(Stuck):
    """Where a student who asked for a person is answered."""

    async def get(self) -> None:
        raise web.HTTPError(405)

    async def post(self, wish: str) -> None:
        try:
            await asyncio.to_thread(self.room.answer, wish, self.get_body_argument("words", ""), self.who.name)
        except Refused as e:
            if e.status == 404:
                raise web.HTTPError(404) from None
            self.set_status(e.status)
            await self.show(str(e))
        else:
            self.redirect(f"{self.settings['prefix']}teaching/stuck", status=303)


class Roster(ClassroomPage):
    """A part of the roll."""

    async def get(self) -> None:
        like, part = self.get_query_argument("q", "")[:_MAX_QUERY_CHARS], self.get_query_argument("part", "1")
        if not _PART.fullmatch(part):
            raise web.HTTPError(400)
        self.lay("teaching_roster.html", await self.ask(self.room.roster, self.cohort, like, int(part)), "roster")


class Enrolled(ClassroomPage):
    """One student's due dates; looking is recorded."""

    async def get(self, pseudonym: str) -> None:
        await self.show(pseudonym)

    async def show(self, pseudonym: str, problem: str = "") -> None:
        page = await self.ask(self.room.enrolled, pseudonym, self.who.name)
        done = self.get_query_argument("done", "")
        self.lay("teaching_enrolled.html", page, "roster", problem=problem, done=done)


class EnrolledAttempt(ClassroomPage):
    """One attempt of one student, as instructors see it; looking is recorded."""

    async def get(self, pseudonym: str, attempt_id: str) -> None:
        await self.show_attempt(pseudonym, attempt_id, "teaching/roster", HERE)


class Extend(Enrolled):
    """Where an extension is granted."""

    async def get(self, pseudonym: str) -> None:
        raise web.HTTPError(405)

    async def post(self, pseudonym: str) -> None:
        try:
            await self.change(pseudonym)
        except Refused as e:
            if e.status == 404:
                raise web.HTTPError(404) from None
            self.set_status(e.status)
            await self.show(pseudonym, str(e))
        else:
            self.redirect(f"{self.settings['prefix']}teaching/roster/{pseudonym}?done=yes", status=303)

    async def change(self, pseudonym: str) -> None:
        assignment, until, reason = (self.get_body_argument(x, "") for x in ("assignment", "until", "reason"))
        await asyncio.to_thread(self.room.extend, pseudonym, assignment, until, reason, self.who.name)


class TakeBack(Extend):
    """Where an extension is taken back."""

    async def change(self, pseudonym: str) -> None:
        assignment, reason = (self.get_body_argument(x, "") for x in ("assignment", "reason"))
        await asyncio.to_thread(self.room.take_back, pseudonym, assignment, reason, self.who.name)


class Regrades(ClassroomPage):
    """Regrades before and after; looking is recorded."""

    async def get(self) -> None:
        self.lay("teaching_regrades.html", await self.ask(self.room.regrades, self.who.name), "regrades")


class RegradeState(ClassroomPage):
    """How far the regrade under way is, as a piece of a page; when it is over, the page is asked to load anew."""

    async def get(self) -> None:
        found = await self.ask(self.room.under_way)
        if found is None:
            self.set_header("HX-Refresh", "true")
        self.place("regrade_state.html", order=found)


class Regrade(ClassroomPage):
    """One preview: what ordering it would do, and where it is ordered; looking is recorded."""

    async def get(self, assignment: str) -> None:
        await self.show(assignment)

    async def post(self, assignment: str) -> None:
        event, reason = self.get_body_argument("preview", ""), self.get_body_argument("reason", "")
        try:
            await asyncio.to_thread(self.room.order_regrade, assignment, event, reason, self.who.name)
        except Refused as e:
            if e.status == 409:
                raise web.HTTPError(409) from None
            self.set_status(e.status)
            await self.show(assignment, str(e))
        else:
            self.redirect(f"{self.settings['prefix']}teaching/regrades", status=303)

    async def show(self, assignment: str, problem: str = "") -> None:
        page = await self.ask(self.room.regrade, assignment, self.who.name)
        self.lay("teaching_regrade.html", page, "regrades", problem=problem)
