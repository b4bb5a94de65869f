"""The ways to log in: what each one needs, and whether the configured one works."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from tljh.base.errors import Exit, TljhError
from tljh.settings.derived import get_callback_url, get_site_url
from tljh.settings.login_providers import Provider, find_provider

if TYPE_CHECKING:
    from tljh.base.paths import Paths
    from tljh.host.interface import Host
    from tljh.hub.login_trial import LoginTest
    from tljh.settings.root import Config

# In the place of the domain, while none is configured.
EXAMPLE_SITE = "https://YOUR.DOMAIN"


@dataclass(frozen=True)
class LoginDescription:
    """What one way to log in needs; `site` is None while the hub has no domain."""

    provider: Provider
    site: str | None
    base_url: str

    @property
    def callback(self) -> str | None:
        """The callback URL to register at the provider."""
        if self.provider.callback is None:
            return None
        return f"{self.site or EXAMPLE_SITE + self.base_url}hub/{self.provider.callback}"

    @property
    def commands(self) -> list[str]:
        """The commands that configure, check and apply it; secrets are never arguments."""
        provider = self.provider
        examples = dict(provider.examples)
        lines = [f"sudo tljh-config set auth.type {quote(provider.name)}"]
        optional = [name for name in examples if name not in provider.needs]
        for name in (*provider.needs, *optional):
            if name in ("client_secret", "user_password"):
                lines.append(f"sudo tljh-config set {quote(provider.key(name))} --stdin")
            else:
                value = examples.get(name, "…")
                lines.append(f"sudo tljh-config set {quote(provider.key(name))} {quote(value)}")
        if provider.admits == "listed":
            lines.append("sudo tljh-config add-item users.allowed NAME")
        return [*lines, "sudo tljh auth check", "sudo tljh-config reload"]


def load_readable_configuration() -> Config | None:
    """Load config.yaml; return None if it is wrong, or if the caller may not read it."""
    from tljh.operations.installed_config import open_installed_file

    try:
        return open_installed_file().examine().config
    except TljhError:
        return None


def describe_login(name: str = "") -> LoginDescription:
    """Return what a way to log in needs; by default, the configured one.

    Raises TljhError for a class that tljh has no description of. Works without root.
    """
    config = load_readable_configuration()
    auth_type = name or (config.auth.type if config else "firstuse")
    provider = find_provider(auth_type)
    if provider is None:
        raise TljhError(
            f"there is no description of {auth_type}",
            why="a class that is not in our list is used as it is",
            fix="list the ways to log in: tljh auth list",
            exit_code=Exit.USAGE,
        )
    base_url = config.base_url if config else "/"
    return LoginDescription(provider, get_site_url(config) if config else None, base_url)


@dataclass(frozen=True)
class LoginCheck:
    """What was tried of the configured way to log in."""

    auth_type: str
    tries: tuple[LoginTest, ...]

    @property
    def is_fine(self) -> bool:
        return all(item.is_fine for item in self.tries)


def check_login(host: Host, paths: Paths) -> LoginCheck:
    """Try the configured way to log in as far as possible without a user's password."""
    from tljh.hub.login_trial import LoginTest, try_login
    from tljh.operations.facts import read_facts
    from tljh.operations.installed_config import load_configuration, read_installed_configuration

    config = load_configuration(host, paths, read_installed_configuration(host, paths))
    tries = try_login(host, paths, config, read_facts(host, config, paths))
    callback = get_callback_url(config)
    if callback and not any(callback in item.what for item in tries):
        tries.append(LoginTest(f"the provider sends users back to {callback}", True))
    return LoginCheck(config.auth.type, tuple(tries))
