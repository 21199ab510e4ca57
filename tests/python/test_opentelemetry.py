"""`zoocache.contrib.opentelemetry`: metrics and spans as in-memory exporters get them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import zoocache
from support import run
from zoocache import Cache
from zoocache.contrib.opentelemetry import install

FUNCTION = "code.function.name"


class Pipeline:
    """A meter and a tracer that keep what they get."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.tracers.get_tracer("test")

    def install(self, cache: Any, **options: Any) -> Any:
        return install(cache, meter_provider=self.meters, tracer_provider=self.tracers, **options)

    def metrics(self) -> dict[str, Any]:
        """By name."""
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def value(self, name: str, **attributes: str) -> Any:
        wanted = {FUNCTION: attributes.pop("function")} if "function" in attributes else {}
        wanted |= {f"zoocache.{key}": value for key, value in attributes.items()}
        for point in self.metrics()[name].data.data_points:
            if dict(point.attributes) == wanted:
                return point.value
        return None

    def spans(self) -> list[ReadableSpan]:
        """Those that have ended since they were asked for."""
        ended = list(self.exporter.get_finished_spans())
        self.exporter.clear()
        return ended


@pytest.fixture
def pipeline() -> Any:
    made = Pipeline()
    yield made
    made.meters.shutdown()
    made.tracers.shutdown()


@pytest.fixture
def cache() -> Cache:
    return Cache()


def named(cache: Cache, **options: Any) -> Any:
    """A cached function that is called app.load."""

    def load(x: int = 0) -> int:
        if x < 0:
            raise LookupError("no such thing")
        return x

    load.__module__, load.__qualname__ = "app", "load"
    return cache.cacheable(**options)(load)


def test_metrics(pipeline: Pipeline, cache: Cache) -> None:
    pipeline.install(cache)
    load = named(cache, deps=["t:{x}"])
    load(1), load(1), load(2)
    cache.invalidate("t:1")
    load(1)
    with pytest.raises(LookupError):
        load(-1)
    assert pipeline.value("zoocache.hits", function="app.load") == 1
    assert pipeline.value("zoocache.loads", function="app.load") == 4
    assert pipeline.value("zoocache.load.errors", function="app.load") == 1
    reasons = {
        reason: pipeline.value("zoocache.misses", function="app.load", **{"miss.reason": reason})
        for reason in ("never_loaded", "invalidated", "expired")
    }
    assert reasons == {"never_loaded": 3, "invalidated": 1, "expired": 0}
    assert pipeline.value("zoocache.entries", function="app.load") == 2
    assert pipeline.value("zoocache.invalidations") == 1
    assert pipeline.value("zoocache.bytes") > 0
    assert pipeline.value("zoocache.load.time", function="app.load") > 0
    metrics = pipeline.metrics()
    assert metrics["zoocache.hits"].unit == "{call}"
    assert metrics["zoocache.bytes"].unit == "By"
    assert metrics["zoocache.hits"].data.is_monotonic
    assert not metrics["zoocache.entries"].data.is_monotonic


def test_metrics_are_new_at_every_collection(pipeline: Pipeline, cache: Cache) -> None:
    pipeline.install(cache)
    load = named(cache)
    for count in range(5):
        load(1)
        assert pipeline.value("zoocache.hits", function="app.load") == count


def test_load_durations_are_a_histogram(pipeline: Pipeline, cache: Cache) -> None:
    pipeline.install(cache)
    load = named(cache)
    load(1), load(1), load(2)
    with pytest.raises(LookupError):
        load(-1)
    duration = pipeline.metrics()["zoocache.load.duration"]
    assert duration.unit == "s"
    good, failed = sorted(duration.data.data_points, key=lambda point: len(point.attributes))
    assert (good.count, failed.count) == (2, 1)
    assert dict(failed.attributes) == {FUNCTION: "app.load", "error.type": "LookupError"}
    [info] = cache.functions()
    assert tuple(good.explicit_bounds) == info.load_times.bounds_s


def test_loads_are_spans_and_hits_are_not(pipeline: Pipeline, cache: Cache) -> None:
    pipeline.install(cache)
    load = named(cache, deps=["secret:{x}"])
    with pipeline.tracer.start_as_current_span("request") as request:
        load(12345), load(12345)
    [span, _] = pipeline.spans()
    assert span.name == "load app.load"
    assert span.kind is trace.SpanKind.INTERNAL
    assert span.parent is not None
    assert span.parent.span_id == request.get_span_context().span_id
    assert dict(span.attributes or {}) == {
        FUNCTION: "app.load",
        "zoocache.miss.reason": "never_loaded",
    }
    assert "12345" not in span.to_json(), "neither keys nor tags"
    cache.invalidate("secret:12345")
    load(12345)
    [span] = pipeline.spans()
    assert (span.attributes or {})["zoocache.miss.reason"] == "invalidated"


def test_errors_are_recorded(pipeline: Pipeline, cache: Cache) -> None:
    pipeline.install(cache)
    with pytest.raises(LookupError):
        named(cache)(-1)
    [span] = pipeline.spans()
    assert span.status.status_code is trace.StatusCode.ERROR
    [event] = span.events
    assert (event.attributes or {})["exception.type"] == "LookupError"


