"""A TCP proxy of the tests' own, in a thread of its own: it delays, cuts, and spoils.

It knows where a RESP value ends, so that it can drop, double or hold back whole pushed messages.
Thread-safety: settings are plain attributes that any thread may set; they count from the next
bytes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable
from typing import Any

HANG_S = 30.0
# How many values follow a header of that kind, per number in it.
NESTED = {b"*": 1, b">": 1, b"~": 1, b"%": 2, b"|": 2}


def end_of_value(data: bytes, at: int = 0) -> int | None:
    """Where the RESP value that begins there ends; None: not all of it is there."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return None
    kind, end = data[at : at + 1], line + 2
    if kind in (b"$", b"=", b"!"):
        size = int(data[at + 1 : line])
        end += size + 2 if size >= 0 else 0
        return end if end <= len(data) else None
    inner = NESTED[kind] * int(data[at + 1 : line]) if kind in NESTED else 0
    for _ in range(inner):
        found = end_of_value(data, end)
        if found is None:
            return None
        end = found
    return end


def is_message(value: bytes) -> bool:
    """Whether it is a pushed message of a channel."""
    return value.startswith(b">3\r\n$7\r\nmessage\r\n")


class Proxy:
    """REQUIRES: `close` is called. `target_port` counts for new connections."""

    def __init__(self, target_port: int, seed: int = 0, *, has_values: bool = True) -> None:
        self.target_port = target_port
        self._has_values = has_values  # what the server sends; a replica's stream is none
        self.delay_s = 0.0  # of everything, either way
        self.is_silent = False  # takes bytes and passes none on
        # What becomes of a whole value from the server: the values that are sent instead.
        self.change: Callable[[bytes], list[bytes]] | None = None
        self.chance = random.Random(seed)
        self.changed = 0  # how often something was injected
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self.port = 0
        self.listen()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def listen(self) -> None:
        self._do(self._listen())

    def refuse(self) -> None:
        """Nobody listens any more; what is connected is cut."""
        self._do(self._refuse())

    def cut(self, last_words: bytes = b"") -> None:
        """Ends every connection; these bytes are the last that the client gets."""
        self._do(self._cut(last_words))

    def close(self) -> None:
        self.refuse()
        self._do(self._end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(HANG_S)

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def _do(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(HANG_S)

    async def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        if tasks:
            await asyncio.wait(tasks, timeout=HANG_S)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut(b"")

    async def _cut(self, last_words: bytes) -> None:
        for to_client, to_server in list(self._pairs):
            if last_words:
                to_client.write(last_words)
                with contextlib.suppress(OSError):
                    await to_client.drain()
            to_client.close()
            to_server.close()
        self._pairs.clear()

    async def _connected(
        self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            to_client.close()
            return
        pair = (to_client, to_server)
        self._pairs.add(pair)
        pumps = [
            asyncio.ensure_future(self._pump(from_client, to_server, is_reply=False)),
            asyncio.ensure_future(self._pump(from_server, to_client, is_reply=True)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            self._pairs.discard(pair)
            for writer in pair:
                writer.close()
            with contextlib.suppress(OSError):
                await asyncio.gather(*pumps, return_exceptions=True)
                await to_client.wait_closed()
                await to_server.wait_closed()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_reply: bool
    ) -> None:
        waiting = b""
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if self.delay_s > 0:
                    await asyncio.sleep(self.delay_s)
                if self.is_silent:
                    continue
                if is_reply and self._has_values:  # from the first byte on, or it loses track
                    data, waiting = self._changed(waiting + data)
                sink.write(data)
                await sink.drain()

    def _changed(self, data: bytes) -> tuple[bytes, bytes]:
        """What is sent instead, and what waits for the rest of its value."""
        out, at = [], 0
        while (end := end_of_value(data, at)) is not None:
            value = data[at:end]
            out += self.change(value) if self.change is not None else [value]
            at = end
        return b"".join(out), data[at:]
