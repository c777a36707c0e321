"""What the outer jail shows: the interpreter, the system and the player's own files, and nothing else of ours."""

from __future__ import annotations

from pathlib import Path

from autograder.sandbox import outer

PACKAGE = Path(outer.__file__).parents[1]


def test_only_the_players_files_go_in():
    """No check, course, ledger or controller file is among them; all that the zygote imports is."""
    names = {str(f.relative_to(PACKAGE)) for f in outer.our_files()}
    assert {"__init__.py", "sandbox/__init__.py", "sandbox/player.py", "sandbox/zygote.py", "sandbox/warm.py"} <= names
    allowed = ("sandbox/player", "sandbox/protocol/", "sandbox/jail/", "sandbox/zygote.py", "sandbox/monitor.py", "sandbox/warm.py")
    assert all(n in ("__init__.py", "sandbox/__init__.py") or n.startswith(allowed) for n in names)


def test_every_bind_is_read_only():
    """bubblewrap is given no writable view of the host, and no variable of ours."""
    interpreter = outer.Interpreter("/x/bin/python", ("/x",), ("/x/lib/site-packages",))
    command = outer.bwrap_command("/usr/bin/bwrap", interpreter)
    assert not {"--bind", "--dev-bind", "--bind-try", "--share-net"} & set(command)
    for wall in ("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--as-pid-1"):
        assert wall in command
    shown = {command[i + 2] for i, word in enumerate(command) if word.startswith("--ro-bind")}
    ours = {s for s in shown if s.startswith(outer.ROOM)}
    assert shown - ours <= {"/x", "/usr", *outer._SYSTEM, *outer._FROM_ETC, outer._HUGE_PAGES}


def test_an_installed_engine_is_covered(tmp_path):
    """Where the engine is installed as a package, its folder in site-packages is hidden from the box."""
    (tmp_path / "autograder").mkdir()
    interpreter = outer.Interpreter("/x/bin/python", ("/x",), (str(tmp_path),))
    command = outer.bwrap_command("/usr/bin/bwrap", interpreter)
    assert command[command.index(str(tmp_path / "autograder")) - 1] == "--tmpfs"


def test_sources_can_stand_elsewhere():
    """As root, folders and files are first bound or copied to where the slot's uid can go."""
    interpreter = outer.Interpreter("/x/bin/python", ("/x",), ())
    command = outer.bwrap_command("bwrap", interpreter, lambda path: f"/mnt{path}")
    assert command[command.index("/x") - 1] == "/mnt/x"


def test_the_current_interpreter_is_described():
    """Folders below /usr or below each other are named once."""
    interpreter = outer.Interpreter.current()
    for a in interpreter.folders:
        assert not a.startswith("/usr/")
        assert not any(a != b and a.startswith(b + "/") for b in interpreter.folders)
