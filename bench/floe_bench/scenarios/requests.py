"""What a push and a listing ask of an object store, as the tests of this checkout count it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ..measure import BenchError, Command
from ..report import Section, Table
from ..session import Session, say

REPOSITORY = Path(__file__).resolve().parents[3]
TEST = "remote_trees::requests::"
LINE = re.compile(r"^(?:test .* \.\.\. )?requests of (?P<what>.+): (?P<count>\d+), (?P<steps>\d+) in series$", re.MULTILINE)
BOUNDS = {"a push of one changed file, caches warm": (12, 7)}


def measure(session: Session) -> Section:
    """Runs those tests, which fail where a request more is made, and shows what they say."""
    section = Section("requests", "Requests to an object store", rounds=1)
    section.notes.append(
        f"2,000 files in 50 directories, by the tests `{TEST}*`: each request that the engine makes of its store, of which S3 gets "
        "one each; in series are those that wait for the one before."
    )
    cargo = shutil.which("cargo")
    if not cargo:
        section.notes.append("Skipped: there is no cargo.")
        return section
    say("requests: tests")
    argv = [cargo, "test", "--locked", "-p", "floe-core", "--test", "it", "--", TEST, "--nocapture", "--test-threads=1"]
    found = read(session.run(Command(argv, cwd=REPOSITORY)).stdout)
    table = Table(["", "requests", "in series"])
    for what, count, steps in found:
        table.add(what, count, steps)
        if what in BOUNDS:
            most, longest = BOUNDS[what]
            bound, measured = f"≤ {most}, {longest} in series", f"{count}, {steps}"
            section.figures.append([f"requests of {what}", bound, measured])
    section.tables.append(table)
    return section


def read(printed: str) -> list[tuple[str, int, int]]:
    """What the tests say: of what, how many requests, how many of them in series."""
    found = [(line["what"], int(line["count"]), int(line["steps"])) for line in LINE.finditer(printed)]
    missing = [what for what in BOUNDS if what not in {told for told, _, _ in found}]
    if missing:
        raise BenchError(f"the tests say nothing of {', '.join(missing)}")
    return found
