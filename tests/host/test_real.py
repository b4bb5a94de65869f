"""What the real host says of addresses where nobody answers."""

from __future__ import annotations

import socket

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
