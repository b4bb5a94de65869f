"""The claim code of --claim-code-file: which files and codes are refused, and with which fix."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tljh_installer.options import Options, answers, parse

from tljh.base.errors import Exit, TljhError

CODE = "k3v9-Qz81_mNw7-ttpo2"


def parsed(directory: Path, *arguments: str) -> Options:
    options = arguments or ("--admin", "ada")
    return parse([*options, "--claim-code-file", "code"], {}, "1.2.3", directory)


def write(directory: Path, text: str, mode: int = 0o600) -> None:
    file = directory / "code"
    file.write_text(text)
    file.chmod(mode)


def refusal(directory: Path, *arguments: str) -> str:
    with pytest.raises(TljhError) as caught:
        parsed(directory, *arguments)
    assert caught.value.exit_code is Exit.USAGE
    return str(caught.value)


def test_the_code_is_handed_over_and_kept_out_of_logs(tmp_path: Path) -> None:
    write(tmp_path, f"{CODE}\n")
    options = parsed(tmp_path)
    assert answers(options, Path("/hub"), 3)["claim_code"] == CODE
    assert options.passwords == (CODE,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("short\n", "can be guessed"),
        ("x" * 40, "can be guessed"),
        ("12345" * 8, "can be guessed"),
        (f"{CODE}\n{CODE}\n", "several lines"),
        ("<a code from openssl rand -hex 16>", "has spaces"),
        ("ß" * 30, "characters that not every keyboard has"),
        (CODE * 11, "more than 200 characters"),
        ("\0" * 5000, "characters that not every keyboard has"),
    ],
)
def test_a_code_that_is_none_is_refused_with_a_way_to_make_one(
    tmp_path: Path, text: str, message: str
) -> None:
    write(tmp_path, text)
    error = refusal(tmp_path)
    assert message in error
    assert "openssl rand -hex 16" in error
    assert not text.strip() or text.strip() not in error


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o610])
def test_a_file_that_other_users_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    write(tmp_path, CODE, mode)
    error = refusal(tmp_path)
    assert f"other users of this machine can read {tmp_path}/code" in error
    assert f"sudo chmod 600 {tmp_path}/code" in error


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "there is no file" in refusal(tmp_path)
    (tmp_path / "code").mkdir()
    assert "is a directory" in refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    write(tmp_path, CODE)
    os.chown(tmp_path / "code", 12345, 12345)
    assert "belongs to another user" in refusal(tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [("--plan",), ("--admin", "ada", "bob"), ("--admin", "ada:secret-7")],
)
def test_a_code_is_for_one_admin_without_a_password(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    write(tmp_path, CODE)
    assert "needs one --admin NAME, without a password" in refusal(tmp_path, *arguments)
