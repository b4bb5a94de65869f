"""The config.yaml of The Littlest JupyterHub as one of ours: what is rewritten, and why.

TLJH ignores what it does not know, and its defaults differ. So unknown keys become comments, and
those defaults are written down: nobody's access, limits or culling changes unasked.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from tljh.base.account_names import is_acceptable
from tljh.settings.declaration import KeyPath, Problem
from tljh.settings.derived import FIRST_USE_NAMES
from tljh.settings.keys import format_key
from tljh.settings.load import examine
from tljh.settings.migrations import replace_by_comment
from tljh.settings.trait_catalogue import Catalogue
from tljh.settings.yaml_changes import MISSING, read_value_at
from tljh.settings.yaml_edit import set_value, unset_value

NAME_LISTS: tuple[KeyPath, ...] = (("users", "allowed"), ("users", "banned"), ("users", "admin"))
EXTRA_GROUPS: KeyPath = ("users", "extra_user_groups")
AUTH_TYPE: KeyPath = ("auth", "type")
DEFAULT_APPS = ("jupyterlab", "classic")

# TLJH's defaults that differ from ours. A null in its config.yaml is its default, too.
DEFAULTS: tuple[tuple[KeyPath, Any, str], ...] = (
    (("limits", "memory"), None, "no limit of one server's memory"),
    (("services", "cull", "timeout"), 600, "idle servers stop after ten minutes"),
    (("auth", "session_days"), 14, "users log in again after 14 days"),
    (("users", "ssh"), "shell", "users have shells outside their servers"),
)


@dataclass(frozen=True)
class Translation:
    """A config.yaml of ours, and one sentence for each difference from the one of TLJH."""

    text: str
    notes: tuple[str, ...]


def translate_settings(
    text: str, known_logins: Collection[str], catalogue: Catalogue | None = None
) -> Translation:
    """Translate the text of TLJH's config.yaml.

    `known_logins` are the names in its hub's database. Raises TljhError for text that is no YAML.
    """
    translator = _Translator(text)
    for rewrite in (
        _rewrite_name_lists,
        _rewrite_values,
        lambda each: _list_known_logins(each, known_logins),
        _write_defaults,
        lambda each: _comment_unknown(each, catalogue),
    ):
        rewrite(translator)
    return Translation(translator.text, tuple(translator.notes))


class _Translator:
    def __init__(self, text: str) -> None:
        self.text = text
        self.notes: list[str] = []

    def get(self, path: KeyPath) -> Any:
        value = read_value_at(self.text, path)
        return None if value is MISSING else value

    def set(self, path: KeyPath, value: Any, why: str) -> None:
        self.text = set_value(self.text, path, value)
        self.notes.append(f"{format_key(path)}: {why}")

    def comment(self, path: KeyPath, why: str) -> None:
        self.text = replace_by_comment(self.text, path, why)
        self.notes.append(f"{format_key(path)} becomes a comment: {why}")


def _rewrite_name_lists(translator: _Translator) -> None:
    for path in NAME_LISTS:
        value = translator.get(path)
        if isinstance(value, str):
            # TLJH makes a set of it: each letter was a name.
            translator.set(path, [value], f"a list with {value}; TLJH read its single letters")
        elif isinstance(value, list) and not all(isinstance(name, str) for name in value):
            translator.set(path, [str(name) for name in value], "each name is a text")
        elif value is None and read_value_at(translator.text, path) is None:
            translator.text = unset_value(translator.text, path)
    groups = translator.get(EXTRA_GROUPS)
    for group, members in groups.items() if isinstance(groups, dict) else ():
        if isinstance(members, str):
            why = f"a list with {members}; TLJH looked for names inside the text"
            translator.set((*EXTRA_GROUPS, group), [members], why)
        elif members is None:
            translator.set((*EXTRA_GROUPS, group), [], "an empty list")


def _rewrite_values(translator: _Translator) -> None:
    path: KeyPath = ("base_url",)
    url = translator.get(path)
    if isinstance(url, str) and not url.startswith("/"):
        translator.set(path, f"/{url}", "it begins with /, as JupyterHub completed it")
    path = ("limits", "cpu")
    cpu = translator.get(path)
    if isinstance(cpu, str) and re.fullmatch(r"\s*\d+(\.\d*)?\s*", cpu):
        translator.set(path, float(cpu) if "." in cpu else int(cpu), "a number without quotes")
    path = ("user_environment", "default_app")
    app = translator.get(path)
    if app is not None and app not in DEFAULT_APPS and not str(app).startswith("/"):
        translator.comment(path, "TLJH knew no such app and opened JupyterHub's default page")
    path = ("services", "configurator")
    if translator.get(path) is not None:
        translator.comment(path, "the configurator is not part of tljh: use sudo tljh-config")


def _list_known_logins(translator: _Translator, known_logins: Collection[str]) -> None:
    """List the names in the database, where TLJH let them in unlisted.

    It did with its default authenticator without a list, and JupyterHub does with any list.
    """
    listed = translator.get(("users", "allowed")) or []
    is_default = translator.get(AUTH_TYPE) in (None, *FIRST_USE_NAMES)
    if translator.get(("auth", "allow_all")) is not None or not (listed or is_default):
        return
    lists = (listed, *(translator.get(("users", name)) or [] for name in ("banned", "admin")))
    # JupyterHub lowers the case of a name that logs in, and of each name in a list.
    named = {str(name).lower() for names in lists for name in names}
    new = sorted(name for name in known_logins if name.lower() not in named and is_acceptable(name))
    if new:
        path: KeyPath = ("users", "allowed")
        names = ", ".join(new[:5]) + (f" and {len(new) - 5} more" if len(new) > 5 else "")
        why = f"lists who is in the hub's database, and could log in: {names}"
        translator.set(path, [*listed, *new], why)


def _write_defaults(translator: _Translator) -> None:
    for path, value, why in DEFAULTS:
        is_missing = read_value_at(translator.text, path) is MISSING
        if is_missing or (translator.get(path) is None and value is not None):
            translator.set(path, value, f"as TLJH has it: {why}")


def _comment_unknown(translator: _Translator, catalogue: Catalogue | None) -> None:
    """Turn what TLJH ignored into comments: keys that are no settings, and null values."""
    while True:
        problems = examine(translator.text.encode(), catalogue=catalogue).problems
        unknown = next(filter(_is_unknown, problems), None)
        if unknown is None:
            return
        translator.comment(unknown.path, "no setting of tljh; TLJH ignored it")


def _is_unknown(problem: Problem) -> bool:
    return problem.severity == "error" and problem.what.startswith("there is no setting")
