"""HTTP(S) downloads by the standard library: proxies, own certificates, a few retries."""

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

from tljh.base.package_indexes import PackageIndexes

_ATTEMPTS = 3
_PAUSE_S = 0.5
_READ_BYTES = 1 << 18


class FetchError(Exception):
    """A failed download; `reason` is a sentence without its subject, the URL."""

    def __init__(self, url: str, reason: str, *, is_missing: bool = False) -> None:
        super().__init__(reason)
        self.is_missing = is_missing
        self.url = without_password(url)
        self.reason = reason


@dataclass(frozen=True)
class Download:
    """A response; `url` is the last one of its redirects.

    `date_offset_s` is how far our clock is ahead of the server's; None if that is unknown.
    """

    url: str
    body: bytes
    content_type: str
    date_offset_s: float | None = None


def without_password(url: str) -> str:
    """Return `url` without its login, for messages and logs."""
    parts = urllib.parse.urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def host_of(url: str) -> str:
    """Return the host of `url` for a message; the whole URL if it has none."""
    return urllib.parse.urlsplit(url).hostname or url


class _KeepSecretsHome(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never sends a password to another host."""

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


def _opener(sources: PackageIndexes, url: str) -> urllib.request.OpenerDirector:
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
    """Return name and password for `url`, from the URL itself or from netrc."""
    parts = urllib.parse.urlsplit(url)
    if parts.username:
        name, password = parts.username, parts.password or ""
        return f"{urllib.parse.unquote(name)}:{urllib.parse.unquote(password)}"
    try:
        entry = netrc.netrc().hosts.get(parts.hostname or "")
    except (OSError, netrc.NetrcParseError):
        return None
    return f"{entry[0]}:{entry[2]}" if entry else None


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
    """Return a sentence without its subject, such as `answered 404 Not Found`."""
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
    """Return how far our clock is ahead of the server's; None if it sends no date."""
    text = headers.get("Date")
    if not text:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(text).timestamp()
        # A cache sends the date of its stored response, and that response's age.
        moment += float(headers.get("Age") or 0)
    except (ValueError, TypeError, OverflowError):
        return None
    return time.time() - moment


def _read_all(response: HTTPResponse) -> bytes:
    """Return the whole body. Raises OSError if it is incomplete, which read() may not notice."""
    chunks = []
    while chunk := response.read(_READ_BYTES):
        chunks.append(chunk)
    body = b"".join(chunks)
    expected = response.headers.get("Content-Length")
    if expected and expected.isdecimal() and len(body) != int(expected):
        raise OSError(f"the download ended after {len(body)} of {expected} bytes")
    return body


def _request_once(
    sources: PackageIndexes, url: str, headers: Mapping[str, str], method: str, timeout_s: float
) -> Download:
    with _opener(sources, url).open(_request(url, headers, method), timeout=timeout_s) as answer:
        return Download(
            url=answer.geturl(),
            body=b"" if method == "HEAD" else _read_all(answer),
            content_type=answer.headers.get("Content-Type", ""),
            date_offset_s=_date_offset_s(answer.headers),
        )


def _from_file(url: str) -> Download:
    """Read a file:// URL; a directory gives its index.html, or a list of its files."""
    path = Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path))
    try:
        if path.is_dir():
            if (path / "index.html").is_file():
                path = path / "index.html"
            else:
                links = "".join(f'<a href="{f.name}">{f.name}</a>\n' for f in path.iterdir())
                return Download(path.as_uri() + "/", links.encode(), "text/html")
        kind = "text/html" if path.suffix == ".html" else "application/octet-stream"
        return Download(path.as_uri(), path.read_bytes(), kind)
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        raise FetchError(url, _reason(error), is_missing=is_missing) from error


def fetch(
    sources: PackageIndexes,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    method: str = "GET",
    attempts: int = _ATTEMPTS,
    timeout_s: float | None = None,
) -> Download:
    """Download `url`; retry after no answer, 429, 5xx and an incomplete body. Raises FetchError."""
    if urllib.parse.urlsplit(url).scheme == "file":
        return _from_file(url)
    for attempt in range(1, attempts + 1):
        try:
            return _request_once(
                sources, url, headers or {}, method, timeout_s or sources.timeout_s
            )
        except (OSError, HTTPException, ValueError) as error:
            code = error.code if isinstance(error, urllib.error.HTTPError) else None
            is_temporary = code is None or code == 429 or code >= 500
            if attempt == attempts or not is_temporary:
                raise FetchError(url, _reason(error), is_missing=code in (404, 410)) from error
            time.sleep(_PAUSE_S * attempt)
    raise AssertionError("unreachable")
