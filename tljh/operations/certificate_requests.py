"""Requests to a certificate authority that an admin makes: a new certificate, or a preflight."""

from __future__ import annotations

from dataclasses import dataclass

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.certificates.acme import choose_acme_source
from tljh.host.interface import Host, HostReader
from tljh.operations.certificate_renewal import (
    CertificateState,
    read_applied,
    read_certificate_state,
    renew,
)
from tljh.operations.installed_config import load_configuration, read_installed_configuration


def issue(
    host: Host, paths: Paths, progress: Progress, *, timeout_s: float | None = None
) -> CertificateState:
    """Request a new certificate whether or not one is due, serve it, and return its state.

    Raises TljhError if the applied configuration asks no authority, and if the request fails.
    """
    if read_applied(host, paths).source is None:
        raise TljhError(
            "no certificate comes from Let's Encrypt here",
            why="the applied https.mode is another one, or HTTPS is off",
            fix="set https.letsencrypt.domains and https.enabled, then: sudo tljh-config reload",
        )
    renew(host, paths, progress, at_once=True, timeout_s=timeout_s)
    return read_certificate_state(host, paths)


@dataclass(frozen=True)
class Preflight:
    """The names of a request, and doubts that it would succeed."""

    names: tuple[str, ...]
    doubts: tuple[str, ...]


def check_request(host: HostReader, paths: Paths) -> Preflight:
    """Check what a request for a certificate needs, without asking the authority for one.

    It works on config.yaml, applied or not. Raises TljhError for what would certainly fail, and
    if the configuration has nothing to request.
    """
    config = load_configuration(host, paths, read_installed_configuration(host, paths))
    mode = config.https.effective_mode
    if mode not in (None, "letsencrypt"):
        raise TljhError(
            f"there is nothing to check: https.mode {mode} asks no authority",
            why="this command checks requests to Let's Encrypt",
            fix="see the certificate that is served: tljh cert status",
        )
    if not config.https.letsencrypt.domains:
        raise TljhError(
            "there is nothing to check: https.letsencrypt.domains is empty",
            fix="sudo tljh-config add-item https.letsencrypt.domains hub.example.org",
        )
    environment = paths.prefix / (host.readlink(paths.hub) or "hub")
    source = choose_acme_source(config, paths, environment)
    return Preflight(source.names, tuple(source.preflight(host)))
