"""Changes one line of one file, the way people and programs do."""

from __future__ import annotations

import os
import random
from pathlib import Path


def editable_files(tree: Path) -> list[Path]:
    """Every regular file below with at least one line, in a fixed order."""
    found = [Path(here) / name for here, _, names in os.walk(tree) for name in names]
    return sorted(path for path in found if not path.is_symlink() and path.stat().st_size > 80)


class Editor:
    """Picks files of a tree in a seeded order, none twice until all were used, and changes a line in each."""

    def __init__(self, tree: Path, seed: int) -> None:
        self._rng = random.Random(seed)
        self._files = editable_files(tree)
        self._rng.shuffle(self._files)
        self._next = 0

    def edit(self, *, by_rename: bool = False) -> Path:
        """Changes one line near the middle of the next file, in place or by a new file renamed over it."""
        path = self._files[self._next % len(self._files)]
        self._next += 1
        lines = path.read_bytes().splitlines(keepends=True)
        middle = len(lines) // 2
        mark = f"changed {self._next} {self._rng.getrandbits(48):x}\n"
        lines[middle] = lines[middle].rstrip(b"\r\n") + mark.encode()
        content = b"".join(lines)
        if by_rename:
            fresh = path.with_name(f".{path.name}.new")
            fresh.write_bytes(content)
            os.chmod(fresh, path.stat().st_mode & 0o7777)
            os.replace(fresh, path)
        else:
            with open(path, "r+b") as file:
                file.write(content)
                file.truncate()
        return path
