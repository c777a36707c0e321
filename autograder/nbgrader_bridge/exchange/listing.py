"""The service's lists in, the dictionaries that nbgrader's commands, formgrader and the Assignment List expect out."""

from __future__ import annotations

import json
from itertools import groupby
from typing import Any

from nbgrader.exchange import abc
from traitlets import Bool

from autograder.nbgrader_bridge.exchange.base import Exchange
from autograder.nbgrader_bridge.exchange.feedback import feedback_file, version_in

Info = dict[str, Any]


class ExchangeList(Exchange, abc.ExchangeList):
    """Lists releases, own attempts (`cached`) or everybody's newest hand-ins (`inbound`)."""

    as_json = Bool(False, help="Print out assignments as json.").tag(config=True)

    def start(self) -> list[Info]:
        if self.inbound and self.cached:
            self.fail("Options --inbound and --cached are incompatible.")
        with self.failing():
            found = self._submitted() if self.inbound or self.cached else self._released()
            if self.remove:
                self._remove(found)
        if self.as_json:
            print(json.dumps(found))
        return found

    def _released(self) -> list[Info]:
        wanted = self.named()
        said = self.client().get("api/assignments")
        found = [self._release(said["course_id"], a) for a in said["assignments"] if not wanted or a["assignment_id"] == wanted]
        if not self.as_json:
            self.log.info("Released assignments:")
            for info in found:
                have = " (already downloaded)" if info["status"] == "fetched" else ""
                due = f", due {info['due']}" if info["due"] else ""
                self.log.info("%s %s%s%s", info["course_id"], info["assignment_id"], due, have)
        return found

    def _release(self, course_id: str, released: Info) -> Info:
        assignment = released["assignment_id"]
        folder = self.assignment_folder(assignment)
        fetched = folder.is_dir()
        names = sorted(p.name for p in folder.glob("*.ipynb")) if fetched else [f"{assignment}.ipynb"]
        return {
            "course_id": course_id,
            "assignment_id": assignment,
            "status": "removed" if self.remove else "fetched" if fetched else "released",
            "path": str(folder),
            "due": released["due"],
            "notebooks": [{"notebook_id": n.removesuffix(".ipynb"), "path": str(folder / n)} for n in names],
        }

    def _submitted(self) -> list[Info]:
        query = {"assignment": self.named()} if self.named() else {}
        client = self.client()
        if self.inbound:
            student = str(self.coursedir.student_id)
            said = client.get("api/submissions", **query, **({"student": student} if student not in ("", "*") else {}))
            attempts = said["submissions"]
        else:
            said = client.get("api/attempts", **query)
            attempts = said["attempts"]
        infos = [self._submission(said["course_id"], a) for a in attempts]
        infos.sort(key=lambda i: (i["student_id"], i["assignment_id"], i["timestamp"]))
        if not self.as_json:
            self.log.info("Submitted assignments:")
            for info in infos:
                self.log.info("%s %s %s %s", info["course_id"], info["student_id"], info["assignment_id"], info["timestamp"])
        groups = groupby(infos, key=lambda i: (i["course_id"], i["student_id"], i["assignment_id"]))
        return [
            {"course_id": key[0], "student_id": key[1], "assignment_id": key[2], "status": "submitted", "submissions": list(group)}
            for key, group in groups
        ]

    def _submission(self, course_id: str, attempt: Info) -> Info:
        path = feedback_file(self, attempt)
        local = version_in(path) if self.cached else None
        feedback = {
            "has_local_feedback": local is not None,
            "has_exchange_feedback": True,
            "feedback_updated": local is not None and local != attempt["feedback"],
            "local_feedback_path": str(path.parent) if local is not None else None,
        }
        assignment = attempt["assignment_id"]
        return {
            "course_id": course_id,
            "student_id": attempt["student_id"],
            "assignment_id": assignment,
            "status": "submitted",
            "path": str(self.assignment_folder(assignment)),
            # The Assignment List shows this text and sorts by it, so the state stands here for everybody to see.
            "timestamp": f"{self.stamp(attempt['received_at'])}: {attempt['words']}",
            "received_at": attempt["received_at"],
            "notebooks": [{"notebook_id": assignment, "path": str(path), **feedback}],
            **feedback,
        }

    def _remove(self, found: list[Info]) -> None:
        if self.inbound or self.cached:
            self.fail("Attempts are kept and cannot be removed. To take an assignment back: nbgrader list ASSIGNMENT --remove")
        client = self.client()
        for info in found:
            client.delete(f"api/assignments/{info['assignment_id']}/release")
            self.log.info("Withdrawn: %s %s. What was handed in is kept.", info["course_id"], info["assignment_id"])
