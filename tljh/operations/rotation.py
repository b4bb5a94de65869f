"""Replacing the hub's secrets, as one change that is kept or rolled back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.host.interface import Host, HostReader
from tljh.operations.converge import Outcome, Request, converge, work_out
from tljh.operations.install_and_reload import make_reload_request


@dataclass(frozen=True)
class RotatedSecret:
    """A secret that can be replaced, and what users and admins notice of it."""

    name: str
    title: str
    file: Callable[[Paths], Path]
    notice: str
    ends_sessions: bool = False


SECRETS = (
    RotatedSecret(
        "cookie",
        "the key that signs the hub's cookies",
        lambda paths: paths.cookie_secret,
        "every user has to log in again; servers and kernels run on",
        ends_sessions=True,
    ),
    RotatedSecret(
        "api",
        "the token of tljh's commands for the hub",
        lambda paths: paths.hub_token,
        "users notice nothing",
    ),
    RotatedSecret(
        "traefik",
        "the password of Traefik's API",
        lambda paths: paths.api_secret,
        "users notice nothing",
    ),
    RotatedSecret(
        "metrics",
        "the token for Prometheus",
        lambda paths: paths.metrics_token,
        "Prometheus needs the new one: sudo tljh monitoring token",
    ),
    RotatedSecret(
        "launcher",
        "the token of the application that starts servers of temporary users",
        lambda paths: paths.launcher_token,
        "the application needs the new one: sudo tljh launch token",
    ),
    RotatedSecret(
        "workers",
        "the key of the workers",
        lambda paths: paths.workers_key,
        "workers answer again once they have the new one: sudo tljh worker join-script",
    ),
)


# The tokens of all services in config.yaml, by one name.
SERVICES = "services"
_SERVICE = "service-"


def list_secrets(host: HostReader, paths: Paths) -> list[RotatedSecret]:
    """Return all secrets of an installation, the tokens of its services included."""
    names = (name.removesuffix(".secret") for name in host.listdir(paths.state_dir))
    services = [
        name.removeprefix(_SERVICE)
        for name in names
        if name.startswith(_SERVICE) and not name.endswith(".env")
    ]
    return [*SECRETS, *(_make_service_secret(name) for name in services)]


def _make_service_secret(name: str) -> RotatedSecret:
    return RotatedSecret(
        f"{_SERVICE}{name}",
        f"the token of the service {name}",
        lambda paths: paths.service_token(name),
        "it restarts with the new one; where it runs elsewhere, it needs that: "
        f"sudo tljh service token {quote(name)}",
    )


def choose_secrets(name: str, among: Sequence[RotatedSecret] = SECRETS) -> list[RotatedSecret]:
    """Return the secrets of a name, of all `services`, or of `all`; empty for an unknown name."""
    if name == SERVICES:
        return [secret for secret in among if secret.name.startswith(_SERVICE)]
    return [secret for secret in among if name in (secret.name, "all")]


def _make_request(host: Host, paths: Paths, secrets: Sequence[RotatedSecret]) -> Request:
    names = " ".join(secret.name for secret in secrets)
    renewed = {secret.file(paths) for secret in secrets}
    if set(secrets).issuperset(SECRETS):
        # They are this machine's then, also where it is a copy of another.
        renewed.add(paths.identity)
    return replace(make_reload_request(host, paths, f"rotate {names}"), renewed=frozenset(renewed))


def plan_rotation(host: Host, paths: Paths, secrets: Sequence[RotatedSecret]) -> Outcome:
    """Work out what a rotation changes. Raises TljhError for a wrong configuration."""
    return work_out(host, paths, _make_request(host, paths, secrets))


def rotate(
    host: Host, paths: Paths, secrets: Sequence[RotatedSecret], progress: Progress
) -> Outcome:
    """Replace secrets and restart what uses them; the old ones open nothing afterwards.

    Raises TljhError; the old secrets are then in effect.
    """
    return converge(host, paths, _make_request(host, paths, secrets), progress)
