"""Directories as data: compare two, weigh one, tell what changed in one."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

CHUNK_BYTES = 1 << 20
SHOWN_DIFFERENCES = 5


@dataclass(frozen=True)
class Keeps:
    """What a tool promises to bring back besides names, kinds, link targets and contents."""

    modes: bool = True
    mtimes: bool = True
    directory_mtimes: bool = True
    mtime_unit_ns: int = 1


def differences(expected: Path, actual: Path, keeps: Keeps) -> list[str]:
    """The first few differences between two trees, below their roots; empty when they are equal."""
    jobs: list[tuple[bytes, bool]] = [(b"", False)]
    with os.scandir(os.fsencode(expected)) as found:
        jobs += sorted((entry.name, True) for entry in found if entry.is_dir(follow_symlinks=False))
    roots = os.fsencode(expected), os.fsencode(actual)
    result: list[str] = []
    with ProcessPoolExecutor(os.cpu_count(), get_context("fork")) as pool:
        calls = [pool.submit(_compare, *roots, path, deep, keeps) for path, deep in jobs]
        for call in calls:
            result += call.result()
    return result[:SHOWN_DIFFERENCES]


def _compare(expected: bytes, actual: bytes, path: bytes, deep: bool, keeps: Keeps) -> list[str]:
    """Compares the entries of one directory, and with `deep` of all below it."""
    found: list[str] = []
    pending = [path]
    while pending and len(found) < SHOWN_DIFFERENCES:
        here = pending.pop()
        left, right = os.path.join(expected, here), os.path.join(actual, here)
        names = sorted(os.listdir(left))
        try:
            others = sorted(os.listdir(right))
        except OSError as error:
            found.append(f"{os.fsdecode(here)}: {error.strerror}")
            continue
        if names != others:
            odd = sorted(set(names) ^ set(others))[:3]
            found.append(f"{os.fsdecode(here) or '.'}: only on one side: {odd}")
            continue
        for name in names:
            one, two = os.path.join(left, name), os.path.join(right, name)
            difference = _difference(one, two, keeps)
            if difference:
                found.append(f"{os.fsdecode(os.path.join(here, name))}: {difference}")
            elif deep and stat.S_ISDIR(os.lstat(one).st_mode):
                pending.append(os.path.join(here, name))
    return found


def _difference(one: bytes, two: bytes, keeps: Keeps) -> str | None:
    """Why two entries are not the same, or nothing."""
    left, right = os.lstat(one), os.lstat(two)
    kind = stat.S_IFMT(left.st_mode)
    if kind != stat.S_IFMT(right.st_mode):
        return "another kind"
    if kind == stat.S_IFLNK:
        return None if os.readlink(one) == os.readlink(two) else "another target"
    if keeps.modes and left.st_mode != right.st_mode:
        return f"mode {left.st_mode:o}, not {right.st_mode:o}"
    unit = keeps.mtime_unit_ns
    checked = keeps.directory_mtimes if kind == stat.S_IFDIR else keeps.mtimes
    if checked and left.st_mtime_ns // unit != right.st_mtime_ns // unit:
        return f"mtime {left.st_mtime_ns}, not {right.st_mtime_ns}"
    if kind == stat.S_IFREG:
        if left.st_size != right.st_size:
            return f"size {left.st_size}, not {right.st_size}"
        with open(one, "rb", buffering=0) as first, open(two, "rb", buffering=0) as second:
            while True:
                block = first.read(CHUNK_BYTES)
                if block != second.read(CHUNK_BYTES):
                    return "another content"
                if not block:
                    return None
    return None


@dataclass(frozen=True)
class Weight:
    """How many files there are below a directory, and the sum of their lengths."""

    files: int
    size_bytes: int


def weigh(directory: Path) -> Weight:
    """Counts the regular files below `directory` and adds up their apparent sizes."""
    contents = listing(directory)
    return Weight(len(contents), sum(size for size, _, _ in contents.values()))


def listing(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Size, mtime and inode of every regular file below, by path."""
    result: dict[str, tuple[int, int, int]] = {}
    pending = [os.fspath(directory)]
    while pending:
        here = pending.pop()
        with os.scandir(here) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    result[entry.path] = (status.st_size, status.st_mtime_ns, status.st_ino)
    return result


def bytes_put(before: dict[str, tuple[int, int, int]], after: dict[str, tuple[int, int, int]]) -> int:
    """Bytes of the files that are new or rewritten, whole: what an object store would have been sent and kept."""
    return sum(status[0] for path, status in after.items() if before.get(path) != status)
