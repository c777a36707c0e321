"""`make bench-path`: from a hand-in to its official result, measured; one row per promise, with what was promised.

Every row is a module with a function of a `Bench` that returns a `Row`. Add yours to ROWS; the command line chooses.
CPU seconds are of this process and its children; walls are only comparable within one run.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import tempfile
from pathlib import Path

from autograder.bench.row import Bench, Row

# Modules with a `measure(Bench) -> Row`, loaded when they are measured: worker processes load this module again, and
# must not pay for torch. Hand-in latency and the deadline spike, over HTTP, join here.
ROWS = {
    "resubmission": "autograder.bench.resubmission",
    "queue": "autograder.bench.queue",
    "export": "autograder.bench.export",
    "backup": "autograder.bench.backup",
}


def main(argv: list[str] | None = None) -> int:
    """Measure the rows and print them; return 1 when a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m autograder.bench.path", description="Measure the path of a submission.")
    parser.add_argument("rows", nargs="*", choices=[*ROWS, []], help="which (default: all)")
    parser.add_argument("--course", type=Path, default=Path("."))
    parser.add_argument("--scale", type=float, default=1.0, help="a share of the full size, to try it out")
    given = parser.parse_args(argv)
    kept = True
    print(f"{'row':<14} {'promised':<44} measured")
    for name in given.rows or ROWS:
        with tempfile.TemporaryDirectory(prefix="bootcamp-bench-") as folder:
            measure = importlib.import_module(ROWS[name]).measure
            row: Row = measure(Bench(given.course.resolve(), Path(folder), given.scale, os.cpu_count() or 1))
        kept = kept and row.kept
        print(f"{name:<14} {row.promised:<44} {'kept  ' if row.kept else 'BROKEN'} {row.measured}", flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
