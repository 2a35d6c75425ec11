"""The command line: which scenarios, tools and directories."""

from __future__ import annotations

import argparse
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from . import report
from .measure import BenchError
from .report import Section, Table
from .scenarios import first_push, memory, million, pull, pull_over, requests, second_push, sizes, versions
from .session import Session, say
from .tools.registry import KINDS, find_tools

BENCH = Path(__file__).resolve().parent.parent
SCENARIOS: dict[str, Callable[[Session], Section]] = {
    "first-push": first_push.measure,
    "second-push": second_push.measure,
    "requests": requests.measure,
    "pull": pull.measure,
    "pull-over": pull_over.measure,
    "sizes": sizes.measure,
    "versions": versions.measure,
    "million": million.measure,
    "memory": memory.measure,
}


def main(arguments: list[str]) -> int:
    """Measures what was asked for and writes the results; gives the exit code."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _measure(options, arguments)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _measure(options: argparse.Namespace, arguments: list[str]) -> int:
    given = dict(options.peer)
    if options.floe:
        given["floe"] = options.floe
    elif not options.no_floe:
        built = BENCH.parent / "target" / "release" / "floe"
        given.setdefault("floe", str(built) if built.is_file() else "")
    for name, path in given.items():
        if path and not Path(path).is_file():
            raise BenchError(f"{name}: no program at {path}")
    wanted = options.tools.split(",") if options.tools else None
    tools, missing = find_tools(given, wanted, floe=not options.no_floe)
    for name in missing:
        say(f"missing: {name}")
    asked = list(SCENARIOS) if options.scenarios == "all" else options.scenarios.split(",")
    unknown = sorted(set(asked) - set(SCENARIOS))
    if unknown:
        raise BenchError(f"unknown scenarios {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    kept = options.work / "results.json"
    sections = {} if options.fresh else report.load(kept)
    session = Session(
        tools=tools,
        missing=missing,
        given=given,
        work=options.work.resolve(),
        tmpfs=options.tmpfs if options.tmpfs and options.tmpfs.is_dir() else None,
        rounds=options.rounds,
        timeout=options.timeout,
        scale=options.scale,
        extras=dict(options.extra),
        sequences=dict(options.sequence),
        siblings=dict(options.siblings),
        repositories=options.repo,
    )
    used = {tool.name: tool.version() for tool in tools} | {name: "missing" for name in missing}
    with session:
        for name in asked:
            section = SCENARIOS[name](session)
            section.date, section.tools, section.commit = report.today(), used, _commit()
            section.rounds = section.rounds or session.rounds
            section.command = _shown(arguments)
            if session.scale != 1:
                section.figures.clear()
                section.title += f" (made trees at {session.scale:g} of their size: a trial, not a result)"
            sections[name] = section
            report.save(sections, kept)
            options.output.write_text(report.markdown(sections, list(SCENARIOS), _legend(sections)))
            say(f"wrote {options.output}")
    return 0


def _legend(sections: dict[str, Section]) -> Table:
    """What each tool that was measured was told, and what of its output is on disk when it ends."""
    measured = {name for section in sections.values() for name, version in section.tools.items() if version != "missing"}
    table = Table(["tool", "settings", "fsyncs"])
    for kind in KINDS:
        if kind.name in measured:
            table.add(kind.name, kind.settings, kind.fsyncs)
    return table


def _commit() -> str:
    """What the checkout is that this file is in; nothing where it is none."""
    describe = ["git", "-C", str(BENCH), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(describe, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _shown(arguments: list[str]) -> str:
    """The command for the page: directories of this machine are nobody's business and nobody's help."""
    words = []
    for word in arguments:
        option, equals, value = word.rpartition("=")
        words.append(f"{option}{equals}…/{Path(value).name}" if Path(value).is_absolute() else word)
    return "bench/run.py " + shlex.join(words).replace("'", "")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=PATH")
    return name, value


def _tree(text: str) -> tuple[str, Path]:
    name, value = _pair(text)
    path = Path(value).resolve()
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{value} is not a directory")
    return name, path


def _repository(text: str) -> Path:
    """A git directory, or a work tree of one."""
    done = subprocess.run(["git", "-C", text, "rev-parse", "--absolute-git-dir"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise argparse.ArgumentTypeError(f"{text} is no git repository")
    return Path(done.stdout.strip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/run.py", description="Measures Floe against its peers.")
    add = parser.add_argument
    add("--scenarios", default="all", metavar="A,B", help=f"which of {', '.join(SCENARIOS)} (default all)")
    add("--floe", metavar="PATH", help="the floe binary (default target/release/floe, then PATH)")
    add("--no-floe", action="store_true", help="measure the peers alone")
    add("--peer", type=_pair, action="append", default=[], metavar="NAME=PATH", help="a peer's program, where not on PATH")
    add("--tools", metavar="A,B", help="only these tools; the first becomes the baseline")
    add("--rounds", type=int, default=5, help="counted rounds, after one that is dropped (default 5)")
    add("--timeout", type=float, default=1800, metavar="SECONDS", help="bound on one command (default 1800)")
    add("--scale", type=float, default=1.0, help="size of the made trees, for trying things out (default 1)")
    add("--repo", type=_repository, action="append", default=[], metavar="GITDIR", help="a git history for versions")
    add("--extra", type=_tree, action="append", default=[], metavar="NAME=DIR", help="one more tree for sizes")
    add("--sequence", type=_tree, action="append", default=[], metavar="NAME=DIR", help="directories in DIR are versions")
    add("--siblings", type=_tree, action="append", default=[], metavar="NAME=DIR", help="directories in DIR are siblings")
    add("--work", type=Path, default=BENCH / "out", metavar="DIR", help="trees made, scratch space (default bench/out)")
    add("--tmpfs", type=Path, default=Path("/dev/shm"), metavar="DIR", help="a tmpfs for pulls (default /dev/shm)")
    add("--output", type=Path, default=BENCH / "RESULTS.md", metavar="FILE", help="the page (default bench/RESULTS.md)")
    add("--fresh", action="store_true", help="forget scenarios measured by earlier runs")
    return parser
