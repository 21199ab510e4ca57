"""`configure(telemetry=...)`: programs written for the older package, and each of its adapters."""

from __future__ import annotations

import json
import logging
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
import redis
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as otlp
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

import zoocache
from redis_server import RedisServer
from support import check_script, wait_until
from zoocache import cacheable, configure, invalidate
from zoocache.telemetry import LogAdapter, TelemetryAdapter, TelemetryManager, TimerContext
from zoocache.telemetry.adapters.opentelemetry import OpenTelemetryAdapter
from zoocache.telemetry.adapters.prometheus import PrometheusAdapter
from zoocache.telemetry.adapters.redis_adapter import RedisTelemetryAdapter

NEVER_S = 3600.0  # the thread polls no earlier: the tests do


class Kept(TelemetryAdapter):
    """As a program of old writes one."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.cores: list[Any] = []
        self.closed = 0

    def increment(
        self, name: str, value: float = 1.0, labels: dict[str, str] | None = None
    ) -> None:
        self.calls.append(("increment", name, value, labels))

    def observe(self, name: str, value: float, labels: dict[str, str] | None = None) -> None:
        self.calls.append(("observe", name, value, labels))

    def set_gauge(self, name: str, value: float, labels: dict[str, str] | None = None) -> None:
        self.calls.append(("gauge", name, value, labels))

    def close(self) -> None:
        self.closed += 1

    def bind_core(self, core: Any) -> None:
        self.cores.append(core)

    def counts(self) -> dict[str, float]:
        """The counters' sums since they were asked for."""
        sums: dict[str, float] = {}
        for kind, name, value, _ in self.calls:
            if kind == "increment":
                sums[name] = sums.get(name, 0.0) + value
        self.calls.clear()
        return sums


def work() -> Any:
    """A hit, two misses, an error and an invalidation."""

    @cacheable(deps=["t"])
    def load(x: int) -> int:
        if x < 0:
            raise LookupError
        return x

    load(1), load(1)
    with pytest.raises(LookupError):
        load(-1)
    invalidate("t")
    return load


WORK = {
    "cache_hits_total": 1.0,
    "cache_misses_total": 2.0,
    "cache_errors_total": 1.0,
    "cache_invalidations_total": 1.0,
}


def followed(*adapters: Any, **options: Any) -> TelemetryManager:
    manager = TelemetryManager(list(adapters), poll_interval=NEVER_S)
    configure(telemetry=manager, **options)
    return manager


def test_the_counts_of_the_engine_reach_the_adapters() -> None:
    first, second = Kept(), Kept()
    manager = followed(first, second)
    assert first.cores == [zoocache._default.core]
    load = work()
    assert load.cache_info().currsize == 1
    assert first.calls == [], "nothing is passed on while calls run"
    manager.poll()
    assert ("increment", "cache_errors_total", 1.0, {"error_type": "exception"}) in first.calls
    assert ("gauge", "cache_entries", 1.0, None) in first.calls
    assert first.counts() == second.counts() == WORK
    manager.poll()
    assert first.calls == [], "nothing has changed"


def test_a_thread_passes_them_on() -> None:
    kept = Kept()
    manager = TelemetryManager([kept], poll_interval=0.01)
    configure(telemetry=manager)
    work()
    wait_until(lambda: len(kept.calls) >= 6, "a poll")
    assert kept.counts() == WORK
    zoocache.reset()
    wait_until(lambda: "zoocache-telemetry" not in {one.name for one in threading.enumerate()})


def test_what_is_left_comes_with_the_end() -> None:
    kept, later = Kept(), Kept()
    followed(kept)
    work()
    zoocache.reset()
    assert (kept.counts(), kept.closed) == (WORK, 1)
    manager = followed(later)
    work()
    assert later.calls == kept.calls == []
    manager.poll()
    assert later.counts() == WORK
    next_one = followed(Kept())
    assert later.closed == 1, "another manager takes its place, though the cache is in use"
    assert next_one.enabled
    assert not TelemetryManager().enabled
    configure(telemetry=TelemetryManager())


def test_a_cache_that_begins_anew_is_counted_on() -> None:
    kept = Kept()
    manager = followed(kept)
    manager.poll()
    configure(max_entries=10)  # which a cache that is in use would refuse
    kept.calls.clear()
    work()
    manager.poll()
    assert kept.counts() == WORK


