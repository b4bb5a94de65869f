"""The process of tljh-pages.service: a page for servers that do not run, and files of folders.

    python -I -m tljh.proxy.page_server SETTINGS

It has no rights beyond reading files that all accounts may read. Each answer checks its file:
links that lead out of the folder, hidden files, and files that others than root could have written
are refused.
"""

from __future__ import annotations

import asyncio
import html
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, HTTPError, RedirectHandler, RequestHandler, StaticFileHandler

from tljh.base.well_known import PAGES_PORT
from tljh.proxy.open_folders import is_open

# JupyterHub's status for requests to a server that does not run: Jupyter's pages in open tabs
# know it, and say that the server has stopped.
STOPPED = 424

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 15vh auto; max-width: 30em; padding: 0 1em }}
</style>
</head>
<body>
<h1>{title}</h1>
{text}
{links}
</body>
</html>
"""


class PageHandler(RequestHandler):
    """Answers every method at an address without a server, a program or a file."""

    def initialize(self, settings: dict[str, Any]) -> None:
        self.texts = settings

    def prepare(self) -> None:
        is_server = self.request.path.startswith(self.texts["servers"])
        if is_server:
            status, title, text = STOPPED, self.texts["title"], self.texts["text"]
        else:
            status, title, text = 404, "Page not found", "There is no page at this address."
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        accepted = self.request.headers.get("Accept", "")
        path = self.request.path.removeprefix(self.texts["servers"])
        if "text/html" in accepted and not (is_server and path.partition("/")[2][:4] == "api/"):
            self.set_header(
                "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"
            )
            self.finish(self._format_page(title, text))
        elif is_server or "json" in accepted:
            self.finish({"status": status, "message": f"{title}. {text}"})
        else:
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish(f"{title}. {text}\n")

    def _format_page(self, title: str, text: str) -> str:
        paragraphs = (html.escape(each).replace("\n", "<br>") for each in text.split("\n\n"))
        links = (
            f'<a href="{html.escape(url)}">{html.escape(label)}</a>'
            for label, url in self.texts["links"].items()
        )
        return PAGE.format(
            title=html.escape(title),
            text="\n".join(f"<p>{each}</p>" for each in paragraphs),
            links="\n".join(f"<p>{each}</p>" for each in links),
        )


class FolderHandler(StaticFileHandler):
    """Serves the files of one folder; a directory shows its index.html, or nothing."""

    @classmethod
    def get_absolute_path(cls, root: str, path: str) -> str:
        if "\0" in path:
            raise HTTPError(404)
        return os.path.realpath(Path(root) / path)

    def validate_absolute_path(self, root: str, absolute_path: str) -> str | None:
        root = os.path.realpath(root)
        path = Path(absolute_path)
        if not path.is_relative_to(root):
            raise HTTPError(404, "%s is a link that leaves %s", self.request.path, root)
        hidden = [name for name in Path(self.path).parts if name.startswith(".")]
        if set(hidden) - {".well-known"}:
            raise HTTPError(404, "%s is a hidden file", self.request.path)
        valid = super().validate_absolute_path(root, absolute_path)
        if valid is not None:
            self._check_owners(Path(root), Path(os.path.realpath(valid)))
        return valid

    def _check_owners(self, root: Path, path: Path) -> None:
        if not path.is_relative_to(root):
            raise HTTPError(404, "%s is a link that leaves %s", self.request.path, root)
        while path != root.parent:
            status = path.stat()
            owner = "root" if status.st_uid == 0 else str(status.st_uid)
            group = "root" if status.st_gid == 0 else str(status.st_gid)
            if is_open(owner, group, status.st_mode):
                raise HTTPError(403, "%s can be written by others than root", path)
            path = path.parent

    def write_error(self, status_code: int, **_: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}: {self._reason}\n")


def make_application(settings: dict[str, Any]) -> Application:
    """Return the web application; the longest path of a folder wins."""
    texts = {"settings": settings}
    handlers: list[Any] = [(re.escape(settings["servers"]) + ".*", PageHandler, texts)]
    for route in sorted(settings["folders"], key=len, reverse=True):
        options = {"path": settings["folders"][route], "default_filename": "index.html"}
        handlers.append((f"{re.escape(route)}(.*)", FolderHandler, options))
        handlers.append((re.escape(route.rstrip("/")), RedirectHandler, {"url": route}))
    handlers.append((r".*", PageHandler, texts))
    # Traefik's own log has the requests, where an admin wants them.
    return Application(handlers, log_function=lambda _: None)


async def serve(settings: dict[str, Any]) -> None:
    server = HTTPServer(make_application(settings))
    server.listen(PAGES_PORT, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
