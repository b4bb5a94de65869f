"""systemd units: templates, resources, and the functions that TLJH's plugins import."""

from __future__ import annotations

from pathlib import Path


def _systemctl(verb: str, name: str) -> bool:
    from tljh.host.real import RealHost

    unit = name if "." in name else f"{name}.service"
    return RealHost().systemctl(verb, unit).ok


def check_service_active(name: str) -> bool:
    """Return whether a service is running."""
    return _systemctl("is-active", name)


def check_service_enabled(name: str) -> bool:
    """Return whether a service starts at boot."""
    return _systemctl("is-enabled", name)


def reload_daemon() -> None:
    """Make systemd read its unit files again."""
    from tljh.host.real import RealHost

    RealHost().systemctl("daemon-reload")


def start_service(name: str) -> None:
    """Start a service."""
    _systemctl("start", name)


def stop_service(name: str) -> None:
    """Stop a service."""
    _systemctl("stop", name)


def restart_service(name: str) -> None:
    """Restart a service."""
    _systemctl("restart", name)


def enable_service(name: str) -> None:
    """Make a service start at boot."""
    _systemctl("enable", name)


def disable_service(name: str) -> None:
    """Keep a service from starting at boot."""
    _systemctl("disable", name)


def _find_unit(name: str, directory: str | None) -> Path:
    from tljh.base.paths import Paths

    return Path(directory) / name if directory else Paths.units_dir / name


def install_unit(name: str, unit: str, path: str | None = None) -> None:
    """Write a unit file with the text `unit`; `reload_daemon` makes systemd read it.

    `path` is another directory than the one of the machine's own units.
    """
    from tljh.host.real import RealHost

    RealHost().write(_find_unit(name, path), unit.encode(), mode=0o644)


def uninstall_unit(name: str, path: str | None = None) -> None:
    """Remove a unit file; do nothing if it is missing."""
    from tljh.host.real import RealHost

    RealHost().remove(_find_unit(name, path))
