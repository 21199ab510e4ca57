"""The live view of `zoocache top`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual.app import App
from textual.binding import Binding
from textual.message import Message
from textual.widgets import DataTable, Footer, Input, Static, TabbedContent, TabPane

from zoocache.cli._inspect import name_in_memory
from zoocache.cli._survey import HIDDEN
from zoocache.cli._text import cut, human_bytes, human_seconds, safe
from zoocache.cli._words import memory_note

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from zoocache.cli._inspect import FunctionSum, Process
    from zoocache.cli._watch import Snapshot, Watcher

__all__ = ["Top"]

_MOST_ROWS = 200
_COLUMNS = {
    "functions": (
        *("function", "version", "valid", "entries", "size"),
        *("in memory", "hits", "misses", "hit rate", "mean load"),
    ),
    "invalidations": ("invalidated", "epoch", "first seen"),
    "tags": ("tag", "would die", "entries", "in memory"),
    "nodes": (
        *("node", "uses", "applied", "behind", "beats"),
        *("process", "in memory", "size", "hit rate"),
    ),
}


class Top(App[None]):
    """Shows snapshots until it is told to end.

    Args:
        watcher: makes them, in a thread of its own.
        where: the home, as its title.
        interval: seconds between them.
    """

    CSS = "#head { height: auto; max-height: 7; padding: 0 1; } #filter { display: none; }"
    TITLE = "zoocache"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[Any]] = [
        Binding("q", "quit", "Quit"),
        Binding("1", "show('functions')", "Functions"),
        Binding("2", "show('invalidations')", "Invalidations"),
        Binding("3", "show('tags')", "Tags"),
        Binding("4", "show('nodes')", "Nodes"),
        Binding("slash", "filter", "Filter"),
        Binding("p", "pause", "Pause"),
        Binding("r", "look", "Look now"),
        Binding("escape", "unfilter", "All", show=False),
    ]

    class Looked(Message):
        """A snapshot was made."""

        def __init__(self, snapshot: Snapshot) -> None:
            super().__init__()
            self.snapshot = snapshot

    def __init__(self, watcher: Watcher, where: str, interval: float) -> None:
        super().__init__()
        self._watcher = watcher
        self._where = where
        self._interval = interval
        self._snapshot: Snapshot | None = None
        self._is_paused = False
        self._needle = ""
        self._look_now = threading.Event()
        self._ends = threading.Event()

    def compose(self) -> ComposeResult:
        """The widgets, from top to bottom."""
        yield Static(Text(f"{self._where}\nlooking…"), id="head")
        yield Input(placeholder="only rows with this text; escape shows all", id="filter")
        with TabbedContent(initial="functions"):
            for name in _COLUMNS:
                with TabPane(name.capitalize(), id=name):
                    yield DataTable[Text](id=f"{name}-rows", cursor_type="row", zebra_stripes=True)
        yield Footer()

    def on_mount(self) -> None:
        """Begins to look."""
        for name, columns in _COLUMNS.items():
            self._table(name).add_columns(*columns)
        self._focus("functions")
        # Not a daemon: the interpreter waits for what is being asked of the home.
        threading.Thread(target=self._watch, name="zoocache-top").start()

    def on_unmount(self) -> None:
        """Ends the thread, as soon as its look is over."""
        self._ends.set()
        self._watcher.stop()
        self._look_now.set()

    def _watch(self) -> None:
        while not self._ends.is_set():
            if not self._is_paused:
                snapshot = self._watcher.snapshot()
                self.post_message(self.Looked(snapshot))  # waits for nobody, who may have ended
            self._look_now.wait(self._interval)
            self._look_now.clear()

    def on_top_looked(self, message: Looked) -> None:
        """There is another snapshot."""
        self._snapshot = message.snapshot
        self._draw()

    def _draw(self) -> None:
        if self._snapshot is None:
            return
        self.query_one("#head", Static).update(_head(self._where, self._snapshot, self._is_paused))
        for name, rows in _rows(self._snapshot).items():
            table = self._table(name)
            at = table.cursor_row
            table.clear()
            kept = [row for row in rows if self._needle in row[0].casefold()]
            for row in kept[:_MOST_ROWS]:
                table.add_row(*(Text(cell) for cell in row))
            if 0 < at < table.row_count:
                table.move_cursor(row=at)

    def _table(self, name: str) -> DataTable[Text]:
        return self.query_one(f"#{name}-rows", DataTable)

    def _focus(self, name: str) -> None:
        self._table(name).focus()

    def action_show(self, name: str) -> None:
        """Another tab."""
        self.query_one(TabbedContent).active = name
        self._focus(name)

    def action_pause(self) -> None:
        """Stands still, or goes on."""
        self._is_paused = not self._is_paused
        self._draw()

    def action_look(self) -> None:
        """Does not wait for the interval."""
        self._look_now.set()

    def action_filter(self) -> None:
        """Asks for a text."""
        field = self.query_one("#filter", Input)
        field.display = True
        field.focus()

    def action_unfilter(self) -> None:
        """Shows all rows again."""
        field = self.query_one("#filter", Input)
        field.value = ""
        field.display = False
        self._needle = ""
        self._focus(self.query_one(TabbedContent).active)
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filters while somebody types."""
        self._needle = event.value.casefold()
        self._draw()

    def on_input_submitted(self) -> None:
        """Back to the rows."""
        self._focus(self.query_one(TabbedContent).active)


