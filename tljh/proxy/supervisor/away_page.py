"""The page that Traefik serves in place of the hub while that does not answer.

It is part of the supervisor's event loop: nothing here waits for a client. Its port is below 1024,
so no user can listen there while the supervisor is down. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterable

from tljh.base.cookie_removal import CookiePlace, deletion_headers, list_names
from tljh.base.well_known import COOKIE_REMOVAL_PREFIX

RETRY_AFTER_S = 5

# Traefik is the only client; local users can connect, too.
MOST_CLIENTS = 128
LONGEST_CLIENT_S = 10.0
LONGEST_HEAD_BYTES = 65536
# Of the headers in one answer that delete cookies.
MOST_DELETION_BYTES = 64 * 1024

PAGE = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="{RETRY_AFTER_S}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>The hub is restarting</title>
<style>
body {{ font-family: sans-serif; margin: 15vh auto; max-width: 30em; padding: 0 1em }}
</style>
</head>
<body>
<h1>The hub is restarting</h1>
<p>This page reloads by itself. Notebooks that are open go on.</p>
<p>If it takes longer than a few minutes, tell an admin of this hub.</p>
</body>
</html>
"""
COOKIE_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0">
<title>Too many cookies</title>
</head>
<body>
<h1>Too many cookies</h1>
<p>A page of this site has stored more cookies than its programs accept. They are being deleted, and
this page reloads by itself. You may have to log in again.</p>
</body>
</html>
"""
SENTENCE = f"the hub is restarting; try again in {RETRY_AFTER_S} seconds"


def answer(head: bytes) -> bytes:
    """Return the response to a request: a page for browsers, JSON for APIs, or a line of text."""
    request, _, rest = head.decode("latin-1").partition("\r\n")
    method, _, target = request.partition(" ")
    if target.startswith(COOKIE_REMOVAL_PREFIX):
        return _delete_cookies(target.partition(" ")[0], rest)
    headers = [line.partition(":") for line in rest.lower().split("\r\n")]
    accepted = ",".join(value for name, _, value in headers if name == "accept")
    # Traefik sends the original request, or asks for /?url=… with its address.
    is_api = "/api/" in target.replace("%2F", "/")
    if "text/html" in accepted and not is_api:
        content, kind = PAGE, "text/html; charset=utf-8"
    elif is_api or "json" in accepted:
        content, kind = json.dumps({"status": 503, "message": SENTENCE}), "application/json"
    else:
        content, kind = SENTENCE + "\n", "text/plain; charset=utf-8"
    body = content.encode()
    lines = (
        "HTTP/1.1 503 Service Unavailable",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        f"Retry-After: {RETRY_AFTER_S}",
        "Cache-Control: no-store",
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + (b"" if method == "HEAD" else body)


def _delete_cookies(target: str, rest: str) -> bytes:
    """Return the response that deletes some cookies of a request which has too many of them.

    The browser asks again at once. With names of 4 kB, an answer has room for one of them.
    """
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in rest.split("\r\n"))
    }
    path = target.removeprefix(COOKIE_REMOVAL_PREFIX).partition("?")[0]
    # Of a long head, the end is not read, and this header may be missing.
    is_http = headers.get("x-forwarded-proto") in ("http", "ws")
    place = CookiePlace(path, headers.get("host", ""), not is_http)
    body = COOKIE_PAGE.encode()
    lines = [
        "HTTP/1.1 431 Request Header Fields Too Large",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
        "Connection: close",
    ]
    size = 0
    for name in dict.fromkeys(list_names(headers.get("cookie", ""))):
        deletions = [f"Set-Cookie: {value}" for value in deletion_headers(name, place)]
        size += sum(map(len, deletions))
        if size > MOST_DELETION_BYTES and size > sum(map(len, deletions)):
            break
        lines += deletions
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body


class AwayPage:
    """A web server with one answer, on an address of loopback; it never blocks.

    Raises OSError if the address cannot be had.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self.listener.bind(address)
            self.listener.listen(MOST_CLIENTS)
        except OSError:
            self.listener.close()
            raise
        self.listener.setblocking(False)
        # What each client has sent, and when it connected; None once it has its answer.
        self._heads: dict[socket.socket, bytes | None] = {}
        self._since: dict[socket.socket, float] = {}

    @property
    def sockets(self) -> list[socket.socket]:
        return [self.listener, *self._heads]

    def serve(self, ready: Iterable[object]) -> None:
        """Accept, read and answer at the sockets of `sockets` that are in `ready`."""
        for client in [client for client in self._heads if client in ready]:
            self._read(client)
        if self.listener in ready:
            with contextlib.suppress(OSError):
                self._accept()

    def _accept(self) -> None:
        client, _ = self.listener.accept()
        client.setblocking(False)
        time_s = time.monotonic()
        for other, since_s in tuple(self._since.items()):
            if time_s - since_s > LONGEST_CLIENT_S or len(self._since) >= MOST_CLIENTS:
                self._close(other)
        self._heads[client], self._since[client] = b"", time_s

    def _read(self, client: socket.socket) -> None:
        try:
            data = client.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        head = self._heads[client]
        if not data:
            self._close(client)
        elif head is not None:
            # After the answer the rest of the request is read and dropped: closing earlier would
            # reset the connection, and Traefik would lose the answer.
            self._heads[client] = self._answered(client, head + data)

    def _answered(self, client: socket.socket, head: bytes) -> bytes | None:
        if b"\r\n\r\n" not in head and len(head) < LONGEST_HEAD_BYTES:
            return head
        # The answer is smaller than an empty socket's buffer.
        with contextlib.suppress(OSError):
            client.sendall(answer(head.partition(b"\r\n\r\n")[0]))
            client.shutdown(socket.SHUT_WR)
        return None

    def _close(self, client: socket.socket) -> None:
        del self._heads[client], self._since[client]
        client.close()
