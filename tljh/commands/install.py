"""`tljh install`: what the bootstrap hands over to once the hub environment is built."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tljh.converge import Extra, Outcome, Request, converge, work_out
from tljh.errors import TljhError
from tljh.facts import Facts
from tljh.host.base import HostReader
from tljh.host.passwords import hash_password
from tljh.host.real import RealHost
from tljh.hub.claims import Claim, claim_file, read_claim
from tljh.hub.configuration import SHORTEST_PASSWORD, uses_claims, uses_first_use
from tljh.hub.providers import site_url
from tljh.hub.resources import FirstPasswords, PluginInstallations, new_claims
from tljh.installation import Answers, configuration_with, read_answers
from tljh.output import Progress, Published, Silent, progress_for
from tljh.paths import Paths, paths_from_environment
from tljh.plugins.manager import Contributions, plugin_names
from tljh.resources import File, Resource

if TYPE_CHECKING:
    from tljh.config import Config


@dataclass(frozen=True)
class Installed:
    """What to tell whoever installed."""

    url: str
    admins: tuple[str, ...]
    claims: tuple[Claim, ...]
    changed: bool
    base_url: str
    # Administrators whose password was given, and who have one that stays.
    kept: tuple[str, ...] = ()
    # Administrators whose password was given, and is shorter than the hub's own pages take.
    short: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "admins": list(self.admins),
            "claims": {claim.login: self.link(claim) for claim in self.claims},
            "kept_passwords": list(self.kept),
            "changed": self.changed,
        }

    def link(self, claim: Claim) -> str:
        return self.url.removesuffix(self.base_url) + claim.path(self.base_url)

    def as_text(self) -> str:
        done = "Done." if self.changed else "Nothing to do: everything is as it should be."
        lines = ["", f"{done} Your hub: {self.url}", ""]
        claimable = {claim.login for claim in self.claims}
        others = [name for name in self.admins if name not in claimable]
        if others:
            many = "administrators" if len(others) > 1 else "administrator"
            lines += [f"Log in there as the {many}: {', '.join(others)}", ""]
        for name in self.kept:
            lines += [
                f"{name} had a password, which stays. A new one, if it is forgotten:",
                f"  sudo tljh user reset-password {name}",
                "",
            ]
        for name in self.short:
            lines += [
                f"The password of {name}, who can become root here, has less than "
                f"{SHORTEST_PASSWORD} characters. A better one:",
                f"  sudo tljh user reset-password {name}",
                "",
            ]
        for claim in self.claims:
            until = claim.expires.strftime("%Y-%m-%d %H:%M UTC")
            lines += [
                f"{claim.login} is an administrator. Set the password here, once, until {until}:",
                f"  {self.link(claim)}",
                "",
            ]
        lines += [
            "Next:",
            "  HTTPS    sudo tljh-config describe https",
            "  users    sudo tljh user add NAME (or as an administrator: Admin > Add Users)",
            "  limits   sudo tljh-config set limits.memory 2G && sudo tljh-config reload",
        ]
        return "\n".join(lines)


def install(answers_text: str) -> None:
    """Plan and apply a whole machine from the bootstrap's answers."""
    answers = read_answers(answers_text)
    paths = paths_from_environment()
    host = RealHost()
    progress = _progress(answers)
    try:
        _carry_out(answers, host, paths, progress)
    except TljhError as error:
        if isinstance(progress, Published):
            progress.failed(str(error))
        raise


def _carry_out(answers: Answers, host: RealHost, paths: Paths, progress: Progress) -> None:
    request = request_of(answers, paths)
    if answers.plan:
        outcome = work_out(host, paths, request)
        print(json.dumps(outcome.plan.as_json()) if answers.json else outcome.plan.as_text())
        return
    outcome = converge(host, paths, request, progress)
    done = told(host, paths, answers, outcome)
    print(json.dumps(done.as_json()) if answers.json else done.as_text())


def _progress(answers: Answers) -> Progress:
    shown = Silent() if answers.json else progress_for(sys.stderr)
    if answers.events_fd is None:
        return shown
    # The bootstrap's pipe; what this process starts must not keep it open.
    os.set_inheritable(answers.events_fd, False)
    return Published(shown, os.fdopen(answers.events_fd, "w"))


