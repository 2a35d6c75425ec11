"""What a first push stores, on every tree at hand."""

from __future__ import annotations

from ..measure import BenchError
from ..report import Section, Table, size
from ..session import Session, say
from ..trees import weigh
from .sources import CARGO, TEXT, frozen, timed_sources

UNSHARED = "tar | zstd"
BOUNDS = {TEXT: 1.25, CARGO: 1.40}


def measure(session: Session) -> Section:
    """Stores each tree once with each tool that compresses."""
    section = Section("sizes", "Stored size of a first push", rounds=1)
    section.notes.append(f"In brackets: against `{UNSHARED}` at level 3, which is Floe's default.")
    trees = timed_sources(session)
    trees |= {name: frozen(session, path) for name, path in session.extras.items()}
    tools = [tool for tool in session.tools if tool.compresses]
    table = Table(["", "files", "bytes", *(tool.name for tool in tools)])
    for label, tree in trees.items():
        weight = weigh(tree)
        stored: dict[str, int] = {}
        for tool in tools:
            say(f"size of {label}: {tool.name}")
            place = session.prepared(tool)
            try:
                session.run(tool.smallest(tree, place, "bench", 1))
            except BenchError as error:
                section.notes.append(f"{label}, {tool.name}: failed ({str(error)[-200:]})")
                continue
            stored[tool.name] = weigh(place.data).size_bytes
        unshared = stored.get(UNSHARED)
        cells = [_cell(stored.get(tool.name), unshared) for tool in tools]
        table.add(label, f"{weight.files:,}", size(weight.size_bytes), *cells)
        if "floe" in stored and unshared:
            bound = BOUNDS.get(label)
            measured = f"{stored['floe'] / unshared:.3f}×"
            if bound:
                section.figures.append([f"stored size, {label}, against tar | zstd -3", f"≤ {bound:.2f}×", measured])
            for peer in ("restic", "borg"):
                if peer in stored:
                    measured = f"{stored['floe'] / stored[peer]:.3f}×"
                    section.figures.append([f"stored size, {label}, against {peer}", "≤ 1.0×", measured])
    section.tables.append(table)
    return section


def _cell(stored: int | None, unshared: int | None) -> str | None:
    """A size, with its ratio where there is one."""
    if stored is None:
        return None
    return f"{size(stored)} ({stored / unshared:.3f}×)" if unshared else str(size(stored))
