"""A pull over a tree that differs in one file, told by times and told by content."""

from __future__ import annotations

from dataclasses import replace

from ..corpora import text_tree
from ..edits import Editor
from ..measure import Command, Run
from ..report import Section, seconds
from ..rounds import in_turn
from ..session import Session, check, say
from ..tools.backup import Restic
from ..tools.base import Place, Tool
from ..tools.floe import Floe
from ..tools.plain import Rsync
from . import columns


def measure(session: Session) -> Section:
    """Times both ways of finding the one file; each result is compared with its source."""
    section = Section("pull-over", "Pull over a tree that differs in one file")
    tree = text_tree(session.work, session.scale)
    tools = session.named("floe", "restic", "rustic", "rsync")
    places, targets, editors = {}, {}, {}
    for tool in tools:
        say(f"pull over: {tool.name}")
        places[tool.name] = session.prepared(tool)
        session.run(tool.push(tree, places[tool.name], "bench", 1))
        targets[tool.name] = session.destination(tool)
        session.run(tool.pull(places[tool.name], "bench", 1, targets[tool.name]))
        editors[tool.name] = Editor(targets[tool.name], seed=23)
    ways = (("by stat cache, or size and time", True, 0.15), ("by content, in the page cache", False, 0.5))
    for label, by_stat, bound in ways:
        if not tools:
            break

        def one(tool: Tool, _: int) -> Run:
            place, target = places[tool.name], targets[tool.name]
            editors[tool.name].edit()
            command = _command(session, tool, place, target, by_stat=by_stat)
            measured = session.timed(command, target, place.data)
            check(tree, target, tool)
            return measured

        series = in_turn(session, tools, one)
        section.tables.append(series.table(f"50,000 files, {label}", tools[0].name, columns.bytes_read(series)))
        if session.floe:
            measured = seconds(series.wall("floe").median)
            section.figures.append([f"pull over, one file of 50,000 differs, {label}", f"≤ {bound:g} s", measured])
    return section


def _command(session: Session, tool: Tool, place: Place, target, *, by_stat: bool) -> Command:
    """The pull that finds the difference in the wanted way."""
    command = tool.pull(place, "bench", 1, target)
    if by_stat:
        return tool.restore(place, "bench", target, "if-changed") if isinstance(tool, Restic) else command
    if isinstance(tool, Floe):
        cold = session.scratch()
        return replace(command, env={**command.env, "FLOE_CACHE_DIR": str(cold)})
    if isinstance(tool, Rsync):
        return tool.pull_by_content(place, "bench", target)
    return command
