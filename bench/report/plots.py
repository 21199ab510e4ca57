"""The plots, as SVG. Uses matplotlib's file back end; no display is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
# Texts stay texts and identifiers do not change from run to run: small files, readable diffs.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "zoocache"})

from figures import Results, cpp_figure, python_figure, python_result  # noqa: E402
from matplotlib import pyplot as plt  # noqa: E402
from tables import PEERS, main_interpreter, number  # noqa: E402

OURS, OTHERS, BASELINE, QUIET = "#059669", "#9ca3af", "#f59e0b", "#e5e7eb"
POLICIES = {
    "opt": ("OPT", "#d1d5db"), "s3fifo": ("S3-FIFO (the engine)", OURS),
    "sieve": ("SIEVE", "#3b82f6"), "lru": ("LRU", BASELINE), "fifo": ("FIFO", "#dc2626"),
}  # fmt: skip
# curve -> title
CURVES = {
    "entries": "entries", "dependencies": "dependencies of an entry", "depth": "depth of the tag",
    "threads": "threads (Python)", "live_tags": "live tags",
}  # fmt: skip


def save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)


def plain(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)


def colour_of(peer: str) -> str:
    return OURS if peer == "zoocache" else BASELINE if peer == "lru_cache" else OTHERS


def draw_bars(axes: Any, title: str, found: list[tuple[str, float]]) -> None:
    """Longest below; logarithmic, with the value beyond each bar."""
    plain(axes, title)
    found = sorted(found, key=lambda one: one[1])
    places = range(len(found))
    axes.barh(places, [v for _, v in found], color=[colour_of(p) for p, _ in found], height=0.65)
    axes.set_xscale("log")
    axes.set_yticks(places, [peer for peer, _ in found])
    axes.invert_yaxis()
    for place, (_, value) in zip(places, found, strict=True):
        axes.annotate(
            number(value), (value, place), xytext=(3, 0), textcoords="offset points",
            va="center", fontsize=8,
        )  # fmt: skip
    axes.margins(x=0.25)
    axes.axvline(1, color=BASELINE, linewidth=1)


def plot_calls(results: Results, path: Path) -> bool:
    interpreter = main_interpreter(results)
    wanted = (
        ("hit, x lru_cache(None)", "hit_int"),
        ("hit with a keyword, x lru_cache(None)", "hit_keyword"),
        ("async hit, x bare await", "hit_async"),
        ("miss + store, x lru_cache(2**20)", "miss"),
    )
    figure, grid = plt.subplots(2, 2, figsize=(11, 7.5), layout="constrained")
    drawn = False
    for axes, (title, scenario) in zip(grid.flat, wanted, strict=True):
        figures = [(p, python_figure(results, interpreter, p, scenario, "ratio")) for p in PEERS]
        found = [(peer, figure.median) for peer, figure in figures if figure]
        if found:
            draw_bars(axes, title, found)
            drawn = True
    figure.suptitle(f"{interpreter}: smaller is faster", fontsize=11, x=0.01, ha="left")
    save(figure, path)
    return drawn


def draw_lines(axes: Any, curve: dict[str, Any], peer: str) -> None:
    """Ours in a colour a line; the baseline's like ours of the same name, but dashed."""
    colours = (OURS, "#3b82f6", "#7c3aed", "#0f172a")
    for place, (line, points) in enumerate(sorted(curve.get("points", {}).items())):
        xs, ys = zip(*points, strict=True)
        dashed = "--" if peer == "lru_cache" else "-"
        label = line if peer == "zoocache" else f"{peer}: {line}"
        colour = colours[place % len(colours)]
        axes.plot(xs, ys, marker="o", markersize=3, label=label, color=colour, linestyle=dashed)


def plot_growth(results: Results, path: Path) -> bool:
    interpreter = main_interpreter(results)
    figure, grid = plt.subplots(2, 4, figsize=(16, 7.5), layout="constrained")
    drawn = False
    for axes, (curve, title) in zip(grid.flat, CURVES.items(), strict=False):
        plain(axes, f"ns by {title}")
        for peer in ("zoocache", "lru_cache"):
            found = python_result(results, interpreter, peer, curve)
            draw_lines(axes, found, peer)
            drawn = drawn or bool(found)
        finish_lines(axes)
    draw_cpp_growth(results, grid.flat[6])
    grid.flat[7].set_visible(False)
    draw_bytes(results, grid.flat[5])
    save(figure, path)
    return drawn