def request_of(answers: Answers, paths: Paths) -> Request:
    """The change that an installation makes, from its answers and the configuration there is."""

    def afterwards(config: Config, facts: Facts, plugins: Contributions) -> Sequence[Resource]:
        return [PluginInstallations(paths.state_dir / "post-install", tuple(plugin_names()))]

    def environments(config: Config, facts: Facts, plugins: Contributions) -> Sequence[Resource]:
        return [
            *_conda_environments(config, plugins, paths, answers.user_requirements),
            *_people(answers, config, facts, paths),
            *_kept_environment(answers, paths),
        ]

    return Request(
        command="install",
        configuration=lambda old: configuration_with(answers, old),
        hub_environment=answers.hub_environment,
        environments=environments,
        afterwards=afterwards,
    )


def standing_environments(paths: Paths) -> Extra:
    """The conda environments and first claims, as every later command keeps them."""

    def resources(config: Config, facts: Facts, plugins: Contributions) -> Sequence[Resource]:
        claims = new_claims(paths, facts, config.users.admin) if uses_claims(config) else []
        return [*_conda_environments(config, plugins, paths), *claims]

    return resources


def _conda_environments(
    config: Config, plugins: Contributions, paths: Paths, requirements: str | None = None
) -> Sequence[Resource]:
    from tljh.conda.resource import user_environment_resources

    return user_environment_resources(config, plugins, paths, requirements=requirements)


def _people(answers: Answers, config: Config, facts: Facts, paths: Paths) -> Sequence[Resource]:
    """First passwords and claims, where the authenticator keeps passwords by first use."""
    if not uses_first_use(config):
        if answers.passwords:
            raise TljhError(
                f"a password was given, but auth.type is {config.auth.type}",
                why="only the first-use authenticator takes one at installation",
                fix="leave the password out: --admin NAME",
            )
        known = config.users.admin if uses_claims(config) else []
        return new_claims(paths, facts, known, renews=True)
    dbm = paths.state_dir / "passwords.dbm"
    hashes = {
        name: hash_password(password)
        for name, password in answers.passwords.items()
        if name not in facts.logins_with_password
    }
    given: list[Resource] = [FirstPasswords(dbm, hashes)] if hashes else []
    others = set(config.users.admin) - set(answers.passwords)
    return [*given, *new_claims(paths, facts, others, renews=True)]


def _kept_environment(answers: Answers, paths: Paths) -> Sequence[Resource]:
    """What was needed to reach package indexes, kept for upgrades and for `env` commands."""
    if not answers.environment:
        return []
    data = json.dumps(dict(answers.environment), indent=2, sort_keys=True).encode() + b"\n"
    return [File(paths.state_dir / "environment.json", data, mode=0o600, secret=True)]


def told(host: HostReader, paths: Paths, answers: Answers, outcome: Outcome) -> Installed:
    config = outcome.config
    claims = []
    have_one = outcome.facts.logins_with_password
    without = [one for one in config.users.admin if one not in {*have_one, *answers.passwords}]
    for login in without if uses_claims(config) else ():
        claim = read_claim(host.read(claim_file(paths.state_dir, login)) or b"")
        if claim:
            claims.append(claim)
    return Installed(
        url=public_url(config, host),
        admins=tuple(config.users.admin),
        claims=tuple(claims),
        changed=outcome.number is not None,
        base_url=config.base_url,
        kept=tuple(name for name in answers.passwords if name in have_one),
        short=tuple(
            name
            for name, password in answers.passwords.items()
            if len(password) < SHORTEST_PASSWORD and name not in have_one
        ),
    )


def public_url(config: Config, host: HostReader) -> str:
    """The address people use, as well as this machine knows it."""
    known = site_url(config)
    if known is not None:
        return known
    if config.https.enabled:
        scheme, port, usual = "https", config.https.port, 443
    else:
        scheme, port, usual = "http", config.http.port, 80
    shown_port = "" if port == usual else f":{port}"
    return f"{scheme}://{_own_address(host)}{shown_port}{config.base_url}"


def _own_address(host: HostReader) -> str:
    """The address that this machine's default route goes out from; loopback without one."""
    shown = host.query(["ip", "-4", "-o", "route", "get", "192.0.2.1"])
    words = shown.out.split()
    if shown.ok and "src" in words:
        return words[words.index("src") + 1]
    return "127.0.0.1"


def install_from(*, answers: str = "-") -> None:
    """What bootstrap.py calls, with its answers as JSON; not for typing."""
    install(sys.stdin.read() if answers == "-" else Path(answers).read_text())
