"""A choice of walls in, a running zygote and its control socket out; what refused to start says why and what to do."""

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
class ZygoteProcess:
    """A started zygote. `namespaces` tells whether its jobs get any; `ready` is what it said of itself."""

    control: socket.socket
    process: subprocess.Popen[bytes]
    namespaces: bool
    interpreter: outer.Interpreter
    room: Path | None  # where our files were copied to, when there is no outer jail to show them
    uid: SlotUid | None
    ready: dict[str, Any] = field(default_factory=dict)

    def stop(self) -> None:
        """End the zygote and everything below it, and wait until it is gone."""
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


def start(namespaces: bool, search_path: str = SEARCH_PATH, *, warm: bool = True) -> ZygoteProcess:
    """Start a zygote; one that is not warm has imported the player's needs only.

    Raises: InfraError naming what to install or what was refused.
    """
    if not sys.platform.startswith("linux"):
        raise InfraError(f"the box needs Linux; this is {sys.platform}. Grade in the course's container image.")
    bwrap = shutil.which("bwrap", path=search_path)
    if namespaces and bwrap is None:
        raise InfraError("the box needs bubblewrap, which is not installed. Run: sudo apt-get install bubblewrap")
    try:
        program = seccomp.compile_filter(namespaces=namespaces)
    except OSError as e:
        raise InfraError(f"the box needs libseccomp ({e.strerror}). Run: sudo apt-get install libseccomp2") from None
    uid = SlotUid() if os.getuid() == 0 else None
    room = None if namespaces else _copy_files()
    interpreter = outer.Interpreter.current()
    command, env = _command(bwrap or "", interpreter, room, uid)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, tempfile.TemporaryFile() as said:
        # Not os.fork: this process has threads. Nothing but the one socket is inherited.
        process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=said, env=env, cwd="/")
        started = ZygoteProcess(ours, process, namespaces, interpreter, room, uid)
        try:
            theirs.close()
            _greet(started, {"filter": program.hex(), "namespaces": namespaces, "warm": warm})
        except (OSError, ValueError):
            started.stop()
            raise InfraError(_explain(said, process.returncode)) from None
    return started


def _greet(started: ZygoteProcess, settings: dict[str, Any]) -> None:
    started.control.settimeout(_READY_WAIT_S)
    started.control.send(json.dumps(settings).encode())
    started.ready = json.loads(started.control.recv(_MESSAGE_BYTES) or b"null")
    if type(started.ready) is not dict or started.ready.get("n_threads") != 1:
        raise ValueError("not ready")


def _command(
    bwrap: str, interpreter: outer.Interpreter, room: Path | None, uid: SlotUid | None
) -> tuple[list[str], dict[str, str]]:
    env = outer.environment(str(room) if room else outer.ROOM)
    if uid is None:
        return (outer.zygote_command(interpreter) if room else outer.bwrap_command(bwrap, interpreter)), env
    plan: dict[str, Any] = {"uid": uid.value, "binds": [], "copies": [], "env": env}
    if room:
        plan["command"] = outer.zygote_command(interpreter)
    else:
        places = {folder: f"{launch.PLACE}/folder{n}" for n, folder in enumerate(interpreter.folders)}
        copies = {str(path): launch.PLACE + outer.inside(path) for path in outer.our_files()}
        plan["binds"], plan["copies"] = list(places.items()), list(copies.items())
        plan["command"] = outer.bwrap_command(bwrap, interpreter, lambda path: {**places, **copies}[path])
    # -I -S: root's own start reads no variable and no package.
    return [sys.executable, "-I", "-S", launch.__file__, json.dumps(plan)], {"PATH": SEARCH_PATH}


def _copy_files() -> Path:
    room = Path(tempfile.mkdtemp(prefix="box-room-"))
    room.chmod(0o755)
    for path in outer.our_files():
        place = room / outer.inside(path).removeprefix(outer.ROOM + "/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    return room


def _explain(said: IO[bytes], status: int | None) -> str:
    said.seek(0)
    text = said.read().decode("utf-8", "replace").strip()[-_SAID_CHARS:]
    advice = ""
    if "namespace" in text or "uid map" in text or "Operation not permitted" in text:
        advice = (
            " User namespaces are refused here: on Ubuntu run `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`, "
            "on Debian `sudo sysctl kernel.unprivileged_userns_clone=1`, in a container allow them (see the operator's guide)."
        )
    with contextlib.suppress(IndexError):
        text = text.splitlines()[-1]
    return f"the box did not start (exit status {status}): {text or 'no reason given'}.{advice}"
