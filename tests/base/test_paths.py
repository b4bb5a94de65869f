"""The prefix of an installed command; every path on the machine spelled once."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tljh.base.paths import Paths, get_paths
from tljh.singleuser.inside import launcher
from tljh.systemd.templates import render_unit

PACKAGE = Path(__file__).parents[2] / "tljh"
PLACES = (
    "/opt/tljh",
    "/var/lib/tljh-traefik",
    "/run/traefik",
    "/run/tljh-",
    "/etc/systemd/system",
    "/etc/sudoers.d",
    "/etc/profile.d",
    "/etc/needrestart",
    "/etc/apt/apt.conf.d",
    "/usr/share/bash-completion",
    "/srv/shared",
    "/var/backups/tljh",
    "/var/cache/tljh",
)
# Texts for people, which may name a path: these arguments of a setting's declaration.
TEXT_ARGUMENTS = {"help", "example"}
# Copied to where users' servers run them, without the package tljh.
COPIED = PACKAGE / "singleuser" / "inside"


@pytest.mark.parametrize(
    ("environment", "prefix"),
    [
        ("/srv/hub-server/versions/hub-0123abcd", "/srv/hub-server"),
        ("/usr", "/opt/tljh"),
        ("/opt/other/hub", "/opt/tljh"),
    ],
)
def test_prefix_comes_from_the_hub_environment_that_runs(environment: str, prefix: str) -> None:
    assert get_paths({}, environment).prefix == Path(prefix)


def test_prefix_is_found_through_the_link_of_the_hub_environment(tmp_path: Path) -> None:
    (tmp_path / "versions").mkdir()
    assert get_paths({}, str(tmp_path / "hub")).prefix == tmp_path


def test_variable_wins_over_the_environment_that_runs() -> None:
    environ = {"TLJH_INSTALL_PREFIX": "/srv/elsewhere"}
    paths = get_paths(environ, "/opt/tljh/versions/hub-0123abcd")
    assert paths.config_file == Path("/srv/elsewhere/config/config.yaml")


def test_all_is_below_the_prefix_except_traefik_and_units() -> None:
    paths = Paths(Path("/p"))
    assert paths.applied.directory == Path("/p/state/applied")
    assert paths.traefik_dir == Path("/var/lib/tljh-traefik")


def strings_of(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the string constants of a module, without docstrings and texts for people."""
    exempt: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in TEXT_ARGUMENTS:
            exempt |= set(ast.walk(node.value))
        elif isinstance(node, ast.Expr):
            exempt.add(node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in exempt:
            yield node


def test_paths_on_the_machine_are_spelled_in_paths_alone() -> None:
    files = [
        path
        for path in PACKAGE.rglob("*.py")
        if path != PACKAGE / "base" / "paths.py" and COPIED not in path.parents
    ]
    assert files
    spelled = [
        f"{path.relative_to(PACKAGE.parent)}:{constant.lineno}: {constant.value!r}"
        for path in files
        for constant in strings_of(ast.parse(path.read_text()))
        if any(place in constant.value for place in PLACES)
    ]
    assert spelled == []


def test_what_cannot_import_paths_spells_the_same_ones() -> None:
    assert Paths.shared_folders == launcher.SHARED_FOLDERS
    unit = render_unit("traefik.service", hub="/hub", traefik_dir="/t").decode()
    assert f"--runtime {Paths.proxy_runtime_dir}\n" in unit
    assert f"RuntimeDirectory={Paths.proxy_runtime_dir.name}\n" in unit


def test_no_two_names_are_the_same_path() -> None:
    paths = Paths(Path("/p"))
    values = [getattr(paths, name) for name in dir(Paths) if not name.startswith("_")]
    spelled = [value for value in values if isinstance(value, Path)]
    assert len(spelled) > 40
    assert len(set(spelled)) == len(spelled)
