"""compose.yaml in, the running bootcamp out: up, down, and commands in its containers."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.containers.engine import ROOT, Engine
from tests.containers.guide import Guide
from tests.containers.hub import Hub

COMPOSE = ROOT / "docker" / "compose"
FIRST_COURSE, BACKUP = "Containers: a first course in ten minutes", "Backup, restore, upgrade"
SERVICES = ("database", "service", "worker", "hub")
MONITORING = "prometheus"  # Grafana is not in Debian: its board is tested in tests/test_metrics.py
_VOLUMES = ("database", "state", "course", "hub", "prometheus", "home-ada", "home-bob", "home-ines")


@dataclass
class Stack(Hub):
    """One project of podman-compose on an address of its own."""

    engine: Engine
    folder: Path  # secrets and people.toml of this run
    port: int
    prometheus_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    def password(self) -> str:
        return (self.secrets / "sign_in_password").read_text()

    def make_secrets(self) -> None:
        subprocess.run([str(COMPOSE / "secrets.sh"), str(self.secrets)], check=True, capture_output=True)

    def up(self) -> float:
        """Start everything and return after how many seconds Hub and service answered."""
        started = time.monotonic()
        self._compose("up", "-d", *SERVICES, MONITORING)
        self.wait_until_open()
        return time.monotonic() - started

    def wait_until_open(self) -> None:
        self.sessions.clear()
        for path in ("/hub/health", "/services/bootcamp/healthz"):
            self.wait_for(path, SERVICES)

    def down(self) -> None:
        """Stop and remove every container, people's servers too; volumes stay."""
        self.type(Guide.read().block(FIRST_COURSE, 1))
        self._compose("down", "-t", "10")  # what of monitoring.yaml is left

    def wipe(self) -> None:
        """Remove what an earlier run left behind."""
        self.engine.podman("rm", "-fa", "-t", "2", check=False)
        for name in _VOLUMES:
            self.engine.podman("volume", "rm", "-f", f"bootcamp-{name}", check=False)

    def type(self, lines: str) -> str:
        """Run lines of the guide as in a clone, with podman behind Docker's name; return what they printed."""
        shim = self.folder / "bin" / "docker"
        shim.parent.mkdir(exist_ok=True)
        shim.write_text('#!/bin/sh\n[ "$1" = compose ] || exec podman "$@"\nshift\nexec podman-compose -p bootcamp "$@"\n')
        shim.chmod(0o755)
        (clone := self.folder / "clone").mkdir(exist_ok=True)  # what the lines write stays out of the real one
        if not (clone / "docker").exists():
            (clone / "docker").symlink_to(ROOT / "docker")
        env = {**self._env(), "PATH": f"{shim.parent}:{os.environ['PATH']}"}
        done = subprocess.run(["sh", "-euc", lines], cwd=clone, env=env, capture_output=True, text=True, timeout=1800, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def container(self, service: str) -> str:
        return f"bootcamp_{service}_1"

    def run(self, container: str, *command: str, env: dict[str, str] | None = None, text: str | None = None) -> str:
        """Run the command in the container and return what it printed."""
        variables = [f"--env={name}={value}" for name, value in (env or {}).items()]
        return self.engine.podman("exec", *(["-i"] if text is not None else []), *variables, container, *command, text=text)

    def log(self, service: str, n_lines: int = 60) -> str:
        command = ["podman", "logs", f"--tail={n_lines}", self.container(service)]
        done = subprocess.run(command, env=self.engine.env, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def _compose(self, *args: str) -> None:
        files = [f"-f={COMPOSE / name}" for name in ("compose.yaml", "monitoring.yaml")]
        command = ["podman-compose", "-p", "bootcamp", *files, *args]
        done = subprocess.run(command, env=self._env(), capture_output=True, text=True, timeout=900, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]

    def _env(self) -> dict[str, str]:
        mine = {
            "BOOTCAMP_ADDRESS": f"127.0.0.1:{self.port}",
            "BOOTCAMP_PROMETHEUS_PORT": str(self.prometheus_port),
            "BOOTCAMP_PEOPLE": str(self.folder / "people.toml"),
            "BOOTCAMP_SECRETS": str(self.secrets),
            "BOOTCAMP_SECCOMP": str(COMPOSE / "seccomp-box.json"),
            "BOOTCAMP_PODMAN_SECCOMP": str(COMPOSE / "seccomp-box.json"),
            "BOOTCAMP_WORKERS": "1",
            "DOCKER_SOCKET": str(self.engine.socket),
            "DOCKER_GID": "1000",
        }
        return {**self.engine.env, **mine}
