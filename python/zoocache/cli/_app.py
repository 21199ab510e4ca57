"""The commands: what they are called, what they take, what they print."""

from __future__ import annotations

import dataclasses
import enum
import platform
import sys
from importlib import metadata
from typing import Annotated, Any

import typer

from zoocache import HomeUnreachable, InvalidOption, InvalidTag, _zoocache
from zoocache.cli import _output as output
from zoocache.cli._home import Home, Place, check_tag
from zoocache.cli._inspect import Memory
from zoocache.cli._output import Exit
from zoocache.cli._survey import HIDDEN, Bounds, Entry, Survey, is_at_or_below, survey
from zoocache.cli._text import cut, human_bytes, text_of
from zoocache.cli._words import bounds_of, entry_dict, memory_note, note_bounds, sentence

__all__ = ["app", "run"]

app = typer.Typer(
    name="zoocache",
    help="What happens in a zoocache home, seen from outside of the processes that use it.",
    epilog="Exit codes: 0 fine; 1 something was found, or nothing was; 2 usage; 3 the home does "
    "not answer or cannot be used; 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they would show passwords
    context_settings={"help_option_names": ["-h", "--help"]},
)

Url = Annotated[
    str,
    typer.Option(
        "--url",
        envvar="ZOOCACHE_URL",
        help="The home: lmdb://<folder>, redis://<host>, rediss://, redis+sentinel://, "
        "redis+unix://. One with a password belongs into the environment.",
        show_default=False,
    ),
]
StorageUrl = Annotated[
    str | None,
    typer.Option(
        "--storage-url",
        envvar="ZOOCACHE_STORAGE_URL",
        help="Where the values are, if elsewhere: lmdb://<folder>.",
        show_default=False,
    ),
]
Prefix = Annotated[
    str | None,
    typer.Option(envvar="ZOOCACHE_PREFIX", help="As configure(prefix=…).", show_default=False),
]
Lease = Annotated[
    float | None,
    typer.Option(
        envvar="ZOOCACHE_LEASE",
        help="As configure(lease=…) in the processes, in seconds. Default: 2.",
        show_default=False,
    ),
]
Timeout = Annotated[
    float, typer.Option(min=0.01, max=60, help="Seconds that a server may take to answer.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Most = Annotated[
    int, typer.Option(min=1, max=10_000_000, help="Stored values, and tags, to look at at most.")
]
Rate = Annotated[
    float, typer.Option(min=1, max=1e6, help="Stored values to look at in a second at most.")
]


class Order(enum.Enum):
    """What rows are sorted by."""

    ENTRIES = "entries"
    EPOCH = "epoch"
    TAG = "tag"


@app.command()
def tags(
    url: Url,
    under: Annotated[str, typer.Argument(help="This tag and what is below it; all if empty.")] = "",
    storage_url: StorageUrl = None,
    prefix: Prefix = None,
    timeout: Timeout = 2.0,
    sort: Annotated[Order, typer.Option(help="What comes first.")] = Order.ENTRIES,
    limit: Annotated[int, typer.Option(min=0, help="Rows to show; 0: all.")] = 50,
    most: Most = 100_000,
    rate: Rate = 20_000,
    as_json: Json = False,
) -> None:
    """Tags that were invalidated or that stored values depend on."""
    home = Home(Place(url, storage_url, prefix, timeout=timeout))
    under = under.rstrip(":")
    found = survey(home, Bounds(most, rate))
    memory = home.inspect()
    in_memory = memory.tags
    epochs = {text_of(text): epoch for text, epoch in home.rows(most)}
    is_all = len(epochs) < most or home.look().tags <= most
    names = {
        tag for tag in (*epochs, *found.would_die, *in_memory) if tag and not tag.startswith(HIDDEN)
    }
    names = {tag for tag in names if not under or is_at_or_below(tag, under)}
    rows: list[dict[str, Any]] = [
        {
            "tag": tag,
            "epoch": epochs.get(tag, 0),
            "entries": found.depend.get(tag, 0),
            "would_die": found.would_die.get(tag, 0),
            "in_memory": in_memory.get(tag, 0),
        }
        for tag in names
    ]
    rows.sort(key=lambda row: row["tag"])
    if sort is not Order.TAG:
        rows.sort(
            key=lambda row: row["would_die" if sort is Order.ENTRIES else "epoch"], reverse=True
        )
    shown = rows[:limit] if limit else rows
    if as_json:
        about = {"tags": shown, "count": len(rows), "everything_epoch": epochs.get("", 0)}
        output.print_json({**about, "log_complete": is_all, **bounds_of(home, found, memory)})
        return
    more = ["in_memory"] if memory.processes else []
    keys = ["entries", "would_die", *more]
    output.print_table(
        ("tag", "invalidated at", *(key.replace("_", " ") for key in keys)),
        [[cut(row["tag"]), row["epoch"] or "-", *(row[key] for key in keys)] for row in shown],
    )
    if len(shown) < len(rows):
        output.note(f"{len(shown)} of {len(rows)} tags; --limit 0 shows all")
    if not is_all:
        output.note(f"Only the newest {most:,} invalidations were looked at; --most looks at more.")
    note_bounds(home, found, memory)


@app.command()
def explain(
    url: Url,
    function: Annotated[str, typer.Argument(help="module:name, or the namespace.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="The call's first arguments, as Python writes them.")
    ] = None,
    storage_url: StorageUrl = None,
    prefix: Prefix = None,
    timeout: Timeout = 2.0,
    limit: Annotated[int, typer.Option(min=1, help="Values to show.")] = 20,
    most: Most = 100_000,
    rate: Rate = 20_000,
    as_json: Json = False,
) -> None:
    """Why the stored values of a function are served or not."""
    home = Home(Place(url, storage_url, prefix, timeout=timeout))
    wanted = [_literal(text) for text in arguments or []]
    entries: list[Entry] = []
    count = 0

    def visit(entry: Entry) -> None:
        nonlocal count
        if entry.function.name == function and _begins_with(entry, wanted):
            count += 1
            if len(entries) < limit:
                entries.append(entry)

    found = survey(home, Bounds(most, rate), visit)
    if as_json:
        told = [entry_dict(one) for one in entries]
        output.print_json({"entries": told, "count": count, **bounds_of(home, found)})
    elif entries:
        for one in entries:
            output.print_line(sentence(one))
        if count > len(entries):
            output.note(f"{len(entries)} of {count}; --limit shows more")
        note_bounds(home, found)
    else:
        output.print_line(f"no value of {function} with these arguments is stored")
        known = sorted({one.name for one in found.functions})
        output.note("stored are values of: " + (", ".join(map(cut, known[:20])) or "no function"))
        note_bounds(home, found)
    if not entries:
        raise typer.Exit(Exit.FINDING)


@app.command()
def invalidate(
    url: Url,
    tag: Annotated[list[str], typer.Argument(help="Tags such as user:42; one invalidation.")],
    storage_url: StorageUrl = None,
    prefix: Prefix = None,
    lease: Lease = None,
    timeout: Timeout = 2.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which stored values would die.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when no process serves an old value any more.")
    ] = False,
    most: Most = 100_000,
    rate: Rate = 20_000,
    as_json: Json = False,
) -> None:
    """Declares that what the tags name has changed, as any process would."""
    for one in tag:
        check_tag(one)
    home = Home(Place(url, storage_url, prefix, lease, timeout))
    if dry_run:
        _print_blast(home, tag, Bounds(most, rate), as_json=as_json)
        return
    try:
        receipt = home.invalidate(tag, wait)
    except HomeUnreachable as error:
        raise HomeUnreachable(
            f"{error}. This command ends, so it is not tried again: run it once more"
        ) from None
    if as_json:
        about = {"receipt": str(receipt), "epoch": receipt.epoch, "waited": wait}
        output.print_json({"tags": tag, "generation": f"{receipt.generation:x}", **about})
        return
    output.print_line(f"invalidated {', '.join(map(cut, tag))} at epoch {receipt.epoch}")
    output.print_line(f"receipt {receipt}")
    if wait:
        output.note("no process serves an older value any more")


def _print_blast(home: Home, tags: list[str], bounds: Bounds, *, as_json: bool) -> None:
    dying = Survey()

    def visit(entry: Entry) -> None:
        if entry.is_valid and any(entry.dies_with(tag) for tag in tags):
            dying.add(entry)

    found = survey(home, bounds, visit)
    memory = home.inspect(tags[0]) if len(tags) == 1 else Memory()
    in_memory = memory.dying
    stored = {(one.name, one.version): count for one, count in dying.functions.items()}
    rows: list[dict[str, Any]] = [
        {"function": name, "version": version, "would_die": count.valid, "bytes": count.size_bytes}
        for (name, version), count in stored.items()
    ]
    rows.sort(key=lambda row: (-row["would_die"], row["function"]))
    if as_json:
        about: dict[str, Any] = {"tags": tags, "would_die": dying.valid, "bytes": dying.size_bytes}
        about |= {"functions": rows, "in_memory": in_memory if memory.processes else None}
        output.print_json({**about, **bounds_of(home, found, memory)})
        return
    output.print_line(
        f"{dying.valid} stored values of {found.valid} would die, {human_bytes(dying.size_bytes)}; "
        "nothing was invalidated"
    )
    if rows:
        output.print_table(
            ("function", "version", "would die", "size"),
            [
                [cut(row["function"]), row["version"], row["would_die"], human_bytes(row["bytes"])]
                for row in rows
            ],
        )
    if memory.processes:
        output.print_line(
            f"{sum(in_memory.values())} entries in the memory of processes would die with it"
        )
    if in_memory:
        output.print_table(
            ("function", "in memory"),
            [[cut(name), count] for name, count in sorted(in_memory.items())],
        )
    if len(tags) > 1 and home.kind == "redis":
        output.note("Of several tags at once, what is in the memory of processes is not counted.")
    note_bounds(home, found, memory)


@app.command()
def doctor(
    url: Url,
    storage_url: StorageUrl = None,
    prefix: Prefix = None,
    lease: Lease = None,
    timeout: Timeout = 2.0,
    watch: Annotated[
        float, typer.Option(min=0.1, max=120, help="Seconds to watch the heartbeats for.")
    ] = 3.0,
    most: Most = 100_000,
    rate: Rate = 20_000,
    as_json: Json = False,
) -> None:
    """Checks the home: settings, room, clock, delays, who uses it. Exits with 1 for a finding."""
    from zoocache.cli._doctor import doctor as examine  # noqa: PLC0415 - only here

    home = Home(Place(url, storage_url, prefix, lease, timeout))
    checks = []
    styles = {"ok": "green", "warning": "yellow", "problem": "bold red"}
    for check in examine(home, watch, Bounds(most, rate)):
        checks.append(check)
        if not as_json:
            output.print_line(
                f"{check.state:8} {check.name}: {check.found}", styles.get(check.state, "")
            )
            if check.remedy:
                output.note(f"         {check.remedy}")
    findings = sum(check.is_finding for check in checks)
    if as_json:
        told = [dataclasses.asdict(check) for check in checks]
        output.print_json({"home": home.where, "findings": findings, "checks": told})
    else:
        output.note(memory_note(home.inspect()))
    if findings:
        raise typer.Exit(Exit.FINDING)


@app.command()
def top(
    url: Url,
    storage_url: StorageUrl = None,
    prefix: Prefix = None,
    timeout: Timeout = 2.0,
    interval: Annotated[float, typer.Option(min=0.1, max=600, help="Seconds between looks.")] = 2.0,
    count: Annotated[
        int, typer.Option(min=0, help="With --json: looks, a line each; 0: for ever.")
    ] = 0,
    most: Most = 20_000,
    rate: Rate = 20_000,
    as_json: Json = False,
) -> None:
    """A live view: functions, invalidations, tags, nodes. Keys: 1 to 4, /, p, r, q."""
    from zoocache.cli._watch import Watcher  # noqa: PLC0415 - only here

    place = Place(url, storage_url, prefix, timeout=timeout)
    if not as_json and not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise typer.BadParameter("a live view wants a terminal; in a pipe, say --json")
    home = Home(place)
    watcher = Watcher(home, Bounds(most, rate))
    if not as_json:
        from zoocache.cli._top import Top  # noqa: PLC0415 - imports much

        Top(watcher, home.where, interval).run()
        return
    import time  # noqa: PLC0415 - only here

    done = 0
    while True:
        output.print_json(watcher.snapshot().as_dict())
        done += 1
        if done == count:
            return
        time.sleep(interval)


@app.command()
def serve(
    url: Url,
    storage_url: StorageUrl = None,
    prefix: Prefix = None,
    lease: Lease = None,
    timeout: Timeout = 2.0,
    host: Annotated[
        str, typer.Option(help="The address to listen on; one that others reach wants a token.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="The port to listen on; 0: a free one.")
    ] = 8765,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="ZOOCACHE_DASHBOARD_TOKEN",
            help="Who sends it may look and invalidate; 16 or more characters. Without one: "
            "browsers of this machine, and read-only. Everybody on the machine can read a command "
            "line, so set the environment variable instead.",
            show_default=False,
        ),
    ] = None,
    interval: Annotated[
        float, typer.Option(min=0.1, max=3600, help="Seconds between looks of an open page.")
    ] = 2.0,
    most: Most = 100_000,
    rate: Rate = 20_000,
) -> None:
    """The dashboard of the home, as a page for browsers, until it is interrupted."""
    from zoocache.cli._serve import serve_home  # noqa: PLC0415 - only here

    place = Place(url, storage_url, prefix, lease, timeout)
    serve_home(place, Bounds(most, rate), host, port, token, interval)


