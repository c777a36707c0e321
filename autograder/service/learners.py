"""A permitted request about one's own work in, its page out; and the one page that a stranger may ask for."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from tornado import web

from autograder.pages.journey import WISHES
from autograder.service.exchange import Refused
from autograder.service.handlers import Page
from autograder.service.own import Own
from autograder.service.shell import Guarded

_VERIFY = "verify/"


class OwnPage(Page):
    """A page about the person who asks."""

    @property
    def own(self) -> Own:
        return Own(self.desk)

    @property
    def verify_base(self) -> str:
        """What the addresses of transcripts begin with, as this browser sees us."""
        return f"{self.request.protocol}://{self.request.host}{self.settings['prefix']}{_VERIFY}"

    def go(self, path: str) -> None:
        self.redirect(self.settings["prefix"] + path, status=303)


class Overview(OwnPage):
    """A person's own assignments, whoever they are."""

    async def get(self) -> None:
        page = await self.ask(self.own.overview, self.who.name)
        self.place("me.html", page=page, live=True, here="me")


class Journey(OwnPage):
    """A person's own progress."""

    async def get(self) -> None:
        await self.show()

    async def show(self, problem: str = "") -> None:
        page = await self.ask(self.own.journey, self.who.name)
        asked = bool(self.get_query_argument("asked", ""))
        assignments = self.desk.catalog.assignments
        self.place(
            "journey.html", page=page, wishes=WISHES, assignments=assignments, problem=problem, asked=asked, here="me/progress"
        )


class Wish(Journey):
    """Where a student asks that a person look."""

    async def get(self) -> None:
        raise web.HTTPError(405)

    async def post(self) -> None:
        wish, assignment, why = (self.get_body_argument(x, "") for x in ("wish", "assignment", "why"))
        try:
            await asyncio.to_thread(self.own.ask, self.who.name, wish, assignment, why)
        except Refused as e:
            self.set_status(e.status)
            await self.show(str(e))
        else:
            self.go("me/progress?asked=yes#wishes")


class OwnData(OwnPage):
    """Everything of one's own, to take along."""

    async def get(self) -> None:
        found = await asyncio.to_thread(self.own.data, self.who.name)
        self.hand("application/json; charset=utf-8", "my-bootcamp-data.json", found)


class Transcripts(OwnPage):
    """A person's own transcripts, and where a new one is signed."""

    async def get(self) -> None:
        await self.show()

    async def post(self) -> None:
        chosen, shown = self.get_body_arguments("assignment"), self.get_body_argument("name", "")
        try:
            made = await asyncio.to_thread(self.own.issue, self.who.name, shown, chosen)
        except Refused as e:
            self.set_status(e.status)
            await self.show(str(e))
        else:
            self.go(f"me/transcripts?made={quote(made.statement.code)}")

    async def show(self, problem: str = "") -> None:
        page = await self.ask(self.own.transcripts, self.who.name, self.verify_base)
        made = self.get_query_argument("made", "")
        self.place("transcripts.html", page=page, problem=problem, made=made, here="me/progress")


class Paper(OwnPage):
    """One own transcript as a PDF."""

    async def get(self, code: str) -> None:
        try:
            found = await asyncio.to_thread(self.own.paper, self.who.name, code, self.verify_base + code)
        except Refused as e:
            raise web.HTTPError(e.status) from None
        self.hand("application/pdf", "transcript.pdf", found)


class Withdraw(OwnPage):
    """Where a transcript of one's own is taken back."""

    async def post(self, code: str) -> None:
        try:
            await asyncio.to_thread(self.own.withdraw, self.who.name, code)
        except Refused as e:
            raise web.HTTPError(e.status) from None
        self.go("me/transcripts")


class Verify(Guarded):
    """What anybody is told of a transcript whose address they have: nothing that its holder did not choose to show."""

    def prepare(self) -> None:  # type: ignore[override]
        # An address that was given to one person should not be found by a search engine.
        self.set_header("X-Robots-Tag", "noindex, nofollow")
        return super().prepare()  # type: ignore[return-value]

    async def get(self, code: str) -> None:
        page = await asyncio.to_thread(Own(self.settings["desk"]).verify, code)
        if page is None:
            raise web.HTTPError(404)
        self.place("verify.html", page=page)


class Proof(Guarded):
    """The signed text, its signature, and the public key, for whoever checks them without us."""

    async def get(self, code: str, file: str) -> None:
        own = Own(self.settings["desk"])
        found = await asyncio.to_thread(own.proof, code)
        if found is None:
            raise web.HTTPError(404)
        content = {
            "transcript.json": found.text.encode(),
            "transcript.sig": found.signature.value,
            "key.pem": (own.desk.keys.pem(found.signature.key) or "").encode(),
        }[file]
        if not content:
            raise web.HTTPError(404)
        self.hand("application/octet-stream", file, content)
