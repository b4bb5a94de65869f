"""Debian's Chromium, driven by playwright: what people really see."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, sync_playwright

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
APT_TIMEOUT_S = 600


def chromium() -> str:
    """Path of Chromium; installs Debian's where it is missing and may be."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        for command in ("update", "install"):
            names = ["-y", "--no-install-recommends", "chromium"] if command == "install" else []
            subprocess.run(
                ["apt-get", "-q", command, *names],
                check=True,
                capture_output=True,
                timeout=APT_TIMEOUT_S,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            )
        found = shutil.which("chromium")
    if found is None:
        pytest.skip("Chromium is not here, and only root can install it")
    return found


@contextmanager
def page_of(base_url: str) -> Iterator[Page]:
    """An empty browser's page; relative addresses start at `base_url`."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        try:
            context = browser.new_context(
                base_url=base_url, viewport={"width": 1200, "height": 800}
            )
            page = context.new_page()
            page.set_default_timeout(90_000)
            yield page
        finally:
            browser.close()
