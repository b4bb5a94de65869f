"""A package index on loopback that misbehaves on demand."""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
if str(CHECKOUT / "installer") not in sys.path:
    sys.path.insert(0, str(CHECKOUT / "installer"))


def make_wheel(
    name: str,
    version: str,
    files: dict[str, bytes],
    requires: tuple[str, ...] = (),
    tag: str = "py3-none-any",
) -> tuple[str, bytes]:
    """Return file name and bytes of a small, real wheel."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    contents = {
        **files,
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    record = "".join(f"{path},,\n" for path in (*contents, f"{info}/RECORD"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in contents.items():
            entry = zipfile.ZipInfo(path, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, data)
        archive.writestr(f"{info}/RECORD", record)
    return f"{name}-{version}-{tag}.whl", buffer.getvalue()


@dataclass
class FakeIndex:
    """Serves PEP 503 pages of `files`.

    `tamper` maps names to what is sent instead of the file; files in `cut` are sent by half, and
    those in `broken` are answered with 500.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    tamper: dict[str, bytes] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    redirect_to: str | None = None
    is_down: bool = False
    asked: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    url: str = ""

    def page(self, project: str) -> str:
        return "".join(
            f'<a href="/files/{name}#sha256={hashlib.sha256(data).hexdigest()}">{name}</a>\n'
            for name, data in self.files.items()
            if name.partition("-")[0] == project
        )

    def lock_entry(self, name: str) -> str:
        project, version, _ = name.split("-", 2)
        digest = hashlib.sha256(self.files[name]).hexdigest()
        return f"{project}=={version} \\\n    --hash=sha256:{digest}\n"


def _handler(index: FakeIndex) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            index.asked.append(self.path)
            if "Authorization" in self.headers:
                index.authorizations.append(self.headers["Authorization"])
            last = self.path.rstrip("/").rpartition("/")[2]
            if index.is_down or last in index.broken:
                self.send_error(500)
            elif index.redirect_to:
                self.send_response(302)
                self.send_header("Location", index.redirect_to + self.path)
                self.end_headers()
            elif self.path.startswith("/files/") and last in index.files:
                data = index.tamper.get(last, index.files[last])
                self.answer(data, len(data) // 2 if last in index.cut else len(data))
            elif self.path.startswith("/simple/") and index.page(last):
                page = index.page(last).encode()
                self.answer(page, len(page), "text/html")
            else:
                self.send_error(404)

        do_HEAD = do_GET

        def answer(self, data: bytes, sent: int, kind: str = "application/zip") -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:sent])

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler


@pytest.fixture
def new_index() -> Iterator[object]:
    """Return a function that starts an index with the given files."""
    servers = []

    def start(**files: bytes) -> FakeIndex:
        index = FakeIndex()
        index.files.update(files)
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(index))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        index.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
        servers.append(server)
        return index

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def index(new_index) -> FakeIndex:
    return new_index()


@pytest.fixture(scope="session")
def uv_wheel() -> tuple[str, bytes]:
    """Return this machine's uv as a wheel that an index can offer."""
    import platform

    try:
        from uv import find_uv_bin

        uv = find_uv_bin()
    except (ImportError, FileNotFoundError):
        command = shutil.which("uv")
        if command is None:
            pytest.skip("uv is not installed")
        uv = command
    tag = f"py3-none-manylinux_2_17_{platform.machine()}"
    return make_wheel("uv", "0.0.1", {"uv-0.0.1.data/scripts/uv": Path(uv).read_bytes()}, tag=tag)
