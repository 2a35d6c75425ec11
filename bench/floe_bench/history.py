"""Versions of a git repository as directories, one commit after another."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .measure import BenchError

VERSIONS = 21


def versions(work: Path, git_directory: Path, step: int) -> list[Path]:
    """The newest 21 first-parent commits, taking every `step`th, oldest first; made once and kept."""
    commits = _git(git_directory, "rev-list", "--first-parent", "HEAD").split()[::step][:VERSIONS]
    if len(commits) < 2:
        raise BenchError(f"{git_directory} has too short a history for every {step}th commit")
    parent = work / "corpora" / "history" / _label(git_directory)
    parent.mkdir(parents=True, exist_ok=True)
    return [check_out(git_directory, commit, parent) for commit in reversed(commits)]


def name_of(git_directory: Path) -> str:
    """What a table calls the repository."""
    return _label(git_directory).removesuffix(".git")


def _label(git_directory: Path) -> str:
    path = git_directory.resolve()
    while path.name in {".git", "repo"}:
        path = path.parent
    return path.name.rpartition("+")[2]


def check_out(git_directory: Path, commit: str, parent: Path) -> Path:
    """A directory in `parent` with the files of one commit, but those that a partial copy of a repository does not have."""
    target = parent / commit[:12]
    if target.is_dir():
        return target
    fresh = target.with_name(f".{target.name}.making")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    # `git archive` ends where the content of a file is absent, and says nothing.
    made = fresh.resolve()
    index = {"GIT_INDEX_FILE": str(made.with_name(f".{target.name}.index")), "GIT_WORK_TREE": str(made)}
    _git(git_directory, "read-tree", commit, environment=index)
    absent = "".join(f"{path}\0" for path in _absent(git_directory, commit))
    _git(git_directory, "update-index", "-z", "--force-remove", "--stdin", stdin=absent, environment=index)
    _git(git_directory, "checkout-index", "--all", f"--prefix={made}/", environment=index)
    os.unlink(index["GIT_INDEX_FILE"])
    fresh.rename(target)
    return target


def _absent(git_directory: Path, commit: str) -> list[str]:
    """Files whose content a partial copy of a repository does not have."""
    listed = _git(git_directory, "ls-tree", "-r", "-z", commit).rstrip("\0").split("\0")
    paths: dict[str, list[str]] = {}
    for line in listed:
        (_, kind, blob), path = line.split("\t", 1)[0].split(), line.split("\t", 1)[1]
        if kind == "blob":
            paths.setdefault(blob, []).append(path)
    answer = _git(git_directory, "cat-file", "--batch-check", stdin="\n".join(paths) + "\n")
    return [path for line in answer.splitlines() if line.endswith(" missing") for path in paths[line.split()[0]]]


def _git(
    git_directory: Path, *arguments: str, stdin: str | None = None, environment: dict[str, str] | None = None
) -> str:
    argv = ["git", "-C", str(git_directory), *arguments]
    environment = os.environ | (environment or {})
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise BenchError(f"git {arguments[0]} in {git_directory}: {done.stderr.strip()}")
    return done.stdout
