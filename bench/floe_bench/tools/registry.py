"""Which tools there are, and which of them this machine has."""

from __future__ import annotations

from ..measure import BenchError
from .backup import Borg, Casync, Restic, Rustic
from .base import Tool
from .floe import Floe
from .plain import Rclone, Rsync, TarZstd

KINDS: tuple[type[Tool], ...] = (Floe, TarZstd, Restic, Rustic, Borg, Casync, Rclone, Rsync)


def find_tools(given: dict[str, str], wanted: list[str] | None, *, floe: bool) -> tuple[list[Tool], list[str]]:
    """The tools to measure, and the names of peers that are missing; a missing `floe` is an error."""
    tools: list[Tool] = []
    missing: list[str] = []
    names = {kind.name.replace(" | ", "-") for kind in KINDS}
    unknown = sorted(set(wanted or []) - names)
    if unknown:
        raise BenchError(f"unknown tools {', '.join(unknown)}; there are {', '.join(sorted(names))}")
    for kind in KINDS:
        if wanted and kind.name.replace(" | ", "-") not in wanted:
            continue
        if kind is Floe and not floe:
            continue
        tool = kind(given)
        if not tool.missing:
            tools.append(tool)
        elif kind is Floe:
            raise BenchError(
                "no floe binary: build it (cargo build --release), name it with --floe PATH, "
                "or measure the peers alone with --no-floe"
            )
        else:
            missing.append(kind.name)
    if not tools:
        raise BenchError("none of the wanted tools is on this machine")
    return tools, missing
