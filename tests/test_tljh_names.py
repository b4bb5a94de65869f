"""The names of TLJH that plugins import: that they exist, and what they do."""

from __future__ import annotations

import ast
import importlib
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from traitlets.config import Config as JupyterHubConfig

from tljh import conda, configurer, systemd
from tljh import config as tljh_config
from tljh.base.errors import TljhError
from tljh.config import set_config_value
from tljh.configurer import apply_config, load_config
from tljh.user import remove_group, remove_user
from tljh.utils import run_subprocess

PACKAGE = Path(__file__).parent.parent / "tljh"

# The names that plugins and their documentation use; removing one breaks published plugins.
PROMISED = {
    "tljh.hooks": [
        "hookimpl",
        "hookspec",
        "tljh_extra_user_conda_packages",
        "tljh_extra_user_conda_channels",
        "tljh_extra_user_pip_packages",
        "tljh_extra_hub_pip_packages",
        "tljh_extra_apt_packages",
        "tljh_custom_jupyterhub_config",
        "tljh_config_post_install",
        "tljh_post_install",
        "tljh_new_user_create",
        "tljh_settings",
        "tljh_commands",
        "tljh_resources",
        "tljh_traefik_rules",
        "tljh_doctor_checks",
        "tljh_backup_paths",
        "tljh_before_upgrade",
        "tljh_after_upgrade",
        "tljh_before_removal",
        "tljh_after_removal",
        "tljh_user_removed",
        "tljh_server_starting",
        *("PluginFile", "PluginDirectory", "PluginUnit", "PluginPackages", "CheckResult"),
        *("Section", "section", "setting", "Cost", "read_settings"),
    ],
    "tljh.testing": ["FakeHub"],
    "tljh.config": [
        "INSTALL_PREFIX",
        "HUB_ENV_PREFIX",
        "USER_ENV_PREFIX",
        "STATE_DIR",
        "CONFIG_DIR",
        "CONFIG_FILE",
        "set_config_value",
        "unset_config_value",
        "add_config_value",
        "remove_config_value",
        "reload_component",
    ],
    "tljh.configurer": ["load_config", "apply_config", "CONFIG_FILE"],
    "tljh.yaml": ["yaml"],
    "tljh.user": [
        "ensure_user",
        "remove_user",
        "ensure_group",
        "remove_group",
        "ensure_user_group",
        "remove_user_group",
    ],
    "tljh.installer": ["main"],
    "tljh.normalize": ["generate_system_username"],
    "tljh.systemd": [
        "check_service_active",
        "check_service_enabled",
        "reload_daemon",
        "start_service",
        "stop_service",
        "restart_service",
        "enable_service",
        "disable_service",
        "install_unit",
        "uninstall_unit",
    ],
    "tljh.apt": ["install_packages", "add_source", "trust_gpg_key"],
    "tljh.conda": [
        "ensure_conda_packages",
        "ensure_pip_packages",
        "ensure_pip_requirements",
        "fix_permissions",
    ],
    "tljh.utils": ["run_subprocess", "get_plugin_manager"],
    "tljh.user_creating_spawner": ["UserCreatingSpawner"],
}
# The modules directly in the package, except for the package itself and `python -m tljh`.
FLAT = {f"tljh.{path.stem}" for path in PACKAGE.glob("[!_]*.py")}


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in PROMISED.items() for name in names]
)
def test_every_promised_name_can_be_imported(module: str, name: str) -> None:
    exec(f"from {module} import {name}", {})


def test_every_flat_module_is_a_promise() -> None:
    assert set(PROMISED) - {"tljh.systemd", "tljh.conda"} == FLAT


@pytest.mark.parametrize("module", sorted(PROMISED))
def test_importing_a_promised_module_does_nothing_to_the_machine(module: str) -> None:
    """Import with no installation, no root and no environment variable."""
    code = f"import {module}"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        env={"PATH": os.environ["PATH"], "TLJH_INSTALL_PREFIX": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix()
)
def test_nothing_inside_imports_a_name_that_is_kept_for_plugins(path: Path) -> None:
    assert imported_modules(path) & FLAT == set()


def test_reload_component_applies_what_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    applied = []
    converge = importlib.import_module("tljh.operations.converge")
    requests = importlib.import_module("tljh.operations.install_and_reload")
    monkeypatch.setattr(requests, "make_reload_request", lambda host, paths, command: command)
    monkeypatch.setattr(
        converge, "converge", lambda host, paths, request, _: applied.append(request)
    )
    tljh_config.reload_component("hub")
    tljh_config.reload_component("proxy")
    assert applied == ["reload", "reload"]
    with pytest.raises(TljhError):
        tljh_config.reload_component("culler")


