"""The Hub's settings.json in (BOOTCAMP_HUB names it), JupyterHub's configuration out: one machine, one Unix user.

For demonstrations and tests on 127.0.0.1 only: one Unix user plays everybody, so nothing but good manners keeps the
people apart. `bootcamp serve` writes the settings and starts this; see autograder/service/launch.py.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from jupyterhub.spawner import SimpleLocalProcessSpawner

from autograder.service import front, hub, people, roles

c = get_config()  # noqa: F821 - JupyterHub's own
settings = hub.HubSettings.read(Path(os.environ[hub.SETTINGS_VARIABLE]))
accounts, ports = settings.accounts, settings.ports
bin_folder = Path(sys.executable).parent

# A process started in the background of a script ignores SIGINT, and so would every child of ours: stopping a user's
# server would then take 30 s and a service 30 s more. The Hub sets its own handler only after it has started them.
signal.signal(signal.SIGINT, signal.default_int_handler)

c.JupyterHub.bind_url = settings.url
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{ports.hub}"
c.JupyterHub.db_url = f"sqlite:///{settings.folder / 'jupyterhub.sqlite'}"
# The Hub adds people to groups and never takes them out again, so a database that outlives a start keeps rights that
# the accounts no longer give. Nothing of worth is in it.
c.JupyterHub.reset_db = True
c.JupyterHub.cookie_secret_file = str(settings.folder / "cookie_secret")
c.JupyterHub.default_url = f"/services/{roles.SERVICE}/"

front.set_proxy(c, settings.folder, ports.proxy_api)

c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = settings.password()
c.Authenticator.allowed_users = set(accounts.all())

# group -> role -> scopes; the service checks scopes and knows no group.
c.JupyterHub.load_groups = {roles.group(role): {"users": list(accounts.of(role))} for role in roles.ROLES}
rights = people.rights()
c.JupyterHub.custom_scopes, c.JupyterHub.load_roles = rights["custom_scopes"], rights["load_roles"]
engine_environment = {
    "BOOTCAMP_COURSE": str(settings.course_root),
    "BOOTCAMP_HOME": str(settings.home),
    "BOOTCAMP_LEDGER": settings.ledger_url,
    "OMP_NUM_THREADS": "1",
}
c.JupyterHub.services = [
    people.service(
        f"http://127.0.0.1:{ports.service}",
        command=[sys.executable, "-m", "autograder.service"],
        cwd=str(settings.folder),
        environment=engine_environment,
    )
]
if settings.n_workers:
    # The Hub starts the graders, and starts them again when they die. They take no request and know no user.
    grader_seed = {"BOOTCAMP_SEED": os.environ["BOOTCAMP_SEED"]} if "BOOTCAMP_SEED" in os.environ else {}
    c.JupyterHub.services += [
        {
            "name": f"{roles.SERVICE}-graders",
            "command": [str(bin_folder / "bootcamp"), "work", "--workers", str(settings.n_workers)],
            "cwd": str(settings.folder),
            "environment": {**engine_environment, **grader_seed},
        }
    ]


class OneUserSpawner(SimpleLocalProcessSpawner):
    """Everybody's server runs as the same Unix user, each in a home folder of its own."""

    home_dir_template = str(settings.users / "{username}")

    @property
    def is_instructor(self) -> bool:
        return any(g.name == roles.group("instructor") for g in self.user.groups)

    def user_env(self, env: dict[str, str]) -> dict[str, str]:
        """Add what the role's Jupyter configuration reads. Nothing is written into homes."""
        env = super().user_env(env)
        role = "instructor" if self.is_instructor else "student"
        env["JUPYTER_CONFIG_PATH"] = os.pathsep.join(str(settings.config / folder) for folder in (role, "common"))
        # nbgrader calls `alembic` and `jupyter` by name.
        env["PATH"] = f"{bin_folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        env["OMP_NUM_THREADS"] = "1"
        # To the service itself and not through the proxy, which would only carry a large hand-in twice.
        env["BOOTCAMP_SERVICE"] = f"http://127.0.0.1:{ports.service}/services/{roles.SERVICE}/"
        if self.is_instructor:
            env["BOOTCAMP_COURSE"] = str(settings.course_root)
            env["BOOTCAMP_HOME"] = str(settings.home)
            env["BOOTCAMP_LEDGER"] = settings.ledger_url
        return env


def set_folder(spawner: OneUserSpawner) -> None:
    """Open an instructor's server in nbgrader's course folder: formgrader works only below the server's own root."""
    if spawner.is_instructor:
        spawner.notebook_dir = str(settings.home / "course")


c.JupyterHub.spawner_class = OneUserSpawner
c.Spawner.pre_spawn_hook = set_folder
c.Spawner.cmd = [str(bin_folder / "jupyterhub-singleuser")]
# Jupyter refuses to run as root unless told; in a container of its own, root is often all there is.
c.Spawner.args = ["--allow-root"] if os.geteuid() == 0 else []
c.Spawner.default_url = "/lab"
c.Spawner.server_token_scopes = list(people.SERVER_TOKEN_SCOPES)
c.Spawner.start_timeout = 90
c.Spawner.http_timeout = 90
c.LocalProcessSpawner.interrupt_timeout = 3
c.LocalProcessSpawner.term_timeout = 3
