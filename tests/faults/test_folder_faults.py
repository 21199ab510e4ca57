"""What may happen to a folder that processes share. The first line of each test is its row in
docs/RELIABILITY.md.
"""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fault_workload import Workload

Work = Callable[..., Workload]
# Whoever only reads sees within a second that a folder was removed (docs/WORKERS.md).
LOOK_S = 1.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "shared"


def test_folder_processes_killed(folder: Path, work: Work) -> None:
    """LMDB: kill -9 of a process, six times, and another in its place"""
    workload = work(f"lmdb://{folder}", bound_s=0.0)
    for index in range(6):
        workload.run(0.2)
        workload.kill_worker(index % 3)
    workload.wait_counted("connects")
    workload.settle()


def test_folder_removed(folder: Path, work: Work) -> None:
    """LMDB: the folder is removed under its processes, three times"""
    workload = work(f"lmdb://{folder}", bound_s=LOOK_S)
    for _ in range(3):
        before = workload.generations()
        workload.run(0.4)
        remove(folder)
        workload.wait_generation(before)
    workload.wait_counted("disconnects", "generation_changes", "flushes", "storage_disconnects")
    workload.settle()


def test_folder_unusable(folder: Path, work: Work) -> None:
    """LMDB: a file takes the folder's place for a second"""
    workload = work(f"lmdb://{folder}", bound_s=LOOK_S)
    workload.run(0.4)
    while not folder.is_file():
        remove(folder)
        with contextlib.suppress(OSError):  # somebody was faster and made it anew
            folder.write_bytes(b"no folder")
    workload.wait_unreachable()
    workload.run(1.0)
    folder.unlink()
    workload.wait_counted("disconnects", "storage_errors")
    workload.settle()
    assert workload.board.total("losses") > 0


def test_folder_damaged(folder: Path, work: Work) -> None:
    """LMDB: its files are cut, spoiled and filled with rubbish while no process runs"""
    workload = work(f"lmdb://{folder}", bound_s=0.0)
    chance = random.Random(workload.seed)
    for _ in range(4):
        workload.run(0.3)
        workload.kill_all()
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                damage(path, chance)
        workload.start()
    workload.kill_all()
    for name in ("log-v1.mdb", "entries-v1.mdb"):
        file = folder / name
        file.write_bytes(chance.randbytes(file.stat().st_size))  # nobody can take that for sound
    workload.start()
    workload.wait_counted("corruptions", "storage_corruptions")
    workload.settle()


def remove(folder: Path) -> None:
    """All of it at once: nobody can make a file in it meanwhile."""
    aside = folder.with_name("aside")
    folder.rename(aside)
    shutil.rmtree(aside)


def damage(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes()[:1_000_000])
    kind = chance.randrange(4)
    if kind == 0 or not data:
        return
    if kind == 1:
        data = data[: chance.randrange(len(data))]
    elif kind == 2:
        data[:] = chance.randbytes(len(data))
    else:
        for _ in range(8):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)
