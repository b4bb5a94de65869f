"""The single file of a release: complete, cut off, and on an old Python."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tljh_installer import release
from tljh_installer.release import Payload

CHECKOUT = Path(__file__).resolve().parents[2]
HEAD = (CHECKOUT / "installer" / "bootstrap.py").read_text()


@pytest.fixture(scope="module")
def payload() -> Payload:
    return release.from_checkout(CHECKOUT)


@pytest.fixture(scope="module")
def text(payload: Payload) -> str:
    return payload.bootstrap().decode()


def calls_when_run(source: str) -> list[str]:
    """Return the functions of `source` that it calls when run; empty if it does not compile."""
    calls: list[str] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename == "<cut>" and code.co_name != "<module>":
            calls.append(code.co_name)
            raise SystemExit

    try:
        code = compile(source, "<cut>", "exec")
    except SyntaxError:
        return []
    sys.setprofile(note)
    try:
        exec(code, {"__name__": "__main__"})
    except (SystemExit, NameError, ImportError):
        pass
    finally:
        sys.setprofile(None)
    return calls


def test_a_complete_release_runs(text: str) -> None:
    assert calls_when_run(text) == ["start"]
    assert calls_when_run(text.rstrip("\n")) == ["start"]


def test_a_release_that_is_cut_off_anywhere_does_nothing(text: str) -> None:
    """Cut at every byte before the payload and at the end, and at samples of the payload."""
    begin = text.index('start("""')
    near = [*range(begin + 200), *range(len(text) - 200, len(text) - 1)]
    far = range(begin + 200, len(text) - 200, max(1, len(text) // 40))
    assert [cut for cut in (*near, *far) if calls_when_run(text[:cut])] == []


def test_python_reports_a_release_that_is_cut_off_in_its_payload(text: str, tmp_path: Path) -> None:
    cut = text[: len(text) // 2]
    ended = subprocess.run(
        [sys.executable, "-", "--version"], input=cut, capture_output=True, text=True, cwd=tmp_path
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert "SyntaxError" in ended.stderr


def test_the_same_checkout_gives_the_same_bytes(payload: Payload) -> None:
    again = release.from_checkout(CHECKOUT)
    assert again.bootstrap() == payload.bootstrap()


def test_a_release_runs_from_standard_input_without_a_checkout(text: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-I", "-", "--version"],
        input=text,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("tljh ")
    assert list(tmp_path.iterdir()) == []


def test_a_release_can_reproduce_itself(text: str, tmp_path: Path) -> None:
    (tmp_path / "bootstrap.py").write_text(text)
    script = (
        "import sys; sys.path.insert(0, '.'); import bootstrap, ast\n"
        "source = open('bootstrap.py').read()\n"
        "payload = ast.parse(source).body[-1].body[0].value.args[0].value\n"
        "path = bootstrap.import_from_release(payload)\n"
        "from tljh_installer import release\n"
        "assert release.from_archive(path).bootstrap().decode() == source\n"
        "assert 'SyntaxError' not in release.page_html(path)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_old_pythons_can_parse_a_release(text: str) -> None:
    ast.parse(text, feature_version=(3, 8))


def test_an_old_python_is_refused_with_the_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {"__name__": "bootstrap"}
    exec(compile(HEAD, "bootstrap.py", "exec"), names)
    monkeypatch.setattr(sys, "version_info", (3, 8, 10, "final", 0))
    with pytest.raises(SystemExit) as stopped:
        names["start"]("")
    assert stopped.value.code == 3
    output = capsys.readouterr().err
    assert "Python 3.10 or newer is needed, this is Python 3.8" in output
    assert "fix:" in output


def test_a_read_only_checkout_is_left_as_it_was(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("installer", "tljh"):
        shutil.copytree(CHECKOUT / name, copy / name, ignore=ignore)
    shutil.copy(CHECKOUT / "setup.cfg", copy)
    before = sorted(copy.rglob("*"))
    ended = subprocess.run(
        [sys.executable, copy / "installer" / "bootstrap.py", "--version"],
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        cwd=tmp_path,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(copy.rglob("*")) == before


def test_the_page_needs_nothing_from_elsewhere() -> None:
    html = release.page_html(None)
    assert "http://" not in html
    assert "https://" not in html
    assert "prefers-color-scheme: dark" in html


def test_a_release_has_all_modules_that_the_installer_shares_with_tljh() -> None:
    imported = {
        node.module
        for path in (CHECKOUT / "installer" / "tljh_installer").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tljh.")
    }
    assert {name.replace(".", "/") + ".py" for name in imported} <= set(release.SHARED)
