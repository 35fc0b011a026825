"""What a queue file holds and what delivery did, in Prometheus' text format. Labels are causes and kinds, never people.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from db_client.store import QueueStatistics

_COUNTERS = {
    "delivered": ("kind", "Entries that the service has taken."),
    "retried": ("cause", "Attempts that failed and are made again, by cause."),
    "dead": ("why", "Entries that became dead letters, by class of reason."),
    "budget_overruns": ("call", "Calls that came back more than 100 ms after their budget."),
    "set_aside": ("why", "Damaged queue files that were set aside."),
    "salvaged": ("what", "Rows that were read out of damaged queue files."),
    "erased": ("what", "Entries removed because their person was erased."),
}


class QueueCollector(Collector):
    """Metrics from queue statistics that are read anew at each collection; `clock` gives ms since 1970 UTC."""

    def __init__(self, read: Callable[[], QueueStatistics], *, clock: Callable[[], int]) -> None:
        self._read = read
        self._clock = clock

    def collect(self) -> Iterable[Metric]:
        """The families of one moment."""
        yield from families(self._read(), self._clock())


def families(statistics: QueueStatistics, now: int) -> Iterator[Metric]:
    """The metric families for these statistics at that moment (ms since 1970 UTC)."""
    age = 0.0 if statistics.oldest_at is None else max(0, now - statistics.oldest_at) / 1000
    yield GaugeMetricFamily("bigbrother_queue_waiting", "Entries that wait to be delivered.", statistics.waiting)
    yield GaugeMetricFamily("bigbrother_queue_oldest_seconds", "Age of the oldest waiting entry.", age)
    yield GaugeMetricFamily("bigbrother_queue_dead", "Dead letters in the queue file.", statistics.dead)
    for name, (label, text) in _COUNTERS.items():
        family = CounterMetricFamily(f"bigbrother_queue_{name}", text, labels=[label])
        for value, n in sorted(statistics.counters.get(name, {}).items()):
            family.add_metric([value], n)
        yield family


def metrics_text(statistics: QueueStatistics, *, now: int | None = None) -> bytes:
    """The text of /metrics for these statistics; `now` in ms since 1970 UTC, by default the wall clock."""
    moment = time.time_ns() // 1_000_000 if now is None else now
    registry = CollectorRegistry()
    registry.register(QueueCollector(lambda: statistics, clock=lambda: moment))
    return generate_latest(registry)
