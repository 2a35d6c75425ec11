"""A million small files: second push, pull to tmpfs, and one directory listed with nothing cached."""

from __future__ import annotations

import shutil
from dataclasses import replace

from ..corpora import million_tree
from ..edits import Editor
from ..measure import Run
from ..report import Section, Table, ratio, seconds, size
from ..rounds import Series, in_turn
from ..session import Session, remove, say
from ..tools.floe import told
from ..tracing import touched
from ..trees import weigh
from . import columns
from .pull import UNTAR, timed_pulls
from .second_push import GIT, Pushes, timed_second_pushes

DIRECTORY = "p01/s01"
MIB = 1 << 20


def measure(session: Session) -> Section:
    """Measures Floe, restic and the tar line; the others take too long to be run several times."""
    section = Section("million", "1,000,000 files of 1–4 KB")
    tree = million_tree(session.work, session.scale)
    tools = session.named("floe", UNTAR, "restic") or session.tools[:1]
    weight = weigh(tree)
    section.notes.append(f"{weight.files:,} files, {size(weight.size_bytes)}.")
    peaks: list[int] = []

    say("million: first push")

    stored: dict[str, object] = {}

    def first(tool, _: int) -> Run:
        place = session.prepared(tool)
        pushed = session.timed(tool.push(tree, place, "bench", 1), tree)
        stored[tool.name] = size(weigh(place.data).size_bytes)
        # A gigabyte each: many rounds of them would fill the disk.
        remove(place.root)
        return pushed

    series = in_turn(session, tools, first)
    section.tables.append(series.table("First push", tools[0].name, {"stored": stored} | columns.requests(series)))
    peaks += [series.peak("floe")] if session.floe else []

    say("million: second push")
    copy = session.copy_of(tree)
    pushes = Pushes(session, copy, tools)
    listings = Listings(session, pushes, section)
    listings.look("after one push")
    if pushes.tools or shutil.which("git"):
        series = timed_second_pushes(session, copy, Editor(copy, seed=31), pushes)
        moved = columns.bytes_put(pushes.put) | columns.requests(series)
        section.tables.append(series.table("Second push, one line of one file changed", next(iter(series.runs)), moved))
        against = series.ratio("floe", GIT)
        if session.floe and against:
            section.figures.append(["second push, 1,000,000 files", "≤ 2 s", seconds(series.wall("floe").median)])
            section.figures.append(["second push, 1,000,000 files, time against git status", "≤ 1.0×", ratio(against)])
            peaks.append(series.peak("floe"))

    listings.look(f"after {session.rounds + 1} more")
    section.tables += listings.tables()

    if session.tmpfs:
        say("million: pull")
        series = timed_pulls(session, tree, session.named("floe", UNTAR), on_tmpfs=True)
        section.tables.append(series.table("Pull to tmpfs", next(iter(series.runs)), columns.bytes_read(series)))
        against = series.ratio("floe", UNTAR)
        if against:
            section.figures.append(["pull, 1,000,000 files, tmpfs, time against untar", "≤ 0.6×", ratio(against)])
            peaks.append(series.peak("floe"))
    if peaks:
        section.figures.append(["peak memory, 1,000,000 files", "≤ 400 MiB", f"{max(peaks) / MIB:.0f} MiB"])
    return section


class Listings:
    """`ls` of one directory of the snapshot with a new cache: time, requests, bytes read. Pushes between may spread what it reads
    over another pack."""

    def __init__(self, session: Session, pushes: Pushes, section: Section) -> None:
        self.session = session
        self.pushes = pushes
        self.section = section
        self.runs: dict[str, list[Run]] = {}
        headings = ("requests, as told", "bytes read, as told", "objects opened, by strace", "bytes read, by strace")
        self.more: dict[str, dict[str, object]] = {heading: {} for heading in headings}

    def look(self, when: str) -> None:
        """Measures the store as it is now."""
        if not self.session.floe:
            return
        place = self.pushes.places["floe"]
        command = self.session.floe.list_directory(place, "bench", DIRECTORY)

        def cold():
            return replace(command, env={**command.env, "FLOE_CACHE_DIR": str(self.session.scratch())})

        series = in_turn(
            self.session,
            [],
            lambda tool, _: self.session.run(command),
            extra={when: lambda _: self.session.timed(cold())},
        )
        self.runs |= series.runs
        last = series.runs[when][-1].stdout
        requests, read = told(last, "request_count"), told(last, "store_read_bytes")
        seen = touched(self.session, cold(), place.data)
        opened = len(seen.opened) if seen else None
        cells = (requests, size(read), opened, size(seen.read_bytes) if seen else None)
        for heading, cell in zip(self.more, cells, strict=True):
            self.more[heading][when] = cell
        counted = requests if requests is not None else opened
        moved = read if read is not None else seen.read_bytes if seen else None
        if counted is not None and moved is not None:
            figure = f"ls of one directory, cold, 1,000,000 files, {when}"
            self.section.figures.append([figure, "≤ 4 requests, 2 MiB", f"{counted}, {moved / MIB:.2f} MiB"])

    def tables(self) -> list[Table]:
        """What was measured."""
        if not self.runs:
            return []
        series = Series(self.runs)
        return [series.table(f"ls of one directory (`{DIRECTORY}`), nothing cached", next(iter(self.runs)), self.more)]
