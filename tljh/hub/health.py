"""Health check: whether this installation's hub answers, on its port and through the proxy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tljh.base.errors import Finding, TljhError
from tljh.base.well_known import HUB_PORT, HUB_UNIT, INSTANCE_HEADER, PROXY_UNIT
from tljh.host.interface import HostReader, Response

if TYPE_CHECKING:
    from tljh.settings.root import Config

DEADLINE_S = 60.0


POLL_S = 0.1


SHORTEST_WAIT_S = 5.0


@dataclass(frozen=True)
class Doors:
    """The two URLs that are checked, and the installation's mark in the answers' headers."""

    hub: str
    public: str
    instance: str


def doors(config: Config, instance: str) -> Doors:
    """Return the URLs of the health page on the hub's port and of the login page on the proxy."""
    section = config.https if config.https.enabled else config.http
    scheme = "https" if config.https.enabled else "http"
    address = section.address or "127.0.0.1"
    host = f"[{address}]" if ":" in address else address
    return Doors(
        hub=f"http://127.0.0.1:{HUB_PORT}{config.base_url}hub/health",
        public=f"{scheme}://{host}:{section.port}{config.base_url}hub/login",
        instance=instance,
    )


def problem_of(response: Response, instance: str) -> str | None:
    """Return why a response does not prove a healthy hub; None if it does.

    Every status below 500 is healthy if this installation's hub sent it: an authenticator may
    redirect from the login page, or refuse to show it.
    """
    if response.status == 0:
        return response.text
    headers = {name.lower(): value for name, value in response.headers.items()}
    # Another program may have the port, or the proxy may lead to another hub.
    if headers.get(INSTANCE_HEADER.lower()) != instance:
        return f"something else answered, with status {response.status}"
    if response.status >= 500:
        return f"it answers with status {response.status}"
    return None


def wait_until_healthy(host: HostReader, urls: Doors, deadline_s: float = DEADLINE_S) -> None:
    """Wait until both URLs give healthy answers.

    Raises TljhError, with the last lines of the unit's log, after `deadline_s` seconds.
    """
    end_s = host.monotonic_s() + deadline_s
    checks = (
        ("the hub", urls.hub, HUB_UNIT),
        ("the hub through the proxy", urls.public, PROXY_UNIT),
    )
    for part, url, unit in checks:
        while True:
            # Requests that users sent during a restart are in the hub's queue before ours, and a
            # request that is sent again goes to its end. So each one waits for half of the
            # remaining time instead of being repeated quickly.
            timeout_s = max(SHORTEST_WAIT_S, (end_s - host.monotonic_s()) / 2)
            response = host.http("GET", url, timeout_s=timeout_s, verify=False)
            problem = problem_of(response, urls.instance)
            if problem is None:
                break
            if host.monotonic_s() >= end_s:
                raise TljhError([_unhealthy(host, part, url, unit, problem, deadline_s)])
            host.pause(POLL_S)


def _unhealthy(
    host: HostReader, part: str, url: str, unit: str, problem: str, deadline_s: float
) -> Finding:
    return Finding(
        f"{part} does not answer as it should at {url} after {deadline_s:g} s",
        why=f"{problem}\nlast lines of {unit}:\n{host.journal(unit)}",
        fix=f"look at the lines above; all of them: sudo journalctl -u {unit} -e",
    )
