"""Files that the configuration names are looked at before they count."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tljh.host.fake import FakeHost
from tljh.host.real import RealReader
from tljh.operations.referenced_files import find_referenced_file_problems
from tljh.proxy.open_folders import is_open
from tljh.settings.load import load


def problems(text: str, *severities: str) -> list[str]:
    config = load(text.encode())
    return [
        problem.what
        for problem in find_referenced_file_problems(config, RealReader())
        if not severities or problem.severity in severities
    ]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Make a certificate and its key with openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    cert, key = tmp_path / "hub.crt", tmp_path / "hub.key"
    make_certificate(cert, key)
    return cert, key


def make_certificate(cert: Path, key: Path, *options: str) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-subj", "/CN=hub", "-days", "2"]
    subprocess.run(
        [*command, *(options or ["-nodes"]), "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )


def https(cert: Path | str, key: Path | str) -> str:
    return f"https: {{enabled: true, tls: {{cert: {cert}, key: {key}}}}}\n"


def test_certificate_and_its_key_are_fine(pair: tuple[Path, Path]) -> None:
    assert problems(https(*pair), "error", "incomplete") == []


def test_missing_certificate_is_named(pair: tuple[Path, Path]) -> None:
    assert problems(https("/none.crt", pair[1])) == [
        "https.tls.cert names a file that does not exist: /none.crt"
    ]


def test_file_that_is_no_certificate_is_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.crt"
    wrong.write_text("hello\n")
    assert problems(https(wrong, pair[1])) == [
        f"https.tls.cert names a file without a certificate in PEM form: {wrong}"
    ]
    (problem,) = find_referenced_file_problems(load(https(wrong, pair[1]).encode()), RealReader())
    assert problem.fix
    assert problem.fix.startswith(f"if it is in DER form: openssl x509 -inform DER -in {wrong} ")


def test_swapped_files_are_named_as_such(pair: tuple[Path, Path]) -> None:
    cert, key = pair
    swapped = list(find_referenced_file_problems(load(https(key, cert).encode()), RealReader()))
    assert len(swapped) == 2
    assert all("the two files are swapped" in (problem.fix or "") for problem in swapped)


def test_key_of_another_certificate_is_told_apart(pair: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.key"
    make_certificate(tmp_path / "other.crt", other)
    messages = problems(https(pair[0], other))
    assert "https.tls.key is not the key of https.tls.cert" in messages


def test_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    cert, key = tmp_path / "hub.crt", tmp_path / "hub.key"
    make_certificate(cert, key, "-passout", "pass:hush")
    assert problems(https(cert, key)) == [
        f"https.tls.key names a private key with a passphrase: {key}"
    ]


def test_file_of_a_secret_must_be_there_and_private(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    text = f"auth: {{type: github, GitHubOAuthenticator: {{client_secret: {{file: {secret}}}}}}}\n"
    (missing,) = problems(text)
    assert "names a file that does not exist" in missing
    secret.write_text("hush")
    secret.chmod(0o644)
    (warning,) = problems(text)
    assert "can be read by others" in warning
    secret.chmod(0o600)
    assert problems(text) == []


def test_link_to_a_secret_that_others_can_read_is_told(tmp_path: Path) -> None:
    secret, link = tmp_path / "secret", tmp_path / "link"
    secret.write_text("hush")
    secret.chmod(0o644)
    link.symlink_to(secret)
    text = f"auth: {{type: github, GitHubOAuthenticator: {{client_secret: {{file: {link}}}}}}}\n"
    (warning,) = problems(text)
    assert "can be read by others" in warning


@pytest.mark.parametrize("kind", ["fifo", "loop", "huge"])
def test_what_is_no_ordinary_file_is_refused_as_a_certificate(
    pair: tuple[Path, Path], tmp_path: Path, kind: str
) -> None:
    odd = tmp_path / kind
    if kind == "fifo":
        os.mkfifo(odd)
    elif kind == "loop":
        odd.symlink_to(odd)
    else:
        odd.write_bytes(pair[0].read_bytes() + b"\n" * (1 << 20))
    what = "a file that does not exist" if kind == "loop" else "no file, or a huge one"
    assert problems(https(odd, pair[1])) == [f"https.tls.cert names {what}: {odd}"]


def folder_problem(host: FakeHost) -> str:
    config = load(b"proxy: {extra_routes: {/docs: /srv/site}}\n")
    return " ".join(problem.what for problem in find_referenced_file_problems(config, host))


def test_folder_that_others_could_fill_or_that_is_elsewhere_is_not_served() -> None:
    host = FakeHost()
    for name in ("/", "/srv"):
        host.mkdir(Path(name), mode=0o755)
    assert "a directory that does not exist: /srv/site" in folder_problem(host)
    host.mkdir(Path("/srv/site"), mode=0o775, group="staff")
    assert "others than root can write to /srv/site" in folder_problem(host)
    host.chmod(Path("/srv/site"), mode=0o750, owner="root", group="root")
    assert "not everybody may read /srv/site" in folder_problem(host)
    host.chmod(Path("/srv/site"), mode=0o755, owner="root", group="root")
    assert folder_problem(host) == ""
    host.chmod(Path("/srv"), mode=0o777, owner="root", group="root")
    assert "others than root can write to /srv" in folder_problem(host)


@pytest.mark.parametrize(
    ("owner", "group", "mode", "is_refused"),
    [
        ("root", "root", 0o755, False),
        ("root", "root", 0o775, False),
        ("root", "staff", 0o775, True),
        ("root", "root", 0o757, True),
        ("ann", "root", 0o755, True),
    ],
)
def test_who_could_write_decides(owner: str, group: str, mode: int, is_refused: bool) -> None:
    assert is_open(owner, group, mode) is is_refused
