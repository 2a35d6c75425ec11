"""Many versions of one tree, or siblings, in one store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..history import name_of, versions
from ..report import Section, Table, size
from ..session import Session, say
from ..tools.base import Tool
from ..tools.floe import Floe
from ..trees import weigh

UNSHARED = "tar | zstd"
HISTORY_BOUNDS = {1: 2.0, 5: 3.3}
FIRST_BOUND = 1.15


@dataclass(frozen=True)
class Sequence:
    """Trees stored one after another in one store."""

    label: str
    trees: list[Path]
    related: bool = True
    """Whether they are generations of one name; otherwise each has a name of its own."""
    step: int = 0
    """For a history: every how many commits."""


def measure(session: Session) -> Section:
    """Stores each sequence with each tool that compresses; Floe with `--reproducible`."""
    section = Section("versions", "Versions and siblings in one store", rounds=1)
    section.notes.append("Bytes stored after the first tree and after all of them. Floe runs with `--reproducible`.")
    tools = [_reproducible(session, tool) for tool in session.tools if tool.compresses]
    sequences = _sequences(session)
    if not sequences:
        section.notes.append("Nothing to store: name a repository with `--repo`, directories with `--sequence` or `--siblings`.")
    for sequence in sequences:
        title = f"{sequence.label}: {len(sequence.trees)} trees, the first of {weigh(sequence.trees[0]).files:,} files"
        table = Table(["", "first", f"against {UNSHARED}", "all", "all / first", "added per tree"], title=title)
        stored = {tool.name: _store(session, tool, sequence) for tool in tools}
        unshared = stored.get(UNSHARED)
        for name, (first, whole) in stored.items():
            against = f"{first / unshared[0]:.3f}×" if unshared else None
            added = size((whole - first) / (len(sequence.trees) - 1))
            table.add(name, size(first), against, size(whole), f"{whole / first:.2f}×", added)
        section.tables.append(table)
        if "floe" in stored and sequence.step:
            section.figures += _figures(sequence, stored)
    return section


def _figures(sequence: Sequence, stored: dict[str, tuple[int, int]]) -> list[list[str]]:
    """The bounds on a repository's history."""
    first, whole = stored["floe"]
    rows = [[f"{sequence.label}: all / first", f"≤ {HISTORY_BOUNDS[sequence.step]}×", f"{whole / first:.2f}×"]]
    peers = ((UNSHARED, FIRST_BOUND), ("restic", 1.0), ("borg", 1.0))
    for peer, bound in peers:
        if peer in stored:
            label = f"{sequence.label}: first, stored size against {peer}"
            rows.append([label, f"≤ {bound}×", f"{first / stored[peer][0]:.3f}×"])
    return rows


def _reproducible(session: Session, tool: Tool) -> Tool:
    """Floe as it pushes a git checkout: without times, for they are those of the checkout."""
    return Floe(session.given, reproducible=True) if isinstance(tool, Floe) else tool


def _sequences(session: Session) -> list[Sequence]:
    """Histories, then directories of versions, then siblings."""
    found: list[Sequence] = []
    for repository in session.repositories:
        for step in HISTORY_BOUNDS:
            label = f"{name_of(repository)}, every {'commit' if step == 1 else f'{step}th commit'}"
            found.append(Sequence(label, versions(session.work, repository, step), step=step))
    for named, related in ((session.sequences, True), (session.siblings, False)):
        for label, parent in named.items():
            trees = sorted(path for path in parent.iterdir() if path.is_dir())
            if len(trees) > 1:
                found.append(Sequence(label, trees, related=related))
    return found


def _store(session: Session, tool: Tool, sequence: Sequence) -> tuple[int, int]:
    """Bytes stored after the first tree, and after the last."""
    say(f"{sequence.label}: {tool.name}")
    place = session.prepared(tool)
    first = 0
    for number, tree in enumerate(sequence.trees):
        name, generation = ("bench", number + 1) if sequence.related else (f"bench{number}", 1)
        session.run(tool.smallest(tree, place, name, generation))
        first = first or weigh(place.data).size_bytes
    return first, weigh(place.data).size_bytes
