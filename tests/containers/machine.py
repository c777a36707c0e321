"""A clone of the repository in; a machine that docker/machine/install.sh installed, out: Debian, systemd, real Unix users.

It is a container whose first process is systemd, and fresh every time but for /opt/bootcamp: what pip put there for minutes is
kept in a volume, as long as install.sh and the locks stay the same.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

from tests.containers.engine import AUTHORITIES, ROOT, WHEELS, Engine
from tests.containers.guide import Guide
from tests.containers.hub import Hub

FRESH, NAME, CLONE = "localhost/bootcamp-machine-fresh:latest", "bootcamp-machine", "/usr/src/bootcamp"
ADDRESS = "10.88.200.7"  # in podman's own network; people come to port 443, where a certificate stands
UNITS = ("bootcamp-exchange", "bootcamp-grader", "bootcamp-hub")
_SOFTWARE = "bootcamp-machine-software-"
_CERTIFICATE = "/etc/ssl/bootcamp.crt"


@dataclass
class Machine(Hub):
    """One machine, with a web server and a certificate in front."""

    engine: Engine
    folder: Path
    hub = "bootcamp-hub"

    @property
    def url(self) -> str:
        return f"https://{ADDRESS}"

    def password(self) -> str:
        return self.run("cat", "/etc/bootcamp/secrets/sign_in_password")

    def log(self, service: str, n_lines: int = 60) -> str:
        return self.run("journalctl", "--no-pager", "-n", str(n_lines), "-u", service)

    def run(self, *command: str, text: str | None = None, timeout: float = 600) -> str:
        """Run the command as the machine's root and return what it printed."""
        options = ["-i"] if text is not None else []
        return self.engine.podman("exec", *options, f"--workdir={CLONE}", NAME, *command, text=text, timeout=timeout)

    def unit(self, name: str, *properties: str) -> list[str]:
        """Return what systemd says of the unit."""
        return [self.run("systemctl", "show", "-P", p, name).strip() for p in properties]

    def script(self, text: str) -> str:
        """Run lines of the guide, which stops at the first that fails."""
        return self.run("sh", "-euc", text)

    def as_engine(self, program: str) -> str:
        """Run the program with the engine's python and settings, as the course's own user."""
        command = "set -a; . /etc/bootcamp/bootcamp.env; exec runuser -u bootcamp -- /opt/bootcamp/engine/bin/python3 -"
        return self.run("sh", "-euc", command, text=program)

    def boot(self) -> None:
        """Turn on a fresh machine."""
        self.engine.build(FRESH, Path(__file__).parent / "fresh", [])
        volume = _software()
        for old in self.engine.podman("volume", "ls", "-q", f"--filter=name={_SOFTWARE}").split():
            if old != volume:
                self.engine.podman("volume", "rm", old)
        options = ["--systemd=always", "--privileged", "--cgroupns=private", f"--ip={ADDRESS}", f"--volume={ROOT}:{CLONE}:ro"]
        options += [f"--volume={volume}:/opt/bootcamp"]
        options += [f"--volume={WHEELS}:{WHEELS}:ro"] if WHEELS.is_dir() else []
        options += [f"--volume={AUTHORITIES}:/etc/mirror.crt:ro"] if AUTHORITIES.is_file() else []
        self.engine.podman("run", "-d", f"--name={NAME}", f"--hostname={NAME}", *options, FRESH)
        self._wait_until_booted()

    def install(self) -> str:
        """Run install.sh and return what it printed."""
        more = {"PIP_CERT": "/etc/mirror.crt"} if AUTHORITIES.is_file() else {}
        more |= {"TORCH_PIP": f"--find-links {WHEELS}"} if WHEELS.is_dir() else {}
        variables = [f"{name}={value}" for name, value in more.items()]
        return self.run("env", *variables, "docker/machine/install.sh", timeout=3600)

    def put_tls_in_front(self) -> None:
        """Set up nginx as the guide says it, with a certificate of its own."""
        self.run("sh", "-euc", "apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nginx-light openssl")
        key = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=bootcamp"
        self.run("sh", "-euc", f"{key} -addext subjectAltName=IP:{ADDRESS} -keyout /etc/ssl/bootcamp.key -out {_CERTIFICATE}")
        site = "server {{ listen 443 ssl; ssl_certificate {0}; ssl_certificate_key /etc/ssl/bootcamp.key; location / {{ {1} }} }}"
        text = site.format(_CERTIFICATE, Guide.read().quoted("With nginx: "))
        self.run("sh", "-c", "cat > /etc/nginx/sites-enabled/default && systemctl restart nginx", text=text)
        authority = self.folder / "authority.crt"
        authority.write_text(self.run("cat", _CERTIFICATE))
        self.authority = str(authority)

    def restart(self) -> None:
        """Turn it off and on again."""
        self.engine.podman("stop", "-t", "60", NAME)
        self.engine.podman("start", NAME)
        self._wait_until_booted()

    def wait_until_open(self) -> None:
        for path in ("/hub/health", "/services/bootcamp/healthz"):
            self.wait_for(path, UNITS)

    def remove(self) -> None:
        self.engine.podman("rm", "-f", "-t", "5", NAME, check=False)

    def _wait_until_booted(self) -> None:
        until = time.monotonic() + 120
        while not self.engine.succeeds("exec", NAME, "systemctl", "is-active", "-q", "multi-user.target"):
            assert time.monotonic() < until, self.engine.podman("logs", "--tail=40", NAME)
            time.sleep(0.5)


def _software() -> str:
    """Return the name of the volume that fits what install.sh would put into it."""
    files = [ROOT / "docker" / "machine" / "install.sh", Path(__file__).parent / "fresh" / "Dockerfile"]
    files += sorted((ROOT / "docker" / "lock").glob("*.txt"))
    return _SOFTWARE + hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()[:16]
