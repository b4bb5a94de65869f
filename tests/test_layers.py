"""Who may import what, and who may touch the machine: the architecture, checked."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tljh"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The only ways to the machine: the host layer; the process of traefik.service and its trial,
# which run without the rest; the short-lived process that runs py-rattler; and what runs inside
# the hub process, whose libraries write for themselves.
TOUCHES_THE_MACHINE = (
    "host/",
    "conda/worker",
    "proxy/supervisor/",
    "systemd/notify.py",
    "hub/process/app.py",
    "hub/process/traefik_routes.py",
    "hub/process/firstuse_authenticator.py",
    "hub/process/claim_page.py",
    "hub/trait_scan.py",
)
BANNED_IMPORTS = {"subprocess", "requests", "shutil", "urllib.request", "http.client"}
WRITING_METHODS = {
    "write_text",
    "write_bytes",
    "unlink",
    "rename",
    "symlink_to",
    "touch",
    "rmdir",
    "chmod",
}
# What a plan is made of must not reach for what carries it out.
PURE = (
    "engine/plan.py",
    "operations/desired.py",
    "base/errors.py",
    "base/paths.py",
    "settings/declaration.py",
    "base/account_names.py",
    "hub/configuration.py",
    "settings/login_providers.py",
    "settings/login_rules.py",
    "hub/process/login_throttle.py",
    "proxy/traefik_static.py",
    "proxy/traefik_dynamic.py",
)


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imports_of(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_the_host_layer_touches_the_machine(path):
    if name_of(path).startswith(TOUCHES_THE_MACHINE):
        return
    tree = ast.parse(path.read_text())
    assert imports_of(tree) & BANNED_IMPORTS == set()
    calls = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        # `host.rename(...)` is the layer; `path.rename(...)` is not.
        and not (isinstance(node.func.value, ast.Name) and node.func.value.id == "host")
    }
    assert calls & WRITING_METHODS == set()


@pytest.mark.parametrize("name", PURE)
def test_what_decides_does_not_import_what_acts(name):
    found = imports_of(ast.parse((PACKAGE / name).read_text()))
    acting = {
        "tljh.host.real",
        "tljh.engine.apply",
        "tljh.engine.journal",
        "tljh.operations.converge",
        "tljh.commands",
    }
    assert {module for module in found if module.startswith(tuple(acting))} == set()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_but_commands_imports_commands(path):
    if name_of(path).startswith(("commands/", "cli/", "__main__.py")):
        return
    found = imports_of(ast.parse(path.read_text()))
    assert not any(module.startswith("tljh.commands") for module in found)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_importing_reads_no_environment(path):
    """A module's top level defines; what depends on the machine is asked for later."""
    tree = ast.parse(path.read_text())
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.If)):
            continue
        text = ast.unparse(node)
        assert "os.environ" not in text, text
        assert "open(" not in text, text


def test_a_rollback_in_a_fresh_process_finds_every_kind_that_a_journal_can_name():
    declared = {
        match[1]
        for path in MODULES
        for match in re.finditer(r'kind: ClassVar\[str\] = "([^"]+)"', path.read_text())
    }
    ask = (
        "import tljh.operations.converge; from tljh.engine.resource import Resource; "
        f"[Resource.of_kind(kind) for kind in {sorted(declared)}]"
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
