"""podman with all of its state below one folder: images that are built, a socket that speaks Docker's API, no registry.

Base images come from debootstrap, under the names that the Dockerfiles ask for. For root.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
MIRROR = os.environ.get("BOOTCAMP_DEBIAN_MIRROR", "http://deb.debian.org/debian")
TARGETS = ("student", "engine", "hub")
WHEELS, AUTHORITIES = Path("/opt/wheels"), Path("/etc/ssl/certs/ca-certificates.crt")


class Engine:
    """One folder of images, containers, volumes and networks. Images outlive a run, so that the next one builds little."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "docker.sock"
        self._service: subprocess.Popen[bytes] | None = None
        (folder / "networks").mkdir(parents=True, exist_ok=True)
        # crun refuses the hybrid of cgroups v1 and v2; without systemd, podman makes the groups itself.
        runtime = "runc" if shutil.which("runc") else "crun"
        (folder / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\n'
            f'[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "{folder}/networks"\n'
            f'[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "{runtime}"\ntmp_dir = "{folder}/tmp"\n'
        )
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\nrunroot = "{folder}/run"\ngraphroot = "{folder}/graph"\n'
        )

    @property
    def env(self) -> dict[str, str]:
        mine = {"CONTAINERS_CONF": f"{self.folder}/containers.conf", "CONTAINERS_STORAGE_CONF": f"{self.folder}/storage.conf"}
        return {**os.environ, **mine}

    def podman(self, *args: str, check: bool = True, timeout: float = 600, text: str | None = None) -> str:
        """Return what `podman args` printed. Raises: AssertionError with its last words."""
        done = subprocess.run(
            ["podman", *args], env=self.env, input=text, capture_output=True, text=True, timeout=timeout, check=False
        )
        assert done.returncode == 0 or not check, f"podman {' '.join(args)[:300]}: {done.stdout[-1500:]}\n{done.stderr[-2500:]}"
        return done.stdout

    def succeeds(self, *args: str) -> bool:
        return subprocess.run(["podman", *args], env=self.env, capture_output=True, check=False, timeout=600).returncode == 0

    def make_base(self) -> None:
        """Make the base of every image, unless it is there."""
        base = self._name(ROOT / "docker" / "Dockerfile", r"^ARG DEBIAN=(\S+)")
        if not self.succeeds("image", "exists", base):
            self._bootstrap(base)

    def make_images(self) -> None:
        """Make the bases that are missing, then every image of ours; layers that did not change are not made again."""
        self.make_base()
        compose = ROOT / "docker" / "compose"
        database = self._name(compose / "compose.yaml", r"image: (docker\.io/library/postgres:\S+)")
        prometheus = self._name(compose / "monitoring.yaml", r"image: (docker\.io/prom/prometheus:\S+)")
        for name, folder in ((database, "postgres"), (prometheus, "prometheus")):
            self.build(name, Path(__file__).parent / folder, [])
        options = ["-f", str(ROOT / "docker" / "Dockerfile")]
        if WHEELS.is_dir():  # a machine that has torch on its disk
            (wheel,) = WHEELS.glob("torch-2.13.0*.whl")
            with open(wheel, "rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            options += [f"--volume={WHEELS}:{WHEELS}:ro", f"--build-arg=TORCH_PIP=--find-links {WHEELS}"]
            options += [f"--build-arg=TORCH_HASH={sha256}"]
        if AUTHORITIES.is_file():
            options += [f"--volume={AUTHORITIES}:/etc/mirror.crt:ro", "--build-arg=PIP_CERT=/etc/mirror.crt"]
        for target in TARGETS:
            self.build(f"localhost/bootcamp-{target}:latest", ROOT, [*options, f"--target={target}"])

    def serve_docker(self) -> None:
        """Speak Docker's API on `socket`."""
        self.socket.unlink(missing_ok=True)
        command = ["podman", "system", "service", "--time=0", f"unix://{self.socket}"]
        with open(self.folder / "service.log", "ab") as log:
            self._service = subprocess.Popen(command, env=self.env, stdout=log, stderr=log)
        until = time.monotonic() + 60
        while not self.socket.exists():
            assert time.monotonic() < until, (self.folder / "service.log").read_text()[-2000:]
            time.sleep(0.1)
        # The folder above is root's alone; in the container the Hub is nobody special.
        self.socket.chmod(0o666)

    def close(self) -> None:
        if self._service:
            self._service.terminate()
            self._service.wait(20)

    def build(self, name: str, context: Path, options: Sequence[str]) -> None:
        # HEALTHCHECK and SHELL exist in Docker's format only; packages are fetched over the host's network.
        self.podman("build", "-q", "--format=docker", "--network=host", "-t", name, *options, str(context), timeout=3600)

    def _bootstrap(self, name: str) -> None:
        root = self.folder / "bootstrap"
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["debootstrap", "--variant=minbase", "bookworm", str(root), MIRROR], check=True, capture_output=True)
        for left in [*root.glob("var/cache/apt/archives/*.deb"), *root.glob("var/lib/apt/lists/*_*")]:
            left.unlink()
        archive = self.folder / "bootstrap.tar"
        subprocess.run(["tar", "-C", str(root), "-cf", str(archive), "."], check=True)
        self.podman("import", "-q", str(archive), name)
        archive.unlink()
        shutil.rmtree(root)

    @staticmethod
    def _name(path: Path, pattern: str) -> str:
        found = re.search(pattern, path.read_text("utf-8"), re.MULTILINE)
        assert found, f"{path}: no {pattern}"
        return found[1]
