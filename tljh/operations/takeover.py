"""A takeover from The Littlest JupyterHub: an installation over what is there, in one apply."""

from __future__ import annotations

from collections.abc import Sequence

from tljh.base.paths import Paths
from tljh.engine.resource import Resource
from tljh.operations.install_answers import InstallAnswers, find_installed_classes
from tljh.takeover.littlest import Littlest
from tljh.takeover.resources import add_takeover_resources, find_refused_logins
from tljh.takeover.translation import Translation, translate_settings


def translate(current: bytes, littlest: Littlest, answers: InstallAnswers) -> Translation:
    """Return TLJH's config.yaml as one of ours. Raises TljhError for text that is no YAML."""
    catalogue = find_installed_classes(answers.hub_environment)
    text = current.decode(errors="replace")
    return translate_settings(text, littlest.logins, catalogue)


def describe_takeover(littlest: Littlest, translation: Translation) -> list[str]:
    """Return what a takeover changes that no resource of the plan says, a sentence each."""
    notes = [
        f"The Littlest JupyterHub {littlest.version} is taken over: users, passwords, homes, the "
        "user environment and running servers stay; sudo tljh uninstall --back-to-tljh goes back",
        *(f"config.yaml, {note}" for note in translation.notes),
        "servers that start from now on are isolated from each other (isolation.*)",
    ]
    refused = find_refused_logins(littlest)
    if refused:
        names = ", ".join(repr(name) for name in refused)
        notes.append(f"no account for {names}: tljh does not accept such login names")
    return notes


def take_over(resources: Sequence[Resource], littlest: Littlest, paths: Paths) -> list[Resource]:
    """Return the resources of an installation with those of a takeover, each at its place."""
    return add_takeover_resources(resources, littlest, paths)
