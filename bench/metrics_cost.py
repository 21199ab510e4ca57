"""What metrics cost a call: hits and loads with them and without, alternating in one process.

Usage: metrics_cost.py [--quick]. Each kind of cache is compared with one that nobody watches:
another such one, which shows what the comparison itself is worth; one whose numbers are scraped
four times a second by Prometheus, OpenTelemetry and a telemetry manager; for loads also with
OpenTelemetry's histogram and with its spans. Prints the ratio of the least samples, which other
programs disturb least; 1 is "costs nothing". The interpreter needs the package and
scripts/requirements.txt.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "measure"))
from harness import Effort, Sampler, compare
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry, generate_latest

from zoocache import Cache
from zoocache.contrib import opentelemetry, prometheus
from zoocache.telemetry import TelemetryAdapter, TelemetryManager

SCRAPE_S = 0.25


class Nowhere(TelemetryAdapter):
    """Takes everything."""

    def increment(self, name: str, value: float = 1.0, labels: Any = None) -> None:
        pass

    observe = set_gauge = increment

    def close(self) -> None:
        pass

    def bind_core(self, core: Any) -> None:
        pass


def unwatched() -> Cache:
    return Cache()


def counted(*, spans: bool = False, durations: bool = False) -> Cache:
    """A cache whose numbers are read all the time."""
    cache = Cache(telemetry=TelemetryManager([Nowhere()], poll_interval=SCRAPE_S))
    registry = CollectorRegistry()
    prometheus.install(registry, cache)
    reader = InMemoryMetricReader()
    opentelemetry.install(
        cache,
        meter_provider=MeterProvider([reader]),
        tracer_provider=TracerProvider(),
        spans=spans,
        load_durations=durations,
    )

    def scrape() -> None:
        while True:
            generate_latest(registry)
            reader.get_metrics_data()
            time.sleep(SCRAPE_S)

    threading.Thread(target=scrape, daemon=True).start()
    return cache


def with_durations() -> Cache:
    return counted(durations=True)


def with_spans() -> Cache:
    return counted(spans=True, durations=True)


CALLS = ("hit", "async hit")
KINDS: tuple[tuple[str, Callable[[], Cache], tuple[str, ...]], ...] = (
    ("unwatched again", unwatched, (*CALLS, "load")),
    ("counters", counted, (*CALLS, "load")),
    ("and durations", with_durations, ("load",)),
    ("and spans", with_spans, (*CALLS, "load")),
)


def samplers(effort: Effort, cache: Cache, loop: asyncio.AbstractEventLoop) -> dict[str, Sampler]:
    @cache.cacheable
    async def load_async(x: int) -> int:
        return x

    hit = cache.cacheable(deps=["t:{x}"])(lambda x: x)
    load = cache.cacheable(max_entries=1)(lambda x: x)
    step = {"f": load, "step": count().__next__}
    return {
        "hit": Sampler(effort, "f(7)", {"f": hit}),
        "async hit": Sampler(effort, "await f(7)", {"f": load_async}, loop=loop),
        "load": Sampler(effort, "f(step())", step),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few short samples")
    quick = parser.parse_args().quick
    effort = Effort(21, 0.002, 0, 0) if quick else Effort(101, 0.02, 0, 0)
    loop = asyncio.new_event_loop()
    base = samplers(effort, unwatched(), loop)
    print(f"{'call':<10} {'cache':<16} {'ns':>9} {'unwatched':>9} {'ratio':>6}")
    for kind, make, calls in KINDS:
        subject = samplers(effort, make(), loop)
        for call in calls:
            found = compare(effort, subject[call], base[call])
            ns, base_ns = min(found["ns"]), min(found["base_ns"])
            print(
                f"{call:<10} {kind:<16} {ns:>9.1f} {base_ns:>9.1f} {ns / base_ns:>6.2f}", flush=True
            )
    loop.close()


if __name__ == "__main__":
    main()
