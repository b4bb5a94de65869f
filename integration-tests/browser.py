"""Debian's Chromium, driven by playwright."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from machine.engine import install_packages, may_install, which

# For all tests: the first page of JupyterLab takes long on a busy computer.
expect.set_options(timeout=60_000)

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str:
    """Return the path of Chromium; install Debian's package where it is missing."""
    return program("chromium", "chromium", "chromium-browser")


def program(package: str, *names: str) -> str:
    """Return the path of the first of `names` that exists; install `package` where none does.

    Skips the test where that is not allowed.
    """
    path = next(filter(None, map(which, names)), None)
    if path is None and may_install():
        install_packages([package])
        path = which(names[0])
    if path is None:
        pytest.skip(f"{names[0]} is not installed, and only root can install it")
    return path


def trust_in_home(home: str, authority: Path) -> None:
    """Make the browser of a home directory trust an authority (PEM), as its user would do it."""
    certutil = program("libnss3-tools", "certutil")
    database = Path(home) / ".pki" / "nssdb"
    database.mkdir(parents=True)
    store = ["-d", f"sql:{database}"]
    add = ["-A", "-t", "C,,", "-n", "authority", "-i", str(authority)]
    subprocess.run([certutil, *store, "-N", "--empty-password"], check=True)
    subprocess.run([certutil, *store, *add], check=True)


@contextmanager
def page_of(
    base_url: str, *, trusts: Path | None = None, names: Mapping[str, str] | None = None
) -> Iterator[Page]:
    """Open a page of a fresh browser; relative URLs start at `base_url`.

    The browser trusts the authority in the file `trusts`, and resolves `names` to addresses.
    """
    rules = ", ".join(f"MAP {name} {address}" for name, address in (names or {}).items())
    arguments = [*ARGUMENTS, *([f"--host-resolver-rules={rules}"] if rules else [])]
    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        if trusts is not None:
            trust_in_home(home, trusts)
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=arguments, env={**os.environ, "HOME": home}
        )
        try:
            context = browser.new_context(
                base_url=base_url, viewport={"width": 1200, "height": 800}
            )
            page = context.new_page()
            page.set_default_timeout(90_000)
            yield page
        finally:
            browser.close()
