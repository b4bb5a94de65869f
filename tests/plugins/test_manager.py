"""Plugins: what their hooks ask for, and what becomes of those that fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tljh.base.path_groups import HubEnvironmentFiles
from tljh.host.real import RealHost
from tljh.plugins import manager
from tljh.plugins.manager import Contributions, read_contributions, record_contributions

from .environments import PluginEnvironment

HEAD = "from tljh.hooks import hookimpl\n\n@hookimpl\n"
PACKAGES = HEAD + "def tljh_extra_user_pip_packages():\n"
GOOD = PACKAGES + "    return ['numpy']\n"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PluginEnvironment:
    monkeypatch.setattr(manager, "TIMEOUT_S", 1.0)
    return PluginEnvironment(tmp_path / "hub-1")


def read(environment: PluginEnvironment) -> Contributions:
    return read_contributions(RealHost(), environment.path)


MISTAKES = {
    "raises when it is imported": (
        "x = 1\nraise ValueError('no\\ncourse')\n",
        2,
        "ValueError: no course",
    ),
    "is no valid Python": ("x = 1\ndef f(:\n", 2, "SyntaxError: invalid syntax"),
    "misses a module": ("import no_such_thing\n", 1, "No module named 'no_such_thing'"),
    "needs a newer tljh": (
        "from tljh.hooks import tljh_of_the_future\n",
        1,
        "needs another release of tljh",
    ),
    "exits when it is imported": ("import sys\nsys.exit(3)\n", 2, "tries to end the process"),
    "kills the process": ("import os\nos._exit(0)\n", 2, "tries to end the process"),
    "dies": ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", 2, "ends the process"),
    "hangs when it is imported": (
        "import time\ntime.sleep(3600)\n",
        2,
        "hangs when it is imported",
    ),
    "raises in a hook": (PACKAGES + "    return 1 / 0\n", 5, "failed in tljh_extra_user_pip"),
    "hangs in a hook": (
        "import time\n" + PACKAGES + "    time.sleep(3600)\n",
        6,
        "hangs in tljh_extra_user_pip_packages",
    ),
    "catches what stops it": (
        "import time\n" + PACKAGES + "    while True:\n        try:\n            time.sleep(99)\n"
        "        except BaseException:\n            pass\n",
        8,
        "hangs",
    ),
    "returns text": (PACKAGES + "    return 'numpy'\n", 3, "not a list of texts"),
    "has an argument too many": (
        HEAD + "def tljh_new_user_create(username, password):\n    pass\n",
        3,
        "arguments that there are not: {'password'}",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_plugin_that_fails_is_named_with_file_and_line_and_the_others_work(environment, mistake):
    source, line, what = MISTAKES[mistake]
    module = environment.add("bad", source)
    environment.add("good", GOOD)
    contributions = read(environment)
    assert contributions.plugins == ("good",)
    assert contributions.user_pip_packages == ("numpy",)
    (failure,) = contributions.failures
    assert failure.plugin == "bad"
    assert failure.finding.what.startswith("plugin bad ")
    assert what in failure.finding.what
    assert "\n" not in failure.finding.what
    assert str(failure.finding.where) == f"{module}, line {line}"


def test_a_mistake_in_a_library_is_placed_at_the_plugins_own_line(environment):
    module = environment.add("bad", "import json\n\njson.loads('{')\n")
    (failure,) = read(environment).failures
    assert str(failure.finding.where) == f"{module}, line 3"


def test_a_plugin_whose_module_is_missing_is_placed_in_its_entry_points(environment):
    module = environment.add("bad", "")
    module.unlink()
    (failure,) = read(environment).failures
    assert "there is no module tljh_bad" in failure.finding.what
    assert failure.finding.where
    assert failure.finding.where.path.endswith("tljh_bad-1.0.dist-info/entry_points.txt")


def test_a_plugin_that_requires_a_newer_tljh_in_its_metadata_is_left_out(environment):
    environment.add("bad", GOOD, requires="tljh>=999")
    environment.add("good", GOOD, requires="tljh>=0.1.dev0")
    contributions = read(environment)
    assert contributions.plugins == ("good",)
    (failure,) = contributions.failures
    assert "tljh>=999" in failure.finding.what


@pytest.mark.parametrize(
    "source",
    [
        PACKAGES + "    print('installing')\n    return ['numpy']\n",
        PACKAGES + "    import os; os.system('echo installing')\n    return ['numpy']\n",
        PACKAGES + "    import sys; sys.stdout.buffer.write(b'x')\n    return ['numpy']\n",
    ],
)
def test_what_a_plugin_prints_is_not_taken_for_its_answer(environment, source):
    module = environment.add("loud", source)
    contributions = read(environment)
    assert contributions.user_pip_packages == ("numpy",)
    if "print" in source:
        (warning,) = contributions.warnings
        assert "plugin loud prints" in warning.what
        assert str(warning.where) == f"{module}, line 5"


def test_a_hook_that_this_release_does_not_have_is_named_and_the_others_count(environment):
    source = GOOD + "\n@hookimpl\ndef tljh_of_the_future():\n    return 1\n"
    module = environment.add("new", source)
    contributions = read(environment)
    assert contributions.user_pip_packages == ("numpy",)
    (warning,) = contributions.warnings
    assert "tljh_of_the_future" in warning.what
    assert str(warning.where) == f"{module}, line 7"


def test_a_hook_that_writes_files_where_it_is_called_leaves_nothing(
    environment, tmp_path, monkeypatch
):
    environment.add("untidy", PACKAGES + "    open('r.txt', 'w').close()\n    return ['numpy']\n")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert read(environment).failures == ()
    assert list(Path.cwd().iterdir()) == []
    assert not Path("/r.txt").exists()


COUNTING = PACKAGES + "    open({!r}, 'a').write('.')\n    return ['numpy']\n"


def test_hooks_for_packages_run_once_when_the_environment_is_built(environment, tmp_path):
    calls = tmp_path / "calls"
    environment.add("counting", COUNTING.format(str(calls)))
    assert record_contributions(RealHost(), environment.path).user_pip_packages == ("numpy",)
    for _plan in range(2):
        assert read(environment).user_pip_packages == ("numpy",)
    assert calls.read_text() == "."
    environment.add("by_hand", GOOD)
    assert read(environment).plugins == ("by_hand", "counting")
    assert calls.read_text() == ".."


def test_a_record_that_cannot_be_read_is_made_again(environment):
    environment.add("good", GOOD)
    record = HubEnvironmentFiles(environment.path).contributions
    record.parent.mkdir(parents=True)
    for damaged in ("{", "[]", '{"plugins": ["good-1.0"], "unknown": []}', '{"plugins": {}}'):
        record.write_text(damaged)
        assert read(environment).user_pip_packages == ("numpy",)


def test_a_plugin_that_failed_is_asked_again_once_its_file_was_corrected(environment):
    environment.add("bad", "raise ValueError\n")
    assert record_contributions(RealHost(), environment.path).failures
    assert read(environment).failures
    environment.add("bad", GOOD)
    assert read(environment).plugins == ("bad",)
