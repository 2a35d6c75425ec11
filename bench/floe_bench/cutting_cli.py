"""The command line of `cutting.py`: which corpora, with which sets of parameters."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from . import cutting
from .cutting import Measured, Stores
from .measure import BenchError
from .parameter_sets import SETS
from .report import Table
from .session import say


def main(arguments: list[str]) -> int:
    """Measures what was asked for and prints all that was measured so far; gives the exit code."""
    options = _parser().parse_args(arguments)
    try:
        _measure(options)
    except BenchError as error:
        print(f"cutting: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if options.results.is_file():
        print("\n\n".join("\n".join(table.markdown()) for table in tables(cutting.load(options.results))))
    return 0


def _measure(options: argparse.Namespace) -> None:
    named = options.sets.split(",") if options.sets else list(SETS)
    unknown = sorted(set(named) - set(SETS))
    if unknown:
        raise BenchError(f"unknown sets {', '.join(unknown)}; there are {', '.join(SETS)}")
    edited = set(options.edited_sets.split(",")) if options.edited_sets else None
    for kind in ("tree", "still", "sequence", "commits", "siblings"):
        for label, path in getattr(options, kind):
            say(f"{label}: {', '.join(named)}")
            with tempfile.TemporaryDirectory(prefix="cutting-", dir=options.work) as held:
                scratch = Path(held)
                stores = Stores(options.floe, scratch, {name: SETS[name] for name in named}, options.timeout)
                if kind == "siblings":
                    measured = cutting.siblings(label, _directories(path), stores)
                else:
                    edits = 0 if kind == "still" else options.edits
                    measured = cutting.measure(label, _source(kind, path, scratch), stores, edits, edited)
            cutting.save(measured, options.results)


def _source(kind: str, path: str, scratch: Path) -> Iterator[Path]:
    if kind == "tree":
        return cutting.copied(Path(path), scratch)
    if kind == "still":
        return cutting.untouched(Path(path))
    if kind == "sequence":
        return cutting.successive(_directories(path), scratch)
    git_directory, _, commits = path.partition(":")
    return cutting.checked_out(Path(git_directory), Path(commits).read_text(encoding="utf-8").split(), scratch)


def _directories(parent: str) -> list[Path]:
    found = sorted(path for path in Path(parent).iterdir() if path.is_dir())
    if not found:
        raise BenchError(f"no directories in {parent}")
    return found


def tables(found: list[Measured]) -> list[Table]:
    """Sizes, then versions, then edits: a row a corpus, a column a set."""
    names = [name for name in SETS if any(name in measured.sets for measured in found)]
    first = Table(["", "files", "MB", "tar | zstd -3, MB", *names], title="First push, against `tar | zstd -3`")
    later = Table(["", "trees", *names], title="All trees in one namespace, against the first")
    beside = Table(["", "trees", *names], title="Siblings in one namespace, against the sum of their `tar | zstd -3`")
    edited = Table(["", *names], title="KiB put for one line appended to one of 20 files: median / 95th percentile")
    moved = Table(["", "directory", *names], title="Bytes put for a moved directory, against its `tar | zstd -3`")
    for measured in found:
        of = [measured.sets.get(name) for name in names]
        sizes = [measured.size_bytes / 1e6, measured.tar_zstd / 1e6]
        alone = measured.tar_zstd
        firsts = (_ratio(s and s.first, alone) for s in of)
        first.add(measured.label, f"{measured.files:,}", *(f"{size:.1f}" for size in sizes), *firsts)
        if measured.versions > 1:
            later.add(measured.label, str(measured.versions), *(_ratio(s and s.versions, s and s.first) for s in of))
        if measured.siblings_tar_zstd:
            beside.add(measured.label, str(measured.versions), *(_ratio(s and s.versions, measured.siblings_tar_zstd) for s in of))
        if any(s and s.edits for s in of):
            edited.add(measured.label, *(cutting.spread_cell(s.edits) if s else None for s in of))
            moved.add(measured.label, measured.moved, *(_ratio(s and s.moved, measured.moved_tar_zstd) for s in of))
    return [table for table in (first, later, beside, edited, moved) if table.rows]


def _ratio(part: int | None, whole: int | None) -> str | None:
    return f"{part / whole:.3f}" if part and whole else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cutting.py", description="Measure cutting parameters.")
    pair = {"action": "append", "default": [], "type": _pair, "metavar": "LABEL=PATH"}
    parser.add_argument("--tree", help="a directory, copied and changed", **pair)
    parser.add_argument("--still", help="a directory that is only pushed", **pair)
    parser.add_argument("--sequence", help="a directory of versions, in the order of their names", **pair)
    parser.add_argument("--siblings", help="a directory of applications", **pair)
    parser.add_argument("--commits", help="GITDIR:FILE, a file of commits, oldest first", **pair)
    parser.add_argument("--sets", help=f"which of: {', '.join(SETS)}")
    parser.add_argument("--edits", type=int, default=20, help="how many files are changed, one after another")
    parser.add_argument("--edited-sets", help="the sets that edits are measured with (default: all)")
    parser.add_argument("--floe", required=True, help="the program")
    parser.add_argument("--work", type=Path, help="where trees and stores are made")
    parser.add_argument("--results", type=Path, required=True, help="the file that figures are added to")
    parser.add_argument("--timeout", type=float, default=3600, help="seconds for one push")
    return parser


def _pair(text: str) -> tuple[str, str]:
    label, _, path = text.partition("=")
    if not path:
        raise argparse.ArgumentTypeError(f"{text}: not LABEL=PATH")
    return label, path
