"""Admins' drop-ins as entries of `hub.extraConfig`, which the chart's hub executes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

# Packages that only the hub of tljh has.
_OURS = {"tljh", "systemdspawner", "jupyterhub_traefik_proxy"}
# Classes and names that only have a meaning on this machine.
_OUR_CLASSES = {
    "SystemdSpawner",
    "UserCreatingSpawner",
    "TljhHub",
    "LoginGuard",
    "TraefikProxy",
    "TraefikFileProviderProxy",
}


@dataclass(frozen=True)
class ConvertedDropIn:
    """The text for the chart, None for a drop-in that cannot run there; and what to decide."""

    text: str | None
    decisions: tuple[str, ...] = ()


def convert_drop_in(name: str, text: str) -> ConvertedDropIn:
    """Return a drop-in as the chart's hub can run it.

    The chart gives it `c`; its `get_config` is another function, which fails without an argument.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ConvertedDropIn(None, (f"the drop-in {name} is left out: it is not valid Python.",))
    needs = sorted(_find_needs(tree))
    if needs:
        reason = (
            f"the drop-in {name} is left out: it uses {', '.join(needs)}, which the chart's hub "
            "does not have. Write what is needed of it into hub.extraConfig."
        )
        return ConvertedDropIn(None, (reason,))
    decisions = []
    paths = sorted(set(_find_paths(tree)))
    if paths:
        decisions.append(
            f"the drop-in {name} names files of this machine ({', '.join(paths)}): bring them into "
            "the hub's pod with hub.extraFiles, or remove it from hub.extraConfig."
        )
    return ConvertedDropIn(_comment_out_get_config(tree, text), tuple(decisions))


def _find_needs(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.partition(".")[0] in _OURS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in _OURS:
            yield node.module or ""
        elif isinstance(node, ast.Attribute) and node.attr in _OUR_CLASSES:
            yield f"c.{node.attr}"
        elif isinstance(node, ast.Name) and node.id in ("load_subconfig", "__file__"):
            yield node.id
        elif (text := _get_text(node)).partition(".")[0] in _OURS and "." in text:
            yield text


def _get_text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _find_paths(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        text = _get_text(node)
        if text.startswith(("/opt/", "/etc/", "/srv/", "/root/", "/home/", "/var/")):
            yield text


def _comment_out_get_config(tree: ast.Module, text: str) -> str:
    lines = text.splitlines()
    for node in ast.walk(tree):
        value = getattr(node, "value", None)
        if (
            isinstance(node, (ast.Assign, ast.AnnAssign, ast.Expr))
            and isinstance(value, ast.Call)
            and isinstance(value.func, ast.Name)
            and value.func.id == "get_config"
        ):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                indentation = lines[number][: len(lines[number]) - len(lines[number].lstrip())]
                lines[number] = f"{indentation}pass  # {lines[number].strip()}: the chart has c"
    return "\n".join(lines) + "\n"