def test_yaml_loads_and_dumps_with_comments() -> None:
    from tljh.yaml import yaml

    document = yaml.load("# ours\na: [1, 'x']  # here\n")
    document["b"] = {"c": 2}
    written = io.StringIO()
    yaml.dump(document, written)
    assert written.getvalue() == "# ours\na: [1, 'x']  # here\nb:\n  c: 2\n"


def test_load_config_gives_plain_values_with_defaults(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("users: {admin: [alice]}\n")
    config = load_config(str(file))
    assert config["users"]["admin"] == ["alice"]
    assert config["http"]["port"] == 80
    assert config["auth"]["type"] == "firstuseauthenticator.FirstUseAuthenticator"


def test_apply_config_fills_the_configuration_of_jupyterhub() -> None:
    c = JupyterHubConfig()
    apply_config({"limits": {"memory": "42G"}, "users": {"admin": ["alice"]}}, c)
    assert c.SystemdSpawner.mem_limit == "42G"
    assert list(c.Authenticator.admin_users) == ["alice"]


def test_apply_config_fills_what_plugins_of_tljh_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TLJH_INSTALL_PREFIX", str(tmp_path))
    (tmp_path / "state").mkdir()
    (tmp_path / "config").mkdir()
    (tmp_path / "state" / "traefik-api.secret").write_text("made-up\n")
    assert load_config()["traefik_api"]["password"] == "made-up"
    c = JupyterHubConfig()
    apply_config({}, c)
    assert c.Spawner.mem_limit is None
    assert c.Spawner.cpu_limit is None
    assert c.JupyterHub.authenticator_class == "firstuseauthenticator.FirstUseAuthenticator"
    assert c.JupyterHub.base_url == "/"
    assert c.TraefikProxy.traefik_api_password == "made-up"
    c = JupyterHubConfig()
    apply_config(
        {
            "limits": {"memory": "42G", "cpu": 2},
            "base_url": "/custom-base",
            "users": {"admin": ("a", "b")},
            "traefik_api": {"username": "some_user", "password": "1234"},
            "JupyterHub": {"authenticator_class": "dummy"},
        },
        c,
    )
    assert (c.Spawner.mem_limit, c.Spawner.cpu_limit) == ("42G", 2)
    assert c.JupyterHub.base_url == "/custom-base"
    assert c.JupyterHub.authenticator_class == "dummy"
    assert list(c.Authenticator.admin_users) == ["a", "b"]
    assert c.TraefikProxy.traefik_api_username == "some_user"
    assert c.TraefikProxy.traefik_api_password == "1234"


@pytest.mark.parametrize("value", [("a", "b"), {"b", "a"}, ["a", "b"]])
def test_collections_of_any_kind_are_set_as_lists(tmp_path: Path, value: object) -> None:
    file = tmp_path / "config.yaml"
    set_config_value(str(file), "users.admin", value)
    assert file.read_text() == "users:\n  admin:\n    - a\n    - b\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make accounts")
def test_what_there_is_no_account_or_group_of_can_be_removed() -> None:
    remove_user("tljh-nosuch-user")
    remove_group("tljh-nosuch-group")


def test_apply_config_refuses_what_is_wrong() -> None:
    with pytest.raises(TljhError):
        apply_config({"limits": {"memory": "banana"}}, JupyterHubConfig())


def test_config_file_follows_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TLJH_INSTALL_PREFIX", "/srv/hub")
    assert configurer.CONFIG_FILE == "/srv/hub/config/config.yaml"


def test_run_subprocess_returns_the_output_and_raises_with_it() -> None:
    assert run_subprocess(["sh", "-c", "echo out; echo err >&2"]) == "out\nerr\n"
    assert run_subprocess(["cat"], input="given") == "given"
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run_subprocess(["sh", "-c", "echo why; exit 3"])
    assert (caught.value.returncode, caught.value.output) == (3, "why\n")


def test_a_unit_of_a_plugin_is_written_and_removed(tmp_path: Path) -> None:
    systemd.install_unit("course.service", "[Service]\n", str(tmp_path))
    assert (tmp_path / "course.service").read_text() == "[Service]\n"
    systemd.uninstall_unit("course.service", str(tmp_path))
    systemd.uninstall_unit("course.service", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_conda_packages_of_a_plugin_belong_into_its_hook() -> None:
    with pytest.raises(TljhError, match="numpy") as caught:
        conda.ensure_conda_packages("/opt/tljh/user", ["numpy"])
    assert "tljh_extra_user_conda_packages" in str(caught.value.findings[0].fix)
