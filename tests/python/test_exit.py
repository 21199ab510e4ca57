"""Leaving with work in flight: at once, without a crash, with the right exit code."""

from __future__ import annotations

import pytest

from support import check_script, run_script

# Leaving must not take longer than this even on a slow machine with a sanitizer.
EXIT_S = 30.0

EXIT = """
import asyncio, threading, time
import zoocache
from zoocache import cacheable

inside = threading.Event()

@cacheable
def stuck(x):
    inside.set()
    threading.Event().wait()

def start(count):
    for _ in range(count):
        threading.Thread(target=stuck, args=(1,), daemon=True).start()
    inside.wait()
    while zoocache.stats().flights_joined < count - 1:
        time.sleep(0.001)
"""


@pytest.mark.parametrize("followers", [0, 1, 20])
def test_leaving_with_daemon_threads_in_a_load_and_waiting_for_it(followers: int) -> None:
    out = check_script(EXIT + f"start({followers + 1})\nprint('bye')\n", timeout_s=EXIT_S)
    assert out == "bye\n"


def test_leaving_while_a_flight_ends() -> None:
    """The leader finishes at any moment of the interpreter's end; followers wake up in it."""
    for delay_ms in (0, 1, 5, 20):
        check_script(
            f"""
            import threading, time
            import zoocache

            @zoocache.cacheable
            def load(x):
                time.sleep({delay_ms} / 1000)
                return x

            def work():
                x = 0
                while True:
                    load(x)
                    x += 1

            for _ in range(6):
                threading.Thread(target=work, daemon=True).start()
            time.sleep(0.05)
            """,
            timeout_s=EXIT_S,
        )


def test_leaving_by_an_exception_keeps_its_exit_code() -> None:
    done = run_script(EXIT + "start(3)\nraise SystemExit(7)\n", timeout_s=EXIT_S)
    assert done.returncode == 7
    assert "Fatal" not in done.stderr


def test_leaving_with_cached_coroutines_pending() -> None:
    check_script(
        """
        import asyncio
        import zoocache

        @zoocache.cacheable
        async def load():
            await asyncio.sleep(3600)

        async def main():
            tasks = [asyncio.create_task(load()) for _ in range(10)]
            await asyncio.sleep(0.05)

        asyncio.run(main())
        kept = load()
        loop = asyncio.new_event_loop()
        task = loop.create_task(load())
        loop.run_until_complete(asyncio.sleep(0.01))
        """,
        timeout_s=EXIT_S,
    )


def test_leaving_with_a_worker_thread_that_python_waits_for() -> None:
    out = check_script(
        """
        import threading, time
        import zoocache

        @zoocache.cacheable
        def load():
            time.sleep(0.3)
            return 1

        def work():
            print(load(), load())

        threading.Thread(target=work).start()
        threading.Thread(target=load).start()
        """,
        timeout_s=EXIT_S,
    )
    assert out == "1 1\n"


def test_using_the_cache_at_exit() -> None:
    out = check_script(
        """
        import atexit
        import zoocache
        from zoocache import cacheable, invalidate

        @cacheable(deps=["t"])
        def load(x):
            return Value()

        class Value:
            def __del__(self):
                try:
                    invalidate("u")
                    helper(1)
                except Exception:
                    pass

        @cacheable(deps=["u"])
        def helper(x):
            return [x]

        @atexit.register
        def last():
            load(2)
            invalidate("t")
            load(2)
            print("at exit")

        load(1)
        load.self = load
        zoocache.set("kept", Value())
        """,
        timeout_s=EXIT_S,
    )
    assert out == "at exit\n"
