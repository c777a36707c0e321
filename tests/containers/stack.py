"""compose.yaml in, the running bootcamp out: people who sign in over HTTP, servers that the Hub starts, commands in them."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import requests

from tests.containers.engine import ROOT, Engine

COMPOSE = ROOT / "docker" / "compose"
SERVICES = ("database", "service", "worker", "hub")
MONITORING = "prometheus"  # Grafana is not in Debian: its board is tested in tests/test_metrics.py
_VOLUMES = ("database", "state", "course", "hub", "prometheus", "home-ada", "home-bob", "home-ines")
_PATIENCE_S = 900.0


@dataclass
class Stack:
    """One project of podman-compose on an address of its own."""

    engine: Engine
    folder: Path  # secrets and people.toml of this run
    port: int
    prometheus_port: int
    sessions: dict[str, requests.Session] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    def make_secrets(self) -> None:
        subprocess.run([str(COMPOSE / "secrets.sh"), str(self.secrets)], check=True, capture_output=True)

    def up(self) -> float:
        """Start everything and return after how many seconds Hub and service answered."""
        started = time.monotonic()
        self._compose("up", "-d", *SERVICES, MONITORING)
        self.sessions.clear()
        for path in ("/hub/health", "/services/bootcamp/healthz"):
            self._wait_for(path)
        return time.monotonic() - started

    def down(self) -> None:
        """Stop and remove every container, people's servers too; volumes stay."""
        for name in self.engine.podman("ps", "-a", "--format={{.Names}}").split():
            if name.startswith("bootcamp-server-"):
                self.engine.podman("rm", "-f", "-t", "5", name)
        self._compose("down", "-t", "10")

    def wipe(self) -> None:
        """Remove what an earlier run left behind."""
        self.engine.podman("rm", "-fa", "-t", "2", check=False)
        for name in _VOLUMES:
            self.engine.podman("volume", "rm", "-f", f"bootcamp-{name}", check=False)

    def container(self, service: str) -> str:
        return f"bootcamp_{service}_1"

    def run(self, container: str, *command: str, env: dict[str, str] | None = None, text: str | None = None) -> str:
        """Run the command in the container and return what it printed."""
        variables = [f"--env={name}={value}" for name, value in (env or {}).items()]
        return self.engine.podman("exec", *(["-i"] if text is not None else []), *variables, container, *command, text=text)

    def session(self, name: str) -> requests.Session:
        """Return the person's session, signed in through the Hub's form."""
        if name not in self.sessions:
            session = requests.Session()
            session.get(f"{self.url}/hub/login", timeout=60).raise_for_status()
            password = (self.secrets / "sign_in_password").read_text()
            form = {"username": name, "password": password, "_xsrf": session.cookies.get("_xsrf", path="/hub/")}
            reply = session.post(f"{self.url}/hub/login", form, timeout=60, allow_redirects=False)
            assert reply.status_code == 302, f"{name} cannot sign in: {reply.status_code} {reply.text[-600:]}"
            self.sessions[name] = session
        return self.sessions[name]

    def page(self, name: str, path: str = "me") -> requests.Response:
        return self.session(name).get(f"{self.url}/services/bootcamp/{path}", timeout=60)

    def start_server(self, name: str) -> str:
        """Let the Hub start the person's server; return its container."""
        session = self.session(name)
        headers = {"X-XSRFToken": session.cookies.get("_xsrf", path="/hub/"), "Referer": f"{self.url}/hub/home"}
        reply = session.post(f"{self.url}/hub/api/users/{name}/server", headers=headers, timeout=200)
        assert reply.status_code in (201, 202), f"{reply.text}\n{self.log('hub')}"
        until = time.monotonic() + _PATIENCE_S
        while not (state := session.get(f"{self.url}/hub/api/users/{name}", timeout=60).json())["server"]:
            assert time.monotonic() < until, f"{state}\n{self.log('hub')}"
            time.sleep(0.5)
        return f"bootcamp-server-{name}"

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

    def _wait_for(self, path: str) -> None:
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                if requests.get(self.url + path, timeout=10).status_code == 200:
                    return
            except requests.RequestException:
                pass
            assert time.monotonic() < until, f"{path} never answered\n" + "\n".join(f"{s}: {self.log(s)}" for s in SERVICES)
            time.sleep(0.2)
