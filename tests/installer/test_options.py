"""The command line of the bootstrap."""

from __future__ import annotations

from pathlib import Path

import pytest
from tljh_installer.options import Options, answers, kept_environment, parse

from tljh.base.errors import TljhError

HERE = Path("/somewhere")


def parsed(*arguments: str, **environ: str) -> Options:
    return parse(arguments, environ, "1.2.3", HERE)


def test_admins_and_plugins_may_be_repeated_and_listed() -> None:
    options = parsed("--admin", "ada", "bob:pw", "--admin", "cyd", "--plugin", "p", "q==1")
    assert options.admins == ("ada", "bob:pw", "cyd")
    assert options.plugins == ("p", "q==1")
    assert options.passwords == ("pw",)


def test_names_of_admins_are_in_lower_case_as_in_the_hub() -> None:
    assert parsed("--admin", "Ada", "BOB:Secret").admins == ("ada", "bob:Secret")


def test_files_are_made_absolute_and_urls_stay(tmp_path: Path) -> None:
    (tmp_path / "r.txt").touch()
    (tmp_path / "plugin").mkdir()
    options = parse(
        [
            "--user-requirements-txt-url",
            "r.txt",
            "--plugin",
            "./plugin",
            "plugin",
            "git+https://x/y",
        ],
        {},
        "1",
        tmp_path,
    )
    assert options.user_requirements == str(tmp_path / "r.txt")
    assert options.plugins == (str(tmp_path / "plugin"),) * 2 + ("git+https://x/y",)
    url = parsed("--user-requirements-txt-url", "https://example.org/r.txt").user_requirements
    assert url == "https://example.org/r.txt"


def test_channels_come_from_the_option_then_the_environment_then_conda_forge() -> None:
    named = parsed("--conda-channel", "file:///c", TLJH_CONDA_CHANNELS="https://d")
    assert named.conda_channels == ("file:///c",)
    assert parsed(TLJH_CONDA_CHANNELS="https://d, https://e").conda_channels == (
        "https://d",
        "https://e",
    )
    assert parsed().conda_channels == ()
    assert parsed().channels_or_default == ("conda-forge",)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--http-port", "0"],
        ["--http-port", "8099"],
        ["--https-port", "15001"],
        ["--admin", "ada:"],
        ["--http-port", "65536"],
        ["--https-port", "x"],
        ["--admin", ":secret"],
        ["--admin", ""],
        ["--admin", "a;b"],
        ["--conda-channel", ""],
        ["--adm", "ada"],
        ["stray"],
    ],
)
def test_usage_errors_end_with_2(arguments: list[str]) -> None:
    with pytest.raises(TljhError) as refused:
        parsed(*arguments)
    assert refused.value.exit_code == 2
    assert refused.value.findings[0].fix == "see: bootstrap.py --help"
    assert "secret" not in str(refused.value)


def test_a_version_that_it_does_not_carry_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as stopped:
        parsed("--version", "9.9")
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "environ", "word"),
    [
        (["--bundle", "x.tar", "--conda-channel", "c"], {}, "--bundle"),
        (["--http-port", "90", "--https-port", "90"], {}, "90"),
        (["--user-requirements-txt-url", "missing.txt"], {}, "missing.txt"),
        ([], {"TLJH_INSTALL_PREFIX": "relative"}, "TLJH_INSTALL_PREFIX"),
        ([], {"TLJH_INSTALL_PREFIX": "/"}, "TLJH_INSTALL_PREFIX"),
    ],
)
def test_an_impossible_value_is_a_usage_error_that_names_it(
    arguments: list[str], environ: dict[str, str], word: str
) -> None:
    with pytest.raises(TljhError) as refused:
        parse(arguments, environ, "1", HERE)
    assert refused.value.exit_code == 2
    assert word in str(refused.value)


def test_version_is_printed_and_how_to_get_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        parsed("--version")
    assert stopped.value.code == 0
    output = capsys.readouterr().out
    assert "1.2.3" in output
    assert "download its bootstrap.py" in output


def test_the_version_that_it_carries_may_be_asked_for() -> None:
    assert parsed("--version", "1.2.3", "--admin", "ada").admins == ("ada",)


def test_only_variables_for_reaching_an_index_are_kept() -> None:
    kept = kept_environment(
        {
            "PIP_INDEX_URL": "https://mirror/simple",
            "UV_DEFAULT_INDEX": "https://mirror/simple",
            "HTTPS_PROXY": "http://proxy",
            "SSL_CERT_FILE": "/ca.pem",
            "HOME": "/root",
            "AWS_SECRET_ACCESS_KEY": "no",
            "PIP_QUIET": "1",
        }
    )
    assert sorted(kept) == ["HTTPS_PROXY", "PIP_INDEX_URL", "SSL_CERT_FILE", "UV_DEFAULT_INDEX"]


def test_answers_have_what_tljh_install_reads() -> None:
    options = parsed("--admin", "ada:pw", "--http-port", "8080", "--yes", PIP_CERT="/ca.pem")
    answered = answers(options, Path("/opt/tljh/versions/hub-1"), 7)
    assert answered == {
        "admins": ["ada:pw"],
        "claim_code": None,
        "plugins": [],
        "hub_packages": [],
        "user_requirements": None,
        "conda_channels": [],
        "restore": None,
        "restore_key": None,
        "snapshot": None,
        "http_port": 8080,
        "https_port": None,
        "plan": False,
        "yes": True,
        "events_fd": 7,
        "hub_environment": "/opt/tljh/versions/hub-1",
        "env": {"PIP_CERT": "/ca.pem"},
    }
