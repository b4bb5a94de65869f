"""Installing a hub with the bootstrap's answers, or planning it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.well_known import SHORTEST_PASSWORD
from tljh.engine.plan import Plan
from tljh.host.interface import Host, HostReader
from tljh.operations.converge import Outcome, Request, converge, work_out
from tljh.operations.install_and_reload import make_install_request
from tljh.operations.install_answers import InstallAnswers
from tljh.operations.public_address import find_public_url, format_claim_link
from tljh.plugins.post_install import PluginInstallations
from tljh.plugins.written_files import Written, add_written, compute_digest, read_written
from tljh.settings.derived import uses_claims
from tljh.users.claims import Claim, claim_file, read_claim
from tljh.users.facts import UserFacts

# Added to the name of a drop-in that cannot be applied.
UNUSED = ".unused"


@dataclass(frozen=True)
class ClaimLink:
    """A claim, and the URL that opens it.

    `needs_code`: the admin knows the claim code, so the URL does not have it. It may be logged.
    """

    claim: Claim
    url: str
    needs_code: bool = False


@dataclass(frozen=True)
class InstalledHub:
    """An installed hub, and what its admins need to log in.

    `is_new`: no hub was installed before. `kept_passwords` are admins who keep the password they
    had, although the answers have another; `short_passwords` are admins whose password is shorter
    than the hub's own pages accept.
    """

    url: str
    admins: tuple[str, ...]
    claims: tuple[ClaimLink, ...]
    is_changed: bool
    kept_passwords: tuple[str, ...] = ()
    short_passwords: tuple[str, ...] = ()
    is_new: bool = True


def plan_install(host: HostReader, paths: Paths, answers: InstallAnswers) -> Plan:
    """Return the plan of an installation; changes nothing."""
    return work_out(host, paths, make_install_request(host, paths, answers)).plan


def install(host: Host, paths: Paths, answers: InstallAnswers, progress: Progress) -> InstalledHub:
    """Install the hub, or roll back and raise TljhError."""
    is_new = host.info(paths.applied.hub_file) is None
    outcome = converge(host, paths, make_install_request(host, paths, answers), progress)
    for finding in outcome.warnings:
        progress.note(f"warning: {finding.as_note()}")
    if any(step.resource.kind == PluginInstallations.kind for step in outcome.plan.steps):
        outcome = apply_what_plugins_wrote(host, paths, outcome, progress)
    return replace(describe_installed(host, paths, answers, outcome), is_new=is_new)


def apply_what_plugins_wrote(
    host: Host, paths: Paths, outcome: Outcome, progress: Progress
) -> Outcome:
    """Apply the drop-ins that `tljh_post_install` wrote, which runs after the apply.

    It may need the installed hub, so it cannot run before. A drop-in that cannot be applied gets
    another name, under which it is not loaded, so that it does not stop later changes; of a
    required plugin, it raises TljhError.
    """
    while True:
        try:
            later = converge(host, paths, Request("install: files of plugins"), progress)
        except TljhError as error:
            mistaken = find_mistaken_drop_ins(host, paths, error)
            required = set(outcome.config.plugins.required)
            if not mistaken or required & {plugin for plugin, _ in mistaken}:
                raise
            for plugin, path in mistaken:
                unused = set_aside(host, paths, plugin, path)
                why = error.findings[0].as_note()
                progress.note(f"warning: plugin {plugin} wrote {path}, now {unused}: {why}")
        else:
            return replace(outcome, number=later.number or outcome.number)


def find_mistaken_drop_ins(
    host: HostReader, paths: Paths, error: TljhError
) -> list[tuple[str, Path]]:
    """Return the drop-ins of plugins, with their plugins, that an error of a change is about.

    They are those at its places, or all that are not applied yet where it names none of them.
    """
    written = [
        (plugin, Path(name))
        for plugin, each in read_written(host, paths).items()
        for name in each.files
        if Path(name).parent in (paths.hub_drop_ins, paths.traefik_drop_ins)
        and host.read(Path(name)) is not None
    ]
    named = {finding.where.path for finding in error.findings if finding.where}
    at_fault = [(plugin, path) for plugin, path in written if str(path) in named]
    return at_fault or [
        (plugin, path)
        for plugin, path in written
        if path.suffix != UNUSED
        and host.read(path) != host.read(paths.applied.drop_ins / path.name)
    ]


def set_aside(host: Host, paths: Paths, plugin: str, path: Path) -> Path:
    """Give a plugin's file a name under which it is not loaded; it still goes with the plugin."""
    unused = path.with_name(f"{path.name}{UNUSED}")
    host.rename(path, unused)
    digest = compute_digest(host, unused)
    add_written(host, paths, {plugin: Written({str(unused): digest} if digest else {})})
    return unused


def describe_installed(
    host: HostReader, paths: Paths, answers: InstallAnswers, outcome: Outcome
) -> InstalledHub:
    """Describe the hub after an installation with this outcome."""
    config = outcome.config
    with_password = outcome.facts.of(UserFacts).logins_with_password
    claims = []
    for login in config.users.admin if uses_claims(config) else ():
        if login in with_password or login in answers.passwords:
            continue
        claim = read_claim(host.read(claim_file(paths.claims_dir, login)) or b"")
        if claim:
            has_code = answers.claim_codes.get(login) == claim.token
            url = format_claim_link(config, host, claim, has_token=not has_code)
            claims.append(ClaimLink(claim, url, needs_code=has_code))
    return InstalledHub(
        url=find_public_url(config, host),
        admins=tuple(config.users.admin),
        claims=tuple(claims),
        is_changed=outcome.number is not None,
        kept_passwords=tuple(name for name in answers.passwords if name in with_password),
        short_passwords=tuple(
            name
            for name, password in answers.passwords.items()
            if len(password) < SHORTEST_PASSWORD and name not in with_password
        ),
    )
