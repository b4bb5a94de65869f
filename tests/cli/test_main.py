"""Both commands: what they print, their exit codes, and that nothing is loaded before its time."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.configurations import TLJH_CONFIG, make_installation
from tljh import __version__
from tljh.base.errors import Exit, TljhError
from tljh.cli.main import run
from tljh.cli.verbs import CONFIG, TLJH, VerbGroup
from tljh.host.real import RealHost
from tljh.settings.load import load


class Done(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TLJH_INSTALL_PREFIX", str(tmp_path))
    # Copies that an edit keeps belong to the test.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return make_installation(tmp_path, "# ours\nusers:\n  admin:\n  - alice\n")


@pytest.fixture
def config(file: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def run_config(*arguments: str) -> Done:
        code = run("tljh-config", CONFIG, list(arguments))
        captured = capsys.readouterr()
        return Done(code, captured.out, captured.err)

    return run_config


def verbs(group: VerbGroup, above: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    matches = []
    for name, verb in group.verbs.items():
        if isinstance(verb, VerbGroup):
            matches += verbs(verb, (*above, name))
        else:
            matches.append(((*above, name), verb))
    return matches


def test_both_commands_print_their_version(capsys):
    for name, group in (("tljh", TLJH), ("tljh-config", CONFIG)):
        assert run(name, group, ["--version"]) == 0
        assert capsys.readouterr().out == f"tljh {__version__}\n"


@pytest.mark.parametrize("path", [path for path, _ in verbs(TLJH)], ids=" ".join)
def test_every_verb_has_help(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tljh", TLJH, [*path, "--help"]) == 0
    help_text = capsys.readouterr().out
    assert "Usage" in help_text
    # A flag takes no value.
    assert "<bool>" not in help_text
    assert run("tljh", TLJH, [*path, "-h"]) == 0
    assert capsys.readouterr().out == help_text


@pytest.mark.parametrize("verb", ["set", "add-item", "remove-item"])
def test_verbs_that_take_values_have_help_by_its_short_name(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("tljh-config", CONFIG, [verb, "-h"]) == 0
    assert "Usage" in capsys.readouterr().out


def test_set_and_get_and_show(config: Run, file: Path) -> None:
    done = config("set", "http.port", "8080")
    assert done.code == 0
    assert done.out == "http.port = 8080\nTo apply it: sudo tljh-config reload\n"
    assert config("get", "http.port").out == "8080\n"
    assert config("get", "https.port").out == "443\n"
    assert config("show").out == file.read_text()
    assert config("show", "users").out == "admin:\n  - alice\n"
    assert "timeout: 3600" in config("show", "--all").out


def test_common_form_without_a_parser_does_what_the_parser_does(config: Run, file: Path) -> None:
    for words in (
        ["set", "http.port", "8080"],
        ["set", "http.port", "x"],
        ["add-item", "users.admin", "bob"],
        ["remove-item", "users.admin", "bob"],
        ["get", "users.admin"],
        ["show"],
        ["show", "users"],
        ["unset", "http.port"],
    ):
        before = file.read_text()
        plain, plain_text = config(*words), file.read_text()
        file.write_text(before)
        parsed, parsed_text = (
            config(words[0], "--config-path", str(file), *words[1:]),
            file.read_text(),
        )
        assert (plain, plain_text) == (parsed, parsed_text), words


def test_setting_what_is_set_already_changes_nothing(config: Run, file: Path) -> None:
    config("set", "http.port", "8080")
    before = file.stat().st_ino
    assert config("set", "http.port", "8080").out == "http.port is 8080 already\n"
    assert file.stat().st_ino == before


def test_refusal_is_exit_1_with_reason_and_fix_and_no_traceback(config: Run) -> None:
    done = config("set", "http.port", "99999")
    assert done.code == 1
    assert done.out == ""
    assert done.err == (
        "error: http.port must be between 1 and 65535, not 99999\n"
        "  fix: see: tljh-config describe http.port\n"
    )


@pytest.mark.parametrize("where", ["before", "after"])
def test_json_answers_hold_the_findings(config: Run, where: str) -> None:
    words = ["set", "http.prot", "1"]
    done = config(*(["--json", *words] if where == "before" else [*words, "--json"]))
    answer = json.loads(done.out)
    assert (done.code, answer["exit_code"]) == (1, 1)
    assert answer["findings"][0]["fix"] == "did you mean http.port?"


@pytest.mark.parametrize(
    "words",
    [
        ["sett", "a", "b"],
        ["set"],
        ["set", "http.port"],
        ["set", "http.port", "1", "2"],
        ["show", "--bogus"],
        ["set", "a..b", "1"],
        ["set", "http.port", "1", "--stdin"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_2_and_says_where_help_is(config: Run, words: list[str]) -> None:
    done = config(*words)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err
    assert "fix: " in done.err


@pytest.mark.parametrize("options", [[], ["--stdin"]], ids=["without a parser", "with a parser"])
@pytest.mark.parametrize("json_option", [[], ["--json"]], ids=["as text", "as JSON"])
def test_an_interrupted_command_prints_one_line_and_ends_with_130(
    config: Run,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    json_option: list[str],
) -> None:
    before = file.read_bytes()
    monkeypatch.setattr(RealHost, "lock", refusing(KeyboardInterrupt()))
    monkeypatch.setattr(sys, "stdin", io.StringIO("8080"))
    words = ["set", "http.port", *(options or ["8080"]), *json_option]
    done = config(*words)
    assert done.code == 130
    if json_option:
        assert json.loads(done.out)["findings"][0]["what"] == "interrupted"
    else:
        assert (done.out, done.err) == ("", "error: interrupted\n")
    assert file.read_bytes() == before


@pytest.mark.parametrize("timeout", ["nan", "inf", "0", "-1", "3601"])
def test_reload_never_waits_for_ever(config: Run, timeout: str) -> None:
    done = config("reload", f"--timeout={timeout}")
    assert done.code == 2
    assert f"--timeout must be between 1 and 3600 seconds, not {timeout}" in done.err


def test_misspelled_verb_is_reported_with_the_nearest(config: Run) -> None:
    assert "did you mean add-item?" in config("add-itme", "a", "b").err


def test_items_are_added_once_and_removed_once(config: Run, file: Path) -> None:
    assert config("add-item", "users.admin", "bob").out.startswith("users.admin has bob now")
    done = config("add-item", "users.admin", "bob")
    assert (done.code, done.out) == (0, "users.admin has bob already\n")
    assert config("remove-item", "users.admin", "bob").code == 0
    done = config("remove-item", "users.admin", "bob")
    assert done.code == 1
    assert done.err.startswith("error: users.admin has no item bob\n  because: it has alice\n")
    assert file.read_text() == "# ours\nusers:\n  admin:\n  - alice\n"


def test_an_item_for_a_setting_that_takes_no_list_is_refused(config: Run) -> None:
    assert "is not a list" in config("add-item", "http.port", "81").err


def test_channel_is_added_to_the_default_ones(config: Run) -> None:
    config("add-item", "user_environment.channels", "https://example.org/ours")
    assert config("get", "user_environment.channels").out == (
        "- conda-forge\n- https://example.org/ours\n"
    )


def test_number_that_is_a_name_can_be_added_and_removed(config: Run, file: Path) -> None:
    file.write_text("users:\n  admin: [123, alice]\n")
    assert config("remove-item", "users.admin", "123").code == 0
    assert config("add-item", "users.admin", "0042").code == 0
    assert config("get", "users.admin").out == "- alice\n- '0042'\n"


def test_unset_of_what_is_not_set_is_an_error_in_a_sentence(config: Run) -> None:
    done = config("unset", "http.port")
    assert done.code == 1
    assert "http.port is not set" in done.err


@pytest.mark.parametrize(
    "value", ["00123456", "1e3", "yes", "null", "[a, b]", "-x", "--all", "a: b"]
)
def test_password_stays_as_it_was_typed(config: Run, value: str) -> None:
    words = ["--", value] if value.startswith("--") else [value]
    assert config("set", "traefik_api.password", *words).code == 0
    assert config("get", "traefik_api.password", "--reveal").out == f"{value}\n"


def test_secrets_are_hidden_until_they_are_asked_for(config: Run, file: Path) -> None:
    file.write_text(
        "auth:\n  type: github\n  GitHubOAuthenticator:\n"
        "    client_id: abc\n    client_secret: hush  # from the web\n"
        "JupyterHub:\n  services:\n  - {name: x, api_token: hush}\n"
        "user_environment:\n  channels: [https://me:hush@example.org/c]\n"
    )
    for words in (["show"], ["show", "--json"], ["show", "--all"], ["show", "auth"]):
        done = config(*words)
        assert done.code == 0, words
        assert "hush" not in done.out, words
    assert "client_secret: '********'  # from the web" in config("show").out
    assert config("show", "--reveal").out.count("hush") == 3
    assert config("set", "auth.GitHubOAuthenticator.client_secret", "hush2").out.count("hush") == 0


def test_secret_is_read_from_standard_input(config: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("0042 with spaces\n"))
    config("set", "auth.GitHubOAuthenticator.client_secret", "--stdin")
    printed = config("get", "auth.GitHubOAuthenticator.client_secret", "--reveal")
    assert printed.out == "0042 with spaces\n"


@pytest.mark.parametrize("literal_first", [True, False])
def test_secret_may_be_a_file_by_either_spelling(
    config: Run, file: Path, tmp_path: Path, literal_first: bool
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    key = "auth.GitHubOAuthenticator.client_secret"
    for words in ((key, f"{{file: {secret}}}"), (f"{key}.file", str(secret))):
        if literal_first:
            assert config("set", key, "literal").code == 0
        assert config("set", *words).code == 0
        traits = load(file).auth.classes["GitHubOAuthenticator"]
        assert traits == {"client_secret": {"file": str(secret)}}
    assert config("unset", f"{key}.file").code == 0
    assert "GitHub" not in file.read_text()


def test_steps_towards_https_may_be_taken_one_by_one(config: Run) -> None:
    done = config("set", "https.enabled", "true")
    assert done.code == 0
    assert "warning: https.enabled is true, but no source of" in done.err
    assert config("check").code == 1
    assert config("set", "https.letsencrypt.email", "you@example.org").code == 0
    done = config("add-item", "https.letsencrypt.domains", "hub.example.org")
    assert (done.code, done.err) == (0, "")
    assert config("check").code == 0


def test_without_validation_it_is_written_with_a_warning(config: Run, file: Path) -> None:
    done = config("set", "http.prot", "81", "--no-validate")
    assert done.code == 0
    assert "not checked" in done.err
    assert "prot: 81" in file.read_text()
    assert config("check").code == 1


def test_check_prints_every_mistake_and_changes_nothing(config: Run, file: Path) -> None:
    file.write_text("http: {prot: 1}\nusers: {admin: bob}\n")
    done = config("check", "--json")
    assert done.code == 1
    assert [finding["line"] for finding in json.loads(done.out)["errors"]] == [1, 2]


def test_another_file_can_be_named_before_or_after_the_verb(config: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    assert config("--config-path", str(other), "set", "http.port", "81").code == 0
    assert other.read_text() == "http:\n  port: 81\n"
    assert config("get", "http.port", "--config-path", str(other)).out == "81\n"


@pytest.mark.parametrize("verb", ["plan", "reload", "history", "rollback"])
def test_another_file_is_refused_where_it_would_be_ignored(
    config: Run, file: Path, tmp_path: Path, verb: str
) -> None:
    other = tmp_path / "other.yaml"
    for words in (("--config-path", str(other), verb), (verb, "--config-path", str(other))):
        done = config(*words)
        assert done.code == 2
        assert f"{verb} takes no other file than {file}" in done.err
    # TLJH's own spelling of the file that is meant anyway.
    assert "takes no other file" not in config("--config-path", str(file), verb).err


def test_describe_covers_settings_sections_and_traits(config: Run) -> None:
    text = config("describe", "http.port").out
    assert "default: 80" in text
    assert "whole number between 1 and 65535" in text
    assert config("describe", "https.tls").out.count("\n") == 2
    assert "secret" in config("describe", "auth.GitHubOAuthenticator.client_secret").out
    everything = json.loads(config("describe", "--json").out)
    assert {"users.admin", "services.cull.timeout"} <= {item["key"] for item in everything}
    assert config("describe", "http.prot").code == 1


def test_schema_is_a_closed_json_schema(config: Run) -> None:
    schema = json.loads(config("schema").out)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["http"]


def editor(tmp_path: Path, script: str) -> str:
    program = tmp_path / "editor"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    return str(program)


def test_edit_saves_what_is_right_and_refuses_what_is_not(
    config: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_text()
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", editor(tmp_path, 'echo "http: {prot: 1}" >> "$1"'))
    done = config("edit")
    assert done.code == 1
    assert "there is no setting http.prot" in done.err
    assert "nothing was saved" in done.err
    assert file.read_text() == before
    monkeypatch.setenv("EDITOR", editor(tmp_path, 'echo "http: {port: 81}" >> "$1"'))
    assert config("edit").code == 0
    assert file.read_text() == before + "http: {port: 81}\n"
    monkeypatch.setenv("EDITOR", "true")
    assert config("edit").out == "nothing was changed\n"


def test_edit_does_not_overwrite_what_another_process_wrote(
    config: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    script = f'echo "base_url: /x/" >> {file}; echo "http: {{port: 81}}" >> "$1"'
    monkeypatch.setenv("EDITOR", editor(tmp_path, script))
    done = config("edit")
    assert done.code == 1
    assert "changed by another process" in done.err
    assert "port: 81" not in file.read_text()
    assert "base_url: /x/" in file.read_text()


def kept_text(done: Done) -> bytes:
    """Return what an edit that was not saved says to have kept."""
    matches = re.search(r"your text is kept in (\S+)", done.err)
    assert matches, done.err
    kept = Path(matches.group(1))
    assert f"sudo cp {kept} " in done.err
    return kept.read_bytes()


def test_edit_leaves_bytes_that_are_no_utf8_as_they_are(
    config: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    latin = b"# f\xfcr alle\nusers:\n  admin: [alice]\n"
    file.write_bytes(latin)
    monkeypatch.setenv("VISUAL", editor(tmp_path, 'echo "base_url: /x/" >> "$1"'))
    done = config("edit")
    assert done.code == 1
    assert "not UTF-8" in done.err
    assert file.read_bytes() == latin
    assert kept_text(done) == latin + b"base_url: /x/\n"


@pytest.mark.parametrize("ends_with", ["a mistake", "exit 1", "a lock", "a full disk", "ctrl-c"])
def test_what_was_written_in_an_editor_is_kept_whatever_goes_wrong(
    config: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends_with: str
) -> None:
    before = file.read_bytes()
    line = "http: {port: 81}"
    if ends_with == "a mistake":
        line = "http: {prot: 81}"
    elif ends_with == "a lock":
        monkeypatch.setattr(RealHost, "lock", refusing(TljhError("held", exit_code=Exit.LOCKED)))
    elif ends_with == "a full disk":
        monkeypatch.setattr(RealHost, "write", refusing(OSError(28, "No space left on device")))
    elif ends_with == "ctrl-c":
        monkeypatch.setattr(RealHost, "write", refusing(KeyboardInterrupt()))
    end = "exit 1" if ends_with == "exit 1" else ""
    monkeypatch.setenv("VISUAL", editor(tmp_path, f'echo "{line}" >> "$1"; {end}'))
    done = config("edit")
    assert done.code == {"a lock": 4, "ctrl-c": 130}.get(ends_with, 1)
    assert "unexpected" not in done.err
    assert file.read_bytes() == before
    assert kept_text(done) == before + line.encode() + b"\n"


def refusing(error: BaseException) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise error

    return refuse


def test_a_command_on_a_full_disk_says_so_with_the_path_and_the_fix(
    config: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = OSError(28, "No space left on device", "/opt/tljh/state/x")
    monkeypatch.setattr("tljh.commands.config_show.show", refusing(error))
    done = config("show")
    assert done.code == 1
    assert "error: no disk space left for /opt/tljh/state" in done.err
    assert "sudo tljh disk" in done.err and "unexpected" not in done.err


@pytest.mark.parametrize("name", ["/nosuch/editor", "vim 'unclosed"])
def test_an_editor_that_cannot_be_started_is_reported_in_a_sentence(
    config: Run, file: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("VISUAL", name)
    done = config("edit")
    assert done.code == 1
    assert "unexpected" not in done.err
    assert "fix: use another: sudo EDITOR=nano tljh-config edit" in done.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
@pytest.mark.parametrize("words", [["show"], ["set", "http.port", "81"], ["check"]], ids=" ".join)
def test_without_root_there_is_one_sentence_and_the_sudo_line(file: Path, words: list[str]) -> None:
    # Loaded as root, for Python and this tree may be root's own; then it runs as nobody.
    code = f"""
