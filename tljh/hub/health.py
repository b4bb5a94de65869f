"""Is the hub of this installation answering, on its own port and through the proxy?"""

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
    """The two addresses of one hub, and the mark by which its answers are known."""

    hub: str
    public: str
    instance: str


def doors(config: Config, instance: str) -> Doors:
    """Where to knock: the health page on the hub's port, the login page through the proxy."""
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
    """Why an answer is not a sound one of our hub; None for one that is.

    Any answer counts that our hub itself gave and that is not an error of the server: an
    authenticator may redirect away from the login page or refuse to show one.
    """
    if response.status == 0:
        return response.text
    marks = {name.lower(): value for name, value in response.headers.items()}
    if marks.get(INSTANCE_HEADER.lower()) != instance:
        return f"something else answered, with status {response.status}"
    if response.status >= 500:
        return f"it answers with status {response.status}"
    return None


def wait_until_healthy(host: HostReader, at: Doors, deadline_s: float = DEADLINE_S) -> None:
    """Return once both doors give sound answers.

    Raises TljhError with the units' last journal lines when that does not come about within
    `deadline_s` seconds. One request waits half of what is left: people's requests that came
    during a restart are served before it, and who asks anew stands at the end of the queue again.
    """
    end_s = host.monotonic_s() + deadline_s
    checks = (
        ("the hub", at.hub, HUB_UNIT),
        ("the hub through the proxy", at.public, PROXY_UNIT),
    )
    for what, url, unit in checks:
        while True:
            wait_s = max(SHORTEST_WAIT_S, (end_s - host.monotonic_s()) / 2)
            answer = host.http("GET", url, timeout_s=wait_s, verify=False)
            problem = problem_of(answer, at.instance)
            if problem is None:
                break
            if host.monotonic_s() >= end_s:
                raise TljhError([_unhealthy(host, what, url, unit, problem, deadline_s)])
            host.pause(POLL_S)


def _unhealthy(
    host: HostReader, what: str, url: str, unit: str, problem: str, deadline_s: float
) -> Finding:
    return Finding(
        f"{what} does not answer as it should at {url} after {deadline_s:g} s",
        why=f"{problem}\nlast lines of {unit}:\n{host.journal(unit)}",
        fix=f"look at the lines above; all of them: sudo journalctl -u {unit} -e",
    )