def test_programs_count_by_it_too() -> None:
    kept = Kept()
    manager = TelemetryManager([kept])
    manager.increment("mine_total", labels={"a": "b"})
    manager.set_gauge("depth", 3.0)
    with manager.time_operation("work_seconds", {"c": "d"}) as timer:
        assert isinstance(timer, TimerContext)
    with pytest.raises(LookupError), manager.time_operation("work_seconds"):
        raise LookupError
    manager.bind_core("core")
    manager.close()
    names = [(kind, name, labels) for kind, name, _, labels in kept.calls]
    assert names == [
        ("increment", "mine_total", {"a": "b"}),
        ("gauge", "depth", None),
        ("observe", "work_seconds", {"c": "d"}),
        ("observe", "work_seconds", None),
    ]
    assert all(value >= 0 for _, _, value, _ in kept.calls)
    assert (kept.cores, kept.closed) == (["core"], 1)


def test_an_adapter_that_fails_keeps_nobody_from_anything(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Kept):
        def increment(self, name: str, value: float = 1.0, labels: Any = None) -> None:
            raise RuntimeError("no")

    kept = Kept()
    manager = followed(Broken(), kept)
    work()
    manager.poll()
    assert kept.counts() == WORK
    [record] = caplog.records
    assert record.name == "zoocache.telemetry"
    assert "Broken.increment()" in record.getMessage()


