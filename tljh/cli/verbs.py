"""All verbs of both programs, each with the function that carries it out.

The functions are named by text, because importing all of them takes longer than most commands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

Verbs = Mapping[str, "str | VerbGroup"]


@dataclass(frozen=True)
class VerbGroup:
    """A word with verbs below it: `tljh user …`."""

    help: str
    verbs: Verbs


CONFIG = VerbGroup(
    "Read, change and apply the configuration.",
    {
        "show": "tljh.commands.config_show:show",
        "get": "tljh.commands.config_show:get",
        "set": "tljh.commands.config_set:set_value",
        "unset": "tljh.commands.config_set:unset",
        "add-item": "tljh.commands.config_set:add_item",
        "remove-item": "tljh.commands.config_set:remove_item",
        "edit": "tljh.commands.config_edit:edit",
        "check": "tljh.commands.config_check:check",
        "describe": "tljh.commands.config_describe:describe",
        "schema": "tljh.commands.config_describe:schema",
        "plan": "tljh.commands.reload:plan_reload",
        "reload": "tljh.commands.reload:reload",
        "history": "tljh.commands.reload:history",
        "rollback": "tljh.commands.reload:rollback",
    },
)


TLJH = VerbGroup(
    "Look after the JupyterHub on this machine.",
    {
        "install": "tljh.commands.install:install_with",
        "status": "tljh.commands.status:status",
        "doctor": "tljh.commands.status:doctor",
        "logs": "tljh.commands.logs:logs",
        "auth": VerbGroup(
            "Ways to log in.",
            {
                "list": "tljh.commands.auth:ways",
                "describe": "tljh.commands.auth:describe",
                "check": "tljh.commands.auth:check",
            },
        ),
        "user": VerbGroup(
            "The users of the hub.",
            {
                "list": "tljh.commands.user_list:list_users",
                "show": "tljh.commands.user_list:show",
                "add": "tljh.commands.user_change:add",
                "remove": "tljh.commands.user_change:remove",
                "disable": "tljh.commands.user_change:disable",
                "enable": "tljh.commands.user_change:enable",
                "reset-password": "tljh.commands.user_change:reset_password",
                "import": "tljh.commands.user_import:import_users",
                "export": "tljh.commands.user_list:export",
                "claim": "tljh.commands.user_claim:claim",
            },
        ),
        "share": VerbGroup(
            "Folders that the members of a group edit together.",
            {
                "list": "tljh.commands.share:list_shares",
                "add": "tljh.commands.share:add",
                "remove": "tljh.commands.share:remove",
            },
        ),
        "cert": VerbGroup(
            "The hub's certificate.",
            {
                "status": "tljh.commands.cert:status",
                "issue": "tljh.commands.cert:issue",
                "renew": "tljh.commands.cert:renew_if_due",
                "revoke": "tljh.commands.cert:revoke",
                "check": "tljh.commands.cert:check",
            },
        ),
        "config": CONFIG,
        "completion": "tljh.commands.completion:completion",
    },
)


@dataclass
class Invocation:
    """Options of one run of a program, the same for every verb."""

    json: bool = False
    debug: bool = False
    config_path: Path | None = None


def function_of(reference: str) -> Callable[..., Any]:
    """Import and return the function that carries out a verb."""
    module, _, name = reference.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
