"""An assignment and a number in, what its cells and checks cost in this one warm process out: the limit for any grader.

Run: python -m autograder.bench.floor COURSE ASSIGNMENT N. No jail, no fork, nothing recorded. Values still cross the
protocol's bytes, so that it is the very same checks that run.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from autograder.course import load
from autograder.grading.bundle import load_bundle
from autograder.grading.grade import Grader
from autograder.sandbox.inprocess import open_in_process
from autograder.sandbox.warm import one_thread, warm_up
from autograder.submission.compose import compose


def main() -> None:
    """Grade the reference once to warm up and N times more; print CPU and wall seconds of those."""
    root, assignment, n = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    one_thread()
    warm_up()
    bundle = load_bundle(load(root).assignment(assignment))
    grader = Grader(bundle, open_in_process, "C", b"bench" * 8)
    raw = compose(bundle.manifest, bundle.reference)
    grader.grade(raw, "warm")
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    for i in range(n):
        assert grader.grade(raw, f"s{i}").points == bundle.manifest.max_points
    print(json.dumps({"cpu_s": time.process_time() - cpu_s, "wall_s": time.perf_counter() - wall_s}))


if __name__ == "__main__":
    main()
