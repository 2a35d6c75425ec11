"""Peers without a store of their own making: tar with zstd, rsync, rclone."""

from __future__ import annotations

from pathlib import Path

from ..measure import Command
from ..trees import Keeps
from .base import Place, Tool


class TarZstd(Tool):
    """`tar | zstd -3`, the line to beat: one stream, nothing shared, nothing to seek in. Two threads cost some bytes; where
    only these count there is one."""

    name = "tar | zstd"
    programs = ("zstd", "tar")
    fsyncs = "the archive"
    settings = "-3 -T2, and -3 where only the stored size counts"
    keeps = Keeps(mtime_unit_ns=1_000_000_000)
    incremental = False

    def archive(self, place: Place, name: str, generation: int) -> Path:
        """The file that is one generation."""
        return place.data / f"{name}-{generation}.tar.zst"

    def push(self, tree: Path, place: Place, name: str, generation: int) -> Command:
        script = '"$4" -C "$1" -cf - . | "$3" -3 -T2 -q -o "$2"; sync "$2"'
        return Command.shell(script, tree, self.archive(place, name, generation), self.program, self.paths["tar"])

    def smallest(self, tree: Path, place: Place, name: str, generation: int) -> Command:
        script = '"$4" -C "$1" -cf - . | "$3" -3 --single-thread -q -o "$2"'
        return Command.shell(script, tree, self.archive(place, name, generation), self.program, self.paths["tar"])

    def pull(self, place: Place, name: str, generation: int, destination: Path) -> Command:
        script = '"$3" -dc -q "$1" | "$4" -C "$2" -xf -'
        return Command.shell(script, self.archive(place, name, generation), destination, self.program, self.paths["tar"])


class TarUnowned(TarZstd):
    """The same where files are not given to whom they belonged, which tar does as root alone, with one more system call a
    file, and Floe on request."""

    name = "tar --no-same-owner"
    settings = "-3 -T2; pulls alone, as root"

    def pull(self, place: Place, name: str, generation: int, destination: Path) -> Command:
        script = '"$3" -dc -q "$1" | "$4" -C "$2" --no-same-owner -xf -'
        return Command.shell(script, self.archive(place, name, generation), destination, self.program, self.paths["tar"])


class Rsync(Tool):
    """rsync to a plain copy: nothing compressed, nothing kept of older generations."""

    name = "rsync"
    programs = ("rsync",)
    fsyncs = "nothing (each file with --fsync: twenty times slower)"
    settings = "-a --delete"
    compresses = False

    def push(self, tree: Path, place: Place, name: str, generation: int) -> Command:
        argv = [self.program, "-a", "--delete", f"{tree}/", f"{place.data / name}/"]
        return Command(argv)

    def pull(self, place: Place, name: str, generation: int, destination: Path) -> Command:
        return Command([self.program, "-a", "--delete", f"{place.data / name}/", f"{destination}/"])

    def pull_by_content(self, place: Place, name: str, destination: Path) -> Command:
        """Compares checksums where the plain pull compares size and mtime."""
        return Command([self.program, "-ac", "--delete", f"{place.data / name}/", f"{destination}/"])


class Rclone(Tool):
    """rclone to a plain copy on the local backend."""

    name = "rclone"
    programs = ("rclone",)
    version_argv = ("version",)
    fsyncs = "nothing"
    settings = "sync -M --links"
    keeps = Keeps(modes=False, directory_mtimes=False)
    compresses = False

    def push(self, tree: Path, place: Place, name: str, generation: int) -> Command:
        return self._sync(tree, place.data / name, place)

    def pull(self, place: Place, name: str, generation: int, destination: Path) -> Command:
        return self._sync(place.data / name, destination, place)

    def _sync(self, source: Path, destination: Path, place: Place) -> Command:
        """One direction of the same command."""
        argv = [self.program, "sync", "-q", "-M", "--links", "--create-empty-src-dirs"]
        argv += ["--config", str(place.cache / "rclone.conf"), f"{source}", f"{destination}"]
        return Command(argv)
