"""The environment that JupyterHub gives a service in; a running service out. The only reader of it in this room."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import UTC, datetime
from urllib.parse import urlparse

from jupyterhub.services.auth import HubOAuth
from tornado import ioloop

from autograder import course
from autograder.errors import BootcampError
from autograder.grading.pool import Pool
from autograder.home import Home
from autograder.records import Ledger
from autograder.service.app import make_app, make_server
from autograder.service.desk import Desk

_LOOK_MS = 5000.0  # between two looks at course.toml


def main() -> int:
    """Serve until the Hub ends us; return 2 when we cannot start."""
    logging.basicConfig(format="[%(asctime)s bootcamp %(levelname)s] %(message)s", level=logging.INFO)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    missing = [
        name for name in ("JUPYTERHUB_SERVICE_URL", "JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_API_TOKEN") if not os.environ.get(name)
    ]
    if missing:
        print(f"{', '.join(missing)} not set: JupyterHub starts this service. Run: bootcamp serve", file=sys.stderr)
        return 2
    try:
        home = Home.from_env(os.environ)
        ledger = Ledger.open(home.ledger_url)
        desk = Desk.of(course.load(home.course_root), ledger, lambda: datetime.now(UTC), home.path, home.ledger_url)
    except BootcampError as e:
        print(e, file=sys.stderr)
        return 2
    prefix = os.environ["JUPYTERHUB_SERVICE_PREFIX"]
    hub_prefix = os.environ.get("JUPYTERHUB_BASE_URL", "/") + "hub/"
    address = urlparse(os.environ["JUPYTERHUB_SERVICE_URL"])
    # The Hub ends its services with SIGINT.
    with suppress(KeyboardInterrupt), ledger, _graders(home, desk.exchange.course) as graders:
        application = make_app(desk, HubOAuth(base_url=prefix), prefix, hub_prefix, graders)
        make_server(application).listen(address.port or 80, address.hostname or "127.0.0.1")
        ioloop.PeriodicCallback(_when_edited(desk), _LOOK_MS).start()
        try:
            ioloop.IOLoop.current().start()
        finally:
            desk.surveys.close()
    return 0


def _when_edited(desk: Desk) -> Callable[[], None]:
    """Return what reads course.toml again when somebody has edited it, and does nothing else."""
    path = desk.exchange.course.root / "assignments" / "course.toml"
    seen = [path.stat().st_mtime_ns]

    def look() -> None:
        with suppress(OSError):
            if (now := path.stat().st_mtime_ns) != seen[0]:
                seen[0] = now
                desk.reload()

    return look


def _graders(home: Home, found: course.Course) -> AbstractContextManager[Pool | None]:
    """Return one grading process for single exercises, if the course gives verdicts on them without a hand-in."""
    if found.check_alone != "practice":
        return nullcontext()
    return Pool(home.course_root, home.seed(), home.path / "admitted", 1, os.environ)


if __name__ == "__main__":
    sys.exit(main())
