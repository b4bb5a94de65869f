"""`tljh install`: what the bootstrap hands over to once the hub environment is built."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh.base.errors import TljhError
from tljh.base.paths import Paths, paths_from_environment
from tljh.base.progress import Progress, PublishedProgress, progress_for
from tljh.base.well_known import SHORTEST_PASSWORD
from tljh.host.interface import HostReader
from tljh.host.real import RealHost
from tljh.operations.converge import Outcome, converge, work_out
from tljh.operations.install_and_reload import request_of
from tljh.operations.install_answers import Answers, read_answers
from tljh.operations.public_address import public_url
from tljh.settings.derived import uses_claims
from tljh.users.claims import Claim, claim_file, read_claim
from tljh.users.facts import UserFacts


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
        if isinstance(progress, PublishedProgress):
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
    shown = progress_for(sys.stderr, silent=answers.json)
    if answers.events_fd is None:
        return shown
    # The bootstrap's pipe; what this process starts must not keep it open.
    os.set_inheritable(answers.events_fd, False)
    return PublishedProgress(shown, os.fdopen(answers.events_fd, "w"))


def told(host: HostReader, paths: Paths, answers: Answers, outcome: Outcome) -> Installed:
    config = outcome.config
    claims = []
    have_one = outcome.facts.of(UserFacts).logins_with_password
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


def install_from(*, answers: str = "-") -> None:
    """What bootstrap.py calls, with its answers as JSON; not for typing."""
    install(sys.stdin.read() if answers == "-" else Path(answers).read_text())
