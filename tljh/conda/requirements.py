"""pip requirements, read from a file or a URL that the admin gave."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from urllib.parse import urljoin

from tljh.base import files
from tljh.base.errors import Place, TljhError
from tljh.conda.foreign_files import FREEZE, find_foreign_kind
from tljh.conda.requirement_lines import (
    CONSTRAINED,
    READ,
    REFERENCE,
    Refuse,
    find_local_path,
    parse_lines,
)
from tljh.host.interface import HostReader

MAX_REDIRECTS = 5


TIMEOUT_S = 30


_FIX = "give a URL or a file that root can read from this machine"


_CONDA_ENVIRONMENT = re.compile(
    r"""^\s*[{,]?\s*["']?(dependencies|channels)["']?\s*:""", re.MULTILINE
)


# `conda list --export` writes name=version=build, `conda list --explicit` the line @EXPLICIT.
_CONDA_LIST = re.compile(r"^(@EXPLICIT\s*|[\w.-]+=[^=\s]+=[^=\s]+)$", re.MULTILINE)


# The locks that `tljh env apply` reads: of rattler, pixi and conda-lock.
_CONDA_LOCK = re.compile(r"^version:\s*\d", re.MULTILINE)


def read_requirements(host: HostReader, source: str | None) -> tuple[str, ...]:
    """Return the text at `source`, a path or an HTTP(S) URL; nothing for None.

    The worker writes the text into a scratch directory for uv, so paths are absolute, and files
    that it refers to with -r are in it.
    """
    if source is None:
        return ()
    return ("".join(f"{line}\n" for line in _read_lines(host, source, ())),)


def _read_lines(host: HostReader, source: str, referring: tuple[str, ...]) -> tuple[str, ...]:
    """Return the lines of a requirements file and of those that it refers to.

    `referring` are the files through which it was found.
    """
    text, make_absolute = read_text(host, source, "requirements file")
    _refuse_other_kinds(text, source)
    lines = parse_lines(text, make_absolute, _make_refusal(source))
    return expand_references(host, lines, source, referring)


def expand_references(
    host: HostReader, lines: Iterable[str], source: str, referring: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return lines of `source` with those of other requirements files in place of `-r FILE`.

    Constraints are only checked, as uv reads them from their place. Raises TljhError with the name
    of the file that cannot be read.
    """
    expanded: list[str] = []
    for line in lines:
        reference = REFERENCE.match(line)
        option = reference["option"] if reference else ""
        # uv replaces variables of the environment, which are not known here.
        if reference is None or "${" in line or option not in (*READ, *CONSTRAINED):
            expanded.append(line)
            continue
        name = reference["name"].strip()
        if name in (source, *referring):
            raise TljhError(f"{source} refers to itself", why=line, fix="remove this line")
        try:
            nested = _read_lines(host, name, (source, *referring))
        except TljhError as error:
            finding = error.findings[0]
            why = "; ".join(filter(None, (finding.why, f"{source} refers to it")))
            raise TljhError([replace(finding, why=why)]) from error
        expanded += nested if option in READ else [line]
    _refuse_missing_files(host, expanded, source)
    return tuple(expanded)


def _refuse_missing_files(host: HostReader, lines: Iterable[str], source: str) -> None:
    """Raise TljhError for packages in files that are not on this machine.

    In an environment of conda, `pip freeze` writes the place where the package was built.
    """
    missing = [
        line for line in lines if (path := find_local_path(line)) and host.info(Path(path)) is None
    ]
    if missing:
        more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise TljhError(
            f"{source} names files that are not on this machine",
            why=f"{missing[0][:200]}{more}",
            fix=f"write NAME==VERSION; or, on the machine where the file was made: {FREEZE}",
        )


def _make_refusal(source: str) -> Refuse:
    def refuse(why: str, command: str | None = None, *, line: int | None = None) -> NoReturn:
        raise TljhError(
            f"{source} is not a file of pip requirements",
            where=Place(source, line) if line else None,
            why=why,
            fix=f"give what this command prints: {command}" if command else
            "write one requirement a line, such as numpy==2.1",
        )  # fmt: skip

    return refuse


def read_text(host: HostReader, source: str, what: str) -> tuple[str, Callable[[str], str]]:
    """Return the text at a path or an HTTP(S) URL, and what makes a reference in it absolute.

    `what` names the file in errors.
    """
    if source.startswith(("http://", "https://")):
        return _fetch(host, source, what)
    path = Path(source.removeprefix("file://"))
    data = host.read(path)
    if data is None:
        raise TljhError(f"there is no {what} {path}", fix=_FIX)
    directory = path.absolute().parent
    return decode_text(data, str(path)), lambda name: str(directory / name)


def _fetch(host: HostReader, source: str, what: str) -> tuple[str, Callable[[str], str]]:
    url = source
    for _ in range(MAX_REDIRECTS):
        response = host.http("GET", url, timeout_s=TIMEOUT_S)
        if response.status not in (301, 302, 303, 307, 308):
            break
        headers = {name.lower(): value for name, value in response.headers.items()}
        url = urljoin(url, headers.get("location", url))
    if response.status != 200:
        # Status 0 stands for no response; its text is the reason.
        why = response.text.strip()[:300] if response.status == 0 else f"HTTP {response.status}"
        raise TljhError(f"the {what} {source} cannot be fetched", why=why, fix=_FIX)
    # The text of the response was decoded as its headers say, which few servers set.
    text = decode_text(response.data or response.text.encode(), source)
    return text, lambda name: urljoin(url, name)


def decode_text(data: bytes, source: str) -> str:
    """Return the text of a file, whatever encoding it was saved in, with Unix line ends.

    Raises TljhError for a file that is not text.
    """
    try:
        text = files.decode_text(data)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise TljhError(
            f"{source} is not a text file in UTF-8 or UTF-16",
            fix="save it as UTF-8 text with one requirement a line, such as numpy==2.1",
        )
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _refuse_other_kinds(text: str, source: str) -> None:
    """Raise TljhError if a requirements file is one of conda's or of another tool."""
    refuse = _make_refusal(source)
    foreign = find_foreign_kind(text)
    if foreign:
        refuse(f"it is {foreign.name}", foreign.command, line=None)
    apply = f"sudo tljh env apply {shlex.quote(source)}"
    if _CONDA_ENVIRONMENT.search(text) or _CONDA_LOCK.search(text):
        raise TljhError(
            f"{source} is an environment file of conda, not a file of pip requirements",
            fix=f"leave it out here, and when the hub is installed: {apply}",
        )
    if _CONDA_LIST.search(text):
        raise TljhError(
            f"{source} is a list of conda packages, not a file of pip requirements",
            why="a line such as numpy=2.1=py312_0 names a build of conda",
            fix=f"leave it out here, and when the hub is installed: {apply}; or, on the machine "
            f"where the list was made: {FREEZE}",
        )
