"""What a program touches, seen from outside with strace: an independent count beside a tool's own."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from .measure import Command
from .session import Session

OPENED = re.compile(rb"\bopen(?:at2?)?\(.*= \d+<(.+)>$")
READ = re.compile(rb"\b(?:read|pread64|readv|preadv2?)\(\d+<(.+?)>,.*= (\d+)$")


@dataclass(frozen=True)
class Touched:
    """Files opened below a directory (as often as they were), and bytes read from them."""

    opened: list[str]
    read_bytes: int


def touched(session: Session, command: Command, below: Path) -> Touched | None:
    """Runs `command` under strace; nothing when there is no strace here."""
    strace = shutil.which("strace")
    if not strace:
        return None
    log = session.scratch()
    traced = "trace=open,openat,openat2,read,pread64,readv,preadv,preadv2"
    # A file for each thread: in one, a call that another thread comes in between is on two lines.
    argv = [strace, "-ff", "-qq", "-y", "-s", "0", "-e", traced, "-o", str(log), *command.argv]
    session.run(replace(command, argv=argv))
    prefix = os.fsencode(below) + b"/"
    opened: list[str] = []
    read = 0
    lines = (line for part in log.parent.glob(f"{log.name}.*") for line in part.read_bytes().splitlines())
    for line in lines:
        match = OPENED.search(line)
        if match and match[1].startswith(prefix) and not os.path.isdir(match[1]):
            opened.append(os.fsdecode(match[1]))
        match = READ.search(line)
        if match and match[1].startswith(prefix):
            read += int(match[2])
    return Touched(opened, read)
