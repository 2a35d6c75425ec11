"""The trees that several scenarios share."""

from __future__ import annotations

from pathlib import Path

from ..corpora import text_tree
from ..session import Session

CARGO_SOURCES = Path.home() / ".cargo" / "registry" / "src"
TEXT = "50,000 files"
CARGO = "cargo sources"


def timed_sources(session: Session) -> dict[str, Path]:
    """The made tree and the real one, each a copy on which nothing else works."""
    sources = {TEXT: text_tree(session.work, session.scale)}
    if CARGO_SOURCES.is_dir():
        sources[CARGO] = frozen(session, CARGO_SOURCES)
    return sources


def frozen(session: Session, tree: Path) -> Path:
    """A copy that stays as it is while builds go on elsewhere; one per session and tree."""
    copies = session.frozen
    if tree not in copies:
        copies[tree] = session.copy_of(tree)
    return copies[tree]
