"""The Hub on one machine without containers: a real Unix user per student, their server a systemd unit with limits.

Environment in (bootcamp-hub.service sets it), JupyterHub's configuration out. It runs as root, because it starts other
users' servers. A person's Unix user bears a prefix, so that nobody who signs in as "root" or "postgres" becomes that.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import subprocess
from pathlib import Path

from systemdspawner import SystemdSpawner

from autograder.service import front, people, roles

c = get_config()  # noqa: F821 - JupyterHub's own
env = os.environ
state = Path.cwd()
PREFIX, LONG_PREFIX, MAX_CHARS = "bootcamp-", "bootcamp_", 32  # useradd takes no more
SERVICE_URL = "http://127.0.0.1:8010"
STUDENTS, ENGINE = Path("/opt/bootcamp/student"), Path("/opt/bootcamp/engine")

# A web server with a certificate stands in front: see TLS in docker/README.md.
c.JupyterHub.bind_url = "http://127.0.0.1:8000"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:8081"
c.JupyterHub.db_url = f"sqlite:///{state / 'jupyterhub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(state / "cookie_secret")
# People's servers go on while the Hub is restarted or upgraded.
c.JupyterHub.cleanup_servers = False
front.set_proxy(c, state, api_port=8099)
front.open_door(c, env, Path(env["BOOTCAMP_PEOPLE"]), SERVICE_URL)


class OnePerUser(SystemdSpawner):
    """Everybody's server as their own Unix user: students without the engine, instructors with it."""

    @property
    def is_instructor(self) -> bool:
        return any(g.name == roles.group("instructor") for g in self.user.groups)


def dress(spawner: OnePerUser) -> None:
    """Choose the Unix user, the software and the walls of the person's role. Called before every start, as root."""
    role, root = ("instructor", ENGINE) if spawner.is_instructor else ("student", STUDENTS)
    spawner.cmd = [str(root / "bin" / "jupyterhub-singleuser")]
    spawner.environment = {
        "BOOTCAMP_SERVICE": f"{SERVICE_URL}/services/{roles.SERVICE}/",
        "JUPYTER_CONFIG_PATH": f"/opt/bootcamp/etc/{role}:/opt/bootcamp/etc/common",
        "PATH": f"{root / 'bin'}:/usr/local/bin:/usr/bin:/bin",
        "OMP_NUM_THREADS": "1",
    }
    # All of it at every start: a spawner whose last stop failed is used again, maybe after its person's role changed.
    spawner.username_template, spawner.notebook_dir, spawner.unit_extra_properties = unix_name(spawner.user.name), "", {}
    if role == "instructor":
        # The course's own user: formgrader, `bootcamp release` and `bootcamp regrade` work on the course that is running.
        spawner.username_template = "bootcamp"
        spawner.notebook_dir = "/var/lib/bootcamp/course"
        spawner.environment |= {k: env[k] for k in ("BOOTCAMP_COURSE", "BOOTCAMP_HOME", "BOOTCAMP_LEDGER")}
        return
    make_user(spawner.username_template)
    spawner.environment["PYTHONPATH"] = str(STUDENTS / "client")
    spawner.unit_extra_properties = {
        "InaccessiblePaths": "-/etc/bootcamp -/var/lib/bootcamp -/var/lib/bootcamp-hub",
        "TasksMax": "512",
    }


def unix_name(name: str) -> str:
    """Return whom the person is on this machine. A long name ends in its hash, below a prefix that no short one has."""
    if len(PREFIX + name) <= MAX_CHARS:
        return PREFIX + name
    return f"{LONG_PREFIX}{name[:10]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def make_user(name: str) -> None:
    """Make the Unix user if there is none, with a home that is theirs alone."""
    try:
        home = Path(pwd.getpwnam(name).pw_dir)
    except KeyError:
        command = ["useradd", "--create-home", "--user-group", "--shell", "/bin/bash", "--key", "HOME_MODE=0700", name]
        subprocess.run(command, check=True, capture_output=True)
        home = Path(pwd.getpwnam(name).pw_dir)
        # A home that was copied from another machine is its owner's again, whatever numbers users had there.
        subprocess.run(["chown", "-R", "--no-dereference", f"{name}:{name}", home], check=True, capture_output=True)
    # With a home that others may enter, one student reads another's answers.
    home.chmod(0o700)


c.JupyterHub.spawner_class = OnePerUser
c.Spawner.pre_spawn_hook = dress
c.Spawner.default_url = "/lab"
c.Spawner.server_token_scopes = list(people.SERVER_TOKEN_SCOPES)
c.Spawner.mem_limit = env.get("BOOTCAMP_STUDENT_MEMORY") or "1G"
c.Spawner.cpu_limit = float(env.get("BOOTCAMP_STUDENT_CPUS") or "1")
c.Spawner.start_timeout = 90
c.SystemdSpawner.unit_name_template = "bootcamp-server-{USERNAME}"
c.SystemdSpawner.isolate_tmp = True
c.SystemdSpawner.isolate_devices = True
c.SystemdSpawner.disable_user_sudo = True
