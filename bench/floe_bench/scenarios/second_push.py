"""A push after one line of one file changed, beside `git status` on the same tree."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..corpora import text_tree
from ..edits import Editor
from ..git_import import import_tree
from ..measure import Command, Run, Spread
from ..report import Section, Table, ratio, seconds, size
from ..rounds import Series, in_turn
from ..session import Session, say
from ..tools.base import Place, Tool
from ..tracing import touched
from ..trees import bytes_put, listing
from . import columns

GIT = "git status"
CHANGES = 20


def measure(session: Session) -> Section:
    """Times second pushes, then counts the bytes of twenty changes in place and twenty by rename."""
    section = Section("second-push", "Second push, one line of one file changed")
    tree = session.copy_of(text_tree(session.work, session.scale))
    editor = Editor(tree, seed=11)
    say("second push: first pushes")
    pushes = Pushes(session, tree)
    series = timed_second_pushes(session, tree, editor, pushes)
    more = columns.bytes_put(pushes.put) | columns.requests(series)
    section.tables.append(series.table("50,000 files, changed in place", session.baseline.name, more))
    section.figures += _figures(series)
    section.notes += _opened(session, editor, pushes)
    section.tables.append(_small_changes(session, editor, pushes, section))
    return section


class Pushes:
    """Every incremental tool's store of one tree, and what each push put there."""

    def __init__(self, session: Session, tree: Path, tools: list[Tool] | None = None) -> None:
        self.session = session
        self.tree = tree
        self.tools = [tool for tool in tools or session.tools if tool.incremental]
        self.places: dict[str, Place] = {}
        self.generations: dict[str, int] = {}
        self.put: dict[str, list[int]] = {}
        for tool in self.tools:
            self.places[tool.name] = session.prepared(tool)
            self.generations[tool.name] = 0
            session.run(self.next(tool))
            self.put[tool.name] = []

    def next(self, tool: Tool) -> Command:
        """The command that pushes the next generation."""
        self.generations[tool.name] += 1
        return tool.push(self.tree, self.places[tool.name], "bench", self.generations[tool.name])

    def push(self, tool: Tool, *, timed: bool) -> Run:
        """Pushes, and notes the bytes put."""
        data = self.places[tool.name].data
        before = listing(data)
        command = self.next(tool)
        measured = self.session.timed(command, self.tree) if timed else self.session.run(command)
        self.put[tool.name].append(bytes_put(before, listing(data)))
        return measured


def timed_second_pushes(session: Session, tree: Path, editor: Editor, pushes: Pushes) -> Series:
    """One edit a round; each tool pushes it, and git looks at it."""
    extra = {GIT: git_status(session, tree)} if shutil.which("git") else {}
    return in_turn(session, pushes.tools, lambda tool, _: pushes.push(tool, timed=True), lambda _: _edit(editor), extra)


def _edit(editor: Editor) -> None:
    editor.edit()


def git_status(session: Session, tree: Path):
    """A repository of `tree` beside it, all of it committed; gives what runs `git status` a second time, its index
    refreshed. Blobs are in one pack, or a million of them would fill the kernel's caches of names."""
    argv = ["git", f"--git-dir={session.scratch()}", f"--work-tree={tree}"]
    for setting in ("core.fsmonitor=false", "core.untrackedCache=false", "gc.auto=0", "advice.statusHints=false"):
        argv += ["-c", setting]
    session.run(Command([*argv, "init", "-q", "-b", "main"], cwd=tree))
    import_tree(argv, tree)
    for words in (["read-tree", "HEAD"], ["status", "-s"]):
        session.run(Command([*argv, *words], cwd=tree))
    status = Command([*argv, "status"], cwd=tree)

    def second(_: int) -> Run:
        session.run(status)
        return session.timed(status, tree)

    return second


def _figures(series: Series) -> list[list[str]]:
    """The times that the project set itself."""
    if "floe" not in series.runs:
        return []
    rows = [["second push, one file of 50,000", "≤ 150 ms", seconds(series.wall("floe").median)]]
    status = series.ratio("floe", GIT)
    if status:
        rows.append(["second push, time against git status", "≤ 1.0×", ratio(status)])
    restic = series.ratio("restic", "floe")
    if restic:
        rows.append(["second push, speed against restic", "≥ 15×", ratio(restic)])
    return rows


def _opened(session: Session, editor: Editor, pushes: Pushes) -> list[str]:
    """How many files of the tree Floe opens for one change."""
    if not session.floe:
        return []
    changed = editor.edit()
    seen = touched(session, pushes.next(session.floe), pushes.tree)
    if seen is None:
        return ["Files opened: not counted, strace is missing."]
    others = sorted(set(seen.opened) - {str(changed)})
    beside = sum(Path(path).parent == changed.parent for path in others)
    return [
        f"strace of one such push: {len(seen.opened)} files of the tree opened, {len(set(seen.opened))} of them different: "
        f"{'' if str(changed) in seen.opened else 'NOT '}the changed one and {len(others)} others, {beside} in its directory."
    ]


def _small_changes(session: Session, editor: Editor, pushes: Pushes, section: Section) -> Table:
    """Bytes put by twenty different files changed in place, and twenty saved by rename."""
    table = Table(["", "in place, median", "95th percentile", "by rename, median", "95th percentile"])
    table.title = f"Bytes put by a push of one changed file, {CHANGES} different files each"
    spreads: dict[str, list[Spread]] = {tool.name: [] for tool in pushes.tools if tool.compresses}
    for by_rename in (False, True):
        say(f"{CHANGES} changes {'by rename' if by_rename else 'in place'}")
        for put in pushes.put.values():
            put.clear()
        for _ in range(CHANGES):
            editor.edit(by_rename=by_rename)
            for tool in pushes.tools:
                if tool.compresses:
                    pushes.push(tool, timed=False)
        for name, found in spreads.items():
            found.append(Spread.of(pushes.put[name]))
    for name, found in spreads.items():
        table.add(name, *(size(value) for one in found for value in (one.median, one.p95)))
    if "floe" in spreads:
        place, rename = spreads["floe"]
        for label, found, bound in (("in place", place, "48 / 80 KiB"), ("by rename", rename, "64 / 96 KiB")):
            measured = f"{found.median / 1024:.0f} / {found.p95 / 1024:.0f} KiB"
            section.figures.append([f"bytes put, one file changed {label}, median / p95", f"≤ {bound}", measured])
    return table
