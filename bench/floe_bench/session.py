"""One run of the benchmark: its settings, its directories, its tools."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from . import measure, trees
from .measure import BenchError, Command, Run
from .tools.base import Place, Tool
from .tools.floe import Floe

SCRATCH = "floe-bench-"


@dataclass
class Session:
    """Everything a scenario needs. Scratch directories are new for each use and removed when the session ends."""

    tools: list[Tool]
    missing: list[str]
    given: dict[str, str]
    work: Path
    tmpfs: Path | None
    rounds: int
    timeout: float
    scale: float
    extras: dict[str, Path] = field(default_factory=dict)
    sequences: dict[str, Path] = field(default_factory=dict)
    siblings: dict[str, Path] = field(default_factory=dict)
    repositories: list[Path] = field(default_factory=list)
    frozen: dict[Path, Path] = field(default_factory=dict)
    _made: int = 0
    _roots: list[Path] = field(default_factory=list)

    def __enter__(self) -> Session:
        bases = [self.work / "scratch", *([self.tmpfs] if self.tmpfs else [])]
        for base in bases:
            forget_dead(base)
            root = base / f"{SCRATCH}{os.getpid()}"
            root.mkdir(parents=True)
            self._roots.append(root)
        return self

    def __exit__(self, *_: object) -> None:
        for root in self._roots:
            remove(root)

    def scratch(self, *, on_tmpfs: bool = False) -> Path:
        """A path that nothing has used, in a parent of its own; not created."""
        if on_tmpfs and not self.tmpfs:
            raise BenchError("no tmpfs: name one with --tmpfs")
        self._made += 1
        parent = self._roots[1 if on_tmpfs else 0] / f"{self._made:05}"
        parent.mkdir()
        return parent / "it"

    def place(self) -> Place:
        """A new, empty place for a store."""
        return Place(self.scratch()).make()

    def copy_of(self, tree: Path) -> Path:
        """A copy of `tree` that may be changed."""
        target = self.scratch()
        subprocess.run(["cp", "-a", str(tree), str(target)], check=True)
        return target

    def run(self, command: Command) -> Run:
        """Runs one command and measures it."""
        return measure.run(command, self._roots[0] / "logs", self.timeout)

    def timed(self, command: Command, *read: Path) -> Run:
        """Runs one command after writing back what is dirty, reading its input again and touching memory."""
        os.sync()
        measure.read_again(*read)
        measure.touch_memory()
        return self.run(command)

    def prepared(self, tool: Tool) -> Place:
        """A place in which `tool` can push."""
        place = self.place()
        for command in tool.prepare(place):
            self.run(command)
        return place

    def destination(self, tool: Tool, *, on_tmpfs: bool = False) -> Path:
        """Where `tool` may pull to: an empty directory, or none yet."""
        target = self.scratch(on_tmpfs=on_tmpfs)
        if not tool.makes_destination:
            target.mkdir()
        return target

    def named(self, *names: str) -> list[Tool]:
        """Those of the session's tools that are among `names`, in their order."""
        return [tool for tool in self.tools if tool.name in names]

    @property
    def floe(self) -> Floe | None:
        """Floe, unless only peers are measured."""
        return next((tool for tool in self.tools if isinstance(tool, Floe)), None)

    @property
    def baseline(self) -> Tool:
        """What the ratios of a table are against: Floe, or without it the first tool."""
        return self.tools[0]


def check(expected: Path, actual: Path, tool: Tool) -> None:
    """Raises unless the pulled tree is the pushed one."""
    found = trees.differences(expected, actual, tool.keeps)
    if found:
        raise BenchError(f"{tool.name} brought back another tree: " + "; ".join(found))


def forget_dead(base: Path) -> None:
    """Removes what a killed run of the benchmark left below `base`."""
    for left in base.glob(f"{SCRATCH}*"):
        owner = left.name.removeprefix(SCRATCH)
        if owner.isdigit() and not Path("/proc", owner).exists():
            remove(left)


def remove(directory: Path) -> None:
    """Deletes a tree, read-only directories in it too."""
    subprocess.run(["rm", "-rf", "--", str(directory)], check=True)


def say(text: str) -> None:
    """Tells whoever waits what is being done."""
    print(text, file=sys.stderr, flush=True)