class Alien:
    """Has the methods and inherits from nothing of ours."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.core: Any = None

    def increment(self, name: str, value: float = 1.0, labels: Any = None) -> None:
        self.names.append(name)

    def bind_core(self, core: Any) -> None:
        self.core = core

    def close(self) -> None:
        pass


def test_adapters_need_not_inherit() -> None:
    alien = Alien()
    manager = followed(alien)
    work()
    manager.poll()
    assert sorted(alien.names) == sorted(WORK)
    assert alien.core is zoocache._default.core


@pytest.mark.parametrize("wrong", [5, [LogAdapter()], LogAdapter()], ids=["int", "list", "adapter"])
def test_wrong_managers(wrong: Any) -> None:
    with pytest.raises(zoocache.InvalidOption, match="TelemetryManager"):
        configure(telemetry=wrong)


def test_wrong_options_of_parts() -> None:
    for interval in (0, -1, True, "1", float("inf"), float("nan")):
        with pytest.raises(zoocache.InvalidOption, match="poll_interval"):
            TelemetryManager(poll_interval=interval)  # type: ignore[arg-type]
    with pytest.raises(zoocache.InvalidOption, match="level='LOUD'"):
        LogAdapter(level="loud".upper())


def test_lines_of_a_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "zoocache.telemetry"):
        manager = followed(LogAdapter(), LogAdapter(level="info", format_json=True))
        work()
        manager.poll()
    lines = [record.getMessage() for record in caplog.records]
    assert "[INCREMENT] cache_hits_total: 1.0" in lines
    assert "[INCREMENT] cache_errors_total: 1.0 {'error_type': 'exception'}" in lines
    objects = [json.loads(line) for line in lines if line.startswith("{")]
    assert {
        "telemetry_type": "increment",
        "metric_name": "cache_errors_total",
        "value": 1.0,
        "labels": {"error_type": "exception"},
    } in objects
    caplog.clear()
    LogAdapter(name="zoocache.quiet", level=logging.DEBUG).observe("seconds", 1.0)
    assert caplog.records == []


def test_metrics_of_prometheus_over_http() -> None:
    adapter = PrometheusAdapter(port=0, addr="127.0.0.1")
    manager = followed(adapter)
    load = work()
    manager.poll()
    assert load.cache_info().currsize == 1
    manager.observe("work_seconds", 0.3)
    url = f"http://127.0.0.1:{adapter.port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    told = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert told["zoocache_cache_hits_total",] == 1
    assert told["zoocache_cache_errors_total", "exception"] == 1
    assert told["zoocache_cache_entries",] == 1
    assert told["zoocache_work_seconds_bucket", "0.25"] == 0
    assert told["zoocache_work_seconds_bucket", "0.5"] == 1
    manager.close()
    with pytest.raises(OSError):
        urllib.request.urlopen(url, timeout=10)


def test_a_registry_and_a_prefix_of_ones_own() -> None:
    registry = CollectorRegistry()
    manager = followed(PrometheusAdapter(prefix="", registry=registry))
    work()
    manager.poll()
    assert registry.get_sample_value("cache_misses_total") == 2


def test_instruments_of_opentelemetry() -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    manager = followed(OpenTelemetryAdapter(meter_provider=provider))
    work()
    manager.poll()
    manager.set_gauge("cache_entries", 7.0)
    manager.observe("work_seconds", 0.3)
    data = reader.get_metrics_data()
    assert data is not None
    [resource] = data.resource_metrics
    points = {
        metric.name: next(iter(metric.data.data_points))
        for metric in resource.scope_metrics[0].metrics
    }
    assert points["cache_misses_total"].value == 2
    assert dict(points["cache_errors_total"].attributes) == {"error_type": "exception"}
    assert points["cache_entries"].value == 7
    assert points["work_seconds"].sum == 0.3
    manager.close()
    provider.shutdown()  # which is its owner's, and would complain of a second time


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Any]]]:
    """An OTLP collector, and what it was sent."""
    sent: list[Any] = []

    def export(request: Any, _: Any) -> Any:
        sent.append(request)
        return otlp.ExportMetricsServiceResponse()

    method = grpc.unary_unary_rpc_method_handler(
        export,
        request_deserializer=otlp.ExportMetricsServiceRequest.FromString,
        response_serializer=otlp.ExportMetricsServiceResponse.SerializeToString,
    )
    name = "opentelemetry.proto.collector.metrics.v1.MetricsService"
    server = grpc.server(ThreadPoolExecutor(1))
    handlers = grpc.method_handlers_generic_handler(name, {"Export": method})
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}", sent
    server.stop(None).wait()


def test_opentelemetry_sends_to_its_endpoint(collector: tuple[str, list[Any]]) -> None:
    endpoint, sent = collector
    followed(OpenTelemetryAdapter("shop", endpoint))
    work()
    zoocache.reset()
    [resource] = sent[-1].resource_metrics
    attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert attributes["service.name"] == "shop"
    names = {metric.name for scope in resource.scope_metrics for metric in scope.metrics}
    assert set(WORK) <= names


def test_a_hash_on_redis(server: RedisServer) -> None:
    manager = followed(RedisTelemetryAdapter(flush_interval=0), bus_url=server.url, prefix="shop")
    work()
    manager.poll()
    manager.observe("work_seconds", 0.5, {"a": "b"})
    manager.poll()
    with redis.Redis(port=server.port, decode_responses=True) as client:
        [key] = client.scan_iter("shop:telemetry:*")
        counts = {name: float(value) for name, value in client.hgetall(key).items()}
        assert 0 < client.ttl(key) <= 86_400
    assert counts.pop("cache_invalidations_total") >= 1, "what the log begins with counts, too"
    assert counts == {
        "cache_hits_total": 1.0,
        "cache_misses_total": 2.0,
        "cache_errors_total_error_type=exception": 1.0,
        "work_seconds_sum_a=b": 0.5,
        "work_seconds_count_a=b": 1.0,
    }


def test_redis_that_is_away_gets_it_later(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = RedisTelemetryAdapter(flush_interval=0)
    manager = TelemetryManager([adapter], poll_interval=NEVER_S)
    cache = zoocache.Cache(bus_url=server.url.replace("redis://", "redis://:secret-word@"))
    manager.follow(cache)
    server.kill()
    adapter.increment("mine_total")
    adapter.flush()
    adapter.flush()
    [record] = caplog.records
    assert "kept in this process" in record.getMessage()
    assert "secret-word" not in caplog.text
    server.start()
    with redis.Redis(port=server.port) as client:
        client.config_set("requirepass", "secret-word")
    manager.close()
    with redis.Redis(port=server.port, password="secret-word") as client:
        [key] = client.scan_iter("zoocache:telemetry:*")
        assert client.hget(key, "mine_total") == b"1"


def test_redis_without_a_server_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    manager = followed(RedisTelemetryAdapter())
    work()
    manager.poll()
    manager.close()
    [record] = caplog.records
    assert "bus_url" in record.getMessage()


def test_a_child_of_fork_counts_its_own() -> None:
    check_script(
        """
        import os, time, warnings
        import zoocache
        from zoocache.telemetry import TelemetryAdapter, TelemetryManager

        warnings.simplefilter("ignore")
        counts = {}

        class Adapter(TelemetryAdapter):
            def increment(self, name, value=1.0, labels=None):
                counts[name] = counts.get(name, 0) + value
            def observe(self, name, value, labels=None): pass
            def set_gauge(self, name, value, labels=None): pass
            def close(self): pass
            def bind_core(self, core): pass

        manager = TelemetryManager([Adapter()], poll_interval=0.01)
        zoocache.configure(telemetry=manager)
        load = zoocache.cacheable(lambda x: x)
        load(1), load(1), load(1)
        manager.poll()
        assert counts["cache_hits_total"] == 2, counts
        child = os.fork()
        if child == 0:
            counts.clear()
            load(1), load(1)
            for _ in range(2000):
                if counts.get("cache_hits_total"):
                    break
                time.sleep(0.005)
            os._exit(int(counts.get("cache_hits_total", 99)))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        """
    )


def test_importing_it_needs_no_client() -> None:
    check_script(
        """
        import sys
        import zoocache.telemetry
        assert not {"prometheus_client", "opentelemetry", "redis"} & set(sys.modules)
        assert zoocache.telemetry.RedisTelemetryAdapter.__name__ == "RedisTelemetryAdapter"
        try:
            zoocache.telemetry.NoSuchAdapter
        except AttributeError as error:
            assert "NoSuchAdapter" in str(error)
        """
    )
