"""pip requirements, read from a file or a URL that the admin gave."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

from tljh.base import files
from tljh.base.errors import TljhError
from tljh.host.interface import HostReader

MAX_REDIRECTS = 5


TIMEOUT_S = 30


_FIX = "give a URL or a file that root can read from this machine"


# `-r FILE` and `-c FILE` in a requirements file are relative to that file.
_REFERENCE = re.compile(r"^(\s*(?:-r|-c|--requirement|--constraint)[ \t=]*)([^\s=]+)", re.MULTILINE)


_CONDA_ENVIRONMENT = re.compile(r"^dependencies:\s*(#.*)?$", re.MULTILINE)


# `conda list --export` writes name=version=build, `conda list --explicit` the line @EXPLICIT.
_CONDA_LIST = re.compile(r"^(@EXPLICIT\s*|[\w.-]+=[^=\s]+=[^=\s]+)$", re.MULTILINE)


def read_requirements(host: HostReader, source: str | None) -> tuple[str, ...]:
    """Return the text at `source`, a path or an HTTP(S) URL; nothing for None.

    The worker writes the text into a scratch directory for uv, so relative references to
    other files are made absolute.
    """
    if source is None:
        return ()
    text, make_absolute = read_text(host, source, "requirements file")
    _refuse_other_kinds(text, source)
    return (make_references_absolute(text, make_absolute),)


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
    text = response.text.removeprefix("\ufeff").replace("\r\n", "\n")
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
    """Raise TljhError if a requirements file is one of conda's, such as environment.yml."""
    if _CONDA_ENVIRONMENT.search(text):
        raise TljhError(
            f"{source} is an environment file of conda, not a file of pip requirements",
            fix="install the packages that it lists under dependencies: "
            "sudo tljh conda install NAME ..., and give those below pip: as a requirements file",
        )
    if _CONDA_LIST.search(text):
        raise TljhError(
            f"{source} is a list of conda packages, not a file of pip requirements",
            why="a line such as numpy=2.1=py312_0 names a build of conda",
            fix="write the packages as requirements, such as numpy==2.1; or on the machine where "
            "the list was made: pip list --format=freeze > requirements.txt",
        )


def make_references_absolute(text: str, make_absolute: Callable[[str], str]) -> str:
    def replace_name(match: re.Match[str]) -> str:
        option, name = match.groups()
        return option + (name if "://" in name else make_absolute(name))

    return _REFERENCE.sub(replace_name, text)
