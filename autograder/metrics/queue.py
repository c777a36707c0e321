"""A ledger and the file that a backup touches in; the queue's length by lane, its age and the backup's time out, at every scrape.

The exchange alone tells these: graders are many, and each would count the same queue again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from autograder.records import Ledger
from autograder.records.queue import INTERACTIVE, Lane


def lane_of(priority: int) -> str:
    """Return the lane's name: hand-ins of people come before regrades."""
    return "hand-in" if priority >= INTERACTIVE else "regrade"


class QueueCollector:
    """Asks the ledger when it is scraped; a ledger that cannot be read fails the scrape, which says so."""

    def __init__(self, ledger: Ledger, backed_up: Path) -> None:
        self.ledger, self.backed_up = ledger, backed_up

    def collect(self) -> Iterator[Metric]:
        """Yield the families, each with a sample for every lane."""
        jobs = GaugeMetricFamily("bootcamp_queue_jobs", "Jobs that wait or run.", labels=["lane", "state"])
        oldest = GaugeMetricFamily("bootcamp_queue_oldest_seconds", "Age of the oldest job that waits.", labels=["lane"])
        by_name: dict[str, list[Lane]] = {"hand-in": [], "regrade": []}
        for lane in self.ledger.queue.lanes():
            by_name[lane_of(lane.priority)].append(lane)
        for name, lanes in by_name.items():
            jobs.add_metric([name, "waiting"], sum(x.n_queued for x in lanes))
            jobs.add_metric([name, "running"], sum(x.n_running for x in lanes))
            oldest.add_metric([name], max((x.oldest_s for x in lanes), default=0.0))
        stats = self.ledger.queue.stats()
        yield from (jobs, oldest)
        yield GaugeMetricFamily("bootcamp_queue_dead", "Jobs given up by our fault, until a person retries them.", stats.n_dead)
        yield CounterMetricFamily("bootcamp_queue_done", "Jobs that left the queue graded, by any grader.", stats.n_done)
        if self.backed_up.is_file():
            made_at = self.backed_up.stat().st_mtime
            yield GaugeMetricFamily("bootcamp_backup_timestamp_seconds", "When the newest backup was whole.", made_at)