def draw_bytes(results: Results, axes: Any) -> None:
    plain(axes, "bytes of an entry by entries")
    interpreter = main_interpreter(results)
    for peer, colour in (("zoocache", OURS), ("lru_cache", BASELINE)):
        sizes = [10**power for power in range(4, 8)]
        named = [(n, f"bytes_at_{n}") for n in sizes]
        found = [(n, python_figure(results, interpreter, peer, name, "bytes")) for n, name in named]
        points = [(n, figure.median) for n, figure in found if figure]
        if points:
            xs, ys = zip(*points, strict=True)
            axes.plot(xs, ys, marker="o", markersize=3, color=colour, label=peer)
    axes.set_visible(bool(axes.lines))
    finish_lines(axes)
    axes.set_yscale("linear")


def draw_cpp_growth(results: Results, axes: Any) -> None:
    plain(axes, "C++: ns of a random hit by entries")
    prefix = "growth/visit/uniform/zoocache/"
    named = results.get("cpp", {}).items()
    points = sorted(
        (int(name.removeprefix(prefix)), one["ns_median"])
        for name, one in named
        if name.startswith(prefix)
    )
    if points:
        xs, ys = zip(*points, strict=True)
        axes.plot(xs, ys, marker="o", markersize=3, color=OURS, label="visit")
    finish_lines(axes)


def finish_lines(axes: Any) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.grid(color=QUIET, linewidth=0.5)
    if axes.lines:
        axes.legend(frameon=False, fontsize=7)


def plot_eviction(results: Results, path: Path) -> bool:
    found = results["eviction"]
    columns = min(4, len(found))
    rows = -(-len(found) // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(3.3 * columns, 2.6 * rows), layout="constrained", squeeze=False
    )
    for axes in list(grid.flat)[len(found) :]:
        axes.set_visible(False)
    for axes, (name, trace) in zip(grid.flat, found.items(), strict=False):
        plain(axes, name)
        for policy, (_, colour) in POLICIES.items():
            points = sorted((int(n), float(r)) for n, r in trace["hit_rates"][policy].items())
            shares = [100 * entries / trace["keys"] for entries, _ in points]
            wide = 2.4 if policy == "s3fifo" else 1.3
            axes.plot(shares, [100 * rate for _, rate in points], color=colour, linewidth=wide)
        axes.set_xscale("log")
        axes.grid(color=QUIET, linewidth=0.5)
    handles = [plt.Line2D([], [], color=colour, label=label) for label, colour in POLICIES.values()]
    figure.legend(handles=handles, loc="outside upper left", ncols=5, frameon=False, fontsize=9)
    figure.supxlabel("size of the cache, % of the keys", fontsize=9)
    figure.supylabel("hit rate, %", fontsize=9)
    save(figure, path)
    return True


def plot_cpp(results: Results, path: Path) -> bool:
    figure, grid = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
    maps = sorted({name.split("/")[3] for name in results["cpp"] if name.startswith("hit/")})
    maps.sort(key=lambda name: name != "zoocache")
    groups = [(choice, threads) for choice in ("uniform", "zipf") for threads in (1, 2)]
    for axes, how in zip(grid, ("visit", "get"), strict=True):
        plain(axes, f"{how}, 100,000 keys, millions a second of all threads")
        for turn, name in enumerate(maps):
            heights = []
            for choice, threads in groups:
                full = f"hit/{how}/{choice}/{name}/100000/threads:{threads}"
                one = cpp_figure(results, full, "per_second")
                heights.append(one.median / 1e6 if one else 0)
            places = [place + 0.2 * turn - 0.3 for place in range(len(groups))]
            colour = (OURS, BASELINE, "#3b82f6", OTHERS)[turn % 4]
            axes.bar(places, heights, 0.18, color=colour, label=name if how == "visit" else None)
        labels = [f"{choice}\n{n} thread{'s' if n > 1 else ''}" for choice, n in groups]
        axes.set_xticks(range(len(groups)), labels)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    save(figure, path)
    return True


def write_plots(results: Results, folder: Path) -> set[str]:
    """Writes those that there is something for; returns their names."""
    made = set()
    wanted = (
        ("calls.svg", "python", plot_calls), ("growth.svg", "python", plot_growth),
        ("cpp.svg", "cpp", plot_cpp), ("eviction.svg", "eviction", plot_eviction),
    )  # fmt: skip
    for name, part, plot in wanted:
        (folder / name).unlink(missing_ok=True)
        if results.get(part):
            if plot(results, folder / name):
                made.add(name)
            else:
                (folder / name).unlink(missing_ok=True)
    return made
