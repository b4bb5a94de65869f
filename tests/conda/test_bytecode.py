from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tljh.conda.worker import bytecode


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "env" / "lib" / "python3"
    for name in ("os", "site-packages/boat/sail", "site-packages/boat/tests/wreck"):
        add(path, name, "x = 1\n")
    for name in ("test/support", "site-packages/pip/main", "site-packages/boat/pip/oar"):
        add(path, name, "x = 1\n")
    add(path, "site-packages/boat/template", "{{ no python }}\n")
    return path


def add(library: Path, name: str, text: str) -> None:
    path = library / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def run(library: Path, *unused: str) -> None:
    built_at = str(library.parents[1])
    command = [sys.executable, "-I", bytecode.__file__, str(library), built_at, "/final", *unused]
    subprocess.run(command, check=True)


def compiled(library: Path) -> list[str]:
    files = (path.relative_to(library) for path in library.rglob("*.pyc"))
    return sorted(f"{path.parent.parent / path.name.partition('.')[0]}" for path in files)


def test_everything_but_tests_and_named_packages_is_compiled_for_its_final_place(library):
    run(library, "pip")
    assert compiled(library) == ["os", "site-packages/boat/pip/oar", "site-packages/boat/sail"]
    (cached,) = library.glob("__pycache__/os.*.pyc")
    assert b"/final/lib/python3/os.py" in cached.read_bytes()
    assert list(library.rglob("*.pyc.*")) == []


def test_current_byte_code_is_left_alone_and_stale_byte_code_is_replaced(library):
    run(library)
    (fresh,) = library.glob("__pycache__/os.*.pyc")
    before = fresh.stat().st_ino
    run(library)
    assert fresh.stat().st_ino == before
    add(library, "os", "x = 22\n")
    linked = library / "linked"
    linked.hardlink_to(fresh)
    run(library)
    assert fresh.stat().st_ino != before
    assert fresh.read_bytes() != linked.read_bytes()


def test_python_accepts_the_byte_code_as_current(library):
    run(library)
    source = library / "os.py"
    (cached,) = library.glob("__pycache__/os.*.pyc")
    assert Path(importlib.util.cache_from_source(str(source))) == cached
    header = cached.read_bytes()[:16]
    assert header[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(header[8:12], "little") == int(source.stat().st_mtime)
    assert int.from_bytes(header[12:], "little") == source.stat().st_size
