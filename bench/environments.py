"""The interpreters that are measured, and a virtual environment for each of them.

    build/bench/<interpreter>/peers       this package and what it is measured beside
    build/bench/<interpreter>/published   the published package of the same name
    build/bench/<interpreter>/homes       this package and others, with what reaches a Redis server
    build/bench/<interpreter>/published-homes   the published package with it
    build/bench/<interpreter>/web         this package, with the frameworks of the example apps
    build/bench/<interpreter>/wheel       this package, built once for all of these
    build/bench/report                    what draws the plots

An environment is made anew when its requirements changed; this package is installed again when its
sources changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BENCH = ROOT / "bench"
BUILD = ROOT / "build" / "bench"
OLDEST, NEWEST = (3, 10), (3, 13)
PUBLISHED = "zoocache-published"
WITHOUT_PACKAGES = ("lru_cache",)
HOME_PEERS = ("cashews", "aiocache", "dogpile.cache", "diskcache")  # that processes share
BUILT_FROM = ("CMakeLists.txt", "pyproject.toml", "cmake", "include", "src", "python")

PROBE = """
import json, pathlib, platform, sys, sysconfig
try:
    import ensurepip, venv
    has_venv = True
except ImportError:
    has_venv = False
print(json.dumps({
    "implementation": platform.python_implementation(), "version": platform.python_version(),
    "minor": sys.version_info[:2], "compiler": platform.python_compiler(),
    "headers": (pathlib.Path(sysconfig.get_path("include")) / "Python.h").exists(),
    "venv": has_venv,
}))
"""


def say(*words: object) -> None:
    print(*words, flush=True)


@dataclass
class Interpreter:
    name: str
    path: str
    version: str
    about: dict[str, Any]
    every_peer: bool = True  # False: this package and the baselines alone
    pythons: dict[str, str] = field(default_factory=dict)  # peer -> interpreter to run it with
    absent: dict[str, str] = field(default_factory=dict)  # peer -> why it is not there

    @property
    def folder(self) -> Path:
        return BUILD / self.name


def probe(path: str) -> dict[str, Any] | None:
    """What an interpreter is; None, and a line that says why, if it cannot be used."""
    done = subprocess.run([path, "-c", PROBE], capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    found: dict[str, Any] = json.loads(done.stdout)
    minor = tuple(found["minor"])
    if found["implementation"] != "CPython" or not OLDEST <= minor <= NEWEST:
        return None
    for part, package in (("headers", "python3-dev"), ("venv", "python3-venv")):
        if not found[part]:
            say(f"left out: {path} has no {part} (Debian: {package})")
            return None
    return found


def _make(name: str, path: str, about: dict[str, Any], every_peer: bool) -> Interpreter:
    minor = ".".join(str(part) for part in about["minor"])
    version = str(about["version"])
    return Interpreter(f"{name}-{minor}", path, version, about, every_peer)


def find_interpreters(named: list[str]) -> list[Interpreter]:
    """Those that are named; else the system's, a pyenv build of the same minor version, and the
    newest pyenv build, which is measured without the peers."""
    found: list[Interpreter] = []
    if named:
        for path in named:
            about = probe(path)
            if about is None:
                raise SystemExit(f"{path} is not a CPython 3.10 to 3.13 with headers and venv")
            found.append(_make(f"python{len(found) + 1}", path, about, True))
        return found
    system = probe("/usr/bin/python3") if Path("/usr/bin/python3").exists() else None
    if system:
        distribution = platform.freedesktop_os_release().get("ID", "system")
        found.append(_make(distribution, "/usr/bin/python3", system, True))
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    builds = [
        (str(path), probe(str(path))) for path in sorted(root.glob("versions/3.*/bin/python"))
    ]
    usable = sorted(((p, a) for p, a in builds if a), key=lambda build: build[1]["minor"])
    same = [build for build in usable if system and build[1]["minor"] == system["minor"]]
    for path, about in (same or usable)[-1:]:
        found.append(_make("pyenv", path, about, True))
    for path, about in usable[-1:]:
        if not found or path != found[-1].path:
            found.append(_make("pyenv", path, about, not found))
    if not found:
        found.append(_make("python", sys.executable, probe(sys.executable) or {}, True))
    return found


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def run_each(commands: list[list[str]]) -> str:
    """Runs them at the repository's root until one fails; returns why, empty if none did."""
    for command in commands:
        done = run(command, cwd=ROOT)
        if done.returncode:
            return f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-1000:]}"
    return ""


def make_environment(path: str, folder: Path, stamp: str) -> tuple[Path, bool]:
    """An environment that was made for `stamp`, and whether it is new."""
    python, marker = folder / "bin" / "python", folder / ".made-for"
    if marker.exists() and marker.read_text() == stamp:
        if run([str(python), "-c", ""]).returncode == 0:
            return python, False
    shutil.rmtree(folder, ignore_errors=True)
    done = run([path, "-m", "venv", str(folder)])
    if done.returncode:
        raise SystemExit(f"cannot make {folder}: {done.stderr or done.stdout}")
    marker.write_text(stamp)
    return python, True


def requirements(name: str) -> dict[str, str]:
    """distribution -> pinned requirement, as bench/requirements-<name>.txt lists them."""
    lines = (BENCH / f"requirements-{name}.txt").read_text().splitlines()
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    return {line.split("==")[0]: line for line in wanted}


def install(python: Path, *what: str) -> str:
    """Installs; returns why it could not, empty if it could."""
    done = run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *what])
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return "" if done.returncode == 0 else (errors or [done.stderr.strip()[-200:]])[-1]


