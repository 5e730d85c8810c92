"""One rule broken in a copy of the sources: what both runners of mutations share.

Each mutation replaces one text of one source file. Where that text is no more, the mutation says so: it has to follow
the source.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True)
class Mutation:
    """One rule broken.

    Attributes:
        rule: its number in docs/topics/closing-rules.md, or what else is broken.
        what: how.
        path: the source file, below the folder that is copied.
        old: what stands there, once.
        new: what is put in its place.
        files: which tests have to see it.
    """

    rule: int | str
    what: str
    path: str
    old: str
    new: str
    files: tuple[str, ...]

    @property
    def language(self) -> str:
        """What its source is written in."""
        return "TypeScript" if self.path.endswith(".ts") else "Python"

    def __str__(self) -> str:
        return f"{self.rule:>5}: {self.what} ({self.language})"


class StaleError(Exception):
    """The text of a mutation does not stand once in its source."""


def broken(mutation: Mutation, source: Path) -> str:
    """The text of its file with the rule broken.

    Raises:
        StaleError: what it replaces does not stand there once.
    """
    text = (source / mutation.path).read_text(encoding="utf-8")
    if (count := text.count(mutation.old)) != 1:
        raise StaleError(f"its text stands {count} times in {mutation.path}")
    return text.replace(mutation.old, mutation.new)


@contextmanager
def copied(mutation: Mutation | None, source: Path, *folders: str, linked: Sequence[str] = ()) -> Iterator[Path]:
    """A copy of some folders and files below `source`, with the rule broken; it is gone when the block ends.

    Args:
        mutation: what to break; None for nothing.
        source: where its path begins.
        folders: what to copy; "." for all.
        linked: what is not copied, but stands there too.
    """
    text = broken(mutation, source) if mutation is not None else ""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory).resolve() / "copy"
        for name in folders:
            if (source / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source / name, copy / name, ignore=ignored, copy_function=_copied)
            else:
                _copied(str(source / name), str(copy / name))
        for name in linked:
            (copy / name).symlink_to((source / name).resolve())
        if mutation is not None:
            (copy / mutation.path).write_text(text, encoding="utf-8")
        yield copy


def _copied(source: str, target: str) -> object:
    """What is built is large, and nobody breaks it: a link will do."""
    return Path(target).symlink_to(source) if source.endswith(".so") else shutil.copy2(source, target)


AnyMutation = TypeVar("AnyMutation", bound=Mutation)


def chosen(mutations: Sequence[AnyMutation], words: Sequence[str]) -> list[AnyMutation]:
    """Those whose description has one of the words; without words all."""
    return [mutation for mutation in mutations if not words or any(word in str(mutation) for word in words)]


def arguments(description: str | None, **more: Any) -> argparse.Namespace:
    """The words of the command line, and other options."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="only those whose description has one of these")
    for name, default in more.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    return parser.parse_args()
