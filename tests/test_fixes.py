"""Commands in messages can be pasted: a shell reads each name and each path as one word."""

from __future__ import annotations

import ast
import json
import shlex
from collections.abc import Iterator, Set
from pathlib import Path

import pytest

from tljh.cli.main import run
from tljh.cli.verbs import CONFIG

PACKAGE = Path(__file__).parents[1] / "tljh"

# What begins a command in a message.
COMMANDS = ("sudo ", "tljh ", "tljh-config ")

# Need no quotes: numbers, and names of units, settings and files that are written in the code.
# Names in capitals are constants.
OWN_VALUES = {
    "acme_preflight": {"key", "request.dns_provider"},
    # Names of accounts on the machine have no odd characters.
    "accounts": {"uid", "owner", "info.owner", "user.name"},
    "service_checks": {"port"},
    "session_limits": {"lines"},
    "apply": {"unit"},
    "certificate_checks": {"unit"},
    "checks": {"name", "places", "condition", "member.name", "user.name"}
    | {"newer[0].version", "security", "__version__"},
    "config_check": {"section", "name"},
    "file_forms": {"form", "what", "_format_yaml(key)", "_format_yaml(cert)"},
    "health": {"unit"},
    "hub_options": {"setting"},
    "installed_config": {"states[-1]"},
    "main": {"__version__"},
    "memory_kills": {"format_size(size_bytes)"},
    "oversized_limits": {"size.processors", "format_size(size.memory_bytes // 2)"},
    "own_files": {"part"},
    "package_changes": {"planned.command"},
    "proxy": {"acme.dns.provider", "name", "free", "lack", "verb", "key"},
    "reference": {"self.command", "setting.command"},
    "reload": {"applied.kept"},
    "trait_catalogue": {"key"},
    # Versions of tljh, and sentences that begin with its name.
    "install_and_reload": {"__version__"},
    "migrations": {"self.release", "reason"},
    "release_change": {"_describe_versions(self.old.version, self.new.version)"},
    "release_rollback": {"__version__", "before.version", "self.before.version"},
    "rollback": {"prepared.before.version"},
    "unit_resource": {"unit"},
    "upgrade": {
        *("__version__", "each.version", "candidate.version"),
        *("' (security)' if each.is_security else ''", "each.summary"),
    },
    "user_import": {"again"},
    "user_notes": {"way"},
    "versions": {"installed", "new"},
}


def find_quoted_names(tree: ast.AST) -> set[str]:
    """Return the variables that hold a quoted text."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=True))
                names |= {ast.unparse(name) for name, value in pairs if is_quoted(value)}
    return names


def is_quoted(value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func) in (
        "quote",
        "shlex.quote",
        "shlex.join",
    )


def list_unquoted(tree: ast.AST, own_values: Set[str] = frozenset()) -> Iterator[tuple[int, str]]:
    """Yield the values that follow the name of a command in a text, and are not quoted."""
    safe = own_values | find_quoted_names(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        text = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                text += str(part.value)
            elif isinstance(part, ast.FormattedValue):
                source = ast.unparse(part.value)
                last = max((text.rfind(command) for command in COMMANDS), default=-1)
                begins = last >= 0 and (last == 0 or text[last - 1] in " `:&(")
                is_constant = source.rsplit(".", 1)[-1].isupper()
                if begins and not (is_constant or source in safe or is_quoted(part.value)):
                    yield part.value.lineno, source
                text += "X"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_every_value_in_a_command_of_a_message_is_quoted(path):
    unquoted = list(list_unquoted(ast.parse(path.read_text()), OWN_VALUES.get(path.stem, set())))
    assert not unquoted, f"{path}: {unquoted}"


@pytest.mark.parametrize(
    "text",
    [
        'users: {admin: ["mrs smith"], banned: ["mrs smith"]}',
        'limits: {users: {"mrs smith": {memory: much}}}',
        'limits: {users: {"a;reboot": {tasks: lots}}}',
        'https: {mode: "tls; reboot"}',
    ],
)
def test_the_fix_of_a_finding_with_an_odd_name_can_be_pasted(text, tmp_path, capsys):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    assert run("tljh-config", CONFIG, ["--config-path", str(file), "--json", "check"]) == 1
    errors = json.loads(capsys.readouterr().out)["errors"]
    commands = [
        item["fix"] for item in errors if (item["fix"] or "").startswith("sudo tljh-config")
    ]
    assert commands, errors
    for command in commands:
        words = shlex.split(command)
        assert run("tljh-config", CONFIG, ["--config-path", str(file), *words[2:]]) == 0, command
    assert run("tljh-config", CONFIG, ["--config-path", str(file), "check"]) == 0
