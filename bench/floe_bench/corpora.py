"""The trees that are measured on. Made once from fixed seeds below the work directory, then reused."""

from __future__ import annotations

import math
import os
import random
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from .text import TextMaker

SEED = 20_240_901
EPOCH_NS = 1_600_000_000_000_000_000
"""Where the made modification times begin; they go on in odd nanoseconds, so that a tool that rounds is seen."""

SOURCE_DIRECTORIES = 500
SOURCE_FILES = 50_000
SOURCE_BYTES = 277_000_000
SOURCE_SIGMA = 1.2

MILLION_TOP, MILLION_SUB, MILLION_FILES = 100, 20, 500
POOL_BYTES = 64 << 20


def text_tree(work: Path, scale: float) -> Path:
    """50,000 log-normal text files in 500 directories, 277 MB in all, at scale 1."""

    def fill(target: Path) -> None:
        directories = max(2, round(SOURCE_DIRECTORIES * scale))
        count = directories * (SOURCE_FILES // SOURCE_DIRECTORIES)
        rng = random.Random(f"{SEED}/sizes")
        sizes = [rng.lognormvariate(math.log(2700), SOURCE_SIGMA) for _ in range(count)]
        factor = SOURCE_BYTES * count / SOURCE_FILES / sum(sizes)
        per = count // directories
        jobs = [[max(1, round(size * factor)) for size in sizes[at : at + per]] for at in range(0, count, per)]
        _parallel(_text_directory, [(target, number, job) for number, job in enumerate(jobs)])

    return _made(work, f"text-{_suffix(scale)}", fill)


def million_tree(work: Path, scale: float) -> Path:
    """1,000,000 files of 1 to 4 KB in 2,000 directories, at scale 1."""

    def fill(target: Path) -> None:
        top = max(2, round(MILLION_TOP * scale))
        pool = _pool(work)
        _parallel(_small_directories, [(target, pool, number) for number in range(top)])

    return _made(work, f"million-{_suffix(scale)}", fill)


def mixed_tree(work: Path, size_bytes: int, growth: int = 1) -> Path:
    """Half its bytes in four big files, half in many of 1 to 31 KiB, or `growth` times that; for memory against size."""

    def fill(target: Path) -> None:
        pool = _pool(work)
        big = [(target, pool, f"big/{number}.bin", size_bytes // 8) for number in range(4)]
        _parallel(_big_file, big)
        small = size_bytes // 2 // 64
        _parallel(_mixed_directory, [(target, pool, number, small, growth) for number in range(64)])

    suffix = "" if growth == 1 else f"-by-{growth}"
    return _made(work, f"mixed-{size_bytes >> 20}MiB{suffix}", fill)


def _suffix(scale: float) -> str:
    return "full" if scale == 1 else f"{scale:g}"


def _made(work: Path, name: str, fill) -> Path:
    """The tree called `name`, made by `fill` unless it is there; a half-made one is made anew."""
    target = work / "corpora" / name
    if target.is_dir():
        return target
    fresh = target.with_name(f".{name}.making")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    fill(fresh)
    fresh.rename(target)
    return target


def _parallel(function, jobs: list[tuple]) -> None:
    """Calls `function` with each job's arguments on all cores."""
    with ProcessPoolExecutor(os.cpu_count(), get_context("fork")) as pool:
        for call in [pool.submit(function, *job) for job in jobs]:
            call.result()


_maker: TextMaker | None = None


def _text_maker() -> TextMaker:
    """This process's maker; its vocabulary takes a moment."""
    global _maker
    if _maker is None:
        _maker = TextMaker(SEED)
    return _maker


def _write(path: Path, content: bytes, stamp: int) -> None:
    """Writes a file with a made, odd modification time."""
    path.write_bytes(content)
    when = EPOCH_NS + stamp * 61_000_000_007
    os.utime(path, ns=(when, when))


def _text_directory(target: Path, number: int, sizes: list[int]) -> None:
    here = target / f"module_{number:03}"
    here.mkdir()
    for index, size in enumerate(sizes):
        path = here / f"part_{number:03}_{index:02}.txt"
        _write(path, _text_maker().text(path.name, size), number * len(sizes) + index)
        if index % 50 == 0:
            path.chmod(0o755)


def _pool(work: Path) -> Path:
    """Text to cut small pieces from: far longer than any window of a compressor at level 3."""

    def fill(target: Path) -> None:
        _parallel(_pool_part, [(target, number) for number in range(16)])
        with open(target / "pool", "wb") as pool:
            for number in range(16):
                part = target / f"part{number}"
                pool.write(part.read_bytes())
                part.unlink()

    return _made(work, "pool", fill) / "pool"


def _pool_part(target: Path, number: int) -> None:
    (target / f"part{number}").write_bytes(_text_maker().text(f"pool/{number}", POOL_BYTES // 16))


def _piece(text: bytes, rng: random.Random, size: int) -> bytes:
    """`size` bytes from a random place, so that no two pieces are equal or aligned alike."""
    at = rng.randrange(len(text) - size)
    return text[at : at + size]


def _small_directories(target: Path, pool: Path, number: int) -> None:
    text = pool.read_bytes()
    rng = random.Random(f"{SEED}/small/{number}")
    for sub in range(MILLION_SUB):
        here = target / f"p{number:02}" / f"s{sub:02}"
        here.mkdir(parents=True)
        for index in range(MILLION_FILES):
            stamp = (number * MILLION_SUB + sub) * MILLION_FILES + index
            _write(here / f"f{index:03}.txt", _piece(text, rng, rng.randint(1024, 4096)), stamp)


def _big_file(target: Path, pool: Path, name: str, size: int) -> None:
    text = pool.read_bytes()
    rng = random.Random(f"{SEED}/{name}")
    path = target / name
    path.parent.mkdir(exist_ok=True)
    with open(path, "wb") as file:
        left = size
        while left:
            piece = _piece(text, rng, min(left, rng.randint(4 << 10, 96 << 10)))
            file.write(piece)
            left -= len(piece)


def _mixed_directory(target: Path, pool: Path, number: int, size: int, growth: int) -> None:
    text = pool.read_bytes()
    rng = random.Random(f"{SEED}/mixed/{number}")
    here = target / f"small{number:02}"
    here.mkdir()
    index = 0
    while size > 0:
        length = min(size, growth * rng.randint(1 << 10, 31 << 10))
        _write(here / f"f{index:05}", _piece(text, rng, length), number * 100_000 + index)
        size -= length
        index += 1
