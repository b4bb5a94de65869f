"""The probe of a server start: the cause of a failure, in the log of a busy hub."""

from __future__ import annotations

from tljh.hub.server_probe import find_error_of

LOG = """\
[I 2026-11-27 20:30:53.100 TljhHub log:192] 201 POST /hub/api/users (tljh@127.0.0.1) 22.04ms
[E 2026-11-27 20:30:53.200 TljhHub user:1072] Unhandled error starting ann's server: of another
[E 2026-11-27 20:30:53.447 TljhHub user:1072] Unhandled error starting tljh-probe-1's server: gone
    Traceback (most recent call last):
      File "/opt/tljh/hub/lib/python3.11/site-packages/tljh/hub/process/spawner.py", line 161
    RuntimeError: gone

[I 2026-11-27 20:30:53.771 TljhHub log:192] 200 GET /hub/api/users/tljh-probe-1 (tljh@127.0.0.1)
[I 2026-11-27 20:30:53.772 TljhHub log:192] 200 GET /hub/login (@10.0.0.1) 2.04ms
"""


def test_the_error_of_the_probe_is_found_among_the_requests_of_others():
    error = find_error_of("tljh-probe-1", LOG)
    assert error.startswith("[E 2026-11-27 20:30:53.447")
    assert "RuntimeError: gone" in error
    assert "GET" not in error


def test_a_log_without_an_error_of_the_probe_has_none():
    assert find_error_of("tljh-probe-2", LOG) == ""
