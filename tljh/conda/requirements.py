"""pip requirements, read from a file or a URL that the admin gave."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

from tljh.base.errors import TljhError
from tljh.host.interface import HostReader

MAX_REDIRECTS = 5


TIMEOUT_S = 30


_FIX = "give a URL or a file that root can read from this machine"


# `-r FILE` and `-c FILE` in a requirements file are relative to that file.
_REFERENCE = re.compile(r"^(\s*(?:-r|-c|--requirement|--constraint)[ \t=]*)([^\s=]+)", re.MULTILINE)


def read_requirements(host: HostReader, source: str | None) -> tuple[str, ...]:
    """Return the text at `source`, a path or an HTTP(S) URL; nothing for None.

    The worker writes the text into a scratch directory for uv, so relative references to
    other files are made absolute.
    """
    if source is None:
        return ()
    if source.startswith(("http://", "https://")):
        return (_fetch(host, source),)
    path = Path(source.removeprefix("file://"))
    data = host.read(path)
    if data is None:
        raise TljhError(f"there is no requirements file {path}", fix=_FIX)
    directory = path.absolute().parent
    text = data.decode(errors="replace")
    return (_make_references_absolute(text, lambda name: str(directory / name)),)


def _fetch(host: HostReader, source: str) -> str:
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
        raise TljhError(f"the requirements file {source} cannot be fetched", why=why, fix=_FIX)
    return _make_references_absolute(response.text, lambda name: urljoin(url, name))


def _make_references_absolute(text: str, make_absolute: Callable[[str], str]) -> str:
    def replace_name(match: re.Match[str]) -> str:
        option, name = match.groups()
        return option + (name if "://" in name else make_absolute(name))

    return _REFERENCE.sub(replace_name, text)
