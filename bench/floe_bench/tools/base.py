"""The shape every measured tool takes."""

from __future__ import annotations

import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from ..measure import Command
from ..trees import Keeps

DOTTED = re.compile(r"\d+(?:\.\d+)+[-+\w.]*")
NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Place:
    """Where a tool keeps one store: what counts as stored, and beside it caches and settings that do not."""

    root: Path

    @property
    def data(self) -> Path:
        """What the tool stores; weighed for the tables."""
        return self.root / "data"

    @property
    def cache(self) -> Path:
        """What the tool remembers about stores and sources; not weighed."""
        return self.root / "cache"

    def make(self) -> Place:
        """Creates both directories."""
        self.data.mkdir(parents=True)
        self.cache.mkdir()
        return self


class Tool(ABC):
    """One program that stores a directory and brings it back. Commands are made here, run and timed elsewhere."""

    name: str
    programs: tuple[str, ...]
    version_argv: tuple[str, ...] = ("--version",)
    fsyncs: str
    settings: str
    keeps = Keeps()
    incremental = True
    """Whether a second push moves less than a first one."""
    compresses = True
    """Whether its sizes belong into a table of sizes."""
    makes_destination = False
    """Whether a pull wants its destination absent."""

    def __init__(self, given: dict[str, str]) -> None:
        self.paths = {name: given.get(name) or shutil.which(name) for name in self.programs}

    @property
    def missing(self) -> str | None:
        """The first program that is not on this machine."""
        return next((name for name, path in self.paths.items() if not path), None)

    @property
    def program(self) -> str:
        """The path of the tool's own program."""
        return str(self.paths[self.programs[0]])

    def version(self) -> str:
        """What the program says of itself."""
        answer = subprocess.run([self.program, *self.version_argv], capture_output=True, text=True, check=True)
        line = (answer.stdout or answer.stderr).strip().splitlines()[0]
        found = DOTTED.search(line) or NUMBER.search(line)
        return found[0] if found else line

    def smallest(self, tree: Path, place: Place, name: str, generation: int) -> Command:
        """A push of which only the stored size counts, and no time."""
        return self.push(tree, place, name, generation)

    def prepare(self, place: Place) -> list[Command]:
        """What has to be done once, untimed, before the first push into `place`."""
        return []

    @abstractmethod
    def push(self, tree: Path, place: Place, name: str, generation: int) -> Command:
        """Stores `tree` as the given generation (from 1) of `name`."""

    @abstractmethod
    def pull(self, place: Place, name: str, generation: int, destination: Path) -> Command:
        """Brings that generation, the newest, back into `destination`."""
