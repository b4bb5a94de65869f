"""A newcomer's first minutes, in a real browser: claim, log in, work, administer."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from browser import page_of

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
expect.set_options(timeout=60_000)


def test_from_the_claim_link_to_a_running_notebook(installed):
    base = f"http://{installed.address()}"
    link = json.loads(installed.run("tljh user claim admin --json").stdout)["link"]
    with page_of(base) as page:
        page.goto(f"/hub/{link.partition('/hub/')[2]}")
        expect(page.get_by_role("heading", name="Welcome, admin")).to_be_visible()
        page.get_by_label("Password (at least").fill(PASSWORD)
        page.get_by_label("The same again").fill(PASSWORD)
        page.get_by_role("button", name="Set password").click()
        # The login page knows who comes from the claim.
        expect(page.get_by_label("Username")).to_have_value("admin")
        page.locator("#password_input").fill(PASSWORD)
        page.locator("#login_submit").click()
        page.wait_for_url("**/user/admin/lab**")
        page.get_by_text("Python 3 (ipykernel)").first.click()
        ready = page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first
        expect(ready).to_be_visible()
        # Keys sent to the page go wherever JupyterLab, still loading, has put the
        # focus: text and run are therefore sent to the cell itself.
        cell = page.locator(".jp-Notebook .cm-content").first
        cell.fill("print(6 * 7)")
        expect(cell).to_have_text("print(6 * 7)")
        cell.press("Shift+Enter")
        expect(page.locator(".jp-OutputArea-output").first).to_contain_text("42")
        page.goto("/hub/admin")
        expect(page.get_by_role("button", name="Add Users")).to_be_visible()
        page.goto(f"/hub/{link.partition('/hub/')[2]}")
        expect(page.get_by_text("This link is not valid any more")).to_be_visible()
