"""What the real host says of addresses where nobody answers."""

from __future__ import annotations

import socket
import sys

from tljh.host.real import RealHost


def test_a_closed_port_is_told_in_two_words():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        answer = RealHost().http("GET", f"http://127.0.0.1:{port}/")
    assert answer.status == 0
    assert answer.text == "Connection refused"


def test_a_port_that_never_answers_is_told_with_the_time_it_had():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        answer = RealHost().http("GET", url, timeout_s=0.2)
    assert answer.text == "no answer within 0.2 s"


def test_programs_find_nothing_of_the_directory_that_a_command_is_called_in(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('the code of somebody else')")
    monkeypatch.chdir(tmp_path)
    argv = [sys.executable, "-m", "json.tool", "--help"]
    assert RealHost().query(argv).ok
    assert RealHost().run(argv, timeout_s=30).ok
    assert RealHost().run(argv, timeout_s=30, on_line=lambda line: None).ok
