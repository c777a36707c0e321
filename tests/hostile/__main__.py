"""The table of every attack in every tier: `python -m tests.hostile`, as root. Takes about ten minutes of CPU.

Tier A runs as it is, B as a plain user, C as a plain user without bubblewrap: each for real.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from tests.hostile import plain_user

SUITE = [f"tests/hostile/test_{name}.py" for name in ("attacks", "attacks_check", "notebooks", "tier")]
TIERS = ("A", "B", "C")


def main() -> int:
    """Print the table and return 1 if an attack was not held where it should be."""
    if os.getuid() != 0:
        print("Run it as root: it becomes the plain users of tiers B and C itself.", file=sys.stderr)
        return 2
    results: dict[str, dict[str, str]] = {}
    for tier in TIERS:
        print(f"tier {tier} ...", file=sys.stderr, flush=True)
        for name, said in run(tier, sys.argv[1:]).items():
            results.setdefault(name, {})[tier] = said
    width = max(map(len, results))
    print("attack".ljust(width), *TIERS)
    for name, row in results.items():
        print(name.ljust(width), *(row.get(tier, "-") for tier in TIERS))
    n_bad = sum(said == "FAILED" for row in results.values() for said in row.values())
    print(f"\n{len(results)} attacks and rules; . held, s not held in that tier (see NOT_HELD in catalogue.py); {n_bad} failed")
    return min(n_bad, 1)


def run(tier: str, options: Sequence[str]) -> dict[str, str]:
    """Return name -> "." (held), "s" (known not to be), or "FAILED"."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        report = Path(folder) / "report.xml"
        suite = [*SUITE, f"--junitxml={report}", *options]
        env = {"BOOTCAMP_TEST_ALL": "1"}
        if tier == "A":
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *suite]
            done = subprocess.run(
                command, cwd=plain_user.ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False
            )
        else:
            done = plain_user.run_suite(tier, suite, env)
        if not report.exists():
            raise SystemExit(f"tier {tier}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return {name_of(case): outcome(case) for case in ET.parse(report).iter("testcase")}


def name_of(case: ET.Element) -> str:
    """Return the attack's name, or the rule's."""
    name = case.get("name", "")
    found = re.fullmatch(r"(\w+)\[(.*)\]", name)
    return (
        name
        if not found
        else found[2]
        if found[1] in ("test_the_attack_is_held", "test_the_check_holds")
        else ": ".join(found.groups())
    )


def outcome(case: ET.Element) -> str:
    kinds = {child.tag for child in case}
    return "FAILED" if kinds & {"failure", "error"} else "s" if "skipped" in kinds else "."


if __name__ == "__main__":
    sys.exit(main())
