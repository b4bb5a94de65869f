"""A question to a port of this machine, for a program that runs every few minutes.

`Host.http` can do more, and takes as much time of the processor as all the rest of such a run.
"""

from __future__ import annotations


def answers(port: int, path: str, timeout_s: float) -> bool:
    """Return whether a server on the loopback answers a request with less than status 500."""
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
