"""Cookies that a page of a user's server planted for pages of the hub.

Such a page may set a cookie of any name for any path of its host. One of the hub's names then
reaches the hub next to the hub's own: Tornado takes the last of them, JupyterHub the first `_xsrf`
that it signed, so that nobody could log in, or the visitor was logged in as another user. The
hub's own cookie has one path. So all but the own are deleted, and of several valid sessions none
counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from jupyterhub import orm
from jupyterhub._xsrf_utils import _get_signed_value_urlsafe
from jupyterhub.handlers.base import SESSION_COOKIE_NAME
from tornado import httputil, web
from tornado.web import OutputTransform

from tljh.base.cookie_removal import CookiePlace, deletion_headers, list_names

XSRF = "_xsrf"


# Of names of the hub's cookies, and of its servers'.
HUB_PREFIXES = ("jupyterhub-", "__Host-jupyterhub-", XSRF, "tljh-")


# Below the limit of Traefik and browsers for the headers of an answer. The rest is deleted by the
# next one.
MOST_DELETION_BYTES = 64 * 1024


# Where the cookies of the hub's names are made unique, however many there are.
CLEARING_PAGES = ("login", "logout")


def get_place(request: Any) -> CookiePlace:
    return CookiePlace(request.path, request.host, request.protocol == "https")


class PlantedCookies(OutputTransform):
    """Ignore and delete the cookies of the hub's names that the hub did not set."""

    def __init__(self, request: httputil.HTTPServerRequest, application: web.Application) -> None:
        self._deletions: list[str] = []
        settings = application.settings
        hub = settings["hub"]
        names = (str(hub.cookie_name), SESSION_COOKIE_NAME, XSRF)
        chunks = request.headers.get("Cookie", "").split(";")
        counts = Counter(list_names(";".join(chunks)))
        if not any(name in counts for name in names):
            return
        is_hubs = request.path.startswith(hub.base_url)
        # At the path of a server, `_xsrf` is the server's.
        counts[XSRF] = sum(is_hubs and _is_signed_token(chunk, application) for chunk in chunks)
        is_clearing = is_hubs and request.path.rpartition("/")[2] in CLEARING_PAGES
        ambiguous = {name for name in names if counts[name] > 1}
        if not is_hubs and not names[0].startswith("__Host-") and counts[names[0]]:
            # The hub's own is not sent there. JupyterHub would delete it for an invalid one.
            ambiguous.add(names[0])
        if request.method not in ("GET", "HEAD"):
            # The form's own token is among them, and JupyterHub compares it.
            ambiguous.discard(XSRF)
        if ambiguous:
            kept = [chunk for chunk in chunks if _get_name(chunk) not in ambiguous]
            sessions = {chunk.strip() for chunk in chunks if _is_session(chunk, settings)}
            if len(sessions) == 1 and names[0] in ambiguous:
                kept += sessions
            request.headers["Cookie"] = "; ".join(kept)
        for name in names:
            if name in ambiguous or counts[name] > 1 or (is_clearing and counts[name]):
                self._deletions += _delete_others(name, request, settings)

    def transform_first_chunk(
        self, status_code: int, headers: httputil.HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, httputil.HTTPHeaders, bytes]:
        for deletion in self._deletions:
            headers.add("Set-Cookie", deletion)
        return status_code, headers, chunk


def make_transform(application: web.Application) -> type[OutputTransform]:
    """Return the class of which Tornado makes an object for each request of an application."""

    class OfApplication(PlantedCookies):
        def __init__(self, request: httputil.HTTPServerRequest) -> None:
            super().__init__(request, application)

    return OfApplication


def _get_name(chunk: str) -> str:
    return chunk.partition("=")[0].strip()


def _is_session(chunk: str, settings: dict[str, Any]) -> bool:
    """Return whether a cookie is a session of a user that the hub knows."""
    name, value = _get_name(chunk), chunk.partition("=")[2].strip().strip('"')
    if name != settings["hub"].cookie_name:
        return False
    cookie_id = web.decode_signed_value(settings["cookie_secret"], name, value)
    users = settings["db"].query(orm.User)
    return (
        cookie_id is not None
        and users.filter(orm.User.cookie_id == cookie_id.decode("utf-8", "replace")).first()
        is not None
    )


def _is_signed_token(chunk: str, application: web.Application) -> bool:
    """Return whether a cookie is a token that the hub signed; other programs use the name, too."""
    name, _, value = (part.strip() for part in chunk.partition("="))
    handler = SimpleNamespace(application=application)
    return name == XSRF and _get_signed_value_urlsafe(handler, XSRF, value) is not None


def _delete_others(name: str, request: Any, settings: dict[str, Any]) -> Iterator[str]:
    """Yield the headers that delete all cookies of a name of the hub but the hub's own."""
    path, domain = settings["hub"].base_url, ""
    if name == SESSION_COOKIE_NAME:
        path = settings["base_url"]
        domain = settings["domain"] if settings.get("subdomain_host") else ""
    elif name.startswith("__Host-"):
        path = "/"
    elif name == XSRF:
        path = settings.get("xsrf_cookie_kwargs", {}).get("path", path)
    return deletion_headers(name, get_place(request), keep=path, keep_domain=domain)


def list_deletions(request: Any) -> list[str]:
    """Return the headers that delete the cookies of a request, of so many as fit in an answer.

    Of other names than the hub's, those with the path `/` stay: they are of other programs.
    """
    deletions: list[str] = []
    size = 0
    for name in dict.fromkeys(list_names(request.headers.get("Cookie", ""))):
        at_root = name.startswith(HUB_PREFIXES)
        headers = list(deletion_headers(name, get_place(request), at_root=at_root))
        size += sum(map(len, headers))
        if deletions and size > MOST_DELETION_BYTES:
            break
        deletions += headers
    return deletions


def list_double_sessions(request: Any) -> list[str]:
    """Return the headers that delete the cookies of a user's server that a request has twice."""
    counts = Counter(list_names(request.headers.get("Cookie", "")))
    names = [name for name, count in counts.items() if count > 1]
    return [
        deletion
        for name in names
        if name.startswith("jupyterhub-user-")
        for deletion in deletion_headers(name, get_place(request))
    ]
