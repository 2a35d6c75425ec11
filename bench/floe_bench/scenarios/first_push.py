"""A first push into an empty store."""

from __future__ import annotations

from ..measure import Run
from ..report import Section, ratio, size
from ..rounds import Series, in_turn
from ..session import Session, say
from ..tools.base import Place, Tool
from ..trees import weigh
from . import columns
from .sources import TEXT, timed_sources


def measure(session: Session) -> Section:
    """Times a first push of each source and weighs what it stored."""
    section = Section("first-push", "First push")
    for label, tree in timed_sources(session).items():
        say(f"first push, {label}")
        places: dict[str, Place] = {}

        def one(tool: Tool, _: int) -> Run:
            places[tool.name] = session.prepared(tool)
            return session.timed(tool.push(tree, places[tool.name], "bench", 1), tree)

        series = in_turn(session, session.tools, one)
        weight = weigh(tree)
        stored = {name: weigh(place.data) for name, place in places.items()}
        more = {
            "stored": {name: size(found.size_bytes) for name, found in stored.items()},
            "objects": {name: f"{found.files:,}" for name, found in stored.items()},
        }
        more |= columns.requests(series)
        title = f"{label}: {weight.files:,} files, {size(weight.size_bytes)}"
        section.tables.append(series.table(title, session.baseline.name, more))
        if label == TEXT:
            section.figures += _figures(series)
    return section


def _figures(series: Series) -> list[list[str]]:
    """The throughputs that the project set itself."""
    bounds = [("restic", "≥ 3.0×"), ("tar | zstd", "≥ 0.95×")]
    pairs = [(name, bound, series.ratio(name, "floe")) for name, bound in bounds]
    return [[f"first push, 50,000 files, throughput against {name}", bound, ratio(pair)] for name, bound, pair in pairs if pair]
