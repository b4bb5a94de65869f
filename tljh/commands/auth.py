"""`tljh auth`: the ways to log in, what each one needs, and whether the configured one works."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from tljh.commands.parameters import Argument
from tljh.operations.login_ways import (
    LoginCheck,
    LoginDescription,
    check_login,
    describe_login,
    load_readable_configuration,
)
from tljh.settings.login_providers import PROVIDERS, find_provider

DEFAULT_ACCESS = {
    "listed": "users.allowed, users.admin and allowed groups; every user if auth.allow_all is true",
    "own": "the users that it has added or authorized itself",
    "all": "every user, until users.allowed has a name",
}


@dataclass(frozen=True)
class LoginList:
    """All ways to log in; `configured` is the name of one of them, or empty."""

    configured: str

    def as_text(self) -> str:
        width = max(len(provider.name) for provider in PROVIDERS)
        lines = [
            f"{'*' if provider.name == self.configured else ' '} "
            f"{provider.name.ljust(width)}  {provider.title}"
            for provider in PROVIDERS
        ]
        return "\n".join([*lines, "", "What one of them needs: tljh auth describe NAME"])

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "name": provider.name,
                "title": provider.title,
                "chosen": provider.name == self.configured,
            }
            for provider in PROVIDERS
        ]


@dataclass(frozen=True)
class LoginPage:
    """One way to log in: what to register, and the commands that configure it."""

    description: LoginDescription

    def as_json(self) -> dict[str, Any]:
        provider = self.description.provider
        return {
            "name": provider.name,
            "title": provider.title,
            "class": provider.main_class,
            "register": provider.register or None,
            "callback_url": self.description.callback,
            "needs": [provider.key(name) for name in provider.needs],
            "hints": list(provider.hints),
            "commands": self.description.commands,
        }

    def as_text(self) -> str:
        provider = self.description.provider
        lines = [f"{provider.name}: {provider.title}", ""]
        if provider.register:
            lines.append(f"register the hub at   {provider.register}")
        if self.description.callback:
            lines.append(f"callback URL          {self.description.callback}")
            if self.description.site is None:
                lines.append(
                    "                      (first, HTTPS with a domain: https.letsencrypt.domains)"
                )
        lines += [f"- {hint}" for hint in provider.hints]
        lines += [f"- who may log in: {DEFAULT_ACCESS[provider.admits]}", ""]
        return "\n".join([*lines, *(f"  {command}" for command in self.description.commands)])


@dataclass(frozen=True)
class LoginCheckReport:
    """The tries of the configured way to log in; the exit code is 1 if one failed."""

    check: LoginCheck

    @property
    def exit_code(self) -> int:
        return 0 if self.check.is_fine else 1

    def as_json(self) -> dict[str, Any]:
        return {
            "provider": self.check.auth_type,
            "fine": self.check.is_fine,
            "tries": [asdict(item) for item in self.check.tries],
        }

    def as_text(self) -> str:
        lines = [f"auth.type: {self.check.auth_type}"]
        for item in self.check.tries:
            lines.append(f"{'ok ' if item.is_fine else 'BAD'}  {item.what}")
            lines += [f"     because: {item.why}"] if item.why and not item.is_fine else []
            lines += [f"     fix: {item.fix}"] if item.fix and not item.is_fine else []
        return "\n".join(lines)


def list_ways() -> LoginList:
    """List the ways to log in."""
    config = load_readable_configuration()
    provider = find_provider(config.auth.type) if config else None
    return LoginList(provider.name if provider else "")


def describe(
    name: Annotated[str, Argument("NAME", "A way to log in; without it, the configured one.")] = "",
) -> LoginPage:
    """Print what a way to log in needs: what to register, and the commands to configure it."""
    return LoginPage(describe_login(name))


def check() -> LoginCheckReport:
    """Try the configured way to log in, as far as that needs no user's password."""
    from tljh.base.paths import get_paths
    from tljh.host.real import RealHost

    return LoginCheckReport(check_login(RealHost(), get_paths()))
