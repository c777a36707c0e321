"""docker/: what goes into each image, what each container may do, and that all of it is named by version. No container runs here.

tests/containers builds and runs the stack (make test-containers).
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose" / "compose.yaml").read_text("utf-8"))
MONITORING: dict[str, Any] = yaml.safe_load((DOCKER / "compose" / "monitoring.yaml").read_text("utf-8"))
RUNNING = ("database", "service", "worker", "hub")
ENTRYPOINT = DOCKER / "compose" / "entrypoint"


def stage(name: str) -> str:
    """Return the text of one stage of the Dockerfile."""
    return DOCKERFILE.split(f" AS {name}\n", 1)[1].split("\nFROM ", 1)[0]


def copied(name: str) -> set[str]:
    """Return the modules of ours that a stage copies."""
    sources = re.findall(r"^COPY ((?:autograder\S* )+)", stage(name).replace("\\\n    ", ""), re.MULTILINE)
    paths = [ROOT / source for line in sources for source in line.split()]
    files = [f for p in paths for f in (p.rglob("*.py") if p.is_dir() else [p])]
    return {str(f.relative_to(ROOT)) for f in files}


def needed(*starts: str) -> set[str]:
    """Return the files of ours that importing these modules reads, packages above them too."""
    todo, found = list(starts), set()
    while todo:
        path = ROOT / todo.pop().replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if not path.is_file() or str(path.relative_to(ROOT)) in found:
            continue
        found.add(str(path.relative_to(ROOT)))
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autograder"):
                todo += [str(node.module), *(f"{node.module}.{a.name}" for a in node.names)]
        parts = path.relative_to(ROOT).parts
        todo += [".".join(parts[:n]) for n in range(1, len(parts))]
    return found


def test_the_students_image_holds_the_exchanges_client_and_no_more() -> None:
    """A module more would be engine that students can read; one less, and no notebook could be handed in."""
    client = [f"autograder.nbgrader_bridge.exchange.{p.stem}" for p in (ROOT / "autograder/nbgrader_bridge/exchange").glob("*.py")]

    assert copied("student") == needed(*client)


def test_the_hubs_image_holds_the_rights_and_no_more() -> None:
    """The Hub decides who may do what; it grades nothing."""
    assert copied("hub") == needed("autograder.service.front")


@pytest.mark.parametrize("name", ["student", "engine", "hub"])
def test_an_image_runs_as_a_plain_user(name: str) -> None:
    """The last user that a stage names is not root."""
    assert re.findall(r"^USER (\S+)", stage(name), re.MULTILINE)[-1] == "1000:1000"


def test_every_base_is_named_by_version() -> None:
    """A base that moves under the same name would make another image of the same files."""
    bases = [*re.findall(r"^ARG DEBIAN=(\S+)", DOCKERFILE, re.MULTILINE), COMPOSE["services"]["database"]["image"]]
    for base in bases:
        assert re.fullmatch(r"docker\.io/library/[a-z]+:\d+\.\d+-\w+", base), base
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${DEBIAN}", "python", "notebook"}


@pytest.mark.parametrize("name", RUNNING)
def test_a_container_has_what_it_needs_and_no_more(name: str) -> None:
    """No capability but the database's few, no new privileges, a memory limit, a health check, a restart."""
    found = COMPOSE["services"][name]
    assert found["cap_drop"] == ["ALL"]
    assert "no-new-privileges" in found["security_opt"]
    assert found["mem_limit"]
    assert found["healthcheck"]["test"][0] == "CMD-SHELL"
    assert found["restart"] == "unless-stopped"
    assert not {"privileged", "devices", "pid", "network_mode", "ipc"} & set(found)
    assert bool(found.get("cap_add")) == (name == "database")
    assert any("docker.sock" in str(v) for v in found.get("volumes", [])) == (name == "hub")


