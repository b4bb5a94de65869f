"""The `python` package: the distribution's own CPython, moved to another prefix.

Building CPython takes minutes. Copying the files that dpkg lists takes half a second, and the
binary is real; it has no headers and no `ensurepip`.
"""

from __future__ import annotations

import re

from channel.package import PLACEHOLDER, CondaPackage, PackageFile
from channel.roots import DebianPython

# Debian's binary has its own `site` frozen in, which looks for dist-packages only. So the
# environment gets a sitecustomize that adds site-packages.
SITECUSTOMIZE = '''\
"""Adds site-packages, which the distribution's frozen `site` does not know."""
import os
import site
import sys


def _site_packages(prefixes=None):
    short = "python%d.%d" % sys.version_info[:2]
    return [os.path.join(p, "lib", short, "site-packages") for p in prefixes or [sys.prefix]]


if sys.prefix == sys.base_prefix:
    site.getsitepackages = _site_packages
    for _folder in _site_packages():
        site.addsitedir(_folder)
'''

# The schemes of CPython itself; Debian's install into dist-packages below /usr/local.
SCHEMES = """\
def _get_preferred_schemes():
    return {"prefix": "posix_prefix", "home": "posix_home", "user": "posix_user"}


"""


# No test of the small channel imports these. They are half of the standard library, and of the
# time to compile it.
UNUSED = re.compile(
    r"/(pydoc_data|test|unittest|xml|xmlrpc|wsgiref|curses|sqlite3|venv)/"
    r"|/encodings/(cp|mac_|koi8|iso8859_|iso2022|big5|euc|gb|hz|johab|ptcp|shift|kz|tis|hp|palmos)"
)


def package(python: DebianPython, subdir: str, *, is_small: bool = False) -> CondaPackage:
    """Make the package; with `is_small`, without modules that tests do not import."""
    library = f"usr/lib/python{python.short}/"
    excluded = {f"{library}EXTERNALLY-MANAGED", f"{library}sitecustomize.py"}
    files: dict[str, PackageFile] = {}
    for path in python.files:
        if path in excluded or "__pycache__" in path or (is_small and UNUSED.search(path)):
            continue
        content = (python.root / path).read_bytes()
        if path in {f"{library}sysconfig.py", f"{library}sysconfig/__init__.py"}:
            content = _with_upstream_schemes(content)
        elif "/_sysconfigdata" in path:
            content = _with_placeholder(content)
        executable = path.startswith("usr/bin/")
        files[path.removeprefix("usr/")] = PackageFile(content, executable=executable)
    files[f"lib/python{python.short}/sitecustomize.py"] = PackageFile(SITECUSTOMIZE.encode())
    files[f"lib/python{python.short}/site-packages/README.txt"] = PackageFile(
        b"This directory exists so that 3rd party packages can be installed here.\n"
    )
    for link in ("bin/python3", "bin/python"):
        files[link] = PackageFile(link=f"python{python.short}")
    revision = re.sub(r"[^a-z0-9]+", "_", python.package_version.partition("-")[2])
    return CondaPackage(
        "python",
        python.version,
        build=f"{revision}_cpython",
        constrains=[f"python_abi {python.short}.* *_cp{python.tag}"],
        noarch=None,
        subdir=subdir,
        files=files,
        summary="CPython as the distribution builds it",
    )


def _with_upstream_schemes(source: bytes) -> bytes:
    head, mark, tail = source.partition(b"def get_preferred_scheme(key):")
    if not mark:
        raise ValueError("this Python's sysconfig has no get_preferred_scheme")
    return head + SCHEMES.encode() + mark + tail


def _with_placeholder(source: bytes) -> bytes:
    """Replace the prefix that the build recorded by the placeholder that conda replaces."""
    keys = rb"prefix|exec_prefix|BINDIR|BINLIBDEST|LIBDEST|LIBDIR|INCLUDEPY|CONFINCLUDEPY"
    pattern = rb"'(" + keys + rb")':(\s*)'/usr"
    return re.sub(pattern, rb"'\1':\2'" + PLACEHOLDER.encode(), source)
