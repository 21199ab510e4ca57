"""A cache's numbers and loads for OpenTelemetry: `zoocache[opentelemetry]`.

::

    from zoocache.contrib import opentelemetry

    opentelemetry.install()      # the default cache, the global providers

Metrics are read when they are collected. Each load, not each call, is a span that is current while
the loader runs, and a value of the histogram `zoocache.load.duration`; a hit costs nothing more
than without this. docs/METRICS.md has the names.
"""

from __future__ import annotations

import functools
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import CallbackOptions, Observation
except ImportError as error:
    raise ImportError(
        "zoocache.contrib.opentelemetry needs opentelemetry-api: "
        "pip install 'zoocache[opentelemetry]'"
    ) from error

from zoocache import _zoocache
from zoocache._metrics import (
    FAMILIES,
    LOAD_SECONDS,
    Family,
    Histogram,
    Sample,
    Sampler,
    caches_by_name,
    name_of,
)

if TYPE_CHECKING:
    from zoocache._cache import Cache

__all__ = ["Instrumentation", "install"]

FUNCTION = "code.function.name"  # OpenTelemetry's name for it
CACHE = "zoocache.cache.name"
REASON = "zoocache.miss.reason"
ITEMS = "zoocache.items"

_SAME_COLLECTION_S = 1.0  # how old samples may be that another instrument's callback has taken

_PREFIXES = ("home", "storage", "l2", "load")


def _name(family: Family) -> str:
    """`home_lease_expirations` is `zoocache.home.lease_expirations`."""
    prefix, _, rest = family.name.partition("_")
    return (
        f"zoocache.{prefix}.{rest}" if prefix in _PREFIXES and rest else f"zoocache.{family.name}"
    )


def _unit(family: Family) -> str:
    units = {"": "1", "bytes": "By", "seconds": "s"}
    return units.get(family.unit, f"{{{family.unit}}}")


