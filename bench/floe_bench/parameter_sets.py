"""Sets of cutting parameters, and namespaces made with them (`docs/format.md` §5.3, §10.1)."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from .measure import BenchError

KIB = 1 << 10
NAMESPACE = "default"


@dataclass(frozen=True)
class Parameters:
    """How a tree is cut, in KiB; the defaults are those of format version 1."""

    group_min: int = 32
    group_max: int = 192
    small_max: int = 64
    chunk_min: int = 64
    chunk_avg: int = 256
    chunk_max: int = 1024

    def record(self) -> dict[str, int]:
        """The object that `format.json` holds them in."""
        return {f"{name}_bytes": value * KIB for name, value in vars(self).items()}


SETS = {
    "present": Parameters(),
    "group 16": Parameters(group_min=16, group_max=96),
    "group 64": Parameters(group_min=64, group_max=384),
    "max 4×": Parameters(group_max=128),
    "max 8×": Parameters(group_max=256),
    "small 32": Parameters(small_max=32),
    "small 128": Parameters(small_max=128),
    "chunk 128": Parameters(chunk_min=32, chunk_avg=128, chunk_max=512),
}


def make_namespace(store: Path, parameters: Parameters) -> None:
    """Makes an empty namespace that cuts with `parameters`, in a store that is a local directory."""
    directory = store / NAMESPACE
    token = os.urandom(16).hex()
    state = {"format": 1, "token": token, "generation": 0, "condemned": {"packs": [], "snapshots": []}}
    space = {
        "format": 1,
        "namespace": os.urandom(16).hex(),
        "created": "2026-01-02T03:04:05Z",
        "features": [],
        "writers": "direct",
        "tree": parameters.record(),
    }
    (directory / "gc").mkdir(parents=True)
    (directory / "gc" / "state").write_bytes(sealed(state))
    (directory / "format.json").write_bytes(sealed(space))


def sealed(record: dict[str, object]) -> bytes:
    """The record as a JSON object whose first line is the sum of what follows that line."""
    try:
        from blake3 import blake3
    except ImportError:
        raise BenchError("a namespace cannot be made without the Python package blake3: pip install blake3") from None
    rest = json.dumps(record, indent=2).removeprefix("{\n").encode() + b"\n"
    total = blake3(rest).hexdigest(length=16)
    return f'{{"sum":"{total}",\n'.encode() + rest
