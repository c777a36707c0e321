"""The routing table: address -> handler -> what each method takes. The one place where access is granted.

A method that stands here with a scope is refused to everybody without it, one that does not stand here is refused to
everybody with 405, and an address that does not stand here does not exist. A test asks every line of it in every role.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tornado import web

from autograder.service import api, handlers, learners, organizers, teachers
from autograder.service.roles import FLAGS, GRADE, INSIDE, MENTOR, PUBLIC, READ_ALL
from autograder.service.shell import Callback

# Ids and pseudonyms are ours and consist of these; anything else is no such page.
_ID = r"([0-9A-Za-z_-]{1,64})"


@dataclass(frozen=True)
class Route:
    """One line of the table. `path` follows the service's prefix and is a regular expression."""

    path: str
    handler: type[web.RequestHandler]
    needs: Mapping[str, str]


def _get(path: str, handler: type[web.RequestHandler], scope: str) -> Route:
    return _route(path, handler, GET=scope)


def _route(path: str, handler: type[web.RequestHandler], **needs: str) -> Route:
    return Route(path, handler, MappingProxyType(needs))


ROUTES: tuple[Route, ...] = (
    _get("", handlers.Start, INSIDE),
    _get("me", learners.Overview, INSIDE),
    _get("me/progress", learners.Journey, INSIDE),
    _route("me/progress/wish", learners.Wish, POST=INSIDE),
    _get("me/data", learners.OwnData, INSIDE),
    _route("me/transcripts", learners.Transcripts, GET=INSIDE, POST=INSIDE),
    _get(f"me/transcripts/{_ID}/paper", learners.Paper, INSIDE),
    _route(f"me/transcripts/{_ID}/withdraw", learners.Withdraw, POST=INSIDE),
    _get(f"verify/{_ID}", learners.Verify, PUBLIC),
    _get(rf"verify/{_ID}/(transcript\.json|transcript\.sig|key\.pem)", learners.Proof, PUBLIC),
    _get(f"me/attempt/{_ID}", handlers.OwnAttempt, INSIDE),
    _get("overview", organizers.Overview, READ_ALL),
    _get("comparison", organizers.Comparison, READ_ALL),
    _get("calibration", organizers.Calibration, FLAGS),
    _get("flags", organizers.Flags, FLAGS),
    _get("flags/list", organizers.FlagsList, FLAGS),
    _route("flags/evaluate", organizers.Evaluate, POST=FLAGS),
    _get("exports", organizers.Exports, FLAGS),
    _get(r"exports/([a-z]{1,32})\.(csv|json)", organizers.Export, FLAGS),
    _get("mentees", organizers.Mentees, MENTOR),
    _get(f"mentees/{_ID}", organizers.Mentee, MENTOR),
    _get("cohort", handlers.Cohort, READ_ALL),
    _route(f"cohort/student/{_ID}/review", organizers.Review, POST=FLAGS),
    _get(f"cohort/student/{_ID}", organizers.Person, FLAGS),
    _get(f"cohort/student/{_ID}/attempt/{_ID}", organizers.PersonAttempt, FLAGS),
    _get(f"me/attempt/{_ID}/state", handlers.OwnState, INSIDE),
    _route(f"me/attempt/{_ID}/dispute", handlers.Dispute, POST=INSIDE),
    _get("grading", handlers.Grading, GRADE),
    _get("teaching", teachers.Health, GRADE),
    _get(f"teaching/assignment/{_ID}", teachers.Assignment, GRADE),
    _get("teaching/exercises", teachers.Items, GRADE),
    _get(f"teaching/exercises/{_ID}/{_ID}", teachers.Item, GRADE),
    _get("teaching/stuck", teachers.Stuck, GRADE),
    _route(f"teaching/wishes/{_ID}/answer", teachers.AnswerWish, POST=GRADE),
    _get("teaching/roster", teachers.Roster, GRADE),
    _get(f"teaching/roster/{_ID}", teachers.Enrolled, GRADE),
    _route(f"teaching/roster/{_ID}/extend", teachers.Extend, POST=GRADE),
    _route(f"teaching/roster/{_ID}/take-back", teachers.TakeBack, POST=GRADE),
    _get("teaching/regrades", teachers.Regrades, GRADE),
    _route(f"grading/{_ID}/retry", handlers.Retry, POST=GRADE),
    _get("api/assignments", api.Releases, INSIDE),
    _get(f"api/assignments/{_ID}/files", api.ReleaseFiles, INSIDE),
    _route(f"api/assignments/{_ID}/hand-in", api.HandIn, POST=INSIDE),
    _route(f"api/assignments/{_ID}/check/{_ID}", api.CheckAlone, POST=INSIDE),
    _route(f"api/assignments/{_ID}/release", api.ReleaseDoor, POST=GRADE, DELETE=GRADE),
    _get("api/attempts", api.Attempts, INSIDE),
    _get(f"api/attempts/{_ID}", api.AttemptState, INSIDE),
    _get(f"api/attempts/{_ID}/feedback", api.AttemptFeedback, INSIDE),
    _get("api/submissions", api.Submissions, GRADE),
    _get(f"api/submissions/{_ID}/files", api.SubmissionFiles, GRADE),
    _get("healthz", handlers.Health, PUBLIC),
    _get(r"static/([a-z]+\.[a-z]+)", handlers.AssetFile, PUBLIC),
    _get("oauth_callback", Callback, PUBLIC),
)
