"""`get`, `describe` and `add-item` know what tljh itself puts into lists and maps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.base.paths import get_paths
from tljh.operations.config_edits import add_item, remove_item
from tljh.operations.effective_traits import read_effective_trait
from tljh.operations.setting_values import read_effective_value
from tljh.settings.config_file import ConfigFile
from tljh.settings.root import Config
from tljh.settings.yaml_changes import MISSING

KEY = "SystemdSpawner.extra_paths"


@pytest.fixture
def file(tmp_path: Path) -> ConfigFile:
    path = tmp_path / "config.yaml"
    path.write_text("")
    return ConfigFile(path)


def test_an_item_is_added_to_the_value_in_effect(file):
    ours = read_effective_value(file, KEY)
    assert ours
    add_item(file, KEY, "/usr/local/cuda/bin")
    assert sorted(read_effective_value(file, KEY)) == sorted(["/usr/local/cuda/bin", *ours])


def test_an_item_that_tljh_adds_cannot_be_removed_alone_and_the_way_to_empty_is_named(file):
    [own, *_] = read_effective_value(file, KEY)
    with pytest.raises(TljhError, match="tljh adds itself") as caught:
        remove_item(file, KEY, own)
    assert "'[]'" in str(caught.value)


def test_a_map_has_ours_and_theirs(file):
    file.path.write_text("Spawner: {environment: {A: b}}\n")
    assert {"A", "CONDA_PREFIX"} <= set(read_effective_value(file, "Spawner.environment"))
    assert read_effective_value(file, "Spawner.environment.A") == "b"


def test_settings_that_are_no_traits_are_left_to_their_schema():
    paths = get_paths()
    for path in (("limits", "memory"), ("auth", "type"), ("JupyterHub",), ("NoClass", "x")):
        assert read_effective_trait(Config(), paths, path) is MISSING
