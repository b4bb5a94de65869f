"""`tljh auth`: the ways to log in, what each one needs, and whether the chosen one works."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tljh.base.errors import Exit, TljhError
from tljh.settings.derived import callback_url, site_url
from tljh.settings.login_providers import PROVIDERS, Provider, provider_of

if TYPE_CHECKING:
    from tljh.hub.login_trial import Try
    from tljh.settings.root import Config

PLACE = "https://YOUR.DOMAIN"


@dataclass(frozen=True)
class Ways:
    """All ways to log in, and which one is chosen."""

    chosen: str

    def as_text(self) -> str:
        width = max(len(one.name) for one in PROVIDERS)
        lines = [
            f"{'*' if one.name == self.chosen else ' '} {one.name.ljust(width)}  {one.title}"
            for one in PROVIDERS
        ]
        return "\n".join([*lines, "", "What one needs: tljh auth describe NAME"])

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {"name": one.name, "title": one.title, "chosen": one.name == self.chosen}
            for one in PROVIDERS
        ]


@dataclass(frozen=True)
class Described:
    """One way to log in: what to enter where, and the commands for it."""

    provider: Provider
    site: str | None
    base_url: str

    @property
    def callback(self) -> str | None:
        if self.provider.callback is None:
            return None
        return f"{self.site or PLACE + self.base_url}hub/{self.provider.callback}"

    @property
    def commands(self) -> list[str]:
        one = self.provider
        given = dict(one.examples)
        # An authenticator without a short name of its own is named by its class.
        lines = [f"sudo tljh-config set auth.type {one.name}"]
        for name in (*one.needs, *(name for name in given if name not in one.needs)):
            if name in ("client_secret", "user_password"):
                lines.append(f"sudo tljh-config set {one.key(name)} --stdin")
            else:
                lines.append(f"sudo tljh-config set {one.key(name)} {given.get(name, '…')}")
        if one.lets_in == "listed":
            lines.append("sudo tljh-config add-item users.allowed NAME")
        return [*lines, "sudo tljh auth check", "sudo tljh-config reload"]

    def as_json(self) -> dict[str, Any]:
        one = self.provider
        return {
            "name": one.name,
            "title": one.title,
            "class": one.main_class,
            "register": one.register or None,
            "callback_url": self.callback,
            "needs": [one.key(name) for name in one.needs],
            "hints": list(one.hints),
            "commands": self.commands,
        }

    def as_text(self) -> str:
        one = self.provider
        lines = [f"{one.name}: {one.title}", ""]
        if one.register:
            lines.append(f"register the hub at   {one.register}")
        if self.callback:
            lines.append(f"callback URL          {self.callback}")
            if self.site is None:
                lines.append("                      (HTTPS with a domain comes first: "
                             "https.letsencrypt.domains)")  # fmt: skip
        lines += [f"- {hint}" for hint in one.hints]
        lets_in = {
            "listed": "users.allowed, users.admin and allowed groups; "
            "everybody with auth.allow_all true",
            "own": "those it knows, and nobody else",
            "all": "everybody, until users.allowed names somebody",
        }[one.lets_in]
        lines += [f"- lets in: {lets_in}", ""]
        return "\n".join([*lines, *(f"  {command}" for command in self.commands)])


@dataclass(frozen=True)
class Tried:
    """What came of trying the chosen way to log in."""

    provider: str
    tries: tuple[Try, ...]

    @property
    def exit_code(self) -> int:
        return 0 if all(one.is_fine for one in self.tries) else 1

    def as_json(self) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "fine": self.exit_code == 0,
            "tries": [asdict(one) for one in self.tries],
        }

    def as_text(self) -> str:
        lines = [f"auth.type: {self.provider}"]
        for one in self.tries:
            lines.append(f"{'ok ' if one.is_fine else 'BAD'}  {one.what}")
            lines += [f"     because: {one.why}"] if one.why and not one.is_fine else []
            lines += [f"     fix: {one.fix}"] if one.fix and not one.is_fine else []
        return "\n".join(lines)


def ways() -> Ways:
    """List the ways to log in."""
    config = _config()
    provider = provider_of(config.auth.type) if config else None
    return Ways(provider.name if provider else "")


def describe(name: str = "") -> Described:
    """Tell what a way to log in needs: what to enter where; without a name, the chosen one."""
    config = _config()
    wanted = name or (config.auth.type if config else "firstuse")
    provider = provider_of(wanted)
    if provider is None:
        raise TljhError(
            f"nothing is known of {wanted}",
            why="a class that is not in our list is used as it is",
            fix="what there is: tljh auth list",
            exit_code=Exit.USAGE,
        )
    base_url = config.base_url if config else "/"
    return Described(provider, site_url(config) if config else None, base_url)


def check() -> Tried:
    """Try the configured way to log in as far as it goes without anybody logging in."""
    from tljh.base.paths import paths_from_environment
    from tljh.host.real import RealHost
    from tljh.hub.login_trial import try_login
    from tljh.operations.facts import read_facts
    from tljh.operations.installed_config import configuration_bytes, load_configuration

    paths, host = paths_from_environment(), RealHost()
    config = load_configuration(host, paths, configuration_bytes(host, paths))
    found = try_login(host, paths, config, read_facts(host, config, paths))
    callback = callback_url(config)
    if callback and not any(callback in one.what for one in found):
        from tljh.hub.login_trial import Try

        found.append(Try(f"people come back to {callback}", True))
    return Tried(config.auth.type, tuple(found))


def _config() -> Config | None:
    """The configuration where it can be read: describing needs no rights."""
    from tljh.operations.installed_config import installed_file

    try:
        return installed_file().examine().config
    except TljhError:
        return None
