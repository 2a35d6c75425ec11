"""A pull into an empty directory, on tmpfs and on disk."""

from __future__ import annotations

from pathlib import Path

from ..corpora import text_tree
from ..measure import Run
from ..report import Section, ratio
from ..rounds import Series, in_turn
from ..session import Session, check, remove, say
from ..tools.base import Tool
from ..tools.plain import TarUnowned
from . import columns

UNTAR = "tar | zstd"


def measure(session: Session) -> Section:
    """Times a pull of the made tree; each result is compared with its source."""
    section = Section("pull", "Pull into an empty directory")
    tree = text_tree(session.work, session.scale)
    section.notes.append(f"`{UNTAR}` is `zstd -dc | tar -x` here. No tool syncs what it writes. A new directory each time.")
    tools = list(session.tools)
    if any(tool.name == UNTAR for tool in tools):
        tools.append(TarUnowned(session.given))
        section.notes.append(
            "As root, tar gives every file to whom it belonged; Floe does that with `--owner`, which is not asked for here. "
            f"`{TarUnowned.name}` does the same work as Floe."
        )
    for on_tmpfs, bound in ((True, "≤ 0.55×"), (False, "≤ 0.95×")):
        if on_tmpfs and not session.tmpfs:
            section.notes.append("tmpfs: skipped, none was named.")
            continue
        label = "tmpfs" if on_tmpfs else "disk"
        say(f"pull, {label}")
        series = timed_pulls(session, tree, tools, on_tmpfs=on_tmpfs)
        moved = columns.bytes_read(series)
        section.tables.append(series.table(f"50,000 files to {label}", session.baseline.name, moved))
        against = series.ratio("floe", UNTAR)
        if against:
            section.figures.append([f"pull, {label}, time against `zstd -dc | tar -x`", bound, ratio(against)])
        against = series.ratio("floe", TarUnowned.name)
        if against:
            section.figures.append([f"pull, {label}, time against `tar --no-same-owner -x`", "", ratio(against)])
    return section


def timed_pulls(session: Session, tree: Path, tools: list[Tool], *, on_tmpfs: bool) -> Series:
    """Pushes once with each tool, then pulls in turn. What is on tmpfs is removed at once, for it is memory."""
    places = {}
    for tool in tools:
        places[tool.name] = session.prepared(tool)
        session.run(tool.push(tree, places[tool.name], "bench", 1))

    def one(tool: Tool, _: int) -> Run:
        place = places[tool.name]
        target = session.destination(tool, on_tmpfs=on_tmpfs)
        measured = session.timed(tool.pull(place, "bench", 1, target), place.data)
        check(tree, target, tool)
        if on_tmpfs:
            remove(target)
        return measured

    return in_turn(session, tools, one)