def test_graders_may_make_namespaces_and_others_may_not() -> None:
    """The two options of tier B stand at the worker alone."""
    wide = {n: [o for o in s.get("security_opt", []) if o != "no-new-privileges"] for n, s in COMPOSE["services"].items()}
    assert {n for n, options in wide.items() if options} == {"worker"}
    assert [o.split("=")[0] for o in wide["worker"]] == ["seccomp", "systempaths"]


def test_the_boxs_seccomp_profile_adds_one_call_to_the_default() -> None:
    """bubblewrap names the box's host, and that is all that the default of containers refuses it."""
    default = Path("/usr/share/containers/seccomp.json")
    if not default.is_file():
        pytest.skip("no default profile to compare with; ends with: apt-get install golang-github-containers-common")
    ours, theirs = (json.loads(p.read_text()) for p in (DOCKER / "compose" / "seccomp-box.json", default))
    assert ours["defaultAction"] == "SCMP_ACT_ERRNO"
    assert _allowed(ours) - _allowed(theirs) == {"sethostname"}
    assert _allowed(theirs) - _allowed(ours) == set()
    assert not {"bpf", "perf_event_open", "init_module", "kexec_load", "io_uring_setup", "userfaultfd"} & _allowed(ours)


def _allowed(profile: dict[str, Any]) -> set[str]:
    """Return what a container without a capability may call."""
    rules = [r for r in profile["syscalls"] if r["action"] == "SCMP_ACT_ALLOW" and not r.get("includes", {}).get("caps")]
    return {name for rule in rules for name in rule["names"]}


def test_the_database_is_out_of_the_students_reach() -> None:
    """Students' servers stand in the network `people`; database and graders do not."""
    networks = {name: set(COMPOSE["services"][name]["networks"]) for name in RUNNING}
    assert networks["database"] == networks["worker"] == {"inner"}
    assert COMPOSE["networks"]["inner"]["internal"] is True
    assert COMPOSE["services"]["hub"]["environment"]["BOOTCAMP_NETWORK"] == COMPOSE["networks"]["people"]["name"]


def test_podman_compose_reads_every_default() -> None:
    """Its version in Debian 12 leaves "${NAME:-}" as it stands, so no default is empty."""
    texts = [(DOCKER / "compose" / f"{name}.yaml").read_text("utf-8") for name in ("compose", "monitoring")]
    variables = [v for text in texts for v in re.findall(r"(?<!\$)\$\{[^}]*\}", text)]
    assert len(variables) > 20
    assert all(re.fullmatch(r"\$\{[A-Z_]+:-[^}]+\}", v) for v in variables)


def test_prometheus_finds_what_it_asks_and_others_do_not() -> None:
    """Names, ports and the token's file of prometheus.yml are those of the stack; the graders' port is out of students' reach."""
    found = yaml.safe_load((DOCKER / "monitoring" / "prometheus.yml").read_text("utf-8"))
    jobs = {j["job_name"]: j for j in found["scrape_configs"]}
    services = COMPOSE["services"]
    (worker,) = jobs["bootcamp-worker"]["dns_sd_configs"]
    assert worker["names"] == ["worker"]
    assert services["worker"]["command"][-2:] == ["--metrics", f"0.0.0.0:{worker['port']}"]
    assert services["worker"]["networks"] == ["inner"]
    for job, url in (
        ("bootcamp-service", services["service"]["environment"]["JUPYTERHUB_SERVICE_URL"]),
        ("jupyterhub", services["service"]["environment"]["JUPYTERHUB_API_URL"]),
    ):
        (target,) = jobs[job]["static_configs"][0]["targets"]
        assert target.split(":")[0] in services
        assert target.split(":")[1] == re.search(r":(\d+)", url.removeprefix("http:"))[1]
        assert Path(jobs[job]["authorization"]["credentials_file"]).name in MONITORING["services"]["prometheus"]["secrets"]
    assert set(MONITORING["services"]["prometheus"]["networks"]) == {"inner", "monitoring"}
    for name, service in MONITORING["services"].items():
        assert service["cap_drop"] == ["ALL"]
        assert re.fullmatch(r"\S+:v?\d+\.\d+\.\d+", service["image"]), name
        assert all(p.startswith("127.0.0.1:") for p in service["ports"]), name
        mounted = [v.split(":")[0] for v in service["volumes"] if v.startswith("..")]
        assert all((DOCKER / "compose" / m).is_file() for m in mounted), name


