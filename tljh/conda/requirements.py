"""pip requirements from where an admin says they are."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

from tljh.base.errors import TljhError
from tljh.host.interface import HostReader

REDIRECTS = 5


TIMEOUT_S = 30


_FIX = "give a URL or a file that can be read from this machine, as root"


# What a requirements file may refer to, beside where it lies itself.
_OTHER_FILE = re.compile(
    r"^(\s*(?:-r|-c|--requirement|--constraint)[ \t=]*)([^\s=]+)", re.MULTILINE
)


def read_requirements(host: HostReader, source: str | None) -> tuple[str, ...]:
    """The text of the file or the answer of the URL; nothing for no source.

    It is going to be read from somewhere else, so files that it refers to are named in full.
    """
    if source is None:
        return ()
    if not source.startswith(("http://", "https://")):
        path = Path(source.removeprefix("file://"))
        data = host.read(path)
        if data is None:
            raise TljhError(f"there is no requirements file {path}", fix=_FIX)
        directory = path.absolute().parent
        return (_named_in_full(data.decode(errors="replace"), lambda one: str(directory / one)),)
    url = source
    for _ in range(REDIRECTS):
        answer = host.http("GET", url, timeout_s=TIMEOUT_S)
        if answer.status not in (301, 302, 303, 307, 308):
            break
        headers = {name.lower(): value for name, value in answer.headers.items()}
        url = urljoin(url, headers.get("location", url))
    if answer.status != 200:
        raise TljhError(
            f"the requirements file {source} cannot be fetched",
            why=answer.text.strip()[:300] if answer.status == 0 else f"HTTP {answer.status}",
            fix=_FIX,
        )
    return (_named_in_full(answer.text, lambda one: urljoin(url, one)),)


def _named_in_full(text: str, in_full: Callable[[str], str]) -> str:
    def named(found: re.Match[str]) -> str:
        option, name = found.groups()
        return option + (name if "://" in name else in_full(name))

    return _OTHER_FILE.sub(named, text)
