"""Peak memory of a push and a pull as the input grows: in bytes alone, and in files too."""

from __future__ import annotations

from ..corpora import mixed_tree
from ..report import Section, Table, seconds, size
from ..session import Session, check, say
from ..trees import weigh

MIB = 1 << 20
INPUTS = (("500 MiB", 500, 1), ("5,000 MiB in as many files", 5000, 10), ("5,000 MiB in ten times as many files", 5000, 1))
"""What it is called, its MiB, and how many times longer its small files are."""


def measure(session: Session) -> Section:
    """Pushes and pulls each input once with each tool that compresses."""
    section = Section("memory", "Memory against size of the input", rounds=1)
    section.notes.append("Half of the bytes in four big files, half in small ones. The times are only for orientation.")
    tools = [tool for tool in session.tools if tool.compresses]
    table = Table(["", *(f"{what}, {name}" for name, _, _ in INPUTS for what in ("push", "pull"))])
    cells: dict[str, list[str]] = {tool.name: [] for tool in tools}
    peaks: list[int] = []
    for name, mib, growth in INPUTS:
        tree = mixed_tree(session.work, max(1, round(mib * session.scale)) * MIB, growth)
        section.notes.append(f"{name}: {weigh(tree).files:,} files.")
        for tool in tools:
            say(f"memory, {name}: {tool.name}")
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
        for number, (name, _, _) in enumerate(INPUTS):
            push, pull = (f"{peak / MIB:.0f}" for peak in peaks[2 * number : 2 * number + 2])
            section.figures.append([f"peak memory, {name}, push and pull", "≤ 300 MiB", f"{push}, {pull} MiB"])
        push, pull = (f"{peaks[2 + what] / peaks[what]:.2f}×" for what in range(2))
        name = "peak memory, 5,000 MiB against 500 MiB in as many files, push and pull"
        section.figures.append([name, "the same", f"{push}, {pull}"])
    return section
