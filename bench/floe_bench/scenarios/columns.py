"""Columns that several scenarios add to their tables, by heading and contender: what was moved."""

from __future__ import annotations

from ..measure import Spread
from ..report import size
from ..rounds import Series
from ..tools.floe import told

Columns = dict[str, dict[str, object]]


def requests(series: Series) -> Columns:
    """The requests of Floe's last run."""
    return {"requests": {"floe": told(_last(series), "request_count")}} if "floe" in series.runs else {}


def bytes_read(series: Series) -> Columns:
    """The requests of Floe's last run, and what they read."""
    read = {"bytes read of the store": {"floe": size(told(_last(series), "store_read_bytes"))}} if "floe" in series.runs else {}
    return requests(series) | read


def bytes_put(put: dict[str, list[int]]) -> Columns:
    """What each push put there, in the median of those that count."""
    return {"bytes put, median": {name: size(Spread.of(values[1:]).median) for name, values in put.items()}}


def _last(series: Series) -> str:
    return series.runs["floe"][-1].stdout
