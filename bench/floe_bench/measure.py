"""Runs commands and measures them so that the figures can be compared."""

from __future__ import annotations

import mmap
import os
import signal
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launch.py")
TOUCHED_BYTES = 1 << 30


class BenchError(Exception):
    """Something that makes a figure worthless; the message says what to do."""


@dataclass(frozen=True)
class Command:
    """A program with its arguments, directory and additional environment."""

    argv: list[str]
    cwd: Path | None = None
    env: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def shell(script: str, *arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> Command:
        """A bash script in which any failing part of a pipe fails the whole; `arguments` are `$1`, `$2` and so on."""
        argv = ["bash", "-c", f"set -eo pipefail; {script}", "bench", *map(str, arguments)]
        return Command(argv, cwd, env or {})


@dataclass(frozen=True)
class Run:
    """What one finished, successful command cost, and what it printed."""

    wall: float
    user: float
    sys: float
    peak_bytes: int
    stdout: str

    @property
    def cpu(self) -> float:
        """User and system seconds together."""
        return self.user + self.sys


def run(command: Command, logs: Path, timeout: float) -> Run:
    """Runs `command` and returns its cost; raises `BenchError` when it fails, for a failed program is a fast one."""
    logs.mkdir(parents=True, exist_ok=True)
    out, err = logs / "stdout", logs / "stderr"
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **command.env}
    reader, writer = os.pipe()
    argv = [sys.executable, "-I", "-S", str(LAUNCHER), str(writer), *command.argv]
    with open(out, "wb") as stdout, open(err, "wb") as stderr:
        process = subprocess.Popen(
            argv,
            cwd=command.cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=(writer,),
            start_new_session=True,
        )
        os.close(writer)
        try:
            process.wait(timeout)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(reader)
            if isinstance(error, subprocess.TimeoutExpired):
                raise BenchError(f"{shown(command)} took over {timeout:.0f} s; raise --timeout") from None
            raise
    with os.fdopen(reader) as report:
        words = report.read().split()
    if len(words) != 5 or words[4] != "0":
        code = words[4] if len(words) == 5 else "unknown"
        tail = err.read_bytes()[-2000:].decode(errors="replace").strip()
        raise BenchError(f"{shown(command)} exited with {code}: {tail}")
    wall, user, system = map(float, words[:3])
    return Run(wall, user, system, int(words[3]) * 1024, out.read_text(errors="replace"))


def shown(command: Command) -> str:
    """The command as a person would read it in a message."""
    return " ".join(command.argv)[:300]


def touch_memory() -> None:
    """Touches a GiB and gives it back: memory that was free for a second is many times slower on first touch."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    mmap.mmap(-1, TOUCHED_BYTES, flags=flags).close()


def read_again(*directories: Path) -> None:
    """Reads every file below, so that what runs next finds it in the page cache (some peers throw it out)."""
    for directory in directories:
        command = Command.shell('tar -C "$1" -cf - . | cat >/dev/null', directory)
        subprocess.run(command.argv, check=True)


@dataclass(frozen=True)
class Spread:
    """Minimum, median, maximum and 95th percentile of some figures."""

    low: float
    median: float
    high: float
    p95: float

    @staticmethod
    def of(values: list[float]) -> Spread:
        """The spread of `values`, of which there is at least one."""
        ordered = sorted(values)
        rank = max(0, -(-95 * len(ordered) // 100) - 1)
        return Spread(ordered[0], statistics.median(ordered), ordered[-1], ordered[rank])
