"""Keys and values as parameters of several verbs, with their completion."""

from __future__ import annotations

from typing import Annotated, Any

from tljh.base.errors import TljhError
from tljh.commands.parameters import Argument


def complete_key(_: Any, incomplete: str) -> list[str]:
    """Return the keys that complete the typed text, one level at a time like a shell's paths."""
    from tljh.operations.installed_config import open_installed_file
    from tljh.settings.keys import setting_keys

    file = open_installed_file()
    keys = list(setting_keys(file.model))
    catalogue = file.catalogue
    if catalogue is not None:
        head, dot, _ = incomplete.rpartition(".")
        if head.startswith("auth.") or head[:1].isupper():
            name = head.removeprefix("auth.")
            if name in catalogue.classes:
                keys += [f"{head}{dot}{trait}" for trait in catalogue.list_trait_names(name)]
        elif head == "auth":
            paths = catalogue.authenticator_paths.values()
            keys += [f"auth.{name}." for name in sorted(set(paths))]
        elif not head:
            keys += [f"{name}." for name in catalogue.classes]
    offers = dict.fromkeys(_cut_to_level(key, incomplete) for key in keys)
    return [key for key in offers if key.startswith(incomplete)]


def _cut_to_level(key: str, incomplete: str) -> str:
    """Return a key up to its next dot: `users.admin` is `users.` until that dot is typed."""
    if not key.startswith(incomplete):
        return key
    dot = key.find(".", len(incomplete))
    return key if dot < 0 else key[: dot + 1]


def complete_value(ctx: Any, incomplete: str) -> list[str]:
    """Return the values that the typed key can take, if they can be listed."""
    from tljh.operations.installed_config import open_installed_file

    key = str(ctx.params.get("key") or "")
    file = open_installed_file()
    try:
        _, shape = file.look_up(key)
    except TljhError:
        return []
    catalogue = file.catalogue
    values: list[str] = list(shape.choices)
    if shape.kind == "bool":
        values = ["true", "false"]
    elif key == "auth.type" and catalogue is not None:
        values = list(catalogue.short_names)
    elif key == "user_environment.default_app":
        from tljh.settings.sections.user_environment import APPS

        values = list(APPS)
    return [value for value in values if value.startswith(incomplete)]


def complete_item(ctx: Any, incomplete: str) -> list[str]:
    """Return the items of the list at the typed key; none for users who may not read the file."""
    from tljh.operations.installed_config import open_installed_file

    file = open_installed_file(_find_config_path(ctx))
    try:
        path, _ = file.look_up(str(ctx.params.get("key") or ""))
        root = file.document().root
    except TljhError:
        return []
    _, node, depth = root.find(path) if root else (None, None, 0)
    if node is None or depth < len(path):
        return []
    return [item.raw for item in node.items if item.raw.startswith(incomplete)]


def _find_config_path(ctx: Any) -> Any:
    return getattr(ctx.find_root().obj, "config_path", None)


KeyArgument = Annotated[str, Argument("KEY", "A setting, such as users.admin.", complete_key)]


ValueArgument = Annotated[str | None, Argument("VALUE", "The value.", complete_value)]


ItemArgument = Annotated[str | None, Argument("VALUE", "The item.", complete_item)]
