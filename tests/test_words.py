"""Plain technical English in comments and docstrings."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path
    for folder in ("tljh", "installer", "tests", "integration-tests", "benchmarks", "docs")
    for path in (ROOT / folder).rglob("*.py")
)
# Words that hide the actor or the fact, with what to write instead.
REFUSED = {
    r"shall": "must, or the plain present",
    r"who(m|se)?ever": "name the actor",
    r"anew": "again",
    r"mend(s|ed|ing)?": "fix, correct",
    r"at hand": "available, current",
    r"what stands|stands there|as it stands": "is, current",
    r"is told|are told|tells? of": "is reported, prints, warns",
    r"of (its|their|one's) own": "own",
    r"lies (in|below|beside|there)": "is in",
    r"beside": "next to, in addition to",
    r"comes? about|brings? about": "happens, applies",
    r"gets? in under": "is allowed under",
}
# Names of variables that say neither a role nor a type.
NO_NAMES = {
    *("at", "found", "given", "known", "made", "now", "one", "shown", "standing", "told", "wanted")
}
# A docstring of a function opens with a verb; ruff's D401 knows the moods of the verbs.
NO_VERBS = {
    "a",
    "all",
    "also",
    "always",
    "an",
    "and",
    "another",
    "any",
    "anything",
    "as",
    "at",
    "both",
    "by",
    "each",
    "either",
    "every",
    "everybody",
    "everyone",
    "everything",
    "for",
    "from",
    "how",
    "if",
    "in",
    "is",
    "it",
    "its",
    "like",
    "names",
    "no",
    "nobody",
    "none",
    "nothing",
    "of",
    "one",
    "only",
    "our",
    "same",
    "somebody",
    "something",
    "that",
    "the",
    "their",
    "there",
    "these",
    "they",
    "this",
    "those",
    "to",
    "two",
    "until",
    "what",
    "whatever",
    "when",
    "where",
    "whether",
    "which",
    "who",
    "whoever",
    "whom",
    "whose",
    "why",
    "with",
    "without",
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each docstring and of each run of comment lines."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield node.body[0].lineno, text
    run: list[str] = []
    start = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if token.start[0] != last + 1 and run:
            yield start, " ".join(run)
            run = []
        if not run:
            start = token.start[0]
        run.append(token.string.lstrip("# "))
        last = token.start[0]
    if run:
        yield start, " ".join(run)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_comments_and_docstrings_use_no_refused_word(path):
    if path == Path(__file__):
        return
    refused = [
        f"{name_of(path)}:{line}: {match[0]!r} (write: {instead})"
        for line, text in prose_of(path)
        for pattern, instead in REFUSED.items()
        for match in re.finditer(rf"\b(?:{pattern})\b", " ".join(text.split()), re.IGNORECASE)
    ]
    assert refused == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_functions_docstring_opens_with_a_verb(path):
    wrong = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            decorators = {ast.unparse(each) for each in node.decorator_list}
            text = ast.get_docstring(node) or ""
            is_value = decorators & {"property", "cached_property", "functools.cached_property"}
            first = text.partition(" ")[0].strip(".,:;`\"'").lower()
            if text and not is_value and (first in NO_VERBS or not first.isalpha()):
                wrong.append(f"{name_of(path)}:{node.lineno}: {text.splitlines()[0]}")
    assert wrong == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_variable_is_named_by_its_role(path):
    wrong = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        else:
            continue
        # `now` is a parameter of JupyterHub's Spawner.stop.
        if name in NO_NAMES and not (name == "now" and path.name.endswith("spawner.py")):
            wrong.append(f"{name_of(path)}:{node.lineno}: {name}")
    assert wrong == []
