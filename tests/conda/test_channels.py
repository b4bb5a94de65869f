"""URLs of channels, and their display without passwords."""

from __future__ import annotations

import threading
from base64 import b64encode
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.conda import engine
from tljh.conda.channels import (
    build_package_environment,
    get_channel_url,
    redact_channel,
    redact_message,
)
from tljh.conda.engine import Solution
from tljh.host.real import RealHost


@pytest.mark.parametrize(
    ("channel", "url"),
    [
        ("conda-forge", "https://conda.anaconda.org/conda-forge"),
        ("conda-forge/label/dev", "https://conda.anaconda.org/conda-forge/label/dev"),
        ("https://mirror.example/forge/", "https://mirror.example/forge"),
        ("file:///srv/channel", "file:///srv/channel"),
        ("/srv/our channel", "file:///srv/our%20channel"),
    ],
)
def test_a_channel_may_be_a_name_a_url_or_a_path(channel, url):
    assert get_channel_url(channel) == url


@pytest.mark.parametrize(
    ("channel", "public"),
    [
        ("conda-forge", "conda-forge"),
        ("https://me:secret@mirror.example/forge", "https://mirror.example/forge"),
        ("https://mirror.example/t/secret-token/forge", "https://mirror.example/t/***/forge"),
        ("https://mirror.example/forge?key=secret", "https://mirror.example/forge"),
    ],
)
def test_a_channel_is_shown_without_what_gives_access(channel, public):
    assert redact_channel(channel) == public


def test_messages_of_the_engine_lose_passwords():
    channel = "https://me:secret@mirror.example/forge"
    message = f"error sending request for url ({channel}/noarch/repodata.json)"
    assert "secret" not in redact_message(message, [channel])
    assert "mirror.example/forge/noarch" in redact_message(message, [channel])


class _PrivateChannel(SimpleHTTPRequestHandler):
    """A channel that wants a login."""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") == f"Basic {b64encode(b'me:secret').decode()}":
            super().do_GET()
        else:
            self.send_error(401)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_private_channel_is_read_with_the_logins_of_the_credentials_file(tiny, tmp_path):
    paths, host = Paths(tmp_path / "tljh"), RealHost()
    paths.config_dir.mkdir(parents=True)
    credentials = tmp_path / "packages.netrc"
    credentials.write_text("machine 127.0.0.1 login me password secret\n")
    handler = partial(_PrivateChannel, directory=str(tiny))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        channel = f"http://127.0.0.1:{server.server_address[1]}"

        def solve() -> Solution:
            variables = build_package_environment(host, paths, {})
            return engine.solve(host, [channel], ["river"], paths.user, variables)

        with pytest.raises(TljhError, match="a conda channel cannot be read"):
            solve()
        paths.config_file.write_text(f"user_environment: {{credentials_file: {credentials}}}\n")
        solution = solve()
        server.shutdown()
    assert solution.added == {"river": "2.0"} and "secret" not in solution.lock
