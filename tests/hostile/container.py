"""A command in, the same command in a container without a capability out, through podman.

It sees the host's /usr, the interpreter and our checkout, read-only. Its images, its state and its configuration live in
a folder of its own; nothing is pulled. For root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from autograder.sandbox.outer import Interpreter
from tests.hostile.plain_user import ROOT

# What lets a plain user make namespaces in a container, and mount a /proc of its own there: as docker/compose does it.
NAMESPACES = (f"--security-opt=seccomp={ROOT}/docker/compose/seccomp-box.json", "--security-opt=systempaths=unconfined")
_FOLDERS = ("usr", "etc", "proc", "sys", "dev", "run", "home", "root", "work", "tmp", "var/tmp")
_ENV = {
    "HOME": "/tmp",
    "BOOTCAMP_HOME": "/tmp/bootcamp",
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
}


class Podman:
    """podman with everything of its own below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._root = folder, folder / "rootfs"
        # crun refuses the hybrid of cgroups v1 and v2; without systemd, podman makes the groups itself.
        runtime = "runc" if shutil.which("runc") else "crun"
        limits = 'default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]'
        engine = f'[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "{runtime}"\n'
        (folder / "containers.conf").write_text(f"[containers]\n{limits}\n{engine}")
        (folder / "storage.conf").write_text(f'[storage]\ndriver = "vfs"\nrunroot = "{folder}/run"\ngraphroot = "{folder}/graph"\n')
        self._make_root()

    def _make_root(self) -> None:
        for name in _FOLDERS:
            (self._root / name).mkdir(parents=True)
        for name in ("tmp", "var/tmp"):
            (self._root / name).chmod(0o1777)
        for name in ("bin", "sbin", "lib", "lib64"):
            if Path("/", name).is_symlink():
                (self._root / name).symlink_to(os.readlink(f"/{name}"))
        (self._root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\nstudent:x:1000:1000::/tmp:/bin/sh\n")
        shutil.copy("/etc/ld.so.cache", self._root / "etc")
        shutil.copytree("/etc/alternatives", self._root / "etc" / "alternatives", symlinks=True)

    def run(
        self,
        command: Sequence[str],
        *,
        user: int,
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        timeout: float = 900,
    ) -> subprocess.CompletedProcess[str]:
        """Run the command in a container: no capability, no network, no new privileges."""
        binds = [f"--volume={path}:{path}:ro" for path in ("/usr", str(ROOT), *Interpreter.current().folders)]
        variables = [f"--env={name}={value}" for name, value in {**_ENV, **(env or {})}.items()]
        args = ["podman", "run", "--rm", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=none", f"--user={user}"]
        args += ["--tmpfs=/tmp:rw,mode=1777,size=1g", f"--workdir={ROOT}", *dict.fromkeys(binds), *variables, *options]
        args += ["--rootfs", str(self._root), *command]
        mine = {"CONTAINERS_CONF": f"{self._folder}/containers.conf", "CONTAINERS_STORAGE_CONF": f"{self._folder}/storage.conf"}
        return subprocess.run(args, env={**os.environ, **mine}, capture_output=True, text=True, timeout=timeout, check=False)
