"""The Hub in a container: a container per person, people.toml for rights, the service in a container of its own.

Environment in (compose.yaml sets it), JupyterHub's configuration out.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path
from urllib.parse import urlparse

from dockerspawner import DockerSpawner

from autograder.service import people, roles

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
c.JupyterHub.default_url = f"/services/{roles.SERVICE}/"
# People's servers go on while the Hub is restarted or upgraded.
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = True

c.JupyterHub.proxy_class = "traefik_file"
c.TraefikProxy.traefik_api_url = "http://127.0.0.1:8099"
c.TraefikProxy.traefik_api_username = "jupyterhub"
c.TraefikProxy.traefik_api_password = secrets.token_hex(16)
c.TraefikProxy.extra_static_config = {"global": {"checkNewVersion": False, "sendAnonymousUsage": False}}
proxy_files = state / "traefik.toml", state / "traefik-rules.toml"
for left in proxy_files:
    # A Hub that was killed leaves its rules behind, and the next one would take over their password.
    left.unlink(missing_ok=True)
c.TraefikFileProviderProxy.static_config_file, c.TraefikFileProviderProxy.dynamic_config_file = map(str, proxy_files)


def sign_in() -> type:
    """Return the authenticator that BOOTCAMP_SIGN_IN names, set up from its variables."""
    kind = env.get("BOOTCAMP_SIGN_IN", "password")
    if kind == "password":
        from jupyterhub.authenticators.shared import SharedPasswordAuthenticator

        c.SharedPasswordAuthenticator.user_password = env["BOOTCAMP_PASSWORD"]
        return SharedPasswordAuthenticator
    c.OAuthenticator.client_id = env["OAUTH_CLIENT_ID"]
    c.OAuthenticator.client_secret = env["OAUTH_CLIENT_SECRET"]
    c.OAuthenticator.oauth_callback_url = env["OAUTH_CALLBACK_URL"]
    if kind == "github":
        from oauthenticator.github import GitHubOAuthenticator

        # Without an organisation only those who stand in people.toml come in.
        c.GitHubOAuthenticator.allowed_organizations = set(env.get("GITHUB_ORGANIZATIONS", "").split())
        c.GitHubOAuthenticator.scope = ["read:org"] if env.get("GITHUB_ORGANIZATIONS") else []
        return GitHubOAuthenticator
    if kind == "google":
        from oauthenticator.google import GoogleOAuthenticator

        c.GoogleOAuthenticator.hosted_domain = env.get("GOOGLE_DOMAINS", "").split()
        return GoogleOAuthenticator
    if kind == "oauth":
        from oauthenticator.generic import GenericOAuthenticator

        c.GenericOAuthenticator.authorize_url = env["OAUTH_AUTHORIZE_URL"]
        c.GenericOAuthenticator.token_url = env["OAUTH_TOKEN_URL"]
        c.GenericOAuthenticator.userdata_url = env["OAUTH_USERDATA_URL"]
        c.GenericOAuthenticator.username_claim = env.get("OAUTH_USERNAME_CLAIM", "preferred_username")
        c.GenericOAuthenticator.scope = env.get("OAUTH_SCOPE", "openid profile").split()
        return GenericOAuthenticator
    raise SystemExit(f"BOOTCAMP_SIGN_IN={kind}: expected password, github, google or oauth.")


people_file = Path(env.get("BOOTCAMP_PEOPLE", here / "people.toml"))
c.JupyterHub.authenticator_class = people.listed(sign_in(), people_file)
c.Authenticator.manage_groups = True
c.Authenticator.auth_refresh_age = 300
c.Authenticator.refresh_pre_spawn = True
# people.toml refuses whom it does not list; where it says "everyone", the sign-in's own rule decides alone.
c.Authenticator.allow_all = not people.People.read(people_file).is_open or "BOOTCAMP_ALLOW_ALL" in env

rights = people.rights()
c.JupyterHub.custom_scopes = rights["custom_scopes"]
c.JupyterHub.load_roles = [
    *rights["load_roles"],
    {"name": "culler", "services": ["culler"], "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"]},
]
c.JupyterHub.services = [
    people.service(service_url, api_token=env["BOOTCAMP_SERVICE_TOKEN"]),
    {
        "name": "culler",
        "command": [sys.executable, "-m", "jupyterhub_idle_culler", f"--timeout={env.get('BOOTCAMP_IDLE_S', '3600')}"],
    },
]


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
    # `bootcamp check` opens boxes: what a grader's container may do, and no capability either.
    box = json.loads((here / "seccomp-box.json").read_text("utf-8"))
    spawner.extra_host_config["security_opt"] = ["no-new-privileges", f"seccomp={json.dumps(box)}"]


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
