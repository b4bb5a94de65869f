"""Which requests of browsers the hub's pages answer, and the headers that keep other pages out.

Pages of users' servers are of the same site as the hub's where they share a host name. So a script
there could fetch a page of the hub with a visitor's session, and read the token in it. Browsers
say in `Sec-Fetch-*` what a request is for, and scripts cannot change these headers: the hub's pages
answer navigation only. Browsers send them over HTTPS and at localhost.
"""

from __future__ import annotations

from typing import Any

from tornado import httputil, web
from tornado.routing import Matcher, Rule
from tornado.web import OutputTransform

from tljh.hub.process.planted_cookies import CLEARING_PAGES, make_transform

FRAMES = ("iframe", "frame")


# Fetched by pages: the API has its own token (`_xsrf`), and the rest is the same for all visitors.
# `user/` is for requests that look for a server (`tljh.hub.process.entry_pages`).
FETCHED = ("api/", "static/", "user/")
FETCHED_FILES = ("logo", "favicon.ico")


# An endpoint of the API that is a page: it redirects to a server with a code in the URL.
AUTHORIZE = "api/oauth2/authorize"


CSP_REPORT = "security/csp-report"


# Other sites learn the hub's name, but no path. Without a referrer, video players that notebooks
# embed (YouTube's) refuse to play. The proxy does not set it: a page of the hub may be stricter.
REFERRER_POLICY = "strict-origin-when-cross-origin"


# Browsers end service workers and delete what scripts stored. Cookies are not named: that would
# delete those of all other hosts of the domain (`example.org`), too.
CLEARED = '"storage"'


def refusal(request: Any, path: str, *, may_be_framed: bool) -> str | None:
    """Return why a request is refused, or None; `path` is below the hub's prefix."""
    if "Service-Worker" in request.headers:
        return "The hub has no service worker."
    purpose = request.headers.get("Sec-Fetch-Dest")
    if purpose is None or purpose == "document":
        return None
    if path.startswith(AUTHORIZE):
        is_page = purpose in FRAMES
    elif path.startswith(CSP_REPORT):
        is_page = purpose == "report"
    else:
        is_fetched = path.startswith(FETCHED) or path in FETCHED_FILES
        is_page = is_fetched or (may_be_framed and purpose in FRAMES)
    return None if is_page else "Scripts and frames cannot load this page of the hub."


class Refused(web.RequestHandler):
    """The answer to a request that was refused."""

    def initialize(self, reason: str) -> None:
        self.reason = reason

    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        if "Service-Worker" in self.request.headers:
            self.set_header("Clear-Site-Data", CLEARED)
        self.finish(self.reason)

    def check_xsrf_cookie(self) -> None:
        """Do nothing: the request is refused whatever its token is."""


class Unwanted(Matcher):
    """A rule of the hub's routing that matches the requests to refuse."""

    def __init__(self, prefix: str, *, may_be_framed: bool) -> None:
        self._prefix = prefix
        self._may_be_framed = may_be_framed

    def match(self, request: httputil.HTTPServerRequest) -> dict[str, Any] | None:
        if not request.path.startswith(self._prefix):
            # Of a server that is not running, or that the visitor has not entered yet.
            if "Service-Worker" in request.headers:
                return {"target_kwargs": {"reason": "There is no service worker."}}
            return None
        path = request.path.removeprefix(self._prefix)
        reason = refusal(request, path, may_be_framed=self._may_be_framed)
        return None if reason is None else {"target_kwargs": {"reason": reason}}


class UserHost(Matcher):
    """A rule that matches requests to the host name of a user, where the hub has no pages."""

    def __init__(self, domain: str) -> None:
        self._end = f".{domain.lower()}"

    def match(self, request: httputil.HTTPServerRequest) -> dict[str, Any] | None:
        return {} if request.host_name.lower().endswith(self._end) else None


class AtOwnHost(web.RequestHandler):
    """The way from a user's host name to the same address at the hub's own."""

    def initialize(self, host: str) -> None:
        self._host = host

    def get(self) -> None:
        self.redirect(self._host.rstrip("/") + self.request.uri)

    def prepare(self) -> None:
        if self.request.method not in ("GET", "HEAD"):
            raise web.HTTPError(404)

    def check_xsrf_cookie(self) -> None:
        """Do nothing: the hub does nothing at this host."""


class PageHeaders(OutputTransform):
    """Headers of all answers of the hub; what a page or an admin has set stays."""

    def __init__(self, request: httputil.HTTPServerRequest) -> None:
        self._request = request

    def transform_first_chunk(
        self, status_code: int, headers: httputil.HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, httputil.HTTPHeaders, bytes]:
        # A window that a page of a server opened for a page of the hub is not in that page's reach.
        # The proxy removes the header from servers' answers, so no page of them can match it.
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Content-Security-Policy", "frame-ancestors 'none'")
        headers.setdefault("Referrer-Policy", REFERRER_POLICY)
        headers.setdefault("X-Content-Type-Options", "nosniff")
        page = self._request.path.rpartition("/")[2]
        if page in CLEARING_PAGES:
            headers.setdefault("Clear-Site-Data", CLEARED)
        return status_code, headers, chunk


def guard(application: web.Application, prefix: str) -> None:
    """Put the checks in front of all handlers of the hub, and the headers on all answers."""
    rules = application.wildcard_router.rules
    own_host = application.settings.get("subdomain_host")
    if own_host:
        domain = UserHost(application.settings["domain"])
        rules.insert(0, Rule(domain, AtOwnHost, {"host": own_host}))
    headers = httputil.HTTPHeaders(application.settings.get("headers", {}))
    # An admin who wrote a policy of the pages may want them in frames, of a learning platform.
    may_be_framed = "frame-ancestors" in headers.get("Content-Security-Policy", "")
    rule = Rule(Unwanted(prefix, may_be_framed=may_be_framed), Refused)
    rules.insert(0, rule)
    application.transforms += [PageHeaders, make_transform(application)]
