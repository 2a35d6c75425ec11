"""Floe itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..measure import Command
from .base import Place, Tool


class Floe(Tool):
    """`floe push` and `floe pull` on a local store."""

    name = "floe"
    programs = ("floe",)
    fsyncs = "packs, snapshot, ref"
    settings = "default level: that of zstd -3, and a longer search where a frame repeats itself"
    makes_destination = True

    def __init__(self, given: dict[str, str], *, reproducible: bool = False) -> None:
        super().__init__(given)
        self.reproducible = reproducible

    def environment(self, place: Place) -> dict[str, str]:
        """Settings that keep a run to its own store and cache."""
        config = place.cache / "config"
        return {
            "FLOE_STORE": place.data.as_uri(),
            "FLOE_CACHE_DIR": str(place.cache / "floe"),
            "XDG_CONFIG_HOME": str(config),
        }

    def push(self, tree: Path, place: Place, name: str, generation: int) -> Command:
        argv = [self.program, "push", str(tree), name, "--json"]
        if self.reproducible:
            argv.append("--reproducible")
        return Command(argv, env=self.environment(place))

    def pull(self, place: Place, name: str, generation: int, destination: Path) -> Command:
        return Command([self.program, "pull", name, str(destination), "--json"], env=self.environment(place))

    def list_directory(self, place: Place, name: str, path: str) -> Command:
        """One directory of the newest generation."""
        return Command([self.program, "ls", f"{name}:{path}", "--json"], env=self.environment(place))


def told(stdout: str, key: str) -> int | None:
    """The number that a `--json` report gives for `key` wherever it stands; a table of numbers is added up."""
    try:
        report = json.loads(stdout)
    except ValueError:
        return None
    return _find(report, key)


def _find(value: Any, key: str) -> int | None:
    """Looks for `key` in nested objects, outermost first."""
    if not isinstance(value, dict):
        return None
    if key in value:
        return _sum(value[key])
    for inner in value.values():
        found = _find(inner, key)
        if found is not None:
            return found
    return None


def _sum(value: Any) -> int | None:
    """A number as it is, the sum of an object's numbers."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, dict):
        return sum(number for number in map(_sum, value.values()) if number is not None)
    return None