def test_no_secret_stands_in_a_file_of_ours() -> None:
    """Each comes from a file that secrets.sh draws; what is not a file's path is no secret."""
    secrets = {key: value["file"] for key, value in COMPOSE["secrets"].items()}
    assert all(value.startswith("${BOOTCAMP_SECRETS:-./secrets}/") for value in secrets.values())
    for name, found in COMPOSE["services"].items():
        for key, value in found.get("environment", {}).items():
            assert not re.search("PASSWORD|SECRET|SEED|TOKEN(?!_URL)", key) or value.startswith("/run/secrets/"), f"{name}: {key}"
            if value.startswith("/run/secrets/"):
                assert Path(value).name in found["secrets"], f"{name}: {value}"


def test_secrets_are_drawn_once(tmp_path: Path) -> None:
    """A second run changes none; the folder is its owner's alone; the seed is long enough for the engine."""
    folder = tmp_path / "secrets"
    command = [str(DOCKER / "compose" / "secrets.sh"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    first = {p.name: p.read_text() for p in folder.iterdir()}
    subprocess.run(command, check=True, capture_output=True)
    assert {p.name: p.read_text() for p in folder.iterdir()} == first
    assert set(first) == {*COMPOSE["secrets"], *MONITORING["secrets"]}
    drawn = [text for name, text in first.items() if name != "oauth_client_secret"]
    assert len(set(drawn)) == len(drawn)
    assert min(map(len, drawn)) >= 32
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_entrypoint_reads_secrets_from_files(tmp_path: Path) -> None:
    """NAME_FILE becomes NAME; a file that cannot be read ends the container with a word on what to do."""
    (tmp_path / "word").write_text("open sesame\n")
    command = [str(ENTRYPOINT), "sh", "-c", 'echo "$WORD/${WORD_FILE-gone}"']
    env = {"PATH": os.environ["PATH"], "WORD_FILE": str(tmp_path / "word")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "open sesame/gone\n"
    done = subprocess.run(command, env={**env, "WORD_FILE": "/nowhere"}, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "WORD_FILE: /nowhere cannot be read" in done.stderr


def test_the_guide_and_the_example_name_what_there_is() -> None:
    """Every variable that an operator may set is read by compose.yaml or the Hub; every link leads to a file."""
    guide = (DOCKER / "README.md").read_text("utf-8")
    example = (DOCKER / "compose" / "env.example").read_text("utf-8")
    read = (
        (DOCKER / "compose" / "compose.yaml").read_text("utf-8") + DOCKERFILE + (ROOT / "autograder/service/front.py").read_text()
    )
    read += (ROOT / "autograder/home.py").read_text("utf-8") + (DOCKER / "compose" / "monitoring.yaml").read_text("utf-8")
    for name in re.findall(r"^([A-Z_]+)=", example, re.MULTILINE):
        assert f"${{{name}:-" in read, f"env.example sets {name}, which compose.yaml does not read"
    for name in re.findall(r"`((?:BOOTCAMP|OAUTH|GITHUB|GOOGLE|DOCKER)_[A-Z_]+)", guide):
        assert name in read, f"the guide names {name}"
    for target in re.findall(r"\]\(([^)#]+)\)", guide):
        assert (DOCKER / target).exists(), target
    for command in re.findall(r"(?:^|`|entrypoint )bootcamp ([a-z]+)", guide, re.MULTILINE):
        assert (ROOT / "autograder" / "commands" / f"{command}.py").exists(), command