@app.command()
def bench(
    calls: Annotated[
        int, typer.Option(min=1000, max=10_000_000, help="Hits in a round.")
    ] = 200_000,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Of which the best counts.")] = 5,
    as_json: Json = False,
) -> None:
    """A small benchmark on this machine, beside functools.lru_cache."""
    from zoocache.cli._bench import bench as measure  # noqa: PLC0415 - only here

    results = list(measure(calls, rounds))
    if as_json:
        output.print_json({"calls": calls, "results": [dataclasses.asdict(one) for one in results]})
        return
    output.print_table(
        ("what", "time", "times lru_cache's"),
        [
            [
                one.what,
                f"{one.seconds * 1e9:,.0f} ns",
                "-" if one.ratio is None else f"{one.ratio:.2f}",
            ]
            for one in results
        ],
    )
    output.note("One thread, one process; the best round of each. Other work here makes it slower.")


@app.command()
def version(as_json: Json = False) -> None:
    """Versions of zoocache, Python, the system and the packages of this command."""
    found: dict[str, Any] = {
        "zoocache": _zoocache.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    found |= {name: metadata.version(name) for name in ("typer", "rich", "textual")}
    if as_json:
        output.print_json(found)
        return
    for name, value in found.items():
        output.print_line(f"{name} {value}")


def _literal(text: str) -> Any:
    """What the text is to Python, if it is a literal; else the text."""
    import ast  # noqa: PLC0415 - only here

    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _begins_with(entry: Entry, wanted: list[Any]) -> bool:
    if not wanted:
        return True
    arguments = entry.arguments()
    if arguments is None or len(arguments) < len(wanted):
        return False
    pairs = zip(arguments, wanted, strict=False)
    return all(type(one) is type(other) and one == other for one, other in pairs)


def run(arguments: list[str] | None = None) -> int:
    """Runs a command.

    Args:
        arguments: without the program's name; None: this process's.

    Returns:
        The exit code.
    """
    try:
        app(arguments, prog_name="zoocache")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.FINE
    except (InvalidOption, InvalidTag) as error:
        output.complain(str(error))
        return Exit.USAGE
    except HomeUnreachable as error:
        output.complain(str(error))
        return Exit.UNREACHABLE
    return Exit.FINE