def sources_stamp() -> str:
    """Of the contents and names of what the package is built from."""
    digest = hashlib.sha256()
    for name in BUILT_FROM:
        top = ROOT / name
        files = [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file())
        for path in files:
            if path.suffix not in {".pyc", ".so"}:
                digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def build_this_package(interpreter: Interpreter, python: Path, stamp: str) -> Path:
    """The wheel for an interpreter, as the sources are now."""
    folder = interpreter.folder / "wheel"
    marker = folder / ".made-from"
    if not marker.exists() or marker.read_text() != stamp:
        say(f"{interpreter.name}: building this package")
        shutil.rmtree(folder, ignore_errors=True)
        needed = ["-r", str(ROOT / "scripts" / "requirements-build.txt")]
        needed += [f"{tool}>=3" for tool in ("cmake",) if not shutil.which(tool)]
        needed += ["ninja"] if not shutil.which("ninja") else []
        why = install(python, *needed)
        pip = [str(python), "-m", "pip", "wheel", "-q", "--disable-pip-version-check"]
        build = [*pip, "--no-build-isolation", "--no-deps", "-w", str(folder), str(ROOT)]
        why = why or run_each([build])
        if why:
            raise SystemExit(f"cannot build this package: {why}")
        marker.write_text(stamp)
    return next(folder.glob("*.whl"))


def install_this_package(interpreter: Interpreter, python: Path) -> None:
    marker = python.parents[1] / ".zoocache-made-from"
    stamp = sources_stamp()
    if marker.exists() and marker.read_text() == stamp:
        return
    wheel = build_this_package(interpreter, python, stamp)
    why = install(python, "--no-deps", "--force-reinstall", str(wheel))
    if why:
        raise SystemExit(f"cannot install this package: {why}")
    marker.write_text(stamp)


def _add_peers(interpreter: Interpreter, python: Path, peers: list[str]) -> None:
    """One at a time, so that one that cannot be installed hurts nobody else."""
    pinned = requirements("peers")
    for peer in peers:
        if peer in pinned and run([str(python), "-m", "pip", "show", "-q", peer]).returncode:
            say(f"{interpreter.name}: installing {pinned[peer]}")
            why = install(python, pinned[peer])
            if why:
                interpreter.absent[peer] = f"cannot be installed: {why}"
                continue
        interpreter.pythons[peer] = str(python)


def prepare(interpreter: Interpreter, peers: list[str]) -> None:
    """Fills `interpreter.pythons` and `interpreter.absent`."""
    inside = [peer for peer in peers if peer != PUBLISHED]
    if not interpreter.every_peer:
        inside = [peer for peer in inside if peer in ("zoocache", *WITHOUT_PACKAGES)]
    stamp = interpreter.version + (BENCH / "requirements-peers.txt").read_text()
    python, _ = make_environment(interpreter.path, interpreter.folder / "peers", stamp)
    if "zoocache" in inside:
        install_this_package(interpreter, python)
    _add_peers(interpreter, python, inside)
    if PUBLISHED in peers and interpreter.every_peer:
        pinned = requirements("published")["zoocache"]
        folder = interpreter.folder / "published"
        python, is_new = make_environment(interpreter.path, folder, interpreter.version + pinned)
        why = ""
        if is_new or run([str(python), "-c", "import zoocache"]).returncode:
            say(f"{interpreter.name}: installing the published {pinned}")
            why = install(python, pinned)
        if why:
            interpreter.absent[PUBLISHED] = f"cannot be installed: {why}"
        else:
            interpreter.pythons[PUBLISHED] = str(python)


def prepare_homes(interpreter: Interpreter, peers: list[str]) -> Interpreter:
    """The same interpreter with environments in which the caches find a Redis client.

    Of their own: what some caches import when a client is there, they import at the start.
    """
    made = replace(interpreter, pythons={}, absent={})
    pinned = requirements("homes")
    others = [peer for peer in peers if peer in HOME_PEERS and peer in requirements("peers")]
    stamp = interpreter.version + "".join(
        (BENCH / f"requirements-{name}.txt").read_text() for name in ("peers", "homes")
    )
    python, is_new = make_environment(interpreter.path, interpreter.folder / "homes", stamp)
    if is_new or run([str(python), "-c", "import redis"]).returncode:
        say(f"{interpreter.name}: installing {', '.join(pinned.values())}")
        why = install(python, *pinned.values())
        if why:
            say(f"no Redis client: {why}")
    if "zoocache" in peers:
        install_this_package(interpreter, python)
        made.pythons.update({"zoocache": str(python), "zoocache-lmdb": str(python)})
    _add_peers(made, python, others)
    if PUBLISHED in peers:
        package = requirements("published")["zoocache"]
        folder = interpreter.folder / "published-homes"
        stamp += package
        python, is_new = make_environment(interpreter.path, folder, stamp)
        there = not is_new and run([str(python), "-c", "import redis, zoocache"]).returncode == 0
        why = "" if there else install(python, package, *pinned.values())
        if why:
            made.absent[PUBLISHED] = f"cannot be installed: {why}"
        else:
            made.pythons[PUBLISHED] = str(python)
    return made


def report_python(base: str) -> Path | None:
    """An environment with matplotlib; None, and a line that says why, if there can be none."""
    text = (BENCH / "requirements-report.txt").read_text()
    python, is_new = make_environment(base, BUILD / "report", base + text)
    if is_new or run([str(python), "-c", "import matplotlib"]).returncode:
        say("installing matplotlib for the plots")
        why = install(python, "-r", str(BENCH / "requirements-report.txt"))
        if why:
            say(f"no plots: {why}")
            return None
    return python
