"""Health check: whether this installation's hub answers, on its port and through the proxy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tljh.base.errors import Finding, TljhError
from tljh.base.well_known import HUB_PORT, HUB_UNIT, INSTANCE_HEADER, PROXY_UNIT
from tljh.host.full_disk import describe_full_disk, find_full_line
from tljh.host.interface import HostReader, Response
from tljh.hub.traceback_log import find_last_error
from tljh.settings.derived import serves_login_page

if TYPE_CHECKING:
    from tljh.settings.root import Config

DEADLINE_S = 60.0


POLL_S = 0.1


SHORTEST_WAIT_S = 5.0


# A traceback through JupyterHub, tornado and jinja2 has about 60 lines.
LOG_LINES = 200


# A hub that answers its own page with 500 for so long is not starting: it fails at each request.
ERROR_DEADLINE_S = 10.0


# Where the hub and the proxy write, apart from the directories that a message names.
WRITTEN = ("/opt", "/var/log", "/tmp", "/run")


@dataclass(frozen=True)
class HealthUrls:
    """The two URLs that are checked, and the installation's mark in the answers' headers."""

    hub: str
    public: str
    instance: str


def get_health_urls(config: Config, instance: str) -> HealthUrls:
    """Return the URLs of the health page on the hub's port and of a page on the proxy.

    It is the login page, which also shows broken templates; the API where the proxy has no pages.
    """
    page = "hub/login" if serves_login_page(config) else "hub/api/health"
    return HealthUrls(
        hub=f"http://127.0.0.1:{HUB_PORT}{config.base_url}hub/health",
        public=f"{get_local_url(config)}{page}",
        instance=instance,
    )


def get_local_url(config: Config) -> str:
    """Return the URL of the hub through the proxy, on this machine; it ends in base_url."""
    section = config.https if config.https.enabled else config.http
    scheme = "https" if config.https.enabled else "http"
    address = section.address or "127.0.0.1"
    host = f"[{address}]" if ":" in address else address
    return f"{scheme}://{host}:{section.port}{config.base_url}"


def find_problem(response: Response, instance: str) -> str | None:
    """Return why an answer is not one of this installation's healthy hub; None if it is.

    Every status below 500 is healthy if this installation's hub sent it: an authenticator may
    redirect from the login page, or refuse to show it.
    """
    if response.status == 0:
        return response.text
    # Another program may have the port, or the proxy may lead to another hub.
    if not _is_marked(response, instance):
        if response.status == 503:
            return "the proxy gets no answer from the hub (status 503)"
        return f"something else answered, with status {response.status}"
    if response.status >= 500:
        return f"it answers with status {response.status}"
    return None


def _is_marked(response: Response, instance: str) -> bool:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return headers.get(INSTANCE_HEADER.lower()) == instance


def wait_until_healthy(host: HostReader, urls: HealthUrls, deadline_s: float = DEADLINE_S) -> None:
    """Wait until both URLs give healthy answers.

    Raises TljhError, with the last lines of the unit's log, after `deadline_s` seconds.
    """
    end_s = host.monotonic_s() + deadline_s
    checks = (
        ("the hub", urls.hub, HUB_UNIT),
        ("the hub through the proxy", urls.public, PROXY_UNIT),
    )
    for part, url, unit in checks:
        first_error_s: float | None = None
        while True:
            # Requests that users sent during a restart are in the hub's queue before ours, and a
            # request that is sent again goes to its end. So each one waits for half of the
            # remaining time instead of being repeated quickly.
            timeout_s = max(SHORTEST_WAIT_S, (end_s - host.monotonic_s()) / 2)
            response = host.http("GET", url, timeout_s=timeout_s, verify=False)
            problem = find_problem(response, urls.instance)
            if problem is None:
                break
            time_s = host.monotonic_s()
            is_hubs = response.status == 500 and _is_marked(response, urls.instance)
            first_error_s = (first_error_s or time_s) if is_hubs else None
            if first_error_s is not None and time_s - first_error_s >= ERROR_DEADLINE_S:
                raise TljhError([_describe_error(host, url)])
            if time_s >= end_s:
                if is_hubs:
                    raise TljhError([_describe_error(host, url)])
                raise TljhError([_describe_unhealthy(host, part, url, unit, problem, deadline_s)])
            host.pause(POLL_S)


def _describe_error(host: HostReader, url: str) -> Finding:
    """Return the hub's own error, which its log has as a traceback."""
    log = host.journal(HUB_UNIT, LOG_LINES)
    what = f"the hub answers {url} with an error (status 500)"
    fix = "correct the cause above; the whole log: sudo tljh logs hub"
    error = find_last_error(log)
    full = find_full_line(error.text if error else host.journal(HUB_UNIT))
    if full:
        return _add_cause(what, describe_full_disk(host, full, WRITTEN))
    if error is None:
        return Finding(what, why=f"last lines of {HUB_UNIT}:\n{host.journal(HUB_UNIT)}", fix=fix)
    return Finding(what, where=error.place, why=error.text, fix=fix)


def _describe_unhealthy(
    host: HostReader, part: str, url: str, unit: str, problem: str, deadline_s: float
) -> Finding:
    what = f"{part} does not answer as it should at {url} after {deadline_s:g} s"
    full = find_full_line(host.journal(unit))
    if full:
        return _add_cause(what, describe_full_disk(host, full, WRITTEN))
    return Finding(
        what,
        why=f"{problem}\nlast lines of {unit}:\n{host.journal(unit)}",
        fix=f"look at the lines above; all of them: sudo journalctl -u {unit} -e",
    )


def _add_cause(what: str, cause: Finding) -> Finding:
    return replace(cause, what=f"{what}: {cause.what}")
