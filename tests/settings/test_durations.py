"""Settings that are a time accept 2h and 90m, wherever they are."""

from __future__ import annotations

import re

import pytest

from tljh.cli.main import run
from tljh.cli.verbs import CONFIG
from tljh.settings.keys import format_key
from tljh.settings.load import check, load
from tljh.settings.root import Config
from tljh.settings.shape import derive_shape, walk
from tljh.settings.yaml_edit import set_value

TIMES = {format_key(path): shape for path, shape in walk(derive_shape(Config)) if shape.duration}


def test_every_setting_whose_help_is_about_seconds_or_days_takes_a_duration():
    numbers = [
        format_key(path)
        for path, shape in walk(derive_shape(Config))
        if shape.kind in ("int", "number")
        and shape.declaration
        and (
            path[-1].endswith(("_s", "_days"))
            or re.match(r"(Seconds|Minutes|Hours|Days)\b", shape.declaration.description or "")
        )
    ]
    assert len(numbers) >= 8
    assert set(numbers) <= TIMES.keys()


@pytest.mark.parametrize("key", TIMES)
def test_a_time_can_be_written_with_a_unit(key):
    text = set_value("", tuple(key.split(".")), "30m")
    assert check(text.encode()) == []
    value = load(text.encode())
    for step in key.split("."):
        value = getattr(value, step)
    assert value * TIMES[key].duration.unit_s == 1800


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("90m", 5400), ("1.5h", 5400), ("45s", 45), ("1d", 86400), ("7200", 7200)],
)
def test_the_command_line_takes_a_time(text, seconds, tmp_path, capsys):
    file = tmp_path / "config.yaml"
    words = ["--config-path", str(file), "set", "services.cull.timeout", text]
    assert run("tljh-config", CONFIG, words) == 0
    assert load(file).services.cull.timeout == seconds
    assert f"timeout: {text}\n" in file.read_text()


@pytest.mark.parametrize("text", ["2 hours", "h", "-1h", "1.5s", "9999d", "1h30m"])
def test_what_is_no_time_is_refused_with_the_spelling(text, tmp_path, capsys):
    file = tmp_path / "config.yaml"
    words = ["--config-path", str(file), "set", "services.cull.timeout", text]
    assert run("tljh-config", CONFIG, words) != 0
    assert "must be a time like 90m or 2h" in capsys.readouterr().err
