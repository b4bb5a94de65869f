"""Content of a bootstrap, and the single file that carries all of it."""

from __future__ import annotations

import base64
import textwrap
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tljh import __version__
from tljh_installer.wheel import Wheel, archive, build_wheel

# Modules of tljh that the installer uses, too. They need the standard library only.
SHARED = (
    "tljh/__init__.py",
    "tljh/base/__init__.py",
    "tljh/base/account_names.py",
    "tljh/base/apt_packages.py",
    "tljh/base/bundles.py",
    "tljh/base/control_characters.py",
    "tljh/base/errors.py",
    "tljh/base/interruptions.py",
    "tljh/base/output.py",
    "tljh/base/package_indexes.py",
    "tljh/base/path_groups.py",
    "tljh/base/paths.py",
    "tljh/base/tcp_sockets.py",
    "tljh/base/versions.py",
)
_MARK = 'start("""\n'
_END = '""")\n'
# After an incomplete download, Python quotes this line in its SyntaxError.
_CARRIED_MARK = (
    'start("""  # <- if an error message points here, the download is incomplete: repeat it\n'
)


@dataclass(frozen=True)
class Payload:
    """The release that a bootstrap installs; `bootstrap` returns it as one self-contained file."""

    version: str
    lock: str
    wheel: Wheel
    bootstrap: Callable[[], bytes]


def _modules(read: Callable[[str], bytes], names: list[str]) -> list[tuple[str, bytes]]:
    return [(name, read(name)) for name in (*sorted(names), *SHARED)]


def self_contained(head: str, modules: list[tuple[str, bytes]], lock: str, wheel: Wheel) -> bytes:
    """Return one bootstrap.py: the unchanged `head`, and the rest as text in its last statement."""
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


def from_checkout(checkout: Path) -> Payload:
    """Return the release that a checkout contains."""
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
    return Payload(
        __version__, lock, wheel, lambda: self_contained(head, _modules(read, names), lock, wheel)
    )


def from_archive(path: str) -> Payload:
    """Return the release that is running; `path` is the archive that it was imported from."""
    with zipfile.ZipFile(path) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    (wheel_name,) = (name for name in contents if name.endswith(".whl"))
    head = contents["carried/bootstrap.py"].decode()
    lock = contents["carried/hub.lock"].decode()
    wheel = Wheel(wheel_name.rpartition("/")[2], contents[wheel_name])
    names = [name for name in contents if name.startswith("tljh_installer/")]
    return Payload(
        __version__,
        lock,
        wheel,
        lambda: self_contained(head, _modules(contents.__getitem__, names), lock, wheel),
    )


def page_html(archive_path: str | None) -> str:
    """Return the HTML of the progress page, from the release's archive or from the checkout."""
    if archive_path is None:
        return (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    with zipfile.ZipFile(archive_path) as file:
        return file.read("tljh_installer/page.html").decode()