def _head(where: str, snapshot: Snapshot, is_paused: bool) -> Text:
    look = snapshot.look
    if look is None:
        state = "unreachable"
        text = f"{where}   UNREACHABLE\n{cut(snapshot.trouble, 300)}"
    else:
        state = "paused" if is_paused else "live"
        speed = snapshot.epochs_per_s
        text = f"{where}   {state}\nclock {look.clock:,}   {look.tags:,} tags in the log"
        text += f"   {len(snapshot.nodes)} processes"
        text += "" if speed is None else f"   {speed:,.1f} invalidations/s"
        values = snapshot.values
        if values is None or snapshot.values_trouble:
            text += f"\nvalues: {cut(snapshot.values_trouble or 'not looked at yet', 200)}"
        else:
            more = "" if values.is_complete else " (not all were looked at)"
            text += f"\n{values.valid:,} of {values.entries:,} stored values are valid, "
            text += f"{human_bytes(values.size_bytes)}{more}"
        text += f"\n{cut(memory_note(snapshot.memory), 300)}"
        if snapshot.trouble:
            text += f"\n{cut(snapshot.trouble, 300)}"
    return Text(text, style="bold red" if state == "unreachable" else "")


def _rows(snapshot: Snapshot) -> dict[str, list[tuple[str, ...]]]:
    """The cells of each table, escaped."""
    rows: dict[str, list[tuple[str, ...]]] = {name: [] for name in _COLUMNS}
    rows["functions"] = _functions(snapshot)
    depend = {} if snapshot.values is None else snapshot.values.depend
    would_die = {} if snapshot.values is None else snapshot.values.would_die
    in_memory = snapshot.memory.tags
    rows["tags"] = [
        (cut(tag), *(f"{counts.get(tag, 0):,}" for counts in (would_die, depend, in_memory)))
        for tag in sorted(
            {*would_die, *in_memory},
            key=lambda tag: (-would_die.get(tag, 0), -in_memory.get(tag, 0), tag),
        )
    ]
    rows["invalidations"] = [
        (
            what_of(one.text),
            f"{one.epoch:,}",
            "before" if one.age_s is None else f"{human_seconds(one.age_s)} ago",
        )
        for one in snapshot.seen
    ]
    clock = 0 if snapshot.look is None else snapshot.look.clock
    processes = {one.node: one for one in snapshot.memory.processes}
    rows["nodes"] = [
        (
            f"{safe(node.name)}{' (this command)' if node.is_self else ''}",
            " and ".join(node.uses),
            "-" if node.applied is None else f"{node.applied:,}",
            "-" if node.applied is None else f"{max(clock - node.applied, 0):,}",
            "-" if node.beat is None else f"{node.beat:,}",
            *_process(processes.get(node.name)),
        )
        for node in snapshot.nodes
    ]
    return rows


def _functions(snapshot: Snapshot) -> list[tuple[str, ...]]:
    """Those that are stored, the largest first, each with what is in memory of all its versions."""
    memory = snapshot.memory.functions
    stored = {} if snapshot.values is None else snapshot.values.functions
    rows = [
        (
            cut(function.name),
            safe(function.version),
            f"{count.valid:,}",
            f"{count.entries:,}",
            human_bytes(count.size_bytes),
            *_calls(memory.get(name_in_memory(function.name))),
        )
        for function, count in sorted(
            stored.items(), key=lambda row: (-row[1].size_bytes, row[0].name)
        )
    ]
    names = {name_in_memory(function.name) for function in stored}
    rest = sorted(
        ((name, count) for name, count in memory.items() if name not in names),
        key=lambda row: (-row[1].hits - row[1].misses, row[0]),
    )
    return rows + [(cut(name), "-", "-", "-", "-", *_calls(count)) for name, count in rest]


def _calls(count: FunctionSum | None) -> tuple[str, ...]:
    if count is None:
        return ("-",) * 5
    load = human_seconds(count.load_s / count.loads) if count.loads else "-"
    counts = (f"{number:,}" for number in (count.entries, count.hits, count.misses))
    return (*counts, _share(count.hits, count.misses), load)


def _process(process: Process | None) -> tuple[str, ...]:
    if process is None:
        return ("-",) * 4
    return (
        f"{safe(process.language)} {process.pid} on {cut(process.host, 40)}",
        f"{process.entries:,}",
        human_bytes(process.size_bytes),
        _share(process.counts.get("hits", 0), process.counts.get("misses", 0)),
    )


def _share(hits: int, misses: int) -> str:
    return f"{100 * hits / (hits + misses):.1f} %" if hits + misses else "-"


def what_of(text: str) -> str:
    """What a text of the log names, in words."""
    if not text:
        return "everything, by clear()"
    return "a function, or a call of one" if text.startswith(HIDDEN) else cut(text)
