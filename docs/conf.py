"""How Sphinx builds these pages: `make docs`. Warnings are errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import adieu

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "adieu"
author = "the authors of adieu"
copyright = "the authors of adieu"  # noqa: A001 Sphinx's name
version = release = adieu.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["news", "README.md", "_build"]
source_suffix = {".md": "markdown"}
nitpicky = False

myst_enable_extensions = ["attrs_inline", "colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autoclass_content = "both"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"adieu {version}"
html_copy_source = False
html_show_sphinx = False


DOCS = Path(__file__).parent
FENCE = re.compile(r"^( *)```(\w*)$")


def as_restructured(lines: list[str]) -> list[str]:
    """Turn a docstring's Markdown, fenced code and `names`, into what autodoc reads."""
    out: list[str] = []
    inside = False
    for line in lines:
        if fence := FENCE.match(line):
            inside = not inside
            out += [f"{fence[1]}.. code-block:: {fence[2] or 'text'}", ""] if inside else [""]
        elif inside:
            out.append(f"   {line}" if line else "")
        else:
            out.append(re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", line))
    return out


OUTSIDE = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#]+)[^)]*\)")


def without_links_to_the_repository(folder: Path, text: str) -> str:
    """Write the path of a file that is not a page, in place of a link to it.

    Raises:
        FileNotFoundError: there is no such file.
    """

    def plain(match: re.Match[str]) -> str:
        path = (folder / match[2]).resolve(strict=True)
        return match[0] if path.is_relative_to(DOCS) else f"{match[1]} (`{path.relative_to(DOCS.parent)}`)"

    return OUTSIDE.sub(plain, text)


def setup(app: Sphinx) -> None:
    """Register the two functions above."""

    def source(_app: object, name: str, content: list[str]) -> None:
        content[0] = without_links_to_the_repository((DOCS / name).parent, content[0])

    def docstring(_app: object, _what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
        lines[:] = as_restructured(lines)

    app.connect("source-read", source)
    app.connect("autodoc-process-docstring", docstring, priority=400)  # before napoleon
