"""Load a hub configuration without starting a hub, to find what would stop one from starting.

    TLJH_APPLIED=DIR <hub environment>/bin/python -m tljh.hub.config_check

prints findings as JSON: errors that would stop the hub with exit code 1, settings that the hub
would ignore with exit code 0. `try_hub_configuration` runs it on a candidate in a private
directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths, get_paths
from tljh.engine.facts import Facts
from tljh.host.interface import Host
from tljh.hub.candidate import build_candidate, run_like_the_hub
from tljh.hub.drop_in_changes import Changes, DropIns, find_change, find_place
from tljh.hub.drop_in_checks import (
    ClassesInUse,
    find_reserved_traits,
    find_unknown_sections,
    find_unused_sections,
    report_emptied,
)
from tljh.hub.service_checks import find_service_problems
from tljh.hub.template_checks import find_broken_templates
from tljh.hub.unit_property_checks import find_refused_properties
from tljh.plugins.guard import find_code_place, suggest_removal
from tljh.plugins.selection import PluginsFailed

if TYPE_CHECKING:
    from tljh.hub.process.load_config import BaseTraits
    from tljh.settings.root import Config

# Classes that make objects of others and hand them their sections, such as WrapSpawner.
_WRAPPER = re.compile("Wrap|Profiles|Multi", re.IGNORECASE)

# It takes 3 s on two idle cores; on an emulated, busy one 60 s were not enough.
TIMEOUT_S = 180.0


def try_hub_configuration(
    host: Host, paths: Paths, config: Config, facts: Facts, selection: bytes
) -> list[Finding]:
    """Have the hub's own Python load the candidate; return the settings that the hub would ignore.

    `selection` is the file that names the plugins to leave out. Raises TljhError with every error
    that would stop the hub, and PluginsFailed with the plugins that make mistakes.
    """
    with build_candidate(host, paths, config, facts, selection) as applied:
        answer = run_like_the_hub(
            host, paths, facts, applied, "tljh.hub.config_check", timeout_s=TIMEOUT_S
        )
    if answer.code == 0 and not answer.out:
        return []
    try:
        result = json.loads(answer.out.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise TljhError(
            "the hub cannot load this configuration",
            why="\n".join(answer.err.strip().splitlines()[-12:]),
            fix="correct what the last line reports; the running hub is not affected",
        ) from None
    if result["errors"]:
        raise TljhError([Finding.from_json(item) for item in result["errors"]])
    failures = {name: Finding.from_json(item) for name, item in result["failures"].items()}
    if failures:
        raise PluginsFailed(failures)
    return [Finding.from_json(item) for item in result["ignored"]]


@dataclass(frozen=True)
class CheckedConfiguration:
    """A configuration as the hub would load it: errors, and settings that it would ignore.

    `failures` are plugins without which there are no more errors than these.
    """

    errors: Sequence[Finding]
    ignored: Sequence[Finding]
    failures: Mapping[str, Finding]


def check_configuration(paths: Paths) -> tuple[list[Finding], list[Finding]]:
    """Load the candidate as the hub would; return errors, and settings that it would ignore.

    Runs in a separate process, in which `TLJH_APPLIED` names the candidate's directory.
    """
    checked = _check_loaded(paths, frozenset())
    return list(checked.errors), list(checked.ignored)


def find_failing_plugins(paths: Paths) -> CheckedConfiguration:
    """Check the candidate; where it has errors, find the plugins without which it has fewer."""
    from tljh.hub.process.load_config import read_required

    required = read_required(paths)
    checked = _check_loaded(paths, frozenset())
    failures = dict(checked.failures)
    for name, function in _list_config_hooks():
        if not checked.errors:
            break
        without = _check_loaded(paths, frozenset({*failures, name}))
        others = {error.what for error in without.errors}
        caused = [error for error in checked.errors if error.what not in others]
        if not caused:
            continue
        finding = _describe_wrong_change(name, function, caused[0])
        if name in required:
            errors = [*without.errors, finding]
            checked = replace(checked, errors=errors)
            break
        failures[name] = finding
        checked = without
    return replace(checked, failures=failures)


def _list_config_hooks() -> Iterator[tuple[str, Any]]:
    from tljh.hub.process.load_config import BUILT_IN_PLUGINS, CONFIG_HOOK, load_hub_plugins

    for implementation in getattr(load_hub_plugins().hook, CONFIG_HOOK).get_hookimpls():
        if implementation.plugin not in BUILT_IN_PLUGINS:
            yield implementation.plugin_name, implementation.function


def _describe_wrong_change(plugin: str, function: Any, error: Finding) -> Finding:
    """Return the finding for a plugin that set what the hub refuses, with its file and line."""
    if error.what.startswith(f"plugin {plugin} "):
        # A required plugin that raises is named already.
        return error
    place = error.where or find_code_place(function)
    key = re.search(r"\b[A-Z]\w*\.\w+", error.what)
    if place is not None and key and error.where is None:
        file = Path(place.path)
        source = file.read_text(errors="replace") if file.is_file() else ""
        place = find_place([(file, source)], key.group()) or place
    return Finding(
        f"plugin {plugin} changes what the hub refuses: {error.what}",
        place,
        error.why,
        suggest_removal(plugin),
    )


def _check_loaded(paths: Paths, without: frozenset[str]) -> CheckedConfiguration:
    """Load the candidate without some plugins, and check what the hub would refuse of it."""
    from traitlets.config import Config as TraitletsConfig

    from tljh.hub.process.load_config import apply_to, read_applied_drop_ins

    c = TraitletsConfig()
    try:
        loaded = apply_to(c, paths, without=without)
    except TljhError as error:
        return CheckedConfiguration(error.findings, [], {})
    drop_ins = [(drop_in.path, drop_in.text) for drop_in in read_applied_drop_ins(paths)]
    refused = list(find_reserved_traits(c, loaded.ours, drop_ins, loaded.changes))
    errors, warnings = _check_traits(c, paths, loaded, drop_ins)
    refused += find_broken_templates(c, loaded.ours)
    return CheckedConfiguration(
        [*refused, *errors],
        [*warnings, *report_emptied(loaded.emptied, drop_ins, loaded.changes)],
        {failure.plugin: failure.finding for failure in loaded.failures},
    )


def _check_traits(
    c: Any, paths: Paths, loaded: BaseTraits, drop_ins: DropIns
) -> tuple[list[Finding], list[Finding]]:
    from traitlets import TraitError

    from tljh.host.real import RealReader
    from tljh.hub.process.app import TljhHub

    findings: list[Finding] = []
    # The __init__ of an authenticator may open its password file or call a service. A trait can
    # be validated without it, so the objects are created by __new__ alone.
    hub = TljhHub.__new__(TljhHub)
    classes = []
    for name in ("authenticator_class", "spawner_class", "proxy_class"):
        trait = TljhHub.class_traits()[name]
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
    for cls in (TljhHub, *classes):
        findings += _find_bad_values(cls, c)
    if not findings:
        sections = dict.fromkeys(classes[1].section_names())
        findings += find_service_problems(c, paths, drop_ins)
        findings += find_refused_properties(RealReader(), c, sections, drop_ins)
        findings += _check_login(classes[0], c)
        findings += _check_headers(classes[0], c)
        findings += _check_names(classes[0], c)
    known_sections = {
        name for cls in (*hub.classes, TljhHub, *classes) for name in cls.section_names()
    }
    catalogue = read_catalogue_classes(paths)
    known_sections |= {*loaded.ours, *catalogue}
    warnings = [
        *_find_unknown((TljhHub, *classes), c, drop_ins, loaded.changes),
        *find_unknown_sections(known_sections, drop_ins, loaded.changes),
    ]
    if len(classes) == 3:
        file = paths.config_file
        text = file.read_text(errors="replace") if file.is_file() else ""
        in_use = _find_classes_in_use(classes, catalogue)
        warnings += find_unused_sections(in_use, drop_ins, loaded.changes, (file, text))
    return findings, warnings


def _find_classes_in_use(
    classes: Sequence[Any], catalogue: Mapping[str, Sequence[str]]
) -> ClassesInUse:
    """Return the classes in use of the hub's three families, and all that are installed.

    A class that wraps others hands their sections on to them; its family is left out.
    """
    families = dict(zip(("Authenticator", "Spawner", "Proxy"), classes, strict=True))
    chosen = {
        # By the name that admins know, not by that of tljh's own class.
        family: next(c.__name__ for c in cls.__mro__ if not c.__module__.startswith("tljh."))
        for family, cls in families.items()
        if not _WRAPPER.search(" ".join(base.__name__ for base in cls.__mro__))
    }
    in_use = {name for cls in classes for name in cls.section_names()}
    return ClassesInUse(frozenset(in_use), catalogue, chosen)


def read_catalogue_classes(paths: Paths) -> dict[str, Sequence[str]]:
    """Return the names of all classes that the hub environment offers, each with its bases."""
    from tljh.settings.trait_catalogue import Catalogue

    traits = paths.hub_files.traits
    catalogue = Catalogue.parse(traits.read_bytes()) if traits.is_file() else None
    classes = catalogue.classes if catalogue else {}
    return {name: description.get("bases", ()) for name, description in classes.items()}


def _find_unknown(
    classes: Sequence[Any], c: Any, drop_ins: DropIns, changes: Changes
) -> list[Finding]:
    """Report names in drop-ins that their class does not have; JupyterHub ignores them.

    Those of config.yaml were checked with the catalogue of classes before.
    """
    from difflib import get_close_matches

    findings: dict[str, Finding] = {}
    for cls in classes:
        traits = cls.class_traits(config=True)
        for section in cls.section_names():
            # A name that begins with a capital is a nested section.
            for name in sorted(c[section]) if section in c else ():
                key = f"{section}.{name}"
                if key not in changes or name in traits or name[:1].isupper():
                    continue
                similar = get_close_matches(name, traits, 1)
                findings[key] = Finding(
                    f"{cls.__name__} has no setting {key}: it does nothing",
                    find_change(drop_ins, changes, key),
                    fix=f"did you mean {section}.{similar[0]}?" if similar else "remove it",
                )
    return list(findings.values())


def _check_names(authenticator: Any, c: Any) -> list[Finding]:
    """Report user names in the lists that the authenticator would refuse.

    The hub would not start with them.
    """
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


def _check_login(authenticator: Any, c: Any) -> list[Finding]:
    """Report settings by which no user could log in, or any stranger could, drop-ins included."""
    from urllib.parse import urlparse

    from tljh.settings.login_providers import find_provider
    from tljh.settings.login_rules import PublicSite, find_login_problems

    classes = tuple(base.__name__ for base in authenticator.__mro__)
    providers = (find_provider(name) for name in classes)
    provider = next((provider for provider in providers if provider is not None), None)
    if provider is None:
        return []
    site = PublicSite(urlparse(str(c.JupyterHub.get("bind_url", ""))).scheme == "https")
    view = {name: _get_plain_values(c[name]) for name in classes if name in c}
    strangers = bool(c.LoginGuard.get("allow_strangers", False))
    return [
        problem.as_finding()
        for problem in find_login_problems(
            provider, view, site, strangers_are_fine=strangers, classes=classes
        )
        if problem.severity == "error"
    ]


def _check_headers(authenticator: Any, c: Any) -> Iterator[Finding]:
    """Report a login by a request header that any client could send."""
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


def _get_plain_values(section: Any) -> dict[str, Any]:
    from traitlets.config.loader import LazyConfigValue

    # An addition by a drop-in (`c.Authenticator.allowed_users.add(…)`) is a lazy value until the
    # class is created. It names a user all the same, so it counts as a list that is not empty.
    return {
        name: [value] if isinstance(value, LazyConfigValue) else value
        for name, value in section.items()
    }


def _find_bad_values(cls: Any, c: Any) -> list[Finding]:
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
                # A validator may need what __init__ sets, such as the proxy's for extra_routes. The
                # hub itself runs it.
                with contextlib.suppress(AttributeError):
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
    # Plugins and drop-ins must not write into the answer.
    answer_fd = os.dup(1)
    os.dup2(2, 1)
    checked = find_failing_plugins(get_paths())
    result = {
        "errors": [finding.as_json() for finding in checked.errors],
        "ignored": [finding.as_json() for finding in checked.ignored],
        "failures": {name: finding.as_json() for name, finding in checked.failures.items()},
    }
    with os.fdopen(answer_fd, "w") as answer:
        answer.write(json.dumps(result) + "\n")
    return 1 if checked.errors else 0


if __name__ == "__main__":
    sys.exit(main())
