"""What a bootstrap carries, and the one file that it can all be put in."""

from __future__ import annotations

import base64
import textwrap
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tljh import __version__
from tljh_installer.wheel import Wheel, archive, build_wheel

# What the installer shares with what it installs; these need the standard library only.
SHARED = (
    "tljh/__init__.py",
    "tljh/base/__init__.py",
    "tljh/base/account_names.py",
    "tljh/base/apt_packages.py",
    "tljh/base/errors.py",
    "tljh/base/package_indexes.py",
)
_MARK = 'start("""\n'
_END = '""")\n'
# A download that was cut in the middle ends in a SyntaxError that quotes this line.
_CARRIED_MARK = (
    'start("""  # <- if an error message points here, the download was cut off: repeat it\n'
)


@dataclass(frozen=True)
class Carried:
    """The version that a bootstrap installs: wheel and lock, and how to write it all down."""

    version: str
    lock: str
    wheel: Wheel
    bootstrap: Callable[[], bytes]


def _modules(read: Callable[[str], bytes], names: list[str]) -> list[tuple[str, bytes]]:
    return [(name, read(name)) for name in (*sorted(names), *SHARED)]


def self_contained(head: str, modules: list[tuple[str, bytes]], lock: str, wheel: Wheel) -> bytes:
    """One bootstrap.py: the head as it is, the rest as text inside its last statement."""
    files = [
        *modules,
        ("carried/bootstrap.py", head.encode()),
        ("carried/hub.lock", lock.encode()),
        (f"carried/{wheel.name}", wheel.data),
    ]
    payload = base64.b64encode(archive(files, zipfile.ZIP_DEFLATED)).decode()
    before, mark, after = head.rpartition(_MARK)
    if not mark or after != _END:
        raise ValueError("bootstrap.py does not end with its start() statement")
    lines = "\n".join(textwrap.wrap(payload, 99))
    return (before + _CARRIED_MARK + lines + "\n" + _END).encode()


def from_checkout(checkout: Path) -> Carried:
    """What a checkout installs: itself."""
    installer = checkout / "installer"
    head = (installer / "bootstrap.py").read_text(encoding="utf-8")
    lock = (installer / "hub.lock").read_text(encoding="utf-8")
    wheel = build_wheel(checkout)

    def read(name: str) -> bytes:
        root = checkout if name.startswith("tljh/") else installer
        return (root / name).read_bytes()

    names = [
        f"tljh_installer/{path.name}"
        for path in (installer / "tljh_installer").iterdir()
        if path.suffix in (".py", ".html")
    ]
    return Carried(
        __version__, lock, wheel, lambda: self_contained(head, _modules(read, names), lock, wheel)
    )


def from_archive(path: str) -> Carried:
    """What the running release carries; `path` is the archive that it was imported from."""
    with zipfile.ZipFile(path) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    (wheel_name,) = (name for name in contents if name.endswith(".whl"))
    head = contents["carried/bootstrap.py"].decode()
    lock = contents["carried/hub.lock"].decode()
    wheel = Wheel(wheel_name.rpartition("/")[2], contents[wheel_name])
    names = [name for name in contents if name.startswith("tljh_installer/")]
    return Carried(
        __version__,
        lock,
        wheel,
        lambda: self_contained(head, _modules(contents.__getitem__, names), lock, wheel),
    )


def page_html(archive_path: str | None) -> str:
    """The progress page, which lies beside the modules in both forms."""
    if archive_path is None:
        return (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    with zipfile.ZipFile(archive_path) as file:
        return file.read("tljh_installer/page.html").decode()
