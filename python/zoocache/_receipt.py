"""Receipts of invalidations: read-your-writes across processes and machines."""

from __future__ import annotations

import hashlib
import hmac
import re

from zoocache import _zoocache
from zoocache._errors import InvalidReceipt, shown
from zoocache._options import check_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Receipt", "reach"]

_TEXT = re.compile(r"zoo1\.([0-9a-f]{1,16})\.([0-9a-f]{1,16})(?:\.([0-9a-f]{32}))?")


class Receipt(int):
    """What `invalidate` returns where caches share a log: the epoch, as an int, and whose it is.

    Its text can be handed on, in a cookie or a message; `at_least(receipt)` in any process of the
    same log then reads no older than the invalidation. What comes from outside should be signed:
    `receipt.signed(key)`, and `Receipt.parse(text, key)`.

    Immutable.
    """

    generation: int

    def __new__(cls, epoch: int, generation: int = 0) -> Self:
        self = super().__new__(cls, epoch)
        self.generation = generation
        return self

    @property
    def epoch(self) -> int:
        """The log's epoch of the invalidation."""
        return int(self)

    def __repr__(self) -> str:
        return f"Receipt({int(self)}, generation={self.generation:#x})"

    def __str__(self) -> str:
        return f"zoo1.{self.generation:x}.{int(self):x}"

    def signed(self, key: bytes) -> str:
        """The text with a signature (HMAC-SHA256, 128 bits) that nobody makes without the key."""
        text = str(self)
        return f"{text}.{_signature(text, key)}"

    @classmethod
    def parse(cls, text: object, key: bytes | None = None) -> Receipt:
        """The receipt of a text.

        Args:
            text: what `str(receipt)` gave, or with a key what `receipt.signed(key)` did.
            key: of the signature; None takes texts without one only.

        Raises:
            InvalidReceipt: the text is none, or its signature is not of this key.
        """
        found = _TEXT.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise InvalidReceipt(f"{shown(text)} is no receipt: str(receipt) makes its text")
        generation, epoch, signature = found.groups()
        if key is None and signature is not None:
            raise InvalidReceipt(f"{shown(text)} is signed: give its key to Receipt.parse")
        if key is not None:
            unsigned = f"zoo1.{generation}.{epoch}"
            if signature is None or not hmac.compare_digest(signature, _signature(unsigned, key)):
                raise InvalidReceipt(f"{shown(text)} is not signed by this key")
        return cls(int(epoch, 16), int(generation, 16))


def _signature(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:32]


def reach(core: _zoocache.Core, receipt: int, timeout: float) -> None:
    """As `Cache.at_least` enters its block, for a cache with a home.

    Raises:
        InvalidReceipt, TypeError: see there.
    """
    if not isinstance(receipt, Receipt):
        raise TypeError(f"at_least({shown(receipt)}): what invalidate() returned is wanted")
    if not 0 <= receipt < 2**64 or not 0 <= receipt.generation < 2**64:
        raise InvalidReceipt(f"{receipt!r}: no log gives such numbers")
    seconds = check_seconds("timeout", timeout)
    if core.reach(receipt.generation, int(receipt), min(seconds or 0.0, 1e6)) == "unknown":
        raise InvalidReceipt(f"{receipt!r}: the log has not come that far; it never gave it")
