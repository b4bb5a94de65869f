"""URLs of channels, and their display without passwords."""

from __future__ import annotations

import pytest

from tljh.conda.channels import get_channel_url, redact_channel, redact_message


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
