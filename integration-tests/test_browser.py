"""An admin's first minutes in a real browser: claim, log in, work, administer."""

from __future__ import annotations

import contextlib

import pytest
from playwright.sync_api import Page, expect

from browser import page_of
from session import claim_path
from tests.hub.process.running import running_hub

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"


def test_from_the_claim_link_to_a_running_notebook(installed):
    base = f"http://{installed.address()}"
    claim = claim_path(installed, "admin")
    with page_of(base) as page:
        page.goto(claim)
        expect(page.get_by_role("heading", name="Welcome, admin")).to_be_visible()
        page.get_by_label("Password (at least").fill(PASSWORD)
        page.get_by_label("Password again").fill(PASSWORD)
        page.get_by_role("button", name="Set password").click()
        # The claim page hands the name on to the login page.
        expect(page.get_by_label("Username")).to_have_value("admin")
        page.locator("#password_input").fill(PASSWORD)
        page.locator("#login_submit").click()
        page.wait_for_url("**/user/admin/lab**")
        page.get_by_text("Python 3 (ipykernel)").first.click()
        ready = page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first
        expect(ready).to_be_visible()
        run_in_notebook(page, "print(6 * 7)")
        expect(page.locator(".jp-OutputArea-output").first).to_contain_text("42")
        page.goto("/hub/admin")
        expect(page.get_by_role("button", name="Add Users")).to_be_visible()
        page.goto(claim)
        expect(page.get_by_text("This link was used already")).to_be_visible()


FAILING = """
import asyncio
c.JupyterHub.spawner_class = "lone_spawner.LoneSpawner"

async def fail_after_a_moment(spawner):
    await asyncio.sleep(3)
    raise RuntimeError("out of ponies")

c.Spawner.pre_spawn_hook = fail_after_a_moment
"""


def test_the_page_of_a_start_stops_promising_a_redirect_when_it_has_failed(tmp_path):
    users = "auth: {type: dummy, allow_all: true}\n"
    with (
        running_hub(tmp_path, users, FAILING) as hub,
        page_of(f"http://127.0.0.1:{hub.port}") as page,
    ):
        page.goto("/hub/login")
        page.get_by_label("Username").fill("ada")
        page.locator("#password_input").fill("x")
        page.locator("#login_submit").click()
        promise = page.get_by_text("You will be redirected automatically")
        expect(promise).to_be_visible()
        expect(page.get_by_text("Your server did not start.")).to_be_visible()
        expect(promise).to_be_hidden()
        expect(page.locator("#progress-message")).to_contain_text("out of ponies")


def run_in_notebook(page: Page, code: str) -> None:
    """Type into the last cell and run it, until there is an output.

    While JupyterLab still loads, it moves the focus and makes editors again, and typed text is
    lost. A user sees that and types it again.
    """
    for _ in range(6):
        cell = page.locator(".jp-Notebook .cm-content").last
        cell.click()
        cell.press_sequentially(code)
        cell.press("Shift+Enter")
        with contextlib.suppress(AssertionError):
            expect(page.locator(".jp-OutputArea-output").first).to_be_visible(timeout=10_000)
            return
