"""What the endpoint counts, and the text of `/metrics`. No label holds anything personal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from db_client.errors import NotKept
from db_client.store import Store
from interactions_api.discord_time import DiscordTime

# An answer is worthless after Discord's three seconds; our own budget is two.
CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)


class Metrics:
    """The counters of one process, or of all workers together where PROMETHEUS_MULTIPROC_DIR is set."""

    def __init__(self, store: Store, clock: Callable[[], int], discord_time: DiscordTime) -> None:
        own = CollectorRegistry()
        self._requests = Counter(
            "interactions_requests",
            "Requests to /interactions by what they were and how they ended",
            ("kind", "end"),
            registry=own,
        )
        self._seconds = Histogram(
            "interactions_seconds", "Time from receipt to answer of verified requests", buckets=SECONDS, registry=own
        )
        self._registry = own
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            from prometheus_client.multiprocess import MultiProcessCollector

            self._registry = CollectorRegistry()
            MultiProcessCollector(self._registry)  # type: ignore[no-untyped-call]
        self._registry.register(QueueCollector(store, clock))
        self._registry.register(ClockCollector(discord_time))

    def answered(self, kind: str, end: str, seconds: float) -> None:
        """Counts a verified request and how long it took."""
        self._requests.labels(kind, end).inc()
        self._seconds.observe(seconds)

    def refused(self, reason: str) -> None:
        """Counts a request that was refused before it was looked at."""
        self._requests.labels("refused", reason).inc()

    def text(self) -> bytes:
        """The page, in Prometheus's text format."""
        return generate_latest(self._registry)


class ClockCollector(Collector):
    """How far this machine's clock is from Discord's; nothing while that is not known. Each worker has its own."""

    def __init__(self, discord_time: DiscordTime) -> None:
        self._discord_time = discord_time

    def collect(self) -> Iterator[Metric]:
        """One gauge, or none."""
        difference = self._discord_time.difference_ms()
        if difference is not None:
            said = "The system's clock minus Discord's, and the shortest way of a request of late"
            yield GaugeMetricFamily("interactions_clock_difference_seconds", said, difference / 1000)


class QueueCollector(Collector):
    """The queue file as it is at the moment somebody looks; nothing is shown if it cannot be read."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock

    def describe(self) -> list[Metric]:
        """Nothing: registering must not open the queue file."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Gauges and counters of the queue file."""
        try:
            statistics = self._store.statistics()
        except NotKept:
            return
        age = 0.0 if statistics.oldest_at is None else max(0, self._clock() - statistics.oldest_at) / 1000
        yield GaugeMetricFamily("queue_waiting_entries", "Entries not delivered yet", statistics.waiting)
        yield GaugeMetricFamily("queue_oldest_entry_seconds", "Age of the oldest entry not delivered yet", age)
        yield GaugeMetricFamily("queue_dead_letters", "Entries refused for good", statistics.dead)
        for name, labels in sorted(statistics.counters.items()):
            family = CounterMetricFamily(f"queue_{name}", f"Queue entries or attempts: {name}", labels=["label"])
            for label, number in sorted(labels.items()):
                family.add_metric([label], number)
            yield family
