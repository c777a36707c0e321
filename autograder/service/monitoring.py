"""A scrape in, the exchange's metrics as Prometheus reads them out; for a service of the Hub that has the scope, and no person."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from autograder.metrics import port
from autograder.metrics.queue import QueueCollector
from autograder.service.desk import Desk
from autograder.service.shell import Guarded


def registry_of(desk: Desk) -> CollectorRegistry:
    """Return a registry that tells of this process, the queue and the newest backup."""
    made = port.registry()
    made.register(QueueCollector(desk.ledger, desk.backed_up))
    return made


class Metrics(Guarded):
    """What Prometheus reads: no name, no pseudonym, no attempt."""

    kinds = frozenset({"service"})

    async def get(self) -> None:
        text = await asyncio.to_thread(generate_latest, self.settings["registry"])
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(text)
