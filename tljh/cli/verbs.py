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
        "upgrade": "tljh.commands.upgrade:upgrade",
        "rollback": "tljh.commands.rollback:rollback",
        "uninstall": "tljh.commands.uninstall:uninstall",
        "status": "tljh.commands.status:status",
        "doctor": "tljh.commands.status:doctor",
        "checklist": "tljh.commands.checklist:checklist",
        "logs": "tljh.commands.logs:logs",
        "support": "tljh.commands.support:support",
        "auth": VerbGroup(
            "Ways to log in.",
            {
                "list": "tljh.commands.auth:list_ways",
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
                "archive": "tljh.commands.user_archive:archive",
                "prune": "tljh.commands.user_prune:prune",
            },
        ),
        "admin": VerbGroup(
            "Admins on the machine.",
            {
                "ssh-key": VerbGroup(
                    "Public keys by which admins get into the machine.",
                    {
                        "add": "tljh.commands.admin_keys:add",
                        "list": "tljh.commands.admin_keys:list_keys",
                        "remove": "tljh.commands.admin_keys:remove",
                    },
                ),
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
        "homes": VerbGroup(
            "The users' home directories.",
            {
                "move": "tljh.commands.homes:move",
                "clean": "tljh.commands.homes:clean",
                "snapshot": "tljh.commands.homes:snapshot",
                "snapshots": "tljh.commands.homes:snapshots",
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
        "env": VerbGroup(
            "The user environment: its packages, its history, and the way back.",
            {
                "install": "tljh.commands.env_packages:install",
                "remove": "tljh.commands.env_packages:remove",
                "update": "tljh.commands.env_packages:update",
                "list": "tljh.commands.env_packages:list_packages",
                "search": "tljh.commands.env_packages:search",
                "check": "tljh.commands.env_check:check",
                "repair": "tljh.commands.env_repair:repair",
                "export": "tljh.commands.env_files:export",
                "apply": "tljh.commands.env_files:apply",
                "history": "tljh.commands.env_history:history",
                "diff": "tljh.commands.env_history:diff",
                "snapshot": "tljh.commands.env_history:snapshot",
                "rollback": "tljh.commands.env_history:rollback",
                "record": "tljh.commands.env_history:record",
                "create": "tljh.commands.env_named:create",
                "show": "tljh.commands.env_named:show",
                "share": "tljh.commands.env_named:share",
                "delete": "tljh.commands.env_named:delete",
            },
        ),
        "bundle": VerbGroup(
            "All packages of an installation in one file.",
            {"create": "tljh.commands.bundle:create"},
        ),
        "export": VerbGroup(
            "The hub as files for another kind of machine.",
            {"z2jh": "tljh.commands.export_z2jh:export"},
        ),
        "link": "tljh.commands.link:link",
        "backup": VerbGroup(
            "Encrypted backups of the hub and its users.",
            {
                "setup": "tljh.commands.backup:setup",
                "run": "tljh.commands.backup:run",
                "list": "tljh.commands.backup:list_backups",
                "check": "tljh.commands.backup:check",
                "forget": "tljh.commands.backup:forget",
                "key": "tljh.commands.backup:key",
            },
        ),
        "db": VerbGroup(
            "The hub's database.",
            {
                "status": "tljh.commands.db:status",
                "check": "tljh.commands.db:check",
                "setup": "tljh.commands.db:setup",
                "move": "tljh.commands.db:move",
            },
        ),
        "plugin": VerbGroup(
            "The plugins of the hub.",
            {
                "list": "tljh.commands.plugin:list_plugins",
                "add": "tljh.commands.plugin:add",
                "remove": "tljh.commands.plugin:remove",
                "new": "tljh.commands.plugin:new",
            },
        ),
        "restore": "tljh.commands.restore:restore",
        "alerts": VerbGroup(
            "Messages about events, by mail and webhooks.",
            {
                "test": "tljh.commands.alerts:test",
                "list": "tljh.commands.alerts:list_events",
                "run": "tljh.commands.alerts:run",
                "accept": "tljh.commands.alerts:accept",
            },
        ),
        "firewall": VerbGroup(
            "Which ports of the machine take connections from outside.",
            {
                "status": "tljh.commands.firewall:status",
                "confirm": "tljh.commands.firewall:confirm",
                "try": "tljh.commands.firewall:try_again",
            },
        ),
        "updates": VerbGroup(
            "Updates of the distribution.",
            {
                "check": "tljh.commands.updates:check",
                "reboot": "tljh.commands.updates:reboot",
            },
        ),
        "worker": VerbGroup(
            "Further machines, which Slurm's controller on this machine knows.",
            {
                "list": "tljh.commands.worker:list_workers",
                "join-script": "tljh.commands.worker:print_join_script",
                "drain": "tljh.commands.worker:drain",
                "resume": "tljh.commands.worker:resume",
                "remove": "tljh.commands.worker:remove",
            },
        ),
        "monitoring": VerbGroup(
            "Metrics for Prometheus.", {"token": "tljh.commands.monitoring:token"}
        ),
        "launch": VerbGroup(
            "Temporary users, whose servers an application starts.",
            {"token": "tljh.commands.launch:token"},
        ),
        "token": VerbGroup(
            "Tokens of users for the hub's API.",
            {
                "create": "tljh.commands.token:create",
                "list": "tljh.commands.token:list_tokens",
                "revoke": "tljh.commands.token:revoke",
            },
        ),
        "service": VerbGroup(
            "Services of the hub: programs that talk to it.",
            {
                "list": "tljh.commands.service:list_services",
                "logs": "tljh.commands.service:logs",
                "restart": "tljh.commands.service:restart",
                "token": "tljh.commands.service:token",
            },
        ),
        "announce": "tljh.commands.announce:announce",
        "rotate": "tljh.commands.rotate:rotate",
        "generalize": "tljh.commands.generalize:generalize",
        "top": "tljh.commands.top:top",
        "report": "tljh.commands.report:report",
        "size": "tljh.commands.size:size",
        "disk": "tljh.commands.disk:disk",
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


def import_function(reference: str) -> Callable[..., Any]:
    """Import and return the function that carries out a verb."""
    module, _, name = reference.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
