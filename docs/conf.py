"""Sphinx configuration of the site that `make docs` builds from docs/ and the root's pages.

The source directory is the root of the checkout, because pages link to README.md and
CONTRIBUTING.md there: `sphinx-build -c docs . build/docs`.
"""

from __future__ import annotations

import re
from importlib import metadata
from typing import Any

project = "tljh"
release = version = metadata.version("tljh")
copyright = "the tljh authors"

extensions = ["myst_parser"]
include_patterns = ["docs/**", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"]
# Sphinx walks through every directory that is not excluded here.
exclude_patterns = [
    ".*",
    "benchmarks",
    "build",
    "dist",
    "installer",
    "integration-tests",
    "tests",
    "tljh",
    "**/__pycache__",
]
root_doc = "docs/index"
source_suffix = {".md": "markdown"}
highlight_language = "text"

# Slugs of headings as on the code hosting sites, where the same links must work.
myst_heading_anchors = 4
# The page of settings has a setting below a section without a level between them.
suppress_warnings = ["myst.header"]

html_theme = "furo"
html_title = f"tljh {release}"
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
templates_path = ["_theme"]
# The site's first address leads to its index.
html_additional_pages = {"index": "redirect.html"}

_SECTION = re.compile(r"^## (.+)\n((?:.*\n)*?)(?=^## |\Z)", re.M)
_PAGE = re.compile(r"\]\(([^)#:]+)\.md\)")
INDEXES = ("docs/index", "docs/decisions/index")


def tables_of_contents(index: str) -> str:
    """Return hidden tables of contents that hold each section of the index and its links.

    Sphinx makes the navigation from them. They are derived, so that a page is listed only once.
    """
    blocks = []
    for title, section in _SECTION.findall(index):
        pages = "\n".join(dict.fromkeys(_PAGE.findall(section)))
        blocks.append(f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{pages}\n```\n")
    return "".join(blocks)


def add_navigation(app: Any, name: str, source: list[str]) -> None:
    """Append the tables of contents to an index while Sphinx reads it."""
    if name in INDEXES:
        source[0] += tables_of_contents(source[0])


def setup(app: Any) -> dict[str, bool]:
    """Register the hook with Sphinx."""
    app.connect("source-read", add_navigation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
