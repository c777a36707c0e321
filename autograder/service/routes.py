"""The routing table: address -> handler -> what each method takes. The one place where access is granted.

A method that stands here with a scope is refused to everybody without it, one that does not stand here is refused to
everybody with 405, and an address that does not stand here does not exist. A test asks every line of it in every role.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tornado import web

from autograder.service import api, handlers, learners, monitoring, open_data, organizers, teachers
from autograder.service.roles import FLAGS, GRADE, INSIDE, MENTOR, METRICS, PUBLIC, READ_ALL
from autograder.service.shell import Callback

# Ids and pseudonyms are ours and consist of these; anything else is no such page.
_ID = r"([0-9A-Za-z_-]{1,64})"


@dataclass(frozen=True)
class Route:
    """One line of the table. `path` follows the service's prefix and is a regular expression."""

    path: str
    handler: type[web.RequestHandler]
    needs: Mapping[str, str]
    is_page: bool = False  # of one dataclass, which the API hands out too


def _page(path: str, handler: type[web.RequestHandler], **needs: str) -> Route:
    return Route(path, handler, MappingProxyType(needs), True)


def _twin(route: Route) -> Route:
    return _get(f"{open_data.BASE}/pages/{route.path}", open_data.twin(route.handler), route.needs["GET"])


def _get(path: str, handler: type[web.RequestHandler], scope: str) -> Route:
    return _route(path, handler, GET=scope)


def _route(path: str, handler: type[web.RequestHandler], **needs: str) -> Route:
    return Route(path, handler, MappingProxyType(needs))


_ROUTES: tuple[Route, ...] = (
    _get("", handlers.Start, INSIDE),
    _page("me", learners.Overview, GET=INSIDE),
    _page("me/progress", learners.Journey, GET=INSIDE),
    _route("me/progress/wish", learners.Wish, POST=INSIDE),
    _get("me/data", learners.OwnData, INSIDE),
    _page("me/transcripts", learners.Transcripts, GET=INSIDE, POST=INSIDE),
    _get(f"me/transcripts/{_ID}/paper", learners.Paper, INSIDE),
    _route(f"me/transcripts/{_ID}/withdraw", learners.Withdraw, POST=INSIDE),
    _get(f"verify/{_ID}", learners.Verify, PUBLIC),
    _get(rf"verify/{_ID}/(transcript\.json|transcript\.sig|key\.pem)", learners.Proof, PUBLIC),
    _page(f"me/attempt/{_ID}", handlers.OwnAttempt, GET=INSIDE),
    _page("overview", organizers.Overview, GET=READ_ALL),
    _page("comparison", organizers.Comparison, GET=READ_ALL),
    _page("calibration", organizers.Calibration, GET=FLAGS),
    _page("flags", organizers.Flags, GET=FLAGS),
    _get("flags/list", organizers.FlagsList, FLAGS),
    _route("flags/shortlist", organizers.Shortlist, GET=FLAGS, POST=FLAGS),
    _route("flags/evaluate", organizers.Evaluate, POST=FLAGS),
    _page("exports", organizers.Exports, GET=FLAGS),
    _get(r"exports/([a-z]{1,32})\.(csv|json)", organizers.Export, FLAGS),
    _page("mentees", organizers.Mentees, GET=MENTOR),
    _page(f"mentees/{_ID}", organizers.Mentee, GET=MENTOR),
    _page("cohort", handlers.Cohort, GET=READ_ALL),
    _route(f"cohort/student/{_ID}/review", organizers.Review, POST=FLAGS),
    _page(f"cohort/student/{_ID}", organizers.Person, GET=FLAGS),
    _page(f"cohort/student/{_ID}/attempt/{_ID}", organizers.PersonAttempt, GET=FLAGS),
    _get(f"me/attempt/{_ID}/state", handlers.OwnState, INSIDE),
    _route(f"me/attempt/{_ID}/dispute", handlers.Dispute, POST=INSIDE),
    _page("grading", handlers.Grading, GET=GRADE),
    _page("teaching", teachers.Health, GET=GRADE),
    _page(f"teaching/assignment/{_ID}", teachers.Assignment, GET=GRADE),
    _page("teaching/exercises", teachers.Items, GET=GRADE),
    _page(f"teaching/exercises/{_ID}/{_ID}", teachers.Item, GET=GRADE),
    _page("teaching/stuck", teachers.Stuck, GET=GRADE),
    _route(f"teaching/wishes/{_ID}/answer", teachers.AnswerWish, POST=GRADE),
    _page("teaching/roster", teachers.Roster, GET=GRADE),
    _page(f"teaching/roster/{_ID}", teachers.Enrolled, GET=GRADE),
    _page(f"teaching/roster/{_ID}/attempt/{_ID}", teachers.EnrolledAttempt, GET=GRADE),
    _route(f"teaching/roster/{_ID}/extend", teachers.Extend, POST=GRADE),
    _route(f"teaching/roster/{_ID}/take-back", teachers.TakeBack, POST=GRADE),
    _page("teaching/regrades", teachers.Regrades, GET=GRADE),
    _get("teaching/regrade-state", teachers.RegradeState, GRADE),
    _page(f"teaching/regrades/{_ID}", teachers.Regrade, GET=GRADE, POST=GRADE),
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
    _get(open_data.BASE, open_data.Index, INSIDE),
    _get(rf"{open_data.BASE}/data/([a-z]{{1,32}})", open_data.Table, FLAGS),
    _get(f"{open_data.BASE}/results", open_data.Results, READ_ALL),
    _get("metrics", monitoring.Metrics, METRICS),
    _get("healthz", handlers.Health, PUBLIC),
    _get(r"static/([a-z]+\.[a-z]+)", handlers.AssetFile, PUBLIC),
    _get("oauth_callback", Callback, PUBLIC),
)

ROUTES = (*_ROUTES, *(_twin(r) for r in _ROUTES if r.is_page))
