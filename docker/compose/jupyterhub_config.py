"""The Hub in a container: a container per person, people.toml for rights, the service in a container of its own.

Environment in (compose.yaml sets it), JupyterHub's configuration out.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import urlparse

from dockerspawner import DockerSpawner

from autograder.service import front, people, roles

c = get_config()  # noqa: F821 - JupyterHub's own
env = os.environ
here = Path(__file__).parent
state = Path.cwd()
service_url = env["BOOTCAMP_SERVICE_URL"]

c.JupyterHub.bind_url = "http://0.0.0.0:8000"
c.JupyterHub.hub_bind_url = "http://0.0.0.0:8081"
c.JupyterHub.hub_connect_url = "http://hub:8081"
c.JupyterHub.db_url = f"sqlite:///{state / 'jupyterhub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(state / "cookie_secret")
# People's servers go on while the Hub is restarted or upgraded.
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = True

front.set_proxy(c, state, api_port=8099)
front.open_door(c, env, Path(env["BOOTCAMP_PEOPLE"]), service_url)


class OnePerContainer(DockerSpawner):
    """Everybody's server in a container of their own: students without the engine, instructors with it."""

    @property
    def is_instructor(self) -> bool:
        return any(g.name == roles.group("instructor") for g in self.user.groups)


def dress(spawner: OnePerContainer) -> None:
    """Give the container the image, the folders and the rights of its person's role. Called before every start."""
    spawner.volumes = {"bootcamp-home-{username}": "/home/bootcamp"}
    spawner.extra_host_config = {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges"], "pids_limit": 1024}
    spawner.extra_create_kwargs = {"user": "1000:1000"}
    if not spawner.is_instructor:
        spawner.image = env["BOOTCAMP_STUDENT_IMAGE"]
        return
    spawner.image = env["BOOTCAMP_ENGINE_IMAGE"]
    spawner.environment = {**spawner.environment, "JUPYTER_CONFIG_PATH": "/etc/bootcamp/instructor:/etc/bootcamp/common"}
    # nbgrader's course folder: no seed, no ledger, no password of the database.
    spawner.volumes = {**spawner.volumes, env["BOOTCAMP_COURSE_VOLUME"]: "/var/lib/bootcamp/course"}
    spawner.notebook_dir = "/var/lib/bootcamp/course"
    # `bootcamp check` opens boxes: what a grader's container may do (compose.yaml), and no capability either.
    # Docker's engine takes the profile itself, podman the path of a file on its machine.
    path = env.get("BOOTCAMP_PODMAN_SECCOMP", "none")
    profile = path if path != "none" else json.dumps(json.loads((here / "seccomp-box.json").read_text("utf-8")))
    spawner.extra_host_config["security_opt"] = ["no-new-privileges", f"seccomp={profile}"]
    spawner.extra_create_kwargs["host_config"] = {"MaskedPaths": [], "ReadonlyPaths": []}


c.JupyterHub.spawner_class = OnePerContainer
c.Spawner.pre_spawn_hook = dress
c.Spawner.cmd = ["jupyterhub-singleuser"]
c.Spawner.default_url = "/lab"
c.Spawner.server_token_scopes = list(people.SERVER_TOKEN_SCOPES)
c.Spawner.mem_limit = env.get("BOOTCAMP_STUDENT_MEMORY", "1G")
c.Spawner.cpu_limit = float(env.get("BOOTCAMP_STUDENT_CPUS", "1"))
c.Spawner.start_timeout = 120
c.Spawner.http_timeout = 90
# To the service itself and not through the proxy, which would only carry a large hand-in twice.
service_address = f"http://{urlparse(service_url).netloc}/services/{roles.SERVICE}/"
c.Spawner.environment = {"BOOTCAMP_SERVICE": service_address, "OMP_NUM_THREADS": "1"}
c.DockerSpawner.network_name = env["BOOTCAMP_NETWORK"]
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.remove = True
c.DockerSpawner.prefix = "bootcamp-server"
c.DockerSpawner.pull_policy = "never"
c.JupyterHub.concurrent_spawn_limit = 20
