"""A permitted request with a Hub token in, JSON or an archive out: what the exchange's client talks to.

Only tokens are believed here. A browser's cookie is not, so a page of a stranger has nothing to ride on.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from tempfile import SpooledTemporaryFile
from typing import Any, TypeVar

from tornado import web
from tornado.http1connection import HTTP1Connection

from autograder.errors import BootcampError, InfraError
from autograder.nbgrader_bridge.exchange.archive import Limits, RefusedFiles, pack, unpack
from autograder.nbgrader_bridge.exchange.client import RELEASE_LIMITS
from autograder.service.checker import Checker
from autograder.service.counter import Counter
from autograder.service.exchange import COURSE_ID, Refused
from autograder.service.roles import READ_ALL
from autograder.service.shell import Guarded, Viewer

T = TypeVar("T")
_SPOOL_BYTES = 1 << 20
# What is unpacked in memory at the same time; others wait for their turn.
N_UNPACKING = 4
_log = logging.getLogger(__name__)


class Api(Guarded):
    """A handler that answers in JSON, also when it refuses."""

    said = ""

    async def prepare(self) -> None:
        await super().prepare()
        if not getattr(self, "_token_authenticated", False):
            raise self.refused(403, "this address takes a Hub token, not a browser's session.")

    def stranger(self) -> None:
        raise self.refused(401, "the Hub does not know this token. Restart your server (File > Hub Control Panel) for a new one.")

    @property
    def counter(self) -> Counter:
        counter: Counter = self.settings["counter"]
        return counter

    @property
    def who(self) -> Viewer:
        if self.viewer is None:  # a route that forgot to ask who it is must answer nothing
            raise web.HTTPError(403)
        return self.viewer

    def refused(self, status: int, message: str) -> web.HTTPError:
        """Return the error that answers with this message."""
        self.said = message
        return web.HTTPError(status)

    async def work(self, function: Callable[..., T], *args: Any) -> T:
        """Run blocking work in a thread; what it refuses becomes the answer."""
        try:
            return await asyncio.to_thread(function, *args)
        except Refused as e:
            raise self.refused(e.status, str(e)) from None
        except RefusedFiles as e:
            raise self.refused(400, str(e)) from None
        except InfraError as e:
            _log.error("%s %s: %s", self.request.method, self.request.path, e)
            raise self.refused(
                503, "our fault: the exchange cannot write just now. Nothing was taken; try again in a minute."
            ) from None
        except BootcampError as e:
            raise self.refused(400, str(e)) from None

    def answer(self, data: Mapping[str, Any]) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(data))

    async def answer_files(self, files: Mapping[str, bytes]) -> None:
        archive = await self.work(pack, files, RELEASE_LIMITS)
        self.set_header("Content-Type", "application/x-tar")
        self.finish(archive)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with the reason; what is not ours to tell gets a number that the log has too."""
        message = self.said
        if status_code == 405:
            self.set_header("Allow", ", ".join(self.needs))
        if status_code >= 500 and not message:
            incident = secrets.token_hex(4)
            _log.error("incident %s: %s %s", incident, self.request.method, self.request.path)
            message = f"our fault (incident {incident}). Nothing of yours is lost; try again in a minute."
        words = {403: "your account may not do this.", 404: "there is nothing at this address.", 405: "this cannot be done here."}
        self.answer({"error": message or words.get(status_code, self._reason)})


class Upload(Api):
    """An API handler that takes an archive: who may is settled before the first byte of it is read."""

    limits = Limits()

    async def prepare(self) -> None:
        await super().prepare()
        if self.request.method != "POST":
            return
        if self.request.headers.get("Content-Encoding"):
            raise self.refused(415, "the upload is compressed; expected a plain tar archive.")
        most = self.limits.archive_bytes
        length = self.request.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > most:
            raise self.refused(413, f"the upload has {length} bytes; at most {most} are taken. Remove what is not needed.")
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection):
            connection.set_max_body_size(most)
        self.spool = SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115 - lives as long as the request

    def data_received(self, chunk: bytes) -> None:
        self.spool.write(chunk)

    def on_finish(self) -> None:
        super().on_finish()
        if hasattr(self, "spool"):
            self.spool.close()

    async def files(self) -> dict[str, bytes]:
        """Return what was uploaded, every file checked."""
        self.spool.seek(0)
        turns: asyncio.Semaphore = self.settings["unpacking"]
        async with turns:
            return await self.work(unpack, self.spool, self.limits)


class Releases(Api):
    """What can be fetched."""

    async def get(self) -> None:
        found = await self.work(self.counter.releases, self.who.name)
        self.answer({"course_id": COURSE_ID, "assignments": found})


class ReleaseFiles(Api):
    """One released assignment."""

    async def get(self, assignment: str) -> None:
        await self.answer_files(await self.work(self.counter.released_files, assignment))


@web.stream_request_body
class ReleaseDoor(Upload):
    """Where instructors let an assignment out, and take it back."""

    limits = RELEASE_LIMITS

    async def post(self, assignment: str) -> None:
        files = await self.files()
        release = await self.work(self.counter.exchange.release, assignment, files, self.who.name)
        self.answer({"assignment_id": assignment, "gate": release.gate, "n_files": len(release.files)})

    async def delete(self, assignment: str) -> None:
        await self.work(self.counter.exchange.withdraw, assignment, self.who.name)
        self.answer({"assignment_id": assignment})


@web.stream_request_body
class HandIn(Upload):
    """Where work is handed in."""

    async def post(self, assignment: str) -> None:
        files = await self.files()
        self.answer(await self.work(self.counter.hand_in, self.who.name, assignment, files, self.who.may(READ_ALL)))


@web.stream_request_body
class CheckAlone(Upload):
    """One exercise's official verdict, where the course allows it. The body is the notebook."""

    async def post(self, assignment: str, exercise: str) -> None:
        self.spool.seek(0)
        raw = self.spool.read()
        checker: Checker = self.settings["checker"]
        told = await self.work(checker.check, self.who.name, assignment, exercise, raw, self.who.may(READ_ALL))
        self.answer(vars(told))


class Attempts(Api):
    """A person's own attempts."""

    async def get(self) -> None:
        found = await self.work(self.counter.attempts, self.who.name, self.get_query_argument("assignment", ""))
        self.answer({"course_id": COURSE_ID, "attempts": found})


class AttemptState(Api):
    """Where one own attempt stands; somebody else's does not exist here."""

    async def get(self, attempt_id: str) -> None:
        self.answer(await self.work(self.counter.attempt, self.who.name, attempt_id))


class AttemptFeedback(Api):
    """The feedback on one own attempt, as a page that needs nothing else."""

    async def get(self, attempt_id: str) -> None:
        page = await self.work(self.counter.feedback, self.who.name, attempt_id)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(page)


class Submissions(Api):
    """Everybody's newest attempts, for instructors to collect."""

    async def get(self) -> None:
        latest = self.get_query_argument("latest", "any")
        if latest not in ("any", "due"):
            raise self.refused(400, 'latest is "any" or "due".')
        wanted = (self.get_query_argument("assignment", ""), self.get_query_argument("student", ""))
        found = await self.work(self.counter.submissions, *wanted, latest == "due")
        self.answer({"course_id": COURSE_ID, "submissions": found})


class SubmissionFiles(Api):
    """What was handed in as one attempt, for instructors."""

    async def get(self, attempt_id: str) -> None:
        await self.answer_files(await self.work(self.counter.exchange.attempt_files, attempt_id))
