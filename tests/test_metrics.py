"""What Prometheus reads: real exchange, real grader; nobody is named, and the board and the alerts ask for what there is."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jupyterhub.metrics  # noqa: F401 - registers the Hub's families
import pytest
import yaml
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families as families

from autograder.errors import BootcampError
from autograder.metrics import port
from autograder.metrics.answers import template
from autograder.metrics.grading import GradingMetrics
from autograder.metrics.queue import QueueCollector
from autograder.records import REGRADE, Ledger
from autograder.service.desk import Desk
from autograder.service.roles import CUSTOM_SCOPES, ENTER, METRICS, MONITOR_SCOPES
from autograder.service.routes import ROUTES
from tests import cohort_world, test_commands_work, test_records_worker, tiny
from tests.ledger_world import minute
from tests.service_world import World, serving
from tests.test_records_worker import work

FOLDER = Path(__file__).parents[1] / "docker" / "monitoring"
BOARD = json.loads((FOLDER / "board.json").read_text("utf-8"))
ALERTS = yaml.safe_load((FOLDER / "alerts.yml").read_text("utf-8"))["groups"]
# Where an expression names a family: after nothing that goes on a name, before "{", "[", ")", a sign or the end.
_NAME = re.compile(r"(?<![\w:])((?:bootcamp|jupyterhub|process)_\w+|up)\b")


def values(text: str) -> dict[str, float]:
    """Return sample -> value, labels in order of their names."""
    found = {}
    for family in families(text):
        for s in family.samples:
            found[s.name + "".join(f"|{k}={v}" for k, v in sorted(s.labels.items()))] = s.value
    return found


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> cohort_world.World:
    folder = tmp_path_factory.mktemp("term")
    return cohort_world.make(folder / "course", f"sqlite:///{folder / 'ledger.sqlite'}")


@pytest.fixture(scope="module")
def exchange(filled: cohort_world.World) -> Iterator[World]:
    """The exchange over a term, with a Prometheus that may ask it."""
    (filled.course.root / "backed_up").touch()
    with (
        Ledger.open(filled.ledger_url) as ledger,
        serving(Desk.of(filled.course, ledger, lambda: cohort_world.NOW, filled.course.root)) as running,
    ):
        running.hub.let_in("monitor", "prometheus", MONITOR_SCOPES, kind="service")
        yield running


def scrape(world: World) -> str:
    answer = world.ask("metrics", "monitor")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    return answer.body


@pytest.fixture(scope="module")
def grader(tmp_path_factory: pytest.TempPathFactory) -> tuple[test_commands_work.World, str]:
    """A real `bootcamp work` that graded one hand-in in the box, and what it then told on its port."""
    world = test_commands_work.World(tmp_path_factory.mktemp("graders"))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        number = s.getsockname()[1]
    attempt = world.hand_in()
    process = world.start("--metrics", str(number))
    try:
        test_commands_work.wait_for(world, attempt, "graded")
        with urllib.request.urlopen(f"http://127.0.0.1:{number}/metrics", timeout=30) as reply:
            return world, reply.read().decode()
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_prometheus_alone_may_ask(exchange: World) -> None:
    """A person with the scope is refused as much as another service without it; no role holds it."""
    exchange.hub.let_in("curious", "carl", (ENTER, METRICS))
    exchange.hub.let_in("robot", "robot", (ENTER, *(set(CUSTOM_SCOPES) - {METRICS})), kind="service")

    assert [exchange.ask("metrics", token).status for token in ("curious", "robot", "monitor")] == [403, 403, 200]
    assert exchange.ask("cohort", "monitor").status == 403


def test_answers_are_timed_by_route_and_status(exchange: World) -> None:
    """An address counts under its route; what strangers choose, an address or a method, is one label each."""
    for _ in range(2):
        exchange.ask("me/attempt/nobodys", "student")
    exchange.ask("nope/at/all")
    exchange.ask("me", "student", method="BREW")

    found = values(scrape(exchange))

    assert found["bootcamp_http_seconds_count|method=GET|route=me/attempt/{}|status=404"] == 2
    assert found["bootcamp_http_seconds_count|method=GET|route=other|status=404"] == 1
    assert found["bootcamp_http_seconds_count|method=other|route=me|status=405"] == 1
    assert not any("nobodys" in name or "nope" in name or "BREW" in name for name in found)


def test_every_route_has_a_label_of_its_own() -> None:
    """A handler serves one route, so its class tells which; no label keeps a part of an expression."""
    templates = [template(route.path) for route in ROUTES]

    assert len({route.handler for route in ROUTES}) == len(set(templates)) == len(ROUTES)
    assert not re.search(r"[()\[\]\\|+*]", "".join(templates))
    assert template(r"exports/([a-z]{1,32})\.(csv|json)") == "exports/{}.{}"


def test_the_exchange_names_nobody(exchange: World, filled: cohort_world.World) -> None:
    """After every page was asked for by everybody: no name, no pseudonym, no attempt, and few series."""
    pseudonym = filled.pseudonyms["ada"]
    with Ledger.open(filled.ledger_url) as ledger:
        attempt = ledger.results(pseudonym)[0].latest.attempt.id
    for path in ("me", f"me/attempt/{attempt}", f"cohort/student/{pseudonym}", f"cohort/student/{pseudonym}/attempt/{attempt}"):
        for role in ("student", "organizer"):
            exchange.ask(path, role)

    text = scrape(exchange)

    assert "route=" in text
    for secret in (attempt, *filled.pseudonyms, *filled.pseudonyms.values()):
        assert not re.search(rf"\b{re.escape(secret)}\b", text), secret
    assert set(re.findall(r'(\w+)="', text)) <= {"route", "method", "status", "le", "lane", "state"}
    assert len(text.splitlines()) < 1000


def test_the_queue_is_told_by_lane(tmp_path: Path) -> None:
    """Hand-ins and regrades apart, the age of the oldest, dead letters; a backup only once there was one."""
    world = test_records_worker.World(tmp_path)
    registry = CollectorRegistry()
    registry.register(QueueCollector(world.ledger, tmp_path / "backed_up"))
    world.hand_in(b"1")
    attempt = world.ledger.hand_in(world.ann, "t2", world.blobs.put(b"2"), minute(-9), priority=REGRADE).attempt.id
    assert world.ledger.queue.status(attempt).state == "queued"
    world.ledger.queue.claim("one")

    before = values(generate_latest(registry).decode())
    (tmp_path / "backed_up").touch()
    after = values(generate_latest(registry).decode())

    assert before["bootcamp_queue_jobs|lane=hand-in|state=running"] == 1
    assert before["bootcamp_queue_jobs|lane=hand-in|state=waiting"] == 0
    assert before["bootcamp_queue_jobs|lane=regrade|state=waiting"] == 1
    assert before["bootcamp_queue_oldest_seconds|lane=hand-in"] == 0
    assert before["bootcamp_queue_oldest_seconds|lane=regrade"] == 540
    assert "bootcamp_backup_timestamp_seconds" not in before
    assert after["bootcamp_backup_timestamp_seconds"] == (tmp_path / "backed_up").stat().st_mtime
    world.ledger.close()


def test_a_graders_counts_follow_what_happened(tmp_path: Path) -> None:
    """Graded, retried, dead and lost leases each count once; the wait is from the hand-in, of people's hand-ins only."""
    world, registry = test_records_worker.World(tmp_path), CollectorRegistry()
    told = GradingMetrics(registry, 2, lambda: minute(60))
    worker = world.worker()
    told.worker, worker.watch = worker, told.ended
    world.hand_in(b"3")  # minute 1
    world.hand_in(b"die")
    world.ledger.hand_in(world.ann, "t2", world.blobs.put(b"1"), minute(2), priority=REGRADE)
    work(worker)
    world.moment += 100
    work(worker)
    world.graders.held_back = True
    world.hand_in(b"2")
    worker.step()
    busy = values(generate_latest(registry).decode())
    world.moment += 1000
    world.ledger.queue.claim("other")
    worker._beat_at = 0.0
    worker.step(claim=False)

    found = values(generate_latest(registry).decode())

    jobs = {k.removeprefix("bootcamp_jobs_total|"): v for k, v in found.items() if k.startswith("bootcamp_jobs_total") and v}
    assert jobs == {
        "end=graded|lane=hand-in": 1,
        "end=graded|lane=regrade": 1,
        "end=retried|lane=hand-in": 1,
        "end=dead|lane=hand-in": 1,
    }
    assert found["bootcamp_faults_total|kind=lost"] == 2
    assert found["bootcamp_hand_in_seconds_sum"] == 59 * 60
    assert found["bootcamp_grading_seconds_count|assignment=t1"] == 1
    assert (busy["bootcamp_slots|state=busy"], busy["bootcamp_slots|state=free"]) == (1, 1)
    assert found["bootcamp_slots|state=busy"] == 0
    assert found["bootcamp_leases_lost_total"] == 1
    assert found["bootcamp_tier_info|tier=B"] == found["bootcamp_build_info|assignment=t1|build=b1"] == 1
    world.ledger.close()


