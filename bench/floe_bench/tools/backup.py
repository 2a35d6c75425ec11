"""Peers that deduplicate: restic, rustic, borg, casync."""

from __future__ import annotations

from pathlib import Path

from ..measure import Command
from .base import Place, Tool

PASSWORD = "bench"


class Restic(Tool):
    """restic on a local repository; it always encrypts."""

    name = "restic"
    programs = ("restic",)
    version_argv = ("version",)
    fsyncs = "packs, indexes, snapshots"
    settings = "compression auto, no scan ahead"

    def environment(self, place: Place) -> dict[str, str]:
        """Settings that keep a run to its own repository and cache."""
        return {
            "RESTIC_REPOSITORY": str(place.data),
            "RESTIC_PASSWORD": PASSWORD,
            "RESTIC_CACHE_DIR": str(place.cache),
            "RESTIC_PROGRESS_FPS": "0.01",
        }

    def prepare(self, place: Place) -> list[Command]:
        return [Command([self.program, "init", "-q"], env=self.environment(place))]

    def push(self, tree: Path, place: Place, name: str, generation: int) -> Command:
        argv = [self.program, "backup", "-q", "--no-scan", "--tag", name, "."]
        return Command(argv, cwd=tree, env=self.environment(place))

    def pull(self, place: Place, name: str, generation: int, destination: Path) -> Command:
        return self.restore(place, name, destination, "always")

    def restore(self, place: Place, name: str, destination: Path, overwrite: str) -> Command:
        """Restores over what is there; `overwrite` says how an existing file is judged."""
        argv = [self.program, "restore", "-q", "latest", "--tag", name, "--target", str(destination)]
        return Command([*argv, "--overwrite", overwrite], env=self.environment(place))


class Rustic(Tool):
    """rustic, restic's format in Rust; it always encrypts."""

    name = "rustic"
    programs = ("rustic",)
    fsyncs = "packs, indexes, snapshots"
    settings = "default level, no scan ahead"

    def environment(self, place: Place) -> dict[str, str]:
        """Settings that keep a run to its own repository, cache and (absent) configuration."""
        return {
            "RUSTIC_REPOSITORY": str(place.data),
            "RUSTIC_PASSWORD": PASSWORD,
            "RUSTIC_CACHE_DIR": str(place.cache),
            "RUSTIC_NO_PROGRESS": "true",
            "RUSTIC_LOG_LEVEL": "warn",
            "XDG_CONFIG_HOME": str(place.cache),
            "HOME": str(place.cache),
        }

    def prepare(self, place: Place) -> list[Command]:
        return [Command([self.program, "init"], env=self.environment(place))]

    def push(self, tree: Path, place: Place, name: str, generation: int) -> Command:
        argv = [self.program, "backup", "--no-scan", "--label", name, "."]
        return Command(argv, cwd=tree, env=self.environment(place))

    def pull(self, place: Place, name: str, generation: int, destination: Path) -> Command:
        argv = [self.program, "restore", "--filter-label", name, "latest", str(destination)]
        return Command(argv, env=self.environment(place))


class Borg(Tool):
    """borg without encryption, at the level the comparison names."""

    name = "borg"
    programs = ("borg",)
    fsyncs = "segments"
    settings = "zstd,3, no encryption"

    def environment(self, place: Place) -> dict[str, str]:
        """Settings that keep a run to its own repository and cache, and its questions away."""
        return {
            "BORG_REPO": str(place.data),
            "BORG_BASE_DIR": str(place.cache),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }

    def prepare(self, place: Place) -> list[Command]:
        return [Command([self.program, "init", "-e", "none"], env=self.environment(place))]

    def push(self, tree: Path, place: Place, name: str, generation: int) -> Command:
        argv = [self.program, "create", "--compression", "zstd,3", f"::{name}-{generation}", "."]
        return Command(argv, cwd=tree, env=self.environment(place))

    def pull(self, place: Place, name: str, generation: int, destination: Path) -> Command:
        argv = [self.program, "extract", f"::{name}-{generation}"]
        return Command(argv, cwd=destination, env=self.environment(place))


class Casync(Tool):
    """casync with its default chunks, zstd."""

    name = "casync"
    programs = ("casync",)
    fsyncs = "nothing"
    settings = "zstd, encoder cache"

    def index(self, place: Place, name: str, generation: int) -> Path:
        """The file that names one generation."""
        return place.data / f"{name}-{generation}.caidx"

    def push(self, tree: Path, place: Place, name: str, generation: int) -> Command:
        index = self.index(place, name, generation)
        argv = [self.program, "make", "--compression=zstd", f"--store={place.data / 'default.castr'}"]
        argv += [f"--cache={place.cache}", str(index), str(tree)]
        return Command(argv, env={"HOME": str(place.cache)})

    def pull(self, place: Place, name: str, generation: int, destination: Path) -> Command:
        index = self.index(place, name, generation)
        argv = [self.program, "extract", f"--store={place.data / 'default.castr'}", str(index), str(destination)]
        return Command(argv, env={"HOME": str(place.cache)})
