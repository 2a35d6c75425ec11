"""Peak memory of a push and a pull at two sizes of input."""

from __future__ import annotations

from ..corpora import mixed_tree
from ..report import Section, Table, seconds, size
from ..session import Session, check, say
from ..trees import weigh

MIB = 1 << 20
SIZES_MIB = (500, 5120)


def measure(session: Session) -> Section:
    """Pushes and pulls both inputs once with each tool that compresses."""
    section = Section("memory", "Memory against size of the input")
    section.notes.append("Half of the bytes in four big files, half in small ones. One run each: the times are only for orientation.")
    tools = [tool for tool in session.tools if tool.compresses]
    table = Table(["", *(f"{what}, {mib} MiB" for mib in SIZES_MIB for what in ("push", "pull"))])
    cells: dict[str, list[str]] = {tool.name: [] for tool in tools}
    peaks: list[int] = []
    for mib in SIZES_MIB:
        tree = mixed_tree(session.work, max(1, round(mib * session.scale)) * MIB)
        section.notes.append(f"{mib} MiB: {weigh(tree).files:,} files.")
        for tool in tools:
            say(f"memory at {mib} MiB: {tool.name}")
            place = session.prepared(tool)
            push = session.run(tool.push(tree, place, "bench", 1))
            target = session.destination(tool)
            pull = session.run(tool.pull(place, "bench", 1, target))
            check(tree, target, tool)
            cells[tool.name] += [f"{size(run.peak_bytes)} ({seconds(run.wall)})" for run in (push, pull)]
            if tool is session.floe:
                peaks += [push.peak_bytes, pull.peak_bytes]
    for name, row in cells.items():
        table.add(name, *row)
    section.tables.append(table)
    if peaks:
        shown = ", ".join(f"{peak / MIB:.0f}" for peak in peaks)
        section.figures.append(["peak memory, 500 MiB push, pull, 5 GiB push, pull", "≤ 300 MiB", f"{shown} MiB"])
    return section
