"""A notebook of which one exercise changed in; our seconds beside those of `nbgrader autograde` out, in one run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from autograder.authoring.build import instructor_notebook
from autograder.bench.nbgrader import Course
from autograder.bench.row import Bench, Row, Watch
from autograder.course import Assignment, load
from autograder.errors import InfraError
from autograder.grading.bundle import Bundle, load_bundle
from autograder.grading.pool import Job, Pool
from autograder.nbgrader_bridge.publish import release_files
from autograder.submission.compose import compose
from autograder.submission.read import read

_ASSIGNMENT, _N, _TIMES = "t1_attention", 8, 20
_SEED = b"a seed of the benchmark's own, long enough"


def measure(bench: Bench) -> Row:
    """Grade a first hand-in, then one with another exercise; then let nbgrader autograde the same notebook."""
    assignment = load(bench.course_root).assignment(_ASSIGNMENT)
    bundle = load_bundle(assignment)
    answers = _eight(bundle)
    # A remark in an answer that no other one builds on.
    last = list(answers)[-1]
    raw = compose(bundle.manifest, {**answers, last: answers[last].rstrip() + "  # changed\n"})
    with Pool(bench.course_root, _SEED, bench.folder / "admitted", 1, os.environ) as pool:
        before = pool.grade(compose(bundle.manifest, answers), assignment.id, "s1")
        watch = Watch()
        (end,) = pool.run([Job(1, assignment.id, "s1", raw, before.verdicts)])
        after, ours_s = end.graded, watch.wall_s
    if after is None:
        raise InfraError(end.fault)
    n_new = sum(a.key != b.key for a, b in zip(before.verdicts, after.verdicts, strict=True))
    theirs_s, theirs_cpu_s = _nbgrader(bench.folder, assignment, raw)
    ratio, cpu_ratio = theirs_s / ours_s, theirs_cpu_s / after.cpu_s
    kept = min(ratio, cpu_ratio) >= _TIMES and n_new == 1 and after.points == before.points > 0
    measured = f"{ratio:.0f} x by wall ({ours_s:.2f} s, {theirs_s:.1f} s), {cpu_ratio:.0f} x by CPU; {n_new} of {len(answers)} ran"
    return Row("1 of 8 changed: 20 x faster than nbgrader", kept, measured)


def _eight(bundle: Bundle) -> dict[str, str]:
    """The reference's answers to eight exercises, the last one such that no other builds on it."""
    whole = read(compose(bundle.manifest, bundle.reference), bundle.manifest)
    used = {u for a in whole.answers.values() for u in a.uses}
    last = next(e.id for e in reversed(bundle.manifest.exercises) if e.id not in used)
    others = [e.id for e in bundle.manifest.exercises if e.id != last][: _N - 1]
    return {id: bundle.reference[id] for id in (*others, last)}


def _nbgrader(folder: Path, assignment: Assignment, raw: bytes) -> tuple[float, float]:
    """Return the wall and CPU seconds of nbgrader's own autograde, with its own execution, of this notebook."""
    id, course = assignment.id, Course(folder / "nbgrader", assignment.id, {})
    source, submitted = course.folder("source"), course.folder("submitted", "s1")
    for place in (source, submitted):
        for name, content in release_files(assignment.release, f"{id}.ipynb"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content)
    (source / f"{id}.ipynb").write_bytes(instructor_notebook(assignment))
    course.run("generate_assignment", id)
    shutil.copy(course.folder("release") / f"{id}.ipynb", submitted)
    _fill(submitted / f"{id}.ipynb", json.loads(raw))
    watch = Watch()
    course.autograde("s1")
    return watch.wall_s, watch.cpu_s


def _fill(path: Path, answered: dict[str, list[dict[str, object]]]) -> None:
    """Put the answers into the released notebook."""
    notebook = json.loads(path.read_text("utf-8"))
    sources = {c["id"]: c["source"] for c in answered["cells"]}
    for cell in notebook["cells"]:
        of = cell["metadata"].get("nbgrader", {})
        if of.get("solution") and cell["id"] in sources:
            cell["source"] = sources[cell["id"]]
    path.write_text(json.dumps(notebook), "utf-8")
