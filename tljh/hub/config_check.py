"""Load a hub configuration without starting a hub, to find what would stop one from starting.

    TLJH_APPLIED=DIR <hub environment>/bin/python -m tljh.hub.config_check

prints findings as JSON: errors that would stop the hub with exit code 1, settings that the hub
would ignore with exit code 0. `try_hub_configuration` runs it on a candidate in a private
directory.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tljh.base.errors import Finding, Place, TljhError
from tljh.base.paths import Paths, paths_from_environment
from tljh.engine.facts import Facts
from tljh.host.interface import Host
from tljh.hub.candidate import candidate, run_like_the_hub
from tljh.hub.drop_in_checks import (
    DropIns,
    emptied_findings,
    reserved_findings,
    unknown_sections,
)
from tljh.hub.trait_layers import Traits

if TYPE_CHECKING:
    from tljh.settings.root import Config

# It takes 3 s on two idle cores; on an emulated, busy one 60 s were not enough.
TIMEOUT_S = 180.0


def try_hub_configuration(host: Host, paths: Paths, config: Config, facts: Facts) -> list[Finding]:
    """Have the hub's own Python load the candidate; return the settings that the hub would ignore.

    Raises TljhError with every error that would stop the hub.
    """
    with candidate(host, paths, config, facts) as applied:
        answer = run_like_the_hub(
            host, paths, facts, applied, "tljh.hub.config_check", timeout_s=TIMEOUT_S
        )
    if answer.code == 0:
        return _findings(answer.out, answer.err) if answer.out else []
    raise TljhError(_findings(answer.out, answer.err))


def _findings(out: str, err: str) -> list[Finding]:
    try:
        items = json.loads(out.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return [
            Finding(
                "the hub cannot load this configuration",
                why="\n".join(err.strip().splitlines()[-12:]),
                fix="correct what the last line reports; the running hub is not affected",
            )
        ]
    findings = []
    for item in items:
        where = item["where"]
        if where is not None:
            where = Place(where["path"], where["line"], where["column"])
        findings.append(Finding(item["what"], where, item["why"], item["fix"]))
    return findings


def findings_of(paths: Paths) -> tuple[list[Finding], list[Finding]]:
    """Return the errors of the configuration in `TLJH_APPLIED`, and what the hub would ignore."""
    from traitlets.config import Config as TraitletsConfig

    from tljh.hub.process.load_config import applied_drop_ins, apply_to

    c = TraitletsConfig()
    try:
        loaded = apply_to(c, paths)
    except TljhError as error:
        return list(error.findings), []
    drop_ins = [(drop_in.path, drop_in.text) for drop_in in applied_drop_ins(paths)]
    refused = list(reserved_findings(c, loaded.ours, drop_ins))
    errors, warnings = _trait_findings(c, paths, loaded.ours, drop_ins)
    return [*refused, *errors], [*warnings, *emptied_findings(loaded.emptied, drop_ins)]


def _trait_findings(
    c: Any, paths: Paths, ours: Traits, drop_ins: DropIns
) -> tuple[list[Finding], list[Finding]]:
    from traitlets import TraitError

    from tljh.hub.process.app import Hub

    findings: list[Finding] = []
    # The __init__ of an authenticator may open its password file or call a service. A trait can
    # be validated without it, so the objects are created by __new__ alone.
    hub = Hub.__new__(Hub)
    classes = []
    for name in ("authenticator_class", "spawner_class", "proxy_class"):
        trait = Hub.class_traits()[name]
        value = c.JupyterHub.get(name, trait.default(hub))
        try:
            classes.append(trait._validate(hub, value))
        except (TraitError, ImportError) as error:
            findings.append(
                Finding(
                    f"JupyterHub.{name} is {value!r}, which cannot be loaded",
                    why=str(error),
                    fix="choose another, or add its package: "
                    "sudo tljh-config add-item hub.packages NAME",
                )
            )
    for cls in (Hub, *classes):
        findings += _bad_values(cls, c)
    if not findings:
        findings += _login_findings(classes[0], c)
        findings += _header_findings(classes[0], c)
        findings += _refused_names(classes[0], c)
    known = {name for cls in (*hub.classes, Hub, *classes) for name in cls.section_names()}
    known |= {*ours, *classes_of_catalogue(paths)}
    return findings, [
        *_unknown((Hub, *classes), c, paths),
        *unknown_sections(c, known, drop_ins),
    ]


def classes_of_catalogue(paths: Paths) -> set[str]:
    """Return the names of all classes that the hub environment offers."""
    from tljh.settings.trait_catalogue import Catalogue

    traits = paths.hub_files.traits
    catalogue = Catalogue.parse(traits.read_bytes()) if traits.is_file() else None
    return set(catalogue.classes) if catalogue else set()


def _unknown(classes: Sequence[Any], c: Any, paths: Paths) -> list[Finding]:
    """Report names in drop-ins that their class does not have; JupyterHub ignores them.

    Those of config.yaml were checked with the catalogue of classes before.
    """
    from tljh.hub.process.load_config import applied_drop_ins

    drop_ins = [(drop_in.path, drop_in.text) for drop_in in applied_drop_ins(paths)]
    findings: list[Finding] = []
    for cls in classes:
        traits = cls.class_traits(config=True)
        for section in cls.section_names():
            # A name that begins with a capital is a nested section.
            for name in sorted(c[section]) if section in c else ():
                if name not in traits and not name[:1].isupper():
                    findings += _ignored(f"{section}.{name}", cls, traits, drop_ins)
    return findings


def _ignored(
    key: str, cls: Any, traits: Iterable[str], drop_ins: Sequence[tuple[Path, str]]
) -> Iterator[Finding]:
    """Report `Section.name` at its first place in a drop-in, if one of them has it."""
    from difflib import get_close_matches

    section, _, name = key.partition(".")
    for path, text in drop_ins:
        offset = text.find(key)
        if offset >= 0:
            similar = get_close_matches(name, traits, 1)
            yield Finding(
                f"{cls.__name__} has no setting {key}: it does nothing",
                Place(str(path), text.count("\n", 0, offset) + 1),
                fix=f"did you mean {section}.{similar[0]}?" if similar else "remove it",
            )
            return


def _refused_names(authenticator: Any, c: Any) -> list[Finding]:
    """Report names in the lists that the authenticator refuses: the hub would not start."""
    names: set[str] = set()
    for section in authenticator.section_names():
        for trait in ("admin_users", "allowed_users"):
            value = c[section].get(trait, ()) if section in c else ()
            if isinstance(value, (set, list, tuple)):
                names.update(map(str, value))
    instance = authenticator.__new__(authenticator)
    findings = []
    for name in sorted(names):
        try:
            is_valid = instance.validate_username(instance.normalize_username(name))
        except Exception:
            # The class needs its __init__ for this, so the hub itself has to report such a name.
            return []
        if not is_valid:
            findings.append(
                Finding(
                    f"{authenticator.__name__} refuses the login name {name!r}",
                    fix="correct it, or remove it from users.allowed and users.admin",
                )
            )
    return findings


def _login_findings(authenticator: Any, c: Any) -> list[Finding]:
    """Report settings by which no user could log in, or any stranger could, drop-ins included."""
    from urllib.parse import urlparse

    from tljh.settings.login_providers import provider_of
    from tljh.settings.login_rules import Site, login_problems

    classes = tuple(base.__name__ for base in authenticator.__mro__)
    providers = (provider_of(name) for name in classes)
    provider = next((provider for provider in providers if provider is not None), None)
    if provider is None:
        return []
    site = Site(urlparse(str(c.JupyterHub.get("bind_url", ""))).scheme == "https")
    view = {name: _plain_values(c[name]) for name in classes if name in c}
    strangers = bool(c.LoginGuard.get("allow_strangers", False))
    return [
        problem.as_finding()
        for problem in login_problems(
            provider, view, site, strangers_are_fine=strangers, classes=classes
        )
        if problem.severity == "error"
    ]


def _header_findings(authenticator: Any, c: Any) -> Iterator[Finding]:
    """Report a login by a header that is believed from every client."""
    from tljh.settings.header_logins import FIX, HEADER_TRAIT, WHY, is_header_login

    names = [base.__name__ for base in authenticator.__mro__]
    if not is_header_login(names) and not authenticator.class_traits().get(HEADER_TRAIT):
        return
    if not c.LoginGuard.get("trusted_proxies"):
        yield Finding(
            f"{authenticator.__name__} takes the user's name from a header, "
            "but trusted_proxies is empty",
            why=WHY,
            fix=FIX,
        )


def _plain_values(section: Any) -> dict[str, Any]:
    from traitlets.config.loader import LazyConfigValue

    # An addition by a drop-in (`c.Authenticator.allowed_users.add(…)`) is a lazy value until the
    # class is created. It names a user all the same, so it counts as a list that is not empty.
    return {
        name: [value] if isinstance(value, LazyConfigValue) else value
        for name, value in section.items()
    }


def _bad_values(cls: Any, c: Any) -> list[Finding]:
    from traitlets import TraitError
    from traitlets.config.loader import LazyConfigValue

    findings = []
    traits = cls.class_traits(config=True)
    instance = cls.__new__(cls)
    for section in cls.section_names():
        if section not in c:
            continue
        for name, value in c[section].items():
            trait = traits.get(name)
            if trait is None or isinstance(value, LazyConfigValue) or name.endswith("_class"):
                continue
            try:
                trait._validate(instance, value)
            except TraitError as error:
                findings.append(
                    Finding(
                        f"{section}.{name} has an invalid value",
                        why=str(error),
                        fix=f"correct it; valid values: sudo tljh-config describe {section}.{name}",
                    )
                )
    return findings


def main() -> int:
    errors, ignored = findings_of(paths_from_environment())
    print(json.dumps([asdict(finding) for finding in errors or ignored]))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
