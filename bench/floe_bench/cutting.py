"""Measures sets of cutting parameters on one corpus: a working tree that changes step by step, pushed with each set.

One tree, one cache of file times: what a set costs in addition is its own frames.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import history
from .edits import editable_files
from .measure import BenchError, Command, Spread, run
from .parameter_sets import NAMESPACE, Parameters, make_namespace
from .trees import bytes_put, listing, weigh

REF = "bench"
MOVED_FILES = range(20, 400)
STORED = ("packs", "snapshots")


@dataclass
class Series:
    """What one set stored: after the first tree, after all versions, for each edit, for the moved directory."""

    first: int = 0
    versions: int = 0
    edits: list[int] = field(default_factory=list)
    moved: int = 0


@dataclass
class Measured:
    """The figures of one corpus."""

    label: str
    files: int
    size_bytes: int
    tar_zstd: int
    versions: int = 1
    moved: str = ""
    moved_tar_zstd: int = 0
    siblings_tar_zstd: int = 0
    sets: dict[str, Series] = field(default_factory=dict)


class Stores:
    """A store for each set, all pushed from one tree."""

    def __init__(self, program: str, scratch: Path, sets: dict[str, Parameters], timeout: float) -> None:
        self._program, self._scratch, self._timeout = program, scratch, timeout
        self._stores = {name: scratch / "stores" / str(number) for number, name in enumerate(sets)}
        for name, store in self._stores.items():
            make_namespace(store, sets[name])

    def push(self, tree: Path, ref: str, *, only: set[str] | None = None) -> dict[str, int]:
        """Pushes `tree` into each store, or those named, and tells how many bytes were put in each."""
        put: dict[str, int] = {}
        for name, store in self._stores.items():
            if only is not None and name not in only:
                continue
            before = self._listing(store)
            argv = [self._program, "push", str(tree), ref, "--reproducible", "--quiet"]
            argv += ["--store", store.as_uri(), "--cache-dir", str(self._scratch / "cache")]
            run(Command(argv), self._scratch / "logs", self._timeout)
            put[name] = bytes_put(before, self._listing(store))
        return put

    @staticmethod
    def _listing(store: Path) -> dict[str, tuple[int, int, int]]:
        """Packs and snapshots; the rest are small records that are the same whatever the parameters are."""
        found: dict[str, tuple[int, int, int]] = {}
        for part in STORED:
            if (store / NAMESPACE / part).is_dir():
                found |= listing(store / NAMESPACE / part)
        return {path: status for path, status in found.items() if not os.path.basename(path).startswith(".")}


def measure(label: str, source: Iterator[Path], stores: Stores, edits: int, edited: set[str] | None) -> Measured:
    """Pushes every tree that `source` gives; then, if asked for edits, changes the last one and moves a directory of it."""
    tree = next(source)
    weight = weigh(tree)
    result = Measured(label, weight.files, weight.size_bytes, tar_zstd(tree))
    for name, put in stores.push(tree, REF).items():
        result.sets[name] = Series(first=put, versions=put)
    for tree in source:
        result.versions += 1
        for name, put in stores.push(tree, REF).items():
            result.sets[name].versions += put
    if edits:
        _edit(result, tree, stores, edits, edited)
    return result


def _edit(result: Measured, tree: Path, stores: Stores, edits: int, only: set[str] | None) -> None:
    rng = random.Random(3)
    for number, path in enumerate(rng.sample(editable_files(tree), edits)):
        path.chmod(path.stat().st_mode | 0o200)
        with open(path, "ab") as file:
            file.write(f"appended {number} {rng.getrandbits(64):x}\n".encode())
        for name, put in stores.push(tree, REF, only=only).items():
            result.sets[name].edits.append(put)
    directory = middling_directory(tree)
    result.moved = f"{directory.relative_to(tree)}, {weigh(directory).files} files"
    result.moved_tar_zstd = tar_zstd(directory)
    directory.rename(directory.with_name(directory.name + "-moved"))
    for name, put in stores.push(tree, REF, only=only).items():
        result.sets[name].moved = put


def middling_directory(tree: Path) -> Path:
    """The directory of the median size among those of a few dozen to a few hundred files."""
    found = []
    for here, names, _ in os.walk(tree):
        names.sort()
        for name in names:
            path = Path(here) / name
            if not path.is_symlink():
                found.append((weigh(path), path))
    found = [(weight.size_bytes, path) for weight, path in found if weight.files in MOVED_FILES]
    if not found:
        raise BenchError(f"{tree} has no directory of {MOVED_FILES.start} to {MOVED_FILES.stop} files to move")
    return sorted(found)[len(found) // 2][1]


def tar_zstd(tree: Path) -> int:
    """Bytes of `tar | zstd -3`, in the names' order and without owners."""
    script = 'tar --sort=name --numeric-owner -C "$1" -cf - . | zstd -q -3 | wc -c'
    done = subprocess.run(Command.shell(script, tree).argv, stdout=subprocess.PIPE, check=True)
    return int(done.stdout)


def copied(tree: Path, scratch: Path) -> Iterator[Path]:
    """One tree, copied so that it can be changed; on the file system it is on."""
    target = scratch / "tree"
    subprocess.run(["rsync", "-a", "--one-file-system", f"{tree}/", f"{target}/"], check=True)
    yield target


def untouched(tree: Path) -> Iterator[Path]:
    """One tree, where it is."""
    yield tree


def successive(trees: list[Path], scratch: Path) -> Iterator[Path]:
    """Directories one after another as versions of one tree; files that do not differ are not touched."""
    target = scratch / "tree"
    for tree in trees:
        subprocess.run(["rsync", "-rlp", "--checksum", "--delete", f"{tree}/", f"{target}/"], check=True)
        yield target


def checked_out(git_directory: Path, commits: list[str], scratch: Path) -> Iterator[Path]:
    """Commits one after another as versions of one tree."""
    versions = scratch / "versions"
    versions.mkdir()
    return successive([history.check_out(git_directory, commit, versions) for commit in commits], scratch)


def siblings(label: str, trees: list[Path], stores: Stores) -> Measured:
    """Applications side by side, each with a ref of its own, in one namespace; the first one's figures are the row's."""
    weight = weigh(trees[0])
    result = Measured(label, weight.files, weight.size_bytes, tar_zstd(trees[0]), len(trees))
    result.siblings_tar_zstd = result.tar_zstd + sum(map(tar_zstd, trees[1:]))
    for number, tree in enumerate(trees):
        for name, put in stores.push(tree, f"{REF}{number}").items():
            series = result.sets.setdefault(name, Series(first=put))
            series.versions += put
    return result


def save(measured: Measured, path: Path) -> None:
    """Adds a line with these figures to `path`."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(measured, default=vars) + "\n")


def load(path: Path) -> list[Measured]:
    """The figures that were saved, the newest of each corpus and set."""
    found: dict[str, Measured] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        sets = {name: Series(**series) for name, series in record.pop("sets").items()}
        known = found.get(record["label"])
        found[record["label"]] = Measured(**record, sets=(known.sets if known else {}) | sets)
    return list(found.values())


def discard(scratch: Path) -> None:
    """Deletes what a corpus left."""
    shutil.rmtree(scratch, ignore_errors=True)


def spread_cell(edits: list[int]) -> str | None:
    """Median and 95th percentile of bytes put, in KiB."""
    if not edits:
        return None
    spread = Spread.of([put / 1024 for put in edits])
    return f"{spread.median:.0f} / {spread.p95:.0f}"
