"""The lines of a requirements file of pip: joined, checked, with absolute paths. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NoReturn, Protocol

# Options whose value is a path relative to the file, where it is no URL.
REFERENCE = re.compile(
    r"^(?P<option>-[rcef]|--(?:requirement|constraint|editable|find-links))(?P<gap>[ \t=]*)"
    r"(?P<name>[^\s=].*)$"
)
READ = ("-r", "--requirement")
CONSTRAINED = ("-c", "--constraint")

_OPTION = re.compile(
    r"-[rcefi](\s|=|[^\s-])|--(requirement|constraint|editable|find-links|index-url|extra-index-url"
    r"|no-index|no-binary|only-binary|prefer-binary|require-hashes|pre|trusted-host|use-feature"
    r"|config-settings?|global-option|no-build-isolation)\b"
)

# What may follow a requirement in its line.
_HASHES = re.compile(r"\s--hash[= ]\S+")
_LOCAL_OR_URL = re.compile(r"^(\.{0,2}/|[a-z+]+://|\S+\.(whl|tar\.gz|zip)$)")
_RELATIVE_FILE = re.compile(r"^(\.{1,2}/\S*|[^\s:/@]+\.(whl|tar\.gz|zip))(\s|$)")


class Refuse(Protocol):
    """Raises TljhError for a file; `line` is the number of the line that is wrong."""

    def __call__(self, why: str, command: str | None = None, *, line: int | None) -> NoReturn: ...


def parse_lines(text: str, make_absolute: Callable[[str], str], refuse: Refuse) -> tuple[str, ...]:
    """Return the logical lines of requirements, with absolute paths.

    Calls `refuse` for a line that is neither a requirement nor an option.
    """
    lines = []
    for number, line in join_lines(text):
        if not _OPTION.match(line) and not is_requirement(line):
            refuse(f"{line[:80]!r} is neither a package nor a requirement", line=number)
        lines.append(_make_paths_absolute(line, make_absolute))
    return tuple(lines)


def _make_paths_absolute(line: str, make_absolute: Callable[[str], str]) -> str:
    reference = REFERENCE.match(line)
    if reference:
        name = reference["name"]
        is_url = "://" in name or "${" in name
        return line if is_url else line[: reference.start("name")] + make_absolute(name)
    if not _RELATIVE_FILE.match(line):
        return line
    path, *rest = line.split(maxsplit=1)
    return " ".join([make_absolute(path), *rest])


def join_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a requirements file with their number, joined and without comments."""
    pending, first = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*$", "", raw).rstrip()
        first = first or number
        if line.endswith("\\"):
            pending += f"{line[:-1].strip()} "
            continue
        if joined := (pending + line.strip()).strip():
            yield first, joined
        pending, first = "", 0
    if pending.strip():
        yield first, pending.strip()


def is_requirement(line: str) -> bool:
    """Return whether a line is a requirement of pip: a name with a version, a path or a URL."""
    from packaging.requirements import InvalidRequirement, Requirement

    text = _HASHES.sub("", line).strip()
    if _LOCAL_OR_URL.match(text):
        return True
    try:
        Requirement(text)
    except InvalidRequirement:
        return False
    return True


def find_local_path(line: str) -> str | None:
    """Return the path on this machine that a requirement installs; None for others."""
    from urllib.parse import unquote, urlsplit

    text = _HASHES.sub("", line).split(" ;")[0].strip()
    _, _, location = text.partition(" @ ")
    address = location.strip() or text
    if address.startswith("file:"):
        return unquote(urlsplit(address).path)
    return address.split("[")[0] if address.startswith("/") else None
