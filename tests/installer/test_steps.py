"""Steps on the terminal, in the log and for the page, and the programs that they run."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from tljh_installer.processes import run_logged, run_through
from tljh_installer.steps import Redactor, Steps


def test_a_log_gets_a_line_for_each_step_with_its_seconds() -> None:
    out = io.StringIO()
    with Steps(out).step("hub environment") as step:
        step.detail = "75 packages"
    assert out.getvalue() == "0.0 s  hub environment  75 packages\n"


def test_a_failed_step_is_reported() -> None:
    out = io.StringIO()
    with pytest.raises(ValueError), Steps(out).step("hub environment"):
        raise ValueError
    assert out.getvalue() == "0.0 s  hub environment  failed\n"


def test_the_log_file_is_for_root_only_and_begins_with_earlier_lines(tmp_path: Path) -> None:
    steps = Steps(io.StringIO())
    steps.log("early")
    path = tmp_path / "new" / "installer.log"
    steps.open_log(path)
    steps.log("late\nlater")
    assert path.stat().st_mode & 0o777 == 0o500
    words = [line.split(" ", 2)[2] for line in path.read_text().splitlines()]
    assert words == ["early", "late", "later"]


def test_an_older_readable_log_is_kept_and_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "installer.log"
    path.write_text("of yesterday\n")
    path.chmod(0o644)
    Steps(io.StringIO()).open_log(path)
    assert path.stat().st_mode & 0o777 == 0o500
    assert path.read_text() == "of yesterday\n"


def test_secrets_reach_neither_screen_nor_log_nor_page(tmp_path: Path) -> None:
    out = io.StringIO()
    steps = Steps(out, Redactor(["hunter22"]))
    steps.open_log(tmp_path / "log")
    (tmp_path / "events").touch()
    steps.open_events(tmp_path / "events")
    steps.say("password hunter22 for https://ada:pw@mirror/simple")
    for text in (out.getvalue(), (tmp_path / "log").read_text(), (tmp_path / "events").read_text()):
        assert "hunter22" not in text
        assert "pw@" not in text
        assert "mirror/simple" in text


def test_a_password_that_is_a_common_word_is_removed_as_a_whole_word_only() -> None:
    out = io.StringIO()
    steps = Steps(out, Redactor(["admin", ""]))
    steps.say("--admin NAME for administrators; it is admin, admin")
    assert out.getvalue().strip() == "--admin NAME for administrators; it is ***, ***"


def test_steps_are_published_as_lines_of_json(tmp_path: Path) -> None:
    steps = Steps(io.StringIO())
    steps.open_events(tmp_path / "events")
    with steps.step("one"):
        steps.log("a line")
    events = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert events[0] == {"event": "step", "name": "one", "state": "running"}
    assert events[1] == {"event": "log", "line": "a line"}
    assert events[-1]["state"] == "done"


def test_events_of_tljh_install_are_logged_and_published(tmp_path: Path) -> None:
    steps = Steps(io.StringIO())
    steps.open_log(tmp_path / "log")
    steps.open_events(tmp_path / "events")
    steps.republish(
        io.StringIO(
            '{"event": "step", "name": "units", "state": "running"}\n'
            "no json\n[1]\n"
            '{"event": "log", "line": "a note"}\n'
            '{"event": "step", "name": "units", "state": "done", "seconds": 1.5}\n'
        )
    )
    assert "1.5 s  units\n" in (tmp_path / "log").read_text()
    assert "a note" in (tmp_path / "log").read_text()
    assert len((tmp_path / "events").read_text().splitlines()) == 3


def test_a_closed_output_does_not_stop_the_installation() -> None:
    out = io.StringIO()
    steps = Steps(out)
    out.close()
    with steps.step("one"):
        steps.say("x")


def test_the_output_of_a_program_is_logged_and_its_code_returned(tmp_path: Path) -> None:
    steps = Steps(io.StringIO())
    steps.open_log(tmp_path / "log")
    ended = run_logged(steps, ["sh", "-c", "echo out; echo err >&2; exit 3"], environ={})
    assert (ended.code, ended.stdout) == (3, "out\n")
    log = (tmp_path / "log").read_text()
    assert "$ sh -c" in log
    assert "err" in log


def test_a_missing_program_is_reported_and_one_that_hangs_is_stopped() -> None:
    steps = Steps(io.StringIO())
    assert "could not be started" in run_logged(steps, ["/nowhere"], environ={}).output
    ended = run_logged(steps, ["/bin/sleep", "60"], environ={}, timeout_s=0.05)
    assert "did not end" in ended.output


def test_answers_go_to_standard_input_and_events_come_back(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    command = ["bash", "-c", f"cat > {tmp_path}/input; echo event >&{writing}; exit 4"]
    code = run_through(command, environ={}, standard_input="{}", pass_fd=writing)
    with os.fdopen(reading) as events:
        assert events.read() == "event\n"
    assert code == 4
    assert (tmp_path / "input").read_text() == "{}"