import os, shlex, sys
from tljh.cli.main import CONFIG, run, tljh_config
import tljh.commands.config_check, tljh.commands.config_set, tljh.commands.config_show
run("tljh-config", CONFIG, ["set", "http.port", "80"])
run("tljh-config", CONFIG, ["check"])
os.setgroups([]), os.setgid(65534), os.setuid(65534)
sys.argv = ["/usr/bin/tljh-config", *{words!r}]
tljh_config()
"""
    for directory in file.parent.parents:
        if directory.is_relative_to("/tmp") and directory != Path("/tmp"):
            directory.chmod(directory.stat().st_mode | 0o055)
    file.parent.chmod(0o700)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: only root can read {file}",
        f"  fix: sudo tljh-config {' '.join(words)}",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_without_root_another_file_has_the_sudo_line_too(file: Path) -> None:
    words = ["--config-path", str(file), "show"]
    for directory in (file.parent, *file.parent.parents):
        if directory.is_relative_to("/tmp") and directory != Path("/tmp"):
            directory.chmod(directory.stat().st_mode | 0o055)
    code = f"""
import os, shlex, sys
from tljh.cli.main import CONFIG, run, tljh_config
run("tljh-config", CONFIG, {words!r})
os.setgroups([]), os.setgid(65534), os.setuid(65534)
sys.argv = ["/usr/bin/tljh-config", *{words!r}]
tljh_config()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines() == [
        f"error: only root can read {file}",
        f"  fix: sudo tljh-config {' '.join(words)}",
    ]


