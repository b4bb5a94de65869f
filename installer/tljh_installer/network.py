"""Fetch over HTTP(S) with the standard library: proxies, own certificates, bounded retries."""

from __future__ import annotations

import email.utils
import netrc
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO

from tljh.base.package_indexes import Sources

_ATTEMPTS = 3
_PAUSE_S = 0.5
_READ_BYTES = 1 << 18


class FetchError(Exception):
    """A URL that could not be read; the message is a sentence without the URL."""

    def __init__(self, url: str, reason: str, *, is_missing: bool = False) -> None:
        super().__init__(reason)
        self.is_missing = is_missing
        self.url = without_password(url)
        self.reason = reason


@dataclass(frozen=True)
class Fetched:
    """A body with its headers; `url` is where redirects ended."""

    url: str
    body: bytes
    content_type: str
    date_offset_s: float | None = None


def without_password(url: str) -> str:
    """`url` as it may be shown and logged."""
    parts = urllib.parse.urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def host_of(url: str) -> str:
    """Whom to name for `url`: its host, or the whole of it where it has none."""
    return urllib.parse.urlsplit(url).hostname or url


class _KeepSecretsHome(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and takes a password to another host never."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
            raise FetchError(req.full_url, f"redirects to {newurl}, which is not HTTP")
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and host_of(newurl) != host_of(req.full_url):
            new.remove_header("Authorization")
        return new


def _opener(sources: Sources, url: str) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=sources.certificate)
    netloc = urllib.parse.urlsplit(url).netloc.rpartition("@")[2]
    if netloc in sources.trusted_hosts or host_of(url) in sources.trusted_hosts:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    proxies = {"http": sources.proxy, "https": sources.proxy} if sources.proxy else None
    return urllib.request.build_opener(
        urllib.request.ProxyHandler(proxies),
        urllib.request.HTTPSHandler(context=context),
        _KeepSecretsHome(),
    )


def _login(url: str) -> str | None:
    """Name and password for `url`, from itself or from netrc."""
    parts = urllib.parse.urlsplit(url)
    if parts.username:
        name, password = parts.username, parts.password or ""
        return f"{urllib.parse.unquote(name)}:{urllib.parse.unquote(password)}"
    try:
        found = netrc.netrc().hosts.get(parts.hostname or "")
    except (OSError, netrc.NetrcParseError):
        return None
    return f"{found[0]}:{found[2]}" if found else None


def _request(url: str, headers: Mapping[str, str], method: str) -> urllib.request.Request:
    request = urllib.request.Request(without_password(url), method=method)
    request.add_header("User-Agent", "tljh-bootstrap")
    for name, value in headers.items():
        request.add_header(name, value)
    login = _login(url)
    if login:
        request.add_header("Authorization", "Basic " + b64encode(login.encode()).decode())
    return request


def _reason(error: BaseException) -> str:
    """What went wrong, in the words of a person."""
    if isinstance(error, urllib.error.HTTPError):
        return f"answered {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return _reason(error.reason)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted here: {error.verify_message}"
    if isinstance(error, socket.gaierror):
        return f"its name could not be looked up: {error.strerror}"
    if isinstance(error, TimeoutError):
        return "did not answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def _date_offset_s(headers: HTTPMessage) -> float | None:
    """How far this clock is ahead of the server's; None where it does not tell."""
    text = headers.get("Date")
    if not text:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(text).timestamp()
        # A cache repeats the date of the answer it keeps, and says how old that is.
        moment += float(headers.get("Age") or 0)
    except (ValueError, TypeError, OverflowError):
        return None
    return time.time() - moment


def _read_all(response: HTTPResponse) -> bytes:
    """The whole body; an early end is an error, as urllib's own read() does not always say."""
    chunks = []
    while chunk := response.read(_READ_BYTES):
        chunks.append(chunk)
    body = b"".join(chunks)
    expected = response.headers.get("Content-Length")
    if expected and expected.isdecimal() and len(body) != int(expected):
        raise OSError(f"the download ended after {len(body)} of {expected} bytes")
    return body


def _once(
    sources: Sources, url: str, headers: Mapping[str, str], method: str, timeout_s: float
) -> Fetched:
    with _opener(sources, url).open(_request(url, headers, method), timeout=timeout_s) as answer:
        return Fetched(
            url=answer.geturl(),
            body=b"" if method == "HEAD" else _read_all(answer),
            content_type=answer.headers.get("Content-Type", ""),
            date_offset_s=_date_offset_s(answer.headers),
        )


def _from_file(url: str) -> Fetched:
    """A file:// URL; a directory stands for its index.html, or else for a list of its files."""
    path = Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path))
    try:
        if path.is_dir():
            if (path / "index.html").is_file():
                path = path / "index.html"
            else:
                links = "".join(f'<a href="{f.name}">{f.name}</a>\n' for f in path.iterdir())
                return Fetched(path.as_uri() + "/", links.encode(), "text/html")
        kind = "text/html" if path.suffix == ".html" else "application/octet-stream"
        return Fetched(path.as_uri(), path.read_bytes(), kind)
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        raise FetchError(url, _reason(error), is_missing=is_missing) from error


def fetch(
    sources: Sources,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    attempts: int = _ATTEMPTS,
    timeout_s: float | None = None,
) -> Fetched:
    """Read `url`; what may pass (no answer, 429, 5xx, a cut body) is tried again."""
    if urllib.parse.urlsplit(url).scheme == "file":
        return _from_file(url)
    for attempt in range(1, attempts + 1):
        try:
            return _once(sources, url, headers or {}, method, timeout_s or sources.timeout_s)
        except (OSError, HTTPException, ValueError) as error:
            code = error.code if isinstance(error, urllib.error.HTTPError) else None
            passing = code is None or code == 429 or code >= 500
            if attempt == attempts or not passing:
                raise FetchError(url, _reason(error), is_missing=code in (404, 410)) from error
            time.sleep(_PAUSE_S * attempt)
    raise AssertionError("unreachable")
