"""`get_many`: the sync and the async driver of a `Batch`, which has the rules.

A batch goes through the second level once for all of its items, and its claims and flights end
before anybody is waited for; whatever happens on the way, `close` ends what has not ended.
Imported by the first call of it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from zoocache._zoocache import Batch

__all__ = ["get_many", "get_many_async"]


def get_many(
    fn: Any,
    head: tuple[Any, ...],
    items: Iterable[Any],
    load: Callable[[list[Any]], Iterable[Any]] | None,
) -> list[Any]:
    """For a sync function; `head` has the instance or class that it is bound to."""
    wanted = tuple(items)
    batch = Batch(fn, head, wanted)
    try:
        _run(batch.begin(load is not None))
        missing = batch.take()
        if missing and load is not None:
            batch.start()
            error = _load(batch, missing, load, _hooked(fn, _in_order))
            _run(batch.finish_job())
            batch.note()
            if error is not None:
                raise error
        for number in batch.aside():
            batch.set(number, fn(*head, wanted[number]))
        return batch.values()
    finally:
        _run(batch.close())


def get_many_async(
    fn: Any,
    head: tuple[Any, ...],
    items: Iterable[Any],
    load: Callable[[list[Any]], Any] | None,
) -> Coroutine[Any, Any, list[Any]]:
    """For an async function."""
    return _get_many_async(fn, head, tuple(items), load)


async def _get_many_async(
    fn: Any,
    head: tuple[Any, ...],
    wanted: tuple[Any, ...],
    load: Callable[[list[Any]], Any] | None,
) -> list[Any]:
    batch = Batch(fn, head, wanted)
    try:
        await _wait_for(batch, batch.arrive_job())
        await _wait_for(batch, batch.begin(load is not None))
        missing = batch.take()
        if missing and load is not None:
            batch.start()
            error = await _load_async(batch, missing, load, _hooked(fn, _in_order_async))
            await _wait_for(batch, batch.finish_job())
            batch.note()
            if error is not None:
                raise error
        for number in batch.aside():
            batch.set(number, await fn(*head, wanted[number]))
        return batch.values()
    finally:
        _run_elsewhere(batch.close())


def _run(job: Callable[[], None] | None) -> None:
    if job is not None:
        job()


def _run_elsewhere(job: Callable[[], None] | None) -> None:
    if job is not None:
        from zoocache._aio import run_job  # noqa: PLC0415 - few programs need it

        run_job(job, waits=False)


async def _wait_for(batch: Batch, job: Callable[[], None] | None) -> None:
    if job is None:
        return
    from zoocache._aio import run_job  # noqa: PLC0415 - few programs need it

    waiting = run_job(job)
    if waiting is not None and not await _Driven(waiting):
        _run_elsewhere(batch.drop_level())  # it was lost; what it has goes with it


def _hooked(fn: Any, loader: Callable[..., Any]) -> Callable[..., Any]:
    """The loader of a batch, called by the hook of the cache's loads if there is one."""
    hook = fn.__dict__["_plan"].load_hook(fn.__wrapped__)
    if hook is None:
        return loader
    named = functools.update_wrapper(functools.partial(loader), fn.__wrapped__)
    return functools.partial(hook, named, "many")


def _load(
    batch: Batch,
    missing: list[Any],
    load: Callable[[list[Any]], Any],
    in_order: Callable[..., list[Any]],
) -> BaseException | None:
    """What is to be raised once the second level is done with; every flight has ended."""
    try:
        batch.enter()
        try:
            values = in_order(list(missing), load)
        finally:
            batch.leave()
    except Exception as error:  # noqa: BLE001 - it is returned
        return None if batch.failed() else error
    return batch.end(values)


def _in_order(missing: list[Any], load: Callable[[list[Any]], Any]) -> list[Any]:
    count = len(missing)
    result = load(missing)
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(
            f"get_many(): load={load!r} returned an awaitable, and the cached function is not async"
        )
    return _checked(result, count, load)


async def _in_order_async(missing: list[Any], load: Callable[[list[Any]], Any]) -> list[Any]:
    count = len(missing)
    result = load(missing)
    if not inspect.isawaitable(result):
        raise TypeError(
            f"get_many(): load={load!r} returned no awaitable; for an async function it is one, too"
        )
    return _checked(await result, count, load)


def _checked(result: Any, count: int, load: object) -> list[Any]:
    if isinstance(result, (Mapping, AbstractSet, str, bytes, bytearray)):
        raise TypeError(
            f"get_many(): load={load!r} returned a {type(result).__name__}; a list of the values "
            "is wanted, in the order of the items that it was given: "
            "[found.get(item) for item in items]"
        )
    values = list(result)
    if len(values) != count:
        raise ValueError(
            f"get_many(): load={load!r} was given {count} items and returned {len(values)} values; "
            "one for each is wanted, in their order, with None, say, for what does not exist"
        )
    return values


async def _load_async(
    batch: Batch,
    missing: list[Any],
    load: Callable[[list[Any]], Any],
    in_order: Callable[..., Coroutine[Any, Any, list[Any]]],
) -> BaseException | None:
    coroutine = in_order(list(missing), load)
    try:
        values = await _Driven(_framed(batch, coroutine))
    except Exception as error:  # noqa: BLE001 - it is returned
        return None if batch.failed() else error
    return batch.end(values)


def _framed(
    batch: Batch, coroutine: Coroutine[Any, Any, list[Any]]
) -> Generator[Any, Any, list[Any]]:
    """Drives the coroutine under the batch's load, which is the current one while that runs."""
    step: Callable[[], Any] = lambda: coroutine.send(None)  # noqa: E731
    while True:
        batch.enter()
        try:
            waits_for = step()
        except StopIteration as ended:
            return ended.value  # type: ignore[no-any-return]
        finally:
            batch.leave()
        try:
            sent = yield waits_for
        except GeneratorExit:
            batch.enter()
            try:
                coroutine.close()
            finally:
                batch.leave()
            raise
        except BaseException as error:  # noqa: BLE001 - it is the coroutine's
            thrown = error
            step = lambda: coroutine.throw(thrown)  # noqa: E731, B023 - called before it changes
        else:
            value = sent
            step = lambda: coroutine.send(value)  # noqa: E731, B023 - as above


class _Driven:
    """Awaits an iterator such as `__await__` returns."""

    def __init__(self, iterator: Generator[Any, Any, Any]) -> None:
        self._iterator = iterator

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._iterator