def completions(words: str, prefix: Path) -> list[str]:
    """Return what bash offers, by the script that the installation writes."""
    script = f"""
    source <({TLJH_CONFIG.with_name("tljh")} completion)
    COMP_WORDS=({words})
    [[ "{words}" == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
    _tljh_config_complete tljh-config
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environ = {
        **os.environ,
        "TLJH_INSTALL_PREFIX": str(prefix),
        "PATH": f"{TLJH_CONFIG.parent}:{os.environ['PATH']}",
    }
    done = subprocess.run(
        ["bash", "--norc", "-c", script], env=environ, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tljh-config se", ["set"]),
        ("tljh-config remo", ["remove-item"]),
        ("tljh-config set http.p", ["http.port"]),
        ("tljh-config set user", ["users.", "user_environment."]),
        ("tljh-config set services.cull.en", ["services.cull.enabled"]),
        ("tljh-config set https.enabled ", ["true", "false"]),
        ("tljh-config set https.mode ", ["letsencrypt", "tls", "internal"]),
        ("tljh-config set auth.type git", ["github", "gitlab"]),
        (
            "tljh-config set auth.GitHubOAuthenticator.client_s",
            ["auth.GitHubOAuthenticator.client_secret"],
        ),
        ("tljh-config remove-item users.admin ", ["alice"]),
    ],
)
def test_bash_completes_verbs_keys_and_values(
    file: Path, tmp_path: Path, words: str, expected: list[str]
) -> None:
    assert sorted(completions(words, tmp_path)) == sorted(expected)


def test_key_press_of_tab_in_a_real_bash_completes(file: Path, tmp_path: Path) -> None:
    """Start an interactive bash on a terminal, as users have it."""
    import pty
    import time

    child, terminal = pty.fork()
    if child == 0:
        os.environ["TLJH_INSTALL_PREFIX"] = str(tmp_path)
        os.environ["PATH"] = f"{TLJH_CONFIG.parent}:{os.environ['PATH']}"
        os.execlp("bash", "bash", "--norc", "-i")
    try:
        os.write(terminal, b"PS1='ready> '; source <(tljh completion); echo so''urced\n")
        _read_until(terminal, b"sourced", time.monotonic() + 30)
        os.write(terminal, b"tljh-config set services.cull.time\t")
        _read_until(terminal, b"services.cull.timeout", time.monotonic() + 30)
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def _read_until(terminal: int, expected: bytes, end_s: float) -> None:
    import select
    import time

    seen = b""
    while expected not in seen:
        assert time.monotonic() < end_s, seen.decode(errors="replace")
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 4096)


def test_verbs_load_only_what_they_need() -> None:
    code = (
        "import sys; from tljh.cli.main import run, CONFIG; run('tljh-config', CONFIG, ['show']);"
        "print([m for m in ('jupyterhub', 'requests', 'rich', 'typer', 'pydantic', 'pluggy')"
        " if m in sys.modules])"
    )
    environ = {**os.environ, "TLJH_INSTALL_PREFIX": "/nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ
    )
    assert done.stdout.splitlines()[-1] == "[]"
