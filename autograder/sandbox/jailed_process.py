"""What a jail shows in, a running Python in it and its control socket out; what refused to start says why and what to do.

Two processes live in such a jail: the zygote, from which players are forked, and the trunk, from which referees are.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from autograder.errors import InfraError
from autograder.sandbox import launch, outer
from autograder.sandbox.jail import seccomp
from autograder.sandbox.uids import SlotUid

_READY_WAIT_S = 120.0  # a cold disk reads half a gigabyte of torch
_STOP_WAIT_S = 10.0
_MESSAGE_BYTES = 1 << 16
_SAID_CHARS = 600
SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass
class JailedProcess:
    """A started process. `namespaces` tells whether its jail has any; `ready` is what it said of itself."""

    control: socket.socket
    process: subprocess.Popen[bytes]
    namespaces: bool
    readable: tuple[str, ...]  # what its jobs may read, as they see it
    room: Path | None  # where our files were copied to, when there is no outer jail to show them
    uid: SlotUid | None
    said: IO[bytes]
    ready: dict[str, Any] = field(default_factory=dict)

    def greet(self, settings: dict[str, Any]) -> None:
        """Send the settings and wait until the process is ready. Raises: InfraError, and the process is gone."""
        try:
            self.control.settimeout(_READY_WAIT_S)
            self.control.send(json.dumps(settings).encode())
            self.ready = json.loads(self.control.recv(_MESSAGE_BYTES) or b"null")
            if type(self.ready) is not dict or self.ready.get("n_threads") != 1:
                raise ValueError("not ready")
        except (OSError, ValueError):
            self._end()
            why = _explain(self.said, self.process.returncode)
            self.said.close()
            raise InfraError(why) from None

    def stop(self) -> None:
        """End the process and everything below it, and wait until it is gone."""
        self._end()
        self.said.close()

    def _end(self) -> None:
        self.control.close()
        try:
            self.process.wait(_STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.uid is not None:
            self.uid.release()
        if self.room is not None:
            shutil.rmtree(self.room, ignore_errors=True)


def compile_filter(*, namespaces: bool) -> str:
    """Return the seccomp filter as hex. Raises: InfraError that says what to install."""
    try:
        return seccomp.compile_filter(namespaces=namespaces).hex()
    except OSError as e:
        raise InfraError(f"the box needs libseccomp ({e.strerror}). Run: sudo apt-get install libseccomp2") from None


def start(contents: outer.Contents, namespaces: bool, search_path: str = SEARCH_PATH) -> JailedProcess:
    """Start the process; it waits for its greeting. Raises: InfraError naming what to install."""
    if not sys.platform.startswith("linux"):
        raise InfraError(f"the box needs Linux; this is {sys.platform}. Grade in the course's container image.")
    bwrap = shutil.which("bwrap", path=search_path)
    if namespaces and bwrap is None:
        raise InfraError("the box needs bubblewrap, which is not installed. Run: sudo apt-get install bubblewrap")
    uid = SlotUid() if os.getuid() == 0 else None
    room = None if namespaces else _copy_files(contents)
    interpreter = outer.Interpreter.current()
    command, env = _command(bwrap or "", interpreter, contents, room, uid)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
    with theirs:
        # Not os.fork: this process has threads. Nothing but the one socket is inherited.
        process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=said, env=env, cwd="/")
    folders = contents.folders.values() if namespaces else contents.folders
    readable = (*outer.landlock_folders(interpreter, jailed=namespaces), str(room or outer.ROOM), *folders)
    return JailedProcess(ours, process, namespaces, readable, room, uid, said)


def _command(
    bwrap: str, interpreter: outer.Interpreter, contents: outer.Contents, room: Path | None, uid: SlotUid | None
) -> tuple[list[str], dict[str, str]]:
    env = outer.environment(str(room) if room else outer.ROOM)
    bare = [interpreter.executable, *contents.arguments]
    if uid is None:
        return (bare if room else outer.bwrap_command(bwrap, interpreter, contents)), env
    plan: dict[str, Any] = {"uid": uid.value, "binds": [], "copies": [], "env": env}
    if room:
        plan["command"] = bare
    else:
        places = {folder: f"{launch.PLACE}/folder{n}" for n, folder in enumerate(interpreter.folders)}
        # What root alone may read is copied: our own files are small.
        copies = {str(path): launch.PLACE + outer.inside(path) for path in contents.files}
        copies |= {folder: f"{launch.PLACE}/shown{n}" for n, folder in enumerate(contents.folders)}
        plan["binds"], plan["copies"] = list(places.items()), list(copies.items())
        plan["command"] = outer.bwrap_command(bwrap, interpreter, contents, lambda path: {**places, **copies}[path])
    # -I -S: root's own start reads no variable and no package.
    return [sys.executable, "-I", "-S", launch.__file__, json.dumps(plan)], {"PATH": SEARCH_PATH}


def _copy_files(contents: outer.Contents) -> Path:
    room = Path(tempfile.mkdtemp(prefix="box-room-"))
    room.chmod(0o755)
    for path in contents.files:
        place = room / outer.inside(path).removeprefix(outer.ROOM + "/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return room


def _explain(said: IO[bytes], status: int | None) -> str:
    said.seek(0)
    text = said.read().decode("utf-8", "replace").strip()[-_SAID_CHARS:]
    advice = ""
    if os.getuid() == 0 and "PermissionError" in text:
        # Root without capabilities cannot drop to a uid of its own, and as root nothing may run.
        advice = (
            " This is root without its capabilities, as in a container that drops them: start it as a plain user (--user 1000)."
        )
    elif "namespace" in text or "uid map" in text or "Operation not permitted" in text:
        advice = (
            " User namespaces are refused here: on Ubuntu run `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, "
            "on Debian `sudo sysctl kernel.unprivileged_userns_clone=1`, in a container allow them (see the operator's guide)."
        )
    with contextlib.suppress(IndexError):
        text = text.splitlines()[-1]
    return f"the box did not start (exit status {status}): {text or 'no reason given'}.{advice}"
