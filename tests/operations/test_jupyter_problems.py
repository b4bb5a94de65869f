"""Settings of Jupyter are compared with what the user environment has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tljh.base.paths import Paths
from tljh.host.fake import FakeHost
from tljh.operations.jupyter_problems import find_jupyter_problems
from tljh.settings.load import load
from tljh.singleuser.jupyter_configuration import build_jupyter_resources

PATHS = Paths()
SHARE = PATHS.user / "share" / "jupyter"
THEMES = "@jupyterlab/apputils-extension:themes"
SCHEMA = {
    "definitions": {"name": {"type": "string"}},
    "additionalProperties": False,
    "properties": {
        "theme": {"$ref": "#/definitions/name", "default": "JupyterLab Light"},
        "theme-scrollbars": {"type": "boolean", "default": False},
    },
}


@pytest.fixture
def host() -> FakeHost:
    host = FakeHost()
    files = {
        SHARE / "lab/schemas/@jupyterlab/apputils-extension/themes.json": SCHEMA,
        SHARE / "lab/static/package.json": {
            "jupyterlab": {"extensions": {"@jupyterlab/filebrowser-extension": ""}}
        },
        SHARE / "labextensions/@jupyterlab/git/schemas/@jupyterlab/git/plugin.json": {
            "properties": {"displayStatus": {"type": "boolean"}}
        },
        PATHS.user / "lib/python3.12/site-packages/nbgitpuller/__init__.py": {},
        PATHS.user / "conda-meta/history": {},
    }
    for path, data in files.items():
        for directory in reversed(path.parents):
            if host.info(directory) is None:
                host.mkdir(directory, mode=0o755)
        host.write(path, json.dumps(data).encode(), mode=0o644)
    return host


def problems(host: FakeHost, text: str) -> list[tuple[str, str, str | None]]:
    config = load(f"user_environment: {text}".encode())
    return [
        (problem.severity, problem.what, problem.fix)
        for problem in find_jupyter_problems(config, host, PATHS)
    ]


def test_settings_that_jupyterlab_accepts_are_fine(host):
    text = f'{{jupyterlab: {{settings: {{"{THEMES}": {{theme: Dark, theme-scrollbars: true}}}}}}}}'
    assert problems(host, text) == []
    git = '{jupyterlab: {settings: {"@jupyterlab/git:plugin": {displayStatus: false}}}}'
    assert problems(host, git) == []


def test_a_value_of_the_wrong_type_is_refused_before_a_plugin_breaks(host):
    ((severity, what, fix),) = problems(
        host, f'{{jupyterlab: {{settings: {{"{THEMES}": {{theme: 5}}}}}}}}'
    )
    assert severity == "error"
    assert what == f"{THEMES} does not accept theme: 5 is not of type 'string'"
    assert fix is not None and "unset" in fix


def test_a_wrong_value_in_effect_blocks_no_other_change(host):
    text = f'{{jupyterlab: {{settings: {{"{THEMES}": {{theme: 5}}}}}}}}'
    host.mkdir(PATHS.jupyter, mode=0o755)
    host.mkdir(PATHS.lab_configuration, mode=0o755)
    host.write(PATHS.lab_overrides, json.dumps({THEMES: {"theme": 5}}).encode(), mode=0o644)
    assert [severity for severity, *_ in problems(host, text)] == ["warning"]


@pytest.mark.parametrize(
    ("text", "name", "nearest"),
    [
        (
            '{jupyterlab: {settings: {"@jupyterlab/apputils-extension:theme": {theme: Dark}}}}',
            "@jupyterlab/apputils-extension:theme",
            THEMES,
        ),
        (f'{{jupyterlab: {{settings: {{"{THEMES}": {{Theme: Dark}}}}}}}}', "Theme", "theme"),
        (
            "{jupyterlab: {extensions: {'@jupyterlab/gitt': false}}}",
            "@jupyterlab/gitt",
            "write @jupyterlab/git",
        ),
        ("{server_extensions: {nbgitpull: true}}", "nbgitpull", "nbgitpuller"),
    ],
)
def test_a_name_that_is_not_installed_is_named_with_the_nearest(host, text, name, nearest):
    ((severity, what, fix),) = problems(host, text)
    assert severity == "warning"
    assert f"is called {name} in the user environment" in what
    assert fix is not None and nearest in fix


def test_a_machine_without_an_environment_is_not_judged():
    assert problems(FakeHost(), "{server_extensions: {nbgitpull: true}}") == []


def written(text: str) -> dict[Path, object]:
    resources = build_jupyter_resources(load(f"user_environment: {text}".encode()), PATHS, ())
    return {item.path: json.loads(item.data) for item in resources if hasattr(item, "data")}


def test_the_settings_are_files_that_jupyter_reads():
    files = written(
        f'{{jupyterlab: {{settings: {{"{THEMES}": {{theme: Dark}}}}, news: true, '
        "extensions: {'@jupyterlab/git': false, a:b: true}}, server_extensions: {x.y: false}}"
    )
    assert files == {
        PATHS.server_extensions: {"ServerApp": {"jpserver_extensions": {"x.y": False}}},
        PATHS.lab_overrides: {
            THEMES: {"theme": "Dark"},
            "@jupyterlab/apputils-extension:notification": {"fetchNews": "none"},
        },
        PATHS.lab_page: {"disabledExtensions": {"@jupyterlab/git": True, "a:b": False}},
    }
