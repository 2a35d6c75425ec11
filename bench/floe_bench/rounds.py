"""Several tools measured in turn, and compared round by round."""

from __future__ import annotations

from collections.abc import Callable

from .measure import Run, Spread
from .report import Table, ratio, seconds, size, spread
from .session import Session, say
from .tools.base import Tool


class Series:
    """The counted runs of several contenders, one of each per round."""

    def __init__(self, runs: dict[str, list[Run]]) -> None:
        self.runs = runs

    def wall(self, name: str) -> Spread:
        """Wall seconds of one contender."""
        return Spread.of([run.wall for run in self.runs[name]])

    def ratio(self, name: str, against: str) -> Spread | None:
        """Wall time of `name` as a multiple of another's in the same round; nothing when one was not measured."""
        if name not in self.runs or against not in self.runs:
            return None
        pairs = zip(self.runs[name], self.runs[against], strict=True)
        return Spread.of([one.wall / two.wall for one, two in pairs])

    def peak(self, name: str) -> int:
        """The highest peak memory of one contender."""
        return max(run.peak_bytes for run in self.runs[name])

    def table(self, title: str, baseline: str, more: dict[str, dict[str, object]] | None = None) -> Table:
        """Medians, spreads, ratios and memory; `more` adds columns, by heading and contender."""
        more = more or {}
        table = Table(["", "median", "min – max", f"time against {baseline}", "user + sys", "peak memory", *more], title=title)
        for name, runs in self.runs.items():
            wall = self.wall(name)
            against = self.ratio(name, baseline)
            cpu = Spread.of([run.cpu for run in runs]).median
            cells = [seconds(wall.median), spread(wall), ratio(against) if against else None, seconds(cpu), size(self.peak(name))]
            table.add(name, *cells, *(column.get(name) for column in more.values()))
        return table


def in_turn(
    session: Session,
    tools: list[Tool],
    one: Callable[[Tool, int], Run],
    before: Callable[[int], None] = lambda _: None,
    extra: dict[str, Callable[[int], Run]] | None = None,
) -> Series:
    """Calls `one` for each tool, and each of `extra`, in every round; who begins changes, round 0 is dropped.

    `before` is called once a round, ahead of all.
    """
    contenders: dict[str, Callable[[int], Run]] = {}
    for tool in tools:
        contenders[tool.name] = lambda number, tool=tool: one(tool, number)
    contenders |= extra or {}
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(session.rounds + 1):
        before(number)
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            measured = contenders[name](number)
            say(f"  round {number}: {name} {measured.wall:.3f} s")
            if number:
                runs[name].append(measured)
    return Series(runs)