class _Collection:
    """Samples that the callbacks of one collection share. Thread-safe.

    Each instrument has a callback of its own. What it takes is gone, so that the first one of the
    next collection takes new samples.
    """

    def __init__(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._lock = threading.Lock()  # guards everything below
        self._left: dict[Family, list[Sample]] = {}
        self._taken_s = 0.0

    def take(self, family: Family) -> list[Sample]:
        with self._lock:
            now_s = time.monotonic()
            if family not in self._left or now_s - self._taken_s > _SAME_COLLECTION_S:
                self._left = {one: [] for one in FAMILIES}
                for sample in self._sampler.samples():
                    self._left[sample.family].append(sample)
                self._taken_s = now_s
            return self._left.pop(family)


class _Instruments:
    """Those of one provider, made once: they outlive who is observed through them. Thread-safe."""

    def __init__(self, meter: metrics.Meter) -> None:
        self.active: list[Instrumentation] = []
        self.durations = meter.create_histogram(
            "zoocache.load.duration",
            "s",
            "How long loader runs took, waiting included",
            explicit_bucket_boundaries_advisory=_zoocache.load_bounds(),
        )
        for family in FAMILIES:
            callbacks = [functools.partial(self._observations, family)]
            name, unit = _name(family), _unit(family)
            if family is LOAD_SECONDS:  # no histogram can be observed; its sum can
                meter.create_observable_counter(
                    "zoocache.load.time", callbacks, unit, "Seconds of all loader runs together"
                )
            elif family.kind == "counter":
                meter.create_observable_counter(name, callbacks, unit, family.help)
            elif family.name.endswith(("reachable", "clock", "applied", "floor")):
                meter.create_observable_gauge(name, callbacks, unit, family.help)
            else:  # what may be summed over processes
                meter.create_observable_up_down_counter(name, callbacks, unit, family.help)

    def _observations(self, family: Family, _: CallbackOptions) -> Iterator[Observation]:
        for one in list(self.active):
            yield from one.observations(family)


_instruments: weakref.WeakKeyDictionary[metrics.MeterProvider, _Instruments] = (
    weakref.WeakKeyDictionary()
)
_instruments_lock = threading.Lock()


def _instruments_of(provider: metrics.MeterProvider) -> _Instruments:
    with _instruments_lock:
        made = _instruments.get(provider)
        if made is None:
            made = _Instruments(provider.get_meter("zoocache", _zoocache.__version__))
            _instruments[provider] = made
        return made


class Instrumentation:
    """What `install` made; `uninstall` takes it out again. Thread-safe."""

    def __init__(
        self,
        caches: dict[str, Cache],
        samplers: dict[str, Sampler],
        instruments: _Instruments,
        tracer: trace.Tracer | None,
        durations: metrics.Histogram | None,
    ) -> None:
        self._caches = caches
        self._instruments = instruments
        self._tracer = tracer
        self._durations = durations
        self._collections = [
            ({CACHE: name} if name else {}, _Collection(sampler))
            for name, sampler in samplers.items()
        ]
        instruments.active.append(self)
        if tracer is None and durations is None:
            return
        for name, cache in caches.items():
            common = {CACHE: name} if name else {}
            cache.hook_loads(_hooks(functools.partial(self._around, samplers[name], common)))

    def uninstall(self) -> None:
        """Loads go without spans from here on, and nothing more is observed."""
        if self in self._instruments.active:
            self._instruments.active.remove(self)
            for cache in self._caches.values():
                cache.hook_loads(None)

    def observations(self, family: Family) -> Iterator[Observation]:
        """What an instrument's callback gives."""
        for common, collection in self._collections:
            for sample in collection.take(family):
                names = (_ATTRIBUTES[label] for label in family.labels)
                attributes = {**common, **dict(zip(names, sample.labels, strict=True))}
                value = sample.value
                yield Observation(value.sum if isinstance(value, Histogram) else value, attributes)

    @contextmanager
    def _around(
        self, sampler: Sampler, common: dict[str, str], fn: Any, attributes: dict[str, Any]
    ) -> Generator[None, None, None]:
        name = name_of(fn)
        told = {**common, FUNCTION: name, **attributes}
        begun_s = time.perf_counter()
        failed = {}
        with self._span(f"load {name}", told):
            try:
                yield
            except BaseException as error:
                failed = {"error.type": type(error).__qualname__}
                raise
            finally:
                if self._durations is not None:
                    label = {**common, FUNCTION: sampler.label(name), **failed}
                    self._durations.record(time.perf_counter() - begun_s, label)

    def _span(self, name: str, attributes: dict[str, Any]) -> AbstractContextManager[Any]:
        if self._tracer is None:
            return nullcontext()
        return self._tracer.start_as_current_span(name, attributes=attributes)


_ATTRIBUTES = {"function": FUNCTION, "reason": REASON}


def _told(reason: str, args: tuple[Any, ...]) -> dict[str, Any]:
    """What a span says of a load: nothing of the arguments but how many items there are."""
    if reason == "many":
        return {REASON: reason, ITEMS: len(args[0])}
    return {REASON: reason.replace(" ", "_")}


def _hooks(around: Callable[..., Any]) -> tuple[Callable[..., Any], Any]:
    def load(fn: Any, reason: str, /, *args: Any, **kwargs: Any) -> Any:
        with around(fn, _told(reason, args)):
            return fn(*args, **kwargs)

    async def load_async(fn: Any, reason: str, /, *args: Any, **kwargs: Any) -> Any:
        with around(fn, _told(reason, args)):
            return await fn(*args, **kwargs)

    return load, load_async


def install(
    cache: Cache | Mapping[str, Cache] | None = None,
    *,
    meter_provider: metrics.MeterProvider | None = None,
    tracer_provider: trace.TracerProvider | None = None,
    spans: bool = True,
    load_durations: bool = True,
    max_functions: int = 1000,
    ask_storage: bool = True,
) -> Instrumentation:
    """Observes a cache and follows its loads.

    Args:
        cache: which; default the default cache. For several a dict of them by their names, which
            become the attribute `zoocache.cache.name`.
        meter_provider: default the global one.
        tracer_provider: default the global one.
        spans: whether each load is a span.
        load_durations: whether each load is a value of the histogram `zoocache.load.duration`.
        max_functions: names of functions that metrics tell apart; all others are one, "other".
        ask_storage: whether each collection asks a storage if it is there, which may take a round
            trip.

    Raises:
        TypeError: `cache` is no cache.
        InvalidOption: `max_functions` is not allowed.
        RuntimeError: the cache's loads are followed already; `uninstall()` that first.

    Thread-safe.
    """
    caches = caches_by_name(cache)
    for one in caches.values():
        if (spans or load_durations) and one.load_hooks is not None:
            raise RuntimeError("the loads of this cache are followed already: uninstall() that")
    samplers = {
        name: Sampler(one, max_functions=max_functions, ask_storage=ask_storage)
        for name, one in caches.items()
    }
    instruments = _instruments_of(meter_provider or metrics.get_meter_provider())
    tracer = trace.get_tracer("zoocache", _zoocache.__version__, tracer_provider) if spans else None
    durations = instruments.durations if load_durations else None
    return Instrumentation(caches, samplers, instruments, tracer, durations)
