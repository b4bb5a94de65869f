"""A run of the bootstrap with stubs of the build and of `tljh install`."""

from __future__ import annotations

import json
import os
import signal
from contextlib import nullcontext
from pathlib import Path

import pytest
from tljh_installer import facts as machine
from tljh_installer import main as bootstrap
from tljh_installer.environment import Builder, EnvironmentSpec, HubEnvironment
from tljh_installer.facts import MachineFacts

FINE = MachineFacts(free_bytes={"/opt/tljh": 20 << 30})
# A stub of the new environment's Python: records its arguments and input, ends with a given code.
PYTHON = """#!/bin/sh
echo "$@" > {root}/arguments
cat > {root}/answers
exit $(cat {root}/code)
"""


@pytest.fixture
def prefix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the prefix on a machine that qualifies; build and `tljh install` are stubs."""
    monkeypatch.setenv("TLJH_INSTALL_PREFIX", str(tmp_path / "opt"))
    monkeypatch.setattr(bootstrap, "run_lock", lambda: machine_lock(tmp_path))
    monkeypatch.setattr(bootstrap, "prepare_dpkg", lambda steps, environ: None)
    monkeypatch.setattr(bootstrap, "downloading_packages", lambda steps, environ: nullcontext())
    monkeypatch.setattr(machine, "read_local", lambda prefix, ports: FINE)
    monkeypatch.setattr(machine, "check_network", lambda pages, channels: ({}, {}, ()))
    (tmp_path / "code").write_text("0")

    def build(builder: Builder, plugins: object) -> HubEnvironment:
        path = builder.versions / "hub-0"
        (path / "bin").mkdir(parents=True)
        (path / "bin" / "python").write_text(PYTHON.format(root=tmp_path))
        (path / "bin" / "python").chmod(0o755)
        return HubEnvironment(path, EnvironmentSpec("", "", ""), built=True)

    monkeypatch.setattr(Builder, "build", build)
    return tmp_path / "opt"


def machine_lock(directory: Path):
    from tljh_installer.locks import run_lock

    return run_lock(directory / "lock")


def test_the_new_environment_gets_the_answers_and_no_secret_in_its_arguments(prefix: Path) -> None:
    assert bootstrap.main(["--admin", "ada:hunter22"], None) == 0
    answers = json.loads((prefix.parent / "answers").read_text())
    assert answers["admins"] == ["ada:hunter22"]
    assert answers["hub_environment"] == str(prefix / "versions" / "hub-0")
    assert (prefix.parent / "arguments").read_text() == "-I -m tljh install --answers -\n"
    log = (prefix / "installer.log").read_text()
    assert "hunter22" not in log
    assert "install --answers" in log


def test_a_password_on_the_command_line_is_warned_about(
    prefix: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap.main(["--admin", "ada:hunter22"], None)
    output = capsys.readouterr().out
    assert "visible" in output
    assert "hunter22" not in output


@pytest.mark.parametrize("code", [1, 4])
def test_a_failed_install_leaves_only_the_log_and_passes_its_code_on(
    prefix: Path, code: int
) -> None:
    (prefix.parent / "code").write_text(str(code))
    assert bootstrap.main(["--admin", "ada"], None) == code
    assert [path.name for path in prefix.iterdir()] == ["installer.log"]


def test_an_environment_that_is_used_already_stays_after_a_failure(
    prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix.mkdir()
    (prefix / "hub").symlink_to("versions/hub-0")
    (prefix.parent / "code").write_text("1")
    bootstrap.main([], None)
    assert (prefix / "versions" / "hub-0").is_dir()


def test_a_refused_machine_is_left_as_it_was(
    prefix: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = MachineFacts(os_id="arch", has_systemd=False)
    monkeypatch.setattr(machine, "read_local", lambda prefix, ports: facts)
    before = sorted(prefix.parent.iterdir())
    assert bootstrap.main(["--admin", "ada"], None) == 3
    assert sorted(prefix.parent.iterdir()) == before
    assert capsys.readouterr().err.count("error:") == 2


def test_refusals_come_as_json_for_programs(
    prefix: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = MachineFacts(os_id="arch")
    monkeypatch.setattr(machine, "read_local", lambda prefix, ports: facts)
    assert bootstrap.main(["--json"], None) == 3
    output = json.loads(capsys.readouterr().out)
    assert "not supported" in output["errors"][0]["what"]


def test_a_plan_leaves_nothing_behind(prefix: Path) -> None:
    before = {path.name for path in prefix.parent.iterdir()}
    assert bootstrap.main(["--plan", "--admin", "ada"], None) == 0
    answers = json.loads((prefix.parent / "answers").read_text())
    assert answers["plan"] is True
    assert not Path(answers["hub_environment"]).exists()
    after = {path.name for path in prefix.parent.iterdir()} - {"answers", "arguments"}
    assert after == before


def test_a_second_installer_ends_with_4(prefix: Path) -> None:
    with machine_lock(prefix.parent):
        assert bootstrap.main(["--admin", "ada"], None) == 4
    assert not prefix.exists()


def test_a_first_run_that_fails_while_building_leaves_only_the_log(
    prefix: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(builder: Builder, plugins: object) -> HubEnvironment:
        raise OSError(28, "No space left on device", str(prefix))

    monkeypatch.setattr(Builder, "build", build)
    assert bootstrap.main(["--admin", "ada"], None) == 1
    assert [path.name for path in prefix.iterdir()] == ["installer.log"]
    assert "no space left" in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_removes_what_was_begun(
    number: signal.Signals, prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(builder: Builder, plugins: object) -> HubEnvironment:
        os.kill(os.getpid(), number)
        raise AssertionError("the signal did not come")

    monkeypatch.setattr(Builder, "build", build)
    assert bootstrap.main(["--admin", "ada"], None) == 128 + number
    assert not (prefix / "versions").exists()