def test_a_real_grader_tells_its_port(grader: tuple[test_commands_work.World, str]) -> None:
    """One hand-in, graded in the box: counted, timed, with the tier that the probes found; and nobody is named."""
    world, text = grader
    found = values(text)

    assert found["bootcamp_jobs_total|end=graded|lane=hand-in"] == 1
    assert 0.01 < found[f"bootcamp_grading_seconds_sum|assignment={tiny.ASSIGNMENT}"] < 120
    assert found.keys() & {"bootcamp_tier_info|tier=A", "bootcamp_tier_info|tier=B"}
    assert found["process_resident_memory_bytes"] > 1e7
    assert world.ann not in text
    assert not re.search(r"\bann\b", text)
    assert set(re.findall(r'(\w+)="', text)) <= {"lane", "end", "kind", "assignment", "build", "tier", "state", "le"}


@pytest.mark.parametrize("address", ["", "x", "70000", "0", "1:2:3", "host:", "127.0.0.1:99999"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """With what was expected."""
    with pytest.raises(BootcampError, match="expected PORT or HOST:PORT"):
        port.parse(address)


def test_the_port_is_loopbacks_unless_a_host_is_named() -> None:
    """Nobody opens it to the network by accident; a port that is taken is said."""
    assert port.parse("9101") == ("127.0.0.1", 9101)
    assert port.parse("0.0.0.0:9101") == ("0.0.0.0", 9101)
    assert port.parse("[::1]:9101") == ("::1", 9101)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        with pytest.raises(BootcampError, match="Name another port"), port.served(str(s.getsockname()[1]), CollectorRegistry()):
            pass


def expressions() -> list[str]:
    """Return what board and alerts ask."""
    asked = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
    return asked + [rule["expr"] for group in ALERTS for rule in group["rules"]]


def test_board_and_alerts_ask_for_what_there_is(exchange: World, grader: tuple[test_commands_work.World, str]) -> None:
    """Every name in an expression stands in what a real exchange, grader or Hub tells; every family of ours is asked for."""
    texts = (scrape(exchange), grader[1], generate_latest(REGISTRY).decode())
    there = {s.name for text in texts for f in families(text) for s in f.samples} | {"up"}
    there |= {f.name for f in families(texts[2])}  # the Hub's families have no samples before their first event
    there |= {f"{f.name}_bucket" for f in families(texts[2]) if f.type == "histogram"}
    asked = {name for expr in expressions() for name in _NAME.findall(expr)}

    assert len(asked) > 10
    assert asked <= there, asked - there
    ours = {f.name for text in texts[:2] for f in families(text) if f.name.startswith("bootcamp")}
    ours = {name for name in ours if not name.endswith("_created")}
    unasked = {name for name in ours if not any(a.startswith(name) for a in asked)}
    assert unasked == {"bootcamp_queue_done"}  # each grader counts its own; this is for who has no Prometheus at graders


def test_labels_that_are_asked_for_exist(exchange: World, grader: tuple[test_commands_work.World, str]) -> None:
    """A selector on a label or a value that nothing has would be silent for ever."""
    samples = [s for text in (scrape(exchange), grader[1]) for f in families(text) for s in f.samples]
    for expr in expressions():
        for name, selector in re.findall(r"(bootcamp_\w+)\{([^}]*)\}", expr):
            for label, sign, value in re.findall(r'(\w+)(=~|!~|=)"([^"]*)"', selector):
                have = {s.labels.get(label) for s in samples if s.name == name} - {None}
                assert have, f"{name} has no label {label}"
                assert sign != "=" or value in have, f"{name}: {label} is never {value}"


def test_the_operator_gets_the_same_alerts() -> None:
    """kustomize cannot wrap the file, so there are two copies."""
    rule: dict[str, Any] = yaml.safe_load((FOLDER.parent / "kubernetes" / "monitoring" / "rules.yaml").read_text("utf-8"))
    assert rule["spec"]["groups"] == ALERTS


def test_the_alerts_ring_when_they_should() -> None:
    """Prometheus's own tool: the files are its, a well course is silent, each trouble is told."""
    if shutil.which("promtool") is None:
        pytest.skip("ALERTS NOT RUN: promtool is missing; ends with: apt-get install prometheus")
    for command in (
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
        ["check", "config", "--syntax-only", "prometheus.yml"],
    ):
        done = subprocess.run(["promtool", *command], cwd=FOLDER, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
