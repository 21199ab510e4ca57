"""The replay's clock: seconds since 2013-01-01 00:00 UTC, moved by whoever drives the replay."""


class ReplayClock:
    """Thread-safe: one attribute, written and read whole."""

    def __init__(self) -> None:
        self.now_s = 0.0
