"""In a real container without capabilities: the tier is what was refused there, and the attacks are held in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.hostile import catalogue
from tests.hostile.container import NAMESPACES, Podman
from tests.hostile.plain_user import ROOT
from tests.sample import SEED

PLAIN, TOTAL, DISK = 1000, "memory of all processes together", "disk of a job"
BOOTCAMP = str(Path(sys.executable).parent / "bootcamp")
# How the container is started, and what its box then is.
WAYS = {"C": (), "B": NAMESPACES}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.getuid() != 0, reason="needs root, to start containers that are not root's own"),
    pytest.mark.skipif(
        shutil.which("podman") is None, reason="CONTAINERS NOT TESTED: podman is not installed (apt-get install podman runc)"
    ),
]


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    started = Podman(tmp_path_factory.mktemp("podman"))
    done = started.run(["/bin/sh", "-c", "grep CapBnd /proc/self/status"], user=PLAIN)
    if done.returncode != 0:
        pytest.skip(f"CONTAINERS NOT TESTED: podman starts none here: {done.stderr[-300:]}")
    assert done.stdout.split()[1].strip("0") == "", "the container should have no capability"
    return started


@pytest.mark.parametrize("tier", WAYS)
def test_doctor_tells_the_tier_in_a_container(podman, tier):
    """The default container gives C, which the course does not accept; one that allows namespaces gives B."""
    done = podman.run([BOOTCAMP, "doctor", "--json"], user=PLAIN, options=WAYS[tier])
    assert done.stdout, done.stderr
    said = json.loads(done.stdout)
    assert said["tier"] == tier, done.stderr
    assert {p["name"] for p in said["probes"] if not p["held"]} == {"C": {TOTAL, DISK}, "B": {TOTAL}}[tier]
    assert (said["graded"], done.returncode) == ((True, 0) if tier == "B" else (False, 3))
    assert ("allow them" in said["weaker_because"]) == (tier == "C")


def test_root_without_capabilities_is_refused(podman):
    """It cannot drop to another uid, so nothing runs, and what to do is said."""
    done = podman.run([BOOTCAMP, "doctor"], user=0)
    assert done.returncode not in (0, 3)
    assert "start it as a plain user" in done.stderr
    assert "Tier" not in done.stdout


@pytest.mark.parametrize("tier", WAYS)
def test_the_attacks_are_held_in_a_container(podman, tier):
    """A sample of the suite, run there."""
    env = {"HOSTILE_TIER": tier, "BOOTCAMP_TEST_SEED": f"{SEED}/container{tier}", catalogue.SHARE: "0.2"}
    env |= {"BOOTCAMP_TEST_ALL": "1"} if os.environ.get("BOOTCAMP_TEST_ALL") else {}
    files = [f"tests/hostile/test_{name}.py" for name in ("attacks", "attacks_check", "tier")]
    suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    done = podman.run(suite, user=PLAIN, options=WAYS[tier], env=env, timeout=3600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 20


def test_nothing_is_left_of_the_containers(podman):
    """Each container was removed with what ran in it."""
    assert ROOT.exists()
    names = [
        Path(f"/proc/{p}/cgroup").read_text() for p in os.listdir("/proc") if p.isdigit() and Path(f"/proc/{p}/cgroup").exists()
    ]
    assert not [n for n in names if "libpod-" in n]
