"""A page that starts JupyterLab for each visitor, as a temporary user of the hub.

    JUPYTERHUB_API_TOKEN=$(sudo tljh launch token) python launcher.py

Variables, all as JupyterHub gives them to its services: JUPYTERHUB_API_TOKEN, JUPYTERHUB_API_URL,
JUPYTERHUB_BASE_URL, JUPYTERHUB_SERVICE_PREFIX (the path of the page), JUPYTERHUB_SERVICE_URL (where
to listen). It needs tornado, which the hub environment has.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tornado.escape import to_unicode
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.web import Application, HTTPError, RequestHandler

API = os.environ.get("JUPYTERHUB_API_URL", "http://127.0.0.1:15001/hub/api")
HEADERS = {"Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}"}
BASE = os.environ.get("JUPYTERHUB_BASE_URL", "/")
PREFIX = os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "/")
LISTEN = urlsplit(os.environ.get("JUPYTERHUB_SERVICE_URL") or "http://127.0.0.1:9000")

# A browser that was closed, or has lost its connection, may come back for AWAY_S.
START_TIMEOUT_S, SESSION_S, AWAY_S = 300, 4 * 3600, 20

STYLE = "body { font-family: sans-serif; margin: 15vh auto; max-width: 30em; padding: 0 1em }"
HEAD = f'<!DOCTYPE html><meta charset="utf-8"><title>Start JupyterLab</title><style>{STYLE}</style>'
FORM = """<h1>JupyterLab for a while</h1>
<p>Your files are deleted when the session ends. Download what you want to keep.</p>
<form method="post">{xsrf}<button>Start JupyterLab</button></form>"""
PROGRESS = """<h1>Starting JupyterLab</h1>
<progress max="100" value="0"></progress><p id="message">Please wait.</p>
<script>
const events = new EventSource(location.pathname + "/events");
events.onmessage = (event) => {
  const news = JSON.parse(event.data);
  document.querySelector("progress").value = news.progress || 0;
  document.getElementById("message").textContent = news.message;
  if (news.url || news.failed) events.close();
  if (news.url) location.replace(news.url);
};
</script>"""


async def call(method: str, path: str, body: Any = None) -> Any:
    """Call the hub's API and return the answer."""
    answer = await AsyncHTTPClient().fetch(
        f"{API}/{path}",
        method=method,
        headers=HEADERS,
        body=None if method in ("GET", "DELETE") else json.dumps(body or {}),
        request_timeout=30,
    )
    return json.loads(answer.body or b"null")


async def follow_progress(name: str) -> AsyncIterator[dict[str, Any]]:
    """Yield the hub's events of a start, until it is ready or has failed."""
    events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    rest = b""

    def read(chunk: bytes) -> None:
        nonlocal rest
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                events.put_nowait(json.loads(line[5:]))

    url = f"{API}/users/{name}/server/progress"
    options = {"streaming_callback": read, "request_timeout": START_TIMEOUT_S}
    request = asyncio.ensure_future(AsyncHTTPClient().fetch(url, headers=HEADERS, **options))
    request.add_done_callback(lambda _: events.put_nowait(None))
    try:
        while (event := await events.get()) is not None:
            yield event
        await request
    finally:
        request.cancel()


@dataclass
class Session:
    """A visitor's temporary user; `watchers` are the connections of the browser's page."""

    name: str
    watchers: int = 0
    url: str = ""
    is_handed_over: bool = False

    async def start(self) -> AsyncIterator[dict[str, Any]]:
        """Start the server and yield what happens, also while the hub restarts."""
        # A hub that restarts ends starts that wait for their turn.
        deadline_s, attempts = time.monotonic() + START_TIMEOUT_S, 3
        while time.monotonic() < deadline_s:
            try:
                server = (await call("GET", f"users/{self.name}"))["servers"].get("")
                if server and server["ready"]:
                    self.url = self.url or await self.make_url()
                    yield {"progress": 100, "message": "Ready.", "url": self.url}
                    return
                if not server or not server["pending"]:
                    await call("POST", f"users/{self.name}/server")
                async for event in follow_progress(self.name):
                    if event.get("failed") and (attempts := attempts - 1) < 1:
                        yield {"failed": True, "message": event["message"]}
                        return
                    if not event.get("ready"):
                        yield {"progress": event["progress"], "message": event["message"]}
            except (OSError, HTTPClientError) as error:
                if isinstance(error, HTTPClientError) and error.code == 404:
                    yield {"failed": True, "message": "This session has ended."}
                    return
                yield {"progress": 0, "message": "The hub does not answer now; please wait."}
            await asyncio.sleep(1)
        yield {"failed": True, "message": "The server did not start in time."}

    async def make_url(self) -> str:
        """Return the address of JupyterLab, with a token for this server only."""
        order = {"scopes": [f"access:servers!user={self.name}"], "expires_in": SESSION_S}
        token = (await call("POST", f"users/{self.name}/tokens", order))["token"]
        return f"{BASE}user/{self.name}/lab?token={token}"

    async def end_if_abandoned(self) -> None:
        """Remove the user of a browser that left before it was handed over."""
        await asyncio.sleep(AWAY_S)
        if not self.watchers and not self.is_handed_over:
            await call("DELETE", f"tljh/temporary-users/{self.name}")


SESSIONS: dict[str, Session] = {}


class FormPage(RequestHandler):
    def get(self) -> None:
        self.finish(HEAD + FORM.format(xsrf=to_unicode(self.xsrf_form_html())))

    async def post(self) -> None:
        try:
            user = await call("POST", "tljh/temporary-users")
        except (OSError, HTTPClientError):
            raise HTTPError(503, reason="No Place Left Now") from None
        SESSIONS[key := secrets.token_urlsafe()] = Session(user["name"])
        self.redirect(f"{PREFIX}session/{key}", status=303)


class SessionPage(RequestHandler):
    def get(self, key: str) -> None:
        self.finish(HEAD + PROGRESS) if key in SESSIONS else self.redirect(PREFIX)


class Events(RequestHandler):
    is_closed = False

    def on_connection_close(self) -> None:
        self.is_closed = True

    async def get(self, key: str) -> None:
        if (session := SESSIONS.get(key)) is None:
            raise HTTPError(404)
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-store")
        session.watchers += 1
        try:
            async for event in session.start():
                if self.is_closed:
                    break
                self.write(f"data: {json.dumps(event)}\n\n")
                await self.flush()
                session.is_handed_over = "url" in event
        finally:
            session.watchers -= 1
            # What cannot be removed now is removed by the hub: it ends sessions itself.
            with contextlib.suppress(OSError, HTTPClientError):
                await session.end_if_abandoned()


async def main() -> None:
    AsyncHTTPClient.configure(None, max_clients=500)
    session = PREFIX + r"session/([\w-]+)"
    pages = [(PREFIX, FormPage), (session, SessionPage), (session + "/events", Events)]
    Application(pages, xsrf_cookies=True).listen(
        LISTEN.port or 9000, LISTEN.hostname or "127.0.0.1"
    )
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
