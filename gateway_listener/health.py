"""The listener's pages: /livez, /readyz and /metrics. Nothing on them is about a person."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True)
class Condition:
    """How the listener is: each check is a sentence and whether it holds."""

    live: Mapping[str, bool]
    ready: Mapping[str, bool]
    gauges: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """Name to what it means and its value."""
    counters: Mapping[str, tuple[str, str, Mapping[str, int]]] = field(default_factory=dict)
    """Name to what it means, the name of its label, and the count by label."""


def pages(condition: Callable[[], Condition], look: Callable[[], Awaitable[None]] | None = None) -> web.Application:
    """The application; `condition` is asked at each request, in the event loop: a loop that hangs does not answer.

    `look` is awaited before the figures are given: what must be asked of a disk is asked there, off the loop.
    """
    registry = CollectorRegistry()
    registry.register(_Figures(condition))

    async def live(request: web.Request) -> web.Response:
        return _checks(condition().live)

    async def ready(request: web.Request) -> web.Response:
        return _checks(condition().ready)

    async def metrics(request: web.Request) -> web.Response:
        if look is not None:
            await look()
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/livez", live)
    application.router.add_get("/readyz", ready)
    application.router.add_get("/metrics", metrics)
    return application


async def serve(application: web.Application, host: str, port: int) -> tuple[web.AppRunner, int]:
    """Serves the pages; gives what stops it (`cleanup`) and the port (the one chosen, if `port` is 0)."""
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner, runner.addresses[0][1]


def _checks(checks: Mapping[str, bool]) -> web.Response:
    """One line a check, as rqlite does it; 503 if one fails."""
    lines = "".join(f"[{'+' if holds else '-'}]{sentence}\n" for sentence, holds in checks.items())
    return web.Response(text=lines, status=200 if all(checks.values()) else 503)


class _Figures(Collector):
    def __init__(self, condition: Callable[[], Condition]) -> None:
        self._condition = condition

    def collect(self) -> Iterable[Metric]:
        condition = self._condition()
        for name, (meaning, value) in condition.gauges.items():
            yield GaugeMetricFamily(f"bigbrother_listener_{name}", meaning, value=value)
        for name, (meaning, label, counts) in condition.counters.items():
            family = CounterMetricFamily(f"bigbrother_listener_{name}", meaning, labels=[label])
            for kind, count in counts.items():
                family.add_metric([kind], count)
            yield family

    def describe(self) -> Iterable[Metric]:
        """Names are known at scrape time only."""
        return ()
