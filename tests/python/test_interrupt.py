"""Ctrl-C and other signals while the main thread waits or loads."""

from __future__ import annotations

from support import check_script

INTERRUPT = """
import asyncio, os, signal, sys, threading, time
import zoocache
from zoocache import cacheable

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
inside, release = threading.Event(), threading.Event()

def interrupt_when_waiting(count=1):
    def watch():
        while zoocache.stats().flights_joined < count:
            time.sleep(0.001)
        time.sleep(0.05)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
    sent = []
    threading.Thread(target=watch, daemon=True).start()
    return sent
"""


def test_ctrl_c_reaches_a_main_thread_that_waits_for_another_load() -> None:
    check_script(
        INTERRUPT
        + """
@cacheable
def slow():
    inside.set()
    release.wait(60)
    return 1

leader = threading.Thread(target=slow, daemon=True)
leader.start()
inside.wait()
sent = interrupt_when_waiting()
try:
    slow()
except KeyboardInterrupt:
    late = time.monotonic() - sent[0]
    assert late < 5, f"after {late} s"
else:
    raise AssertionError("not interrupted")
release.set()
leader.join(20)
assert slow() == 1, "the load itself was not disturbed"
"""
    )


def test_ctrl_c_in_a_leading_main_thread_promotes_a_follower() -> None:
    check_script(
        INTERRUPT
        + """
calls = []

@cacheable
def slow():
    calls.append(threading.current_thread())
    if len(calls) == 1:
        inside.set()
        time.sleep(60)
    return len(calls)

def follow():
    inside.wait()
    results.append(slow())

results = []
follower = threading.Thread(target=follow, daemon=True)
follower.start()
interrupt_when_waiting()
try:
    slow()
except KeyboardInterrupt:
    pass
else:
    raise AssertionError("not interrupted")
follower.join(20)
assert results == [2], results
assert slow() == 2
"""
    )


def test_ctrl_c_in_an_event_loop_whose_task_waits() -> None:
    check_script(
        INTERRUPT
        + """
@cacheable
async def slow():
    inside.set()
    while not release.is_set():
        await asyncio.sleep(0.001)
    return 1

leader = threading.Thread(target=lambda: asyncio.run(slow()), daemon=True)
leader.start()
inside.wait()
interrupt_when_waiting()
try:
    asyncio.run(slow())
except KeyboardInterrupt:
    pass
else:
    raise AssertionError("not interrupted")
release.set()
leader.join(20)
assert asyncio.run(slow()) == 1
"""
    )


def test_signal_handlers_run_while_the_main_thread_waits() -> None:
    """A handler that returns lets the wait go on."""
    check_script(
        INTERRUPT
        + """
handled = []
def handler(number, frame):
    handled.append(number)
    release.set()
signal.signal(signal.SIGINT, handler)

@cacheable
def slow():
    inside.set()
    release.wait(60)
    return 1

threading.Thread(target=slow, daemon=True).start()
inside.wait()
interrupt_when_waiting()
assert slow() == 1
assert handled == [signal.SIGINT]
"""
    )


def test_a_signal_handler_may_use_the_cache() -> None:
    check_script(
        INTERRUPT
        + """
@cacheable(deps=["t"])
def load(x):
    return x

handled = []
def handler(number, frame):
    handled.append(load(1))
    zoocache.invalidate("t")
    load(2)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
end = time.monotonic() + 1
while time.monotonic() < end:
    for x in range(50):
        assert load(x) == x
    zoocache.invalidate("t:1")
signal.setitimer(signal.ITIMER_REAL, 0)
assert len(handled) > 10
"""
    )
