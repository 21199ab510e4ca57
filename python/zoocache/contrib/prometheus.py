"""A cache's numbers for Prometheus, by the official client: `zoocache[prometheus]`.

::

    from prometheus_client import start_http_server
    from zoocache.contrib import prometheus

    prometheus.install()      # the default cache, in the client's default registry
    start_http_server(9100)

Numbers are read when they are scraped; a call costs nothing more than without this. docs/METRICS.md
has the names, the dashboard and what to do with several processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

try:
    from prometheus_client import REGISTRY, CollectorRegistry
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
except ImportError as error:
    raise ImportError(
        "zoocache.contrib.prometheus needs prometheus-client: pip install 'zoocache[prometheus]'"
    ) from error

from zoocache._metrics import FAMILIES, Family, Histogram, Sample, Sampler, caches_by_name

if TYPE_CHECKING:
    from zoocache._cache import Cache

__all__ = ["ZoocacheCollector", "install"]

_NO_LABELS: Mapping[str, str] = {}


class ZoocacheCollector(Collector):
    """What a registry asks for the numbers of a cache. Thread-safe.

    Args:
        cache: whose numbers they are; default the default cache. For several a dict of them by
            their names, which become the label `cache`.
        labels: further labels that every sample has, such as the process's number.
        max_functions: names of functions that have samples of their own, default 1000; all others
            are one, "other".
        ask_storage: whether each scrape asks a storage if it is there, which may take a round trip
            or, when it is not, `command_timeout`; default True.

    Raises:
        TypeError: `cache` is no cache.
        InvalidOption: `max_functions` is not allowed.
        ValueError: `labels` has a name that samples have anyway, or that Prometheus does not allow.
    """

    def __init__(
        self,
        cache: Cache | Mapping[str, Cache] | None = None,
        *,
        labels: Mapping[str, str] = _NO_LABELS,
        max_functions: int = 1000,
        ask_storage: bool = True,
    ) -> None:
        named = caches_by_name(cache)
        names = ("cache", "function", "reason", "le")
        for label in labels:
            if label in names or not (label.isascii() and label.isidentifier()):
                raise ValueError(
                    f"labels={dict(labels)!r}: {label!r} is not allowed: a name of A-Z a-z 0-9 _ "
                    f"that is none of {', '.join(names)}"
                )
        self._labels = dict(labels)
        self._names_caches = list(named) != [""]
        self._samplers = {
            name: Sampler(one, max_functions=max_functions, ask_storage=ask_storage)
            for name, one in named.items()
        }

    def describe(self) -> list[Metric]:
        """Every metric that there may be, without samples."""
        return [self._metric(family, []) for family in FAMILIES]

    def collect(self) -> Iterator[Metric]:
        """The numbers of now."""
        found: dict[Family, list[tuple[str, Sample]]] = {}
        for cache, sampler in self._samplers.items():
            for sample in sampler.samples():
                found.setdefault(sample.family, []).append((cache, sample))
        for family, samples in found.items():
            yield self._metric(family, samples)

    def _metric(self, family: Family, samples: list[tuple[str, Sample]]) -> Metric:
        names = [*self._labels, *(["cache"] if self._names_caches else []), *family.labels]
        rows = [
            (
                [*self._labels.values(), *([cache] if self._names_caches else []), *sample.labels],
                sample.value,
            )
            for cache, sample in samples
        ]
        name = f"zoocache_{family.name}"
        if family.kind == "histogram":
            times = HistogramMetricFamily(f"{name}_{family.unit}", family.help, labels=names)
            for labels, value in rows:
                histogram = cast("Histogram", value)
                times.add_metric(labels, _cumulative(histogram), histogram.sum)
            return times
        of_kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
        metric = of_kind(name, family.help, labels=names)
        for labels, value in rows:
            metric.add_metric(labels, cast("float", value))
        return metric


def _cumulative(histogram: Histogram) -> list[tuple[str, float]]:
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else repr(bound), float(total)))
    return buckets


def install(
    registry: CollectorRegistry = REGISTRY,
    cache: Cache | Mapping[str, Cache] | None = None,
    *,
    labels: Mapping[str, str] = _NO_LABELS,
    max_functions: int = 1000,
    ask_storage: bool = True,
) -> ZoocacheCollector:
    """Registers a collector; `registry.unregister(...)` of what it returns takes it out again.

    Args:
        registry: default the client's own.
        cache: whose numbers; default the default cache. A dict of several by their names.
        labels: further labels of every sample.
        max_functions: names of functions with samples of their own.
        ask_storage: whether each scrape asks a storage if it is there.

    Raises:
        ValueError: the registry has one already. For several caches give one a dict of them.
        TypeError, InvalidOption: as `ZoocacheCollector`.
    """
    collector = ZoocacheCollector(
        cache, labels=labels, max_functions=max_functions, ask_storage=ask_storage
    )
    registry.register(collector)
    return collector