def test_the_loader_runs_in_the_span_and_in_its_callers_context(
    pipeline: Pipeline, cache: Cache
) -> None:
    pipeline.install(cache)
    seen: list[Any] = []

    @cache.cacheable
    def inner(x: int) -> int:
        with pipeline.tracer.start_as_current_span("query"):
            seen.append(baggage.get_baggage("user"))
        return x

    @cache.cacheable
    def outer(x: int) -> int:
        return inner(x)

    token = context.attach(baggage.set_baggage("user", "ada"))
    try:
        outer(1)
    finally:
        context.detach(token)
    spans = {span.name.rpartition(".")[2]: span for span in pipeline.spans()}
    assert spans["query"].parent.span_id == spans["inner"].context.span_id
    assert spans["inner"].parent.span_id == spans["outer"].context.span_id
    assert spans["outer"].parent is None
    assert seen == ["ada"]
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_async_loads(pipeline: Pipeline, cache: Cache) -> None:
    pipeline.install(cache)

    @cache.cacheable
    async def load(x: int) -> int:
        await asyncio.sleep(0)
        with pipeline.tracer.start_as_current_span("query"):
            await asyncio.sleep(0)
        if x < 0:
            raise LookupError
        return x

    async def request(number: int) -> None:
        with pipeline.tracer.start_as_current_span(f"request {number}"):
            await load(number)
            await load(number)
            assert trace.get_current_span().is_recording(), "the request's again"

    async def main() -> None:
        await asyncio.gather(*(request(number) for number in range(3)))
        with pytest.raises(LookupError):
            await load(-1)

    run(main())
    spans = pipeline.spans()
    by_id = {span.context.span_id: span for span in spans}
    loads = [span for span in spans if span.name.startswith("load ")]
    assert len(loads) == 4
    assert sorted(by_id[one.parent.span_id].name for one in loads if one.parent) == [
        "request 0",
        "request 1",
        "request 2",
    ]
    queries = [span for span in spans if span.name == "query"]
    assert {by_id[one.parent.span_id].name for one in queries} == {loads[0].name}
    assert [one.status.status_code for one in loads].count(trace.StatusCode.ERROR) == 1


def test_a_cancelled_load_ends_its_span_and_the_next_has_its_own(
    pipeline: Pipeline, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline.install(cache)

    async def main() -> int:
        inside, release = asyncio.Event(), asyncio.Event()

        @cache.cacheable
        async def load() -> int:
            inside.set()
            await release.wait()
            return 1

        leader = asyncio.create_task(load())
        await inside.wait()
        follower = asyncio.create_task(load())
        while cache.stats().flights_joined < 1:
            await asyncio.sleep(0)
        leader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leader
        release.set()
        return await follower

    with caplog.at_level(logging.WARNING):
        assert run(main()) == 1
    assert len(pipeline.spans()) == 2
    assert caplog.records == []


def test_get_many_is_one_span_for_what_it_loads_at_once(pipeline: Pipeline, cache: Cache) -> None:
    pipeline.install(cache)
    load = named(cache)
    assert load.get_many([1, 2, 3], load=lambda items: items) == [1, 2, 3]
    [span] = pipeline.spans()
    assert dict(span.attributes or {}) == {
        FUNCTION: "app.load",
        "zoocache.miss.reason": "many",
        "zoocache.items": 3,
    }


def test_uninstalled_it_leaves_nothing(pipeline: Pipeline, cache: Cache) -> None:
    made = pipeline.install(cache)
    with pytest.raises(RuntimeError, match="uninstall"):
        pipeline.install(cache)
    load = named(cache)
    load(1)
    made.uninstall()
    load(2)
    assert len(pipeline.spans()) == 1
    assert cache.load_hooks is None
    assert "zoocache.hits" not in pipeline.metrics()
    pipeline.install(cache, spans=False)
    load(3)
    assert pipeline.spans() == []
    assert pipeline.value("zoocache.loads", function="app.load") == 3


def test_several_caches(pipeline: Pipeline, cache: Cache) -> None:
    loads = [named(cache), named(Cache())]
    pipeline.install({"first": cache})
    assert [load(1) for load in loads] == [1, 1]
    of = {"function": "app.load", "cache.name": "first"}
    assert pipeline.value("zoocache.loads", **of) == 1
    [span] = pipeline.spans()
    assert (span.attributes or {})["zoocache.cache.name"] == "first"


def test_a_home_is_observed(pipeline: Pipeline, url: str) -> None:
    cache = Cache(storage_url=url)
    pipeline.install(cache)
    load = named(cache)
    load(1)
    cache.clear()
    assert pipeline.value("zoocache.home.reachable") == 1
    assert pipeline.value("zoocache.home.lease_expirations") == 0
    assert pipeline.value("zoocache.storage.connects") == 1
    assert pipeline.value("zoocache.l2.stores", function="app.load") == 1


def test_names_are_bounded(pipeline: Pipeline, cache: Cache) -> None:
    pipeline.install(cache, max_functions=0)
    load = named(cache)
    load(1)
    assert pipeline.value("zoocache.loads", function="other") == 1
    [duration] = pipeline.metrics()["zoocache.load.duration"].data.data_points
    assert dict(duration.attributes) == {FUNCTION: "other"}


def test_raw_keys_are_loads_of_nobody(pipeline: Pipeline) -> None:
    """`get` of what nobody has set runs no loader of a user."""
    made = pipeline.install(None)
    try:
        assert zoocache.get("nothing") is None
        assert pipeline.spans() == []
    finally:
        made.uninstall()
