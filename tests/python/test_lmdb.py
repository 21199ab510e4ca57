"""A log that processes share through a folder: `configure(bus_url="lmdb://...")`."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import zoocache
from support import Gate, check_script, run, spawn, wait_until
from zoocache import Cache, HomeUnreachable, InvalidOption


def counting(cache: Cache, **options: Any) -> tuple[Callable[[int], tuple[int, int]], list[int]]:
    """A cached function that counts its loads. They all have one name, so they are one."""
    calls: list[int] = []

    @cache.cacheable(deps=["org:acme:user:{x}"], **options)
    def get(x: int) -> tuple[int, int]:
        calls.append(x)
        return x, len(calls)

    return get, calls


def test_an_invalidation_reaches_the_other_cache(url: str) -> None:
    first, second = Cache(bus_url=url), Cache(bus_url=url)
    (one, _), (two, _) = counting(first), counting(second)
    assert one(1) == two(1) == (1, 1)
    first.invalidate("org:acme:user:2")
    assert two(1) == (1, 1)
    epoch = first.invalidate("org:acme")
    assert two(1) == one(1) == (1, 2)
    assert two(1) == (1, 2)
    assert first.get_tag_version("org:acme:user:1") == epoch
    assert second.get_tag_version("org:acme:user:1") == epoch
    assert second.invalidate("x") > epoch


def test_clear_and_cache_clear_reach_the_other_cache(url: str) -> None:
    first, second = Cache(bus_url=url), Cache(bus_url=url)
    (one, _), (two, _) = counting(first), counting(second)
    two(1)
    first.clear()
    assert two(1) == (1, 2)
    one.cache_clear()  # type: ignore[attr-defined]
    assert two(1) == (1, 3)
    assert two(1) == (1, 3)


def test_keys_die_in_the_other_cache(url: str) -> None:
    first, second = Cache(bus_url=url), Cache(bus_url=url)
    (one, _), (two, _) = counting(first), counting(second)
    one(1), one(2), two(1)
    one.invalidate(1)  # type: ignore[attr-defined]
    assert two(1) == (1, 2)
    assert one(2) == (2, 2), "here the key alone died"
    assert one.refresh(2) == (2, 3)  # type: ignore[attr-defined]
    assert two(1) == (1, 3)


def test_raw_keys_are_not_stale_in_the_other_cache(url: str) -> None:
    first, second = Cache(bus_url=url), Cache(bus_url=url)
    second.set("key", "old")
    assert second.get("key") == "old"
    first.set("key", "new")
    assert second.get("key") is None, "values are each process's own"
    assert first.get("key") == "new"


def test_async_programs(url: str) -> None:
    first, second = Cache(bus_url=url), Cache(bus_url=url)
    calls = []

    @second.cacheable(deps=["t"])
    async def get() -> int:
        calls.append(threading.current_thread())
        return len(calls)

    async def main() -> None:
        assert await get() == 1
        await first.invalidate_async("t")
        assert await get() == 2
        await first.clear_async()
        assert await get() == 3
        async with first.invalidating("t"):
            pass
        assert await get() == 4
        await first.set_async("k", 1)
        assert await first.get_async("k") == 1
        assert await get() == 4
        assert await get.refresh() == 5
        with pytest.raises(zoocache.InvalidTag):
            await first.invalidate_async("a b")

    run(main())


def test_a_load_that_another_cache_invalidated_is_not_stored(url: str) -> None:
    first, second = Cache(bus_url=url), Cache(bus_url=url)
    gate, calls = Gate(), []

    @second.cacheable(deps=["t"])
    def get() -> int:
        calls.append(1)
        if len(calls) == 1:
            gate.hold()
        return len(calls)

    leader = spawn(get)
    gate.wait_entered()
    first.invalidate("t")
    late = spawn(get)
    wait_until(lambda: second.stats().flights_joined > 0)
    gate.release()
    assert leader.result() == 1
    assert late.result() == 2
    assert get() == 2


def test_explain_names_the_line_that_invalidated(url: str) -> None:
    cache = Cache(bus_url=url)
    get, _ = counting(cache)
    get(1)
    cache.invalidate("org:acme")
    told = cache.explain(get, 1)
    assert told.tag == "org:acme"
    assert "test_lmdb.py" in str(told.origin)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bus_url": "lmdb://"}, "bus_url='lmdb://'"),
        ({"bus_url": "lmdb:/x"}, "bus_url='lmdb:/x'"),
        ({"bus_url": "lmdb://a\0b"}, "bus_url="),
        ({"storage_url": "lmdb://"}, "storage_url='lmdb://'"),
        ({"storage_url": "lmdb:/x"}, "storage_url='lmdb:/x'"),
        ({"storage_url": "ftp://x"}, "'lmdb://<folder>'"),
        ({"max_storage_bytes": 5}, "max_storage_bytes=5"),
        ({"bus_url": "http://x"}, "bus_url='http://***'"),
        ({"max_log_tags": 3}, "max_log_tags=3"),
        ({"max_log_tags": 2**30}, "max_log_tags=1073741824"),
        ({"lock_timeout": 0}, "lock_timeout=0"),
        ({"lock_timeout": float("inf")}, "lock_timeout=inf"),
        ({"lmdb_map_size": 5}, "map_bytes=5"),
        ({"prefix": "a/b"}, "prefix='a/b'"),
    ],
)
def test_bad_options_are_named(url: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        Cache(**{"bus_url": url, **options})
    assert words in str(caught.value)


def test_a_folder_that_cannot_be_used_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(HomeUnreachable, match="is not a folder"):
        Cache(bus_url=f"lmdb://{path}")
    assert issubclass(HomeUnreachable, ConnectionError)


def test_what_is_lost_is_raised_and_loads_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    cache = Cache(bus_url=f"lmdb://{folder}")
    get, calls = counting(cache)
    get(1)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.write_text("in the way")
    with pytest.raises(HomeUnreachable, match="not acknowledged"):
        cache.invalidate("org")
    with pytest.raises(HomeUnreachable):
        cache.clear()
    with pytest.raises(HomeUnreachable):
        get.invalidate(1)  # type: ignore[attr-defined]
    with pytest.raises(HomeUnreachable):
        cache.set("key", 1)
    with pytest.raises(HomeUnreachable), cache.invalidating("org"):
        pass
    before = len(calls)
    get(1), get(1)
    assert len(calls) == before + 2, "nothing is served that may be stale"
    assert cache.core.home()["reachable"] is False
    folder.unlink()
    time.sleep(0.15)
    get(1)
    assert get(1) == (1, before + 3)
    assert cache.core.home()["reachable"] is True
    assert cache.invalidate("org") > 0


def test_other_threads_run_while_an_invalidation_waits(url: str) -> None:
    """The writers' lock is held by a stopped process: the GIL must not be held for it."""
    command = [sys.executable, "-c", HOLDER, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            cache = Cache(bus_url=url, lock_timeout=1.0)
            assert any(stops_a_writer(holder.pid, cache) for _ in range(200))
        finally:
            holder.kill()


def stops_a_writer(pid: int, cache: Cache) -> bool:
    """Stops the process and invalidates; whether it was stopped within the lock."""
    os.kill(pid, signal.SIGSTOP)
    try:
        waiting = spawn(cache.invalidate, "x")
        ticks = 0
        while waiting.thread.is_alive():
            time.sleep(0.001)
            ticks += 1
        waiting.result()
    except HomeUnreachable as error:
        assert str(pid) in str(error)
        assert ticks > 50, "the other thread stood still"
        return True
    finally:
        os.kill(pid, signal.SIGCONT)
    time.sleep(0.001)
    return False


HOLDER = """
import sys, zoocache
cache = zoocache.Cache(bus_url=sys.argv[1])
cache.invalidate("y")
print("ready", flush=True)
while True:
    cache.invalidate("y")
"""


def test_a_forked_child_opens_the_folder_anew(url: str) -> None:
    check_script(
        f"""
        import os, sys, warnings, zoocache
        warnings.simplefilter("ignore")
        zoocache.configure(bus_url={url!r})

        @zoocache.cacheable(deps=["t"])
        def load():
            return object()

        first = load()
        for _ in range(10):
            pid = os.fork()
            if pid == 0:
                try:
                    mine = load()
                    assert mine is load()
                    zoocache.invalidate("t")
                    assert mine is not load()
                    os._exit(0)
                except BaseException:
                    import traceback
                    traceback.print_exc()
                    os._exit(1)
            _, status = os.waitpid(pid, 0)
            assert status == 0
            second = load()
            assert second is not first, "the child's invalidation reached the parent"
            assert second is load()
            first = second
        zoocache.invalidate("t")
        assert load() is not first
        """
    )


def worker(url: str, pipe: Any) -> None:
    """A process that does what it is told."""
    cache = Cache(bus_url=url)
    get, calls = counting(cache)
    while True:
        order, *rest = pipe.recv()
        if order == "get":
            pipe.send(get(*rest))
        elif order == "invalidate":
            pipe.send(cache.invalidate(*rest))
        elif order == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            return


@pytest.fixture
def workers(url: str) -> Iterator[list[Any]]:
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(3):
        mine, its = context.Pipe()
        process = context.Process(target=worker, args=(url, its), daemon=True)
        process.start()
        pipes.append(mine)
        processes.append(process)
    yield pipes
    for process in processes:
        process.kill()
        process.join()
        process.close()
    for pipe in pipes:
        pipe.close()


def ask(pipe: Any, *order: Any) -> Any:
    pipe.send(order)
    assert pipe.poll(30), "a worker does not answer"
    return pipe.recv()


def test_processes_hear_of_each_other(workers: list[Any]) -> None:
    one, two, three = workers
    for pipe in workers:
        assert ask(pipe, "get", 1) == (1, 1)
        assert ask(pipe, "get", 1) == (1, 1)
    epochs = []
    for round_, writer in enumerate((one, two, three), start=2):
        epochs.append(ask(writer, "invalidate", "org:acme:user:1"))
        for pipe in workers:
            assert ask(pipe, "get", 1) == (1, round_)
    assert epochs == sorted(set(epochs))
    two.send(("kill",))
    assert ask(one, "invalidate", "org") > epochs[-1]
    assert ask(three, "get", 1) == (1, 5)


def test_large_values_stay_in_the_process(tmp_path: Path) -> None:
    cache = Cache(storage_url=f"lmdb://{tmp_path}/values", max_value_bytes=100)

    @cache.cacheable(namespace="large", version="1")
    def large(size: int) -> bytes:
        return os.urandom(size)

    assert large(1000) == large(1000)
    large(10)
    assert (cache.stats().l2_refusals, cache.stats().l2_stores) == (1, 1)
