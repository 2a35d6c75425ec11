"""What was measured, kept as JSON and shown as Markdown."""

from __future__ import annotations

import datetime
import json
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .measure import Spread


@dataclass
class Table:
    """Rows of text below headings."""

    headings: list[str]
    rows: list[list[str]] = field(default_factory=list)
    title: str = ""

    def add(self, *cells: object) -> None:
        """Appends a row; `None` becomes a dash."""
        self.rows.append(["–" if cell is None else str(cell) for cell in cells])

    def markdown(self) -> list[str]:
        """The table's lines; every column but the first is set to the right."""
        lines = [f"**{self.title}**", ""] if self.title else []
        lines.append("| " + " | ".join(map(_cell, self.headings)) + " |")
        lines.append("|" + "|".join(["---"] + ["---:"] * (len(self.headings) - 1)) + "|")
        lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in self.rows]
        return lines


@dataclass
class Section:
    """One scenario's outcome."""

    scenario: str
    title: str
    notes: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figures: list[list[str]] = field(default_factory=list)
    """Figures of the project to reach: what, bound, measured."""
    date: str = ""
    command: str = ""
    tools: dict[str, str] = field(default_factory=dict)
    rounds: int = 0
    commit: str = ""
    """Of the checkout that the benchmark was run from."""


def save(sections: dict[str, Section], kept: Path) -> None:
    """Writes the sections where `load` finds them."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps({name: asdict(section) for name, section in sections.items()}, indent=1))


def load(kept: Path) -> dict[str, Section]:
    """The sections of earlier runs, by scenario."""
    if not kept.is_file():
        return {}
    loaded = {}
    for name, fields in json.loads(kept.read_text()).items():
        fields["tables"] = [Table(**table) for table in fields["tables"]]
        loaded[name] = Section(**fields)
    return loaded


def markdown(sections: dict[str, Section], order: list[str], legend: Table) -> str:
    """The whole page."""
    present = [sections[name] for name in order if name in sections]
    lines = [
        "# Results",
        "",
        "Written by `bench/run.py`; do not edit. Where there were rounds: medians of interleaved ones, the first dropped. "
        "Every exit code is checked, every pulled tree compared with its source. A ratio is the median of the ratios within each round, with "
        "the smallest and the largest. Peak memory is the biggest single process.",
        "",
        f"Machine: {machine()}.",
        "",
        *legend.markdown(),
        "",
    ]
    figures = Table(["figure", "bound", "measured"])
    for section in present:
        figures.rows += section.figures
    if figures.rows:
        lines += ["## Figures to reach", "", *figures.markdown(), ""]
    for section in present:
        versions = ", ".join(f"{name} {version}" for name, version in section.tools.items())
        lines += [f"## {section.title}", ""]
        for note in section.notes:
            lines += [note, ""]
        for table in section.tables:
            lines += [*table.markdown(), ""]
        rounds = "one run each" if section.rounds == 1 else f"{section.rounds} rounds"
        checkout = f" in the checkout {section.commit}" if section.commit else ""
        lines += [f"{section.date}, {rounds}: {versions}. Made by `{section.command}`{checkout}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def machine() -> str:
    """Processor, cores, memory and kernel in one line."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, Linux {platform.release().partition('-')[0]}"


def today() -> str:
    """The date of a measurement."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def seconds(value: float) -> str:
    """A time with the digits that mean something."""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def size(value: float | None) -> str | None:
    """Bytes in decimal units."""
    if value is None:
        return None
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if value >= factor:
            return f"{value / factor:.{2 if value < 10 * factor else 1}f} {unit}"
    return f"{value:.0f} B"


def spread(values: Spread) -> str:
    """Smallest and largest time."""
    return f"{seconds(values.low)} – {seconds(values.high)}"


def ratio(values: Spread) -> str:
    """A ratio with its range."""
    return f"{values.median:.2f}× ({values.low:.2f}–{values.high:.2f})"
