"""Forking after use: the child starts with an empty cache and works."""

from __future__ import annotations

from support import check_script

CHILD = """
import os, signal, sys, threading, time, warnings
import zoocache
from zoocache import cacheable, invalidate

warnings.simplefilter("ignore")

def in_child(check):
    '''Runs the check in a forked child and fails here if it fails or hangs there.'''
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            signal.alarm(20)
            check()
            code = 0
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"the child ended with status {status}"

calls = []

@cacheable(deps=["t:{x}"])
def load(x):
    calls.append(x)
    return (x, os.getpid())
"""


def test_a_forked_child_starts_empty_and_works() -> None:
    check_script(
        CHILD
        + """
parent = load(1)
zoocache.set("raw", "value")

def child():
    assert zoocache.stats().entries == 0, zoocache.stats()
    assert load.peek(1) is None
    assert zoocache.get("raw") is None
    assert load(1) == (1, os.getpid()) != parent
    assert load(1) == (1, os.getpid())
    assert len(calls) == 2
    invalidate("t")
    load(1)
    assert len(calls) == 3
    zoocache.set("raw", "child")
    assert zoocache.get("raw") == "child"

in_child(child)
assert load(1) == parent
assert zoocache.get("raw") == "value"
assert len(calls) == 1, "the child's invalidation is the child's"
invalidate("t")
load(1)
assert len(calls) == 2
"""
    )


def test_forking_while_other_threads_load_and_wait() -> None:
    check_script(
        CHILD
        + """
inside, release = threading.Event(), threading.Event()
parent_pid = os.getpid()

@cacheable
def slow(x):
    if os.getpid() == parent_pid:
        inside.set()
        release.wait(30)
    return os.getpid()

threads = [threading.Thread(target=slow, args=(1,), daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
inside.wait()
while zoocache.stats().flights_joined < 2:
    time.sleep(0.001)

def child():
    assert slow(1) == os.getpid(), "the flight stayed in the parent"
    assert slow(1) == os.getpid()
    helper = threading.Thread(target=load, args=(5,))
    helper.start()
    helper.join()
    assert load.peek(5) is not None

in_child(child)
release.set()
for thread in threads:
    thread.join(20)
    assert not thread.is_alive()
assert slow(1) == parent_pid
"""
    )


def test_forking_inside_a_load() -> None:
    check_script(
        CHILD
        + """
@cacheable(deps=["outer"])
def outer():
    load(1)
    in_child(lambda: (load(1), load(2), outer_again()))
    return os.getpid()

@cacheable
def outer_again():
    return load(3)

assert outer() == os.getpid()
assert outer() == os.getpid()
invalidate("t:1")
assert outer() == os.getpid()
"""
    )


def test_a_child_that_returns_through_the_load_it_was_forked_in() -> None:
    check_script(
        CHILD
        + """
@cacheable
def splitting(x):
    load(x)
    return os.fork()

pid = splitting(1)
if pid == 0:
    signal.alarm(20)
    assert load(2)[1] == os.getpid()
    zoocache.clear()
    os._exit(0)
_, status = os.waitpid(pid, 0)
assert status == 0, status
assert splitting(1) == pid
"""
    )


def test_forking_under_load_again_and_again() -> None:
    check_script(
        CHILD
        + """
stop = threading.Event()

def work(seed):
    x = seed
    while not stop.is_set():
        x = (x * 1103515245 + 12345) % 2**31
        load(x % 100)
        if x % 17 == 0:
            invalidate(f"t:{x % 100}")

threads = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(3)]
for thread in threads:
    thread.start()

def child():
    for x in range(200):
        assert load(x)[0] == x
    invalidate("t")
    zoocache.clear()

for _ in range(15):
    in_child(child)
stop.set()
for thread in threads:
    thread.join(20)
    assert not thread.is_alive()
"""
    )


def test_process_pools_that_fork() -> None:
    check_script(
        """
        import multiprocessing
        import warnings
        import zoocache

        warnings.simplefilter("ignore")

        @zoocache.cacheable(deps=["n:{n}"])
        def square(n):
            return n * n

        if __name__ == "__main__":
            square(3)
            with multiprocessing.get_context("fork").Pool(2) as pool:
                assert pool.map(square, list(range(20)) * 3, chunksize=7) == [
                    n * n for n in list(range(20)) * 3]
            assert square(3) == 9
        """
    )


def test_a_forked_childs_child() -> None:
    check_script(
        CHILD
        + """
load(1)
def child():
    load(1)
    in_child(lambda: (load(1), zoocache.clear()))
    assert load.peek(1) == (1, os.getpid())
in_child(child)
assert load.peek(1) == (1, os.getpid())
"""
    )
