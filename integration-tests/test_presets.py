"""Presets on a real hub, each with two users in two browsers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from browser import page_of
from machine import Machine
from session import HubUser, import_users

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
COURSES = "presets.nbgrader.courses"

# A notebook as nbgrader's toolbar makes it: a cell to fill in, and a test that gives two points.
WRITE_SOURCE = """
import nbformat
from pathlib import Path
from nbformat.v4 import new_code_cell, new_notebook

def cell(text, name, solution):
    more = {"points": 2} if not solution else {}
    marks = {"grade": not solution, "solution": solution, "locked": not solution, "task": False}
    return new_code_cell(
        text, metadata={"nbgrader": {"schema_version": 3, "grade_id": name, **marks, **more}}
    )

solution = "def add(a, b):\\n    ### BEGIN SOLUTION\\n    return a + b\\n    ### END SOLUTION"
trial = "assert add(2, 3) == 5"
book = new_notebook(cells=[cell(solution, "add", True), cell(trial, "try", False)])
book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
path = Path.home() / "physics" / "source" / "ps1" / "p1.ipynb"
path.parent.mkdir(parents=True)
nbformat.write(book, path)
"""

SOLVE = """
import nbformat
from pathlib import Path

path = Path.home() / "ps1" / "p1.ipynb"
book = nbformat.read(path, 4)
print("solution" if "return a + b" in book.cells[0].source else "gap")
book.cells[0].source = "def add(a, b):\\n    return a + b  # by stu"
nbformat.write(book, path)
"""

READ_ALL = """
import os, subprocess
print(subprocess.run(["find", "/srv/nbgrader", "/srv/shared"], capture_output=True, text=True))
try:
    print(os.listdir("/srv/nbgrader/exchange/physics/inbound"))
except OSError as error:
    print("refused:", error.strerror)
"""


def start(hub: Machine, name: str) -> HubUser:
    user = HubUser(f"http://{hub.address()}", name)
    user.login(PASSWORD)
    user.start_server()
    return user


@contextmanager
def second_page(page: Page) -> Iterator[Page]:
    """Open a page with own cookies, as in another user's browser."""
    browser = page.context.browser
    assert browser is not None
    base_url = page.url.partition("/hub/")[0].partition("/user/")[0]
    context = browser.new_context(base_url=base_url, viewport={"width": 1200, "height": 800})
    try:
        other = context.new_page()
        other.set_default_timeout(90_000)
        yield other
    finally:
        context.close()


def log_in(page: Page, name: str) -> None:
    page.goto("/hub/login")
    page.get_by_label("Username").fill(name)
    page.locator("#password_input").fill(PASSWORD)
    page.locator("#login_submit").click()


def open_lab(page: Page, name: str) -> None:
    log_in(page, name)
    page.wait_for_url(f"**/user/{name}/lab**")


def open_in_menu(page: Page, item: str) -> None:
    page.get_by_role("menuitem", name="Nbgrader").click()
    page.get_by_role("menuitem", name=item, exact=True).click()


def press(formgrader: FrameLocator, column: str) -> None:
    """Press the button of the assignment's row, and read that it succeeded."""
    formgrader.locator(f"#main-table td.{column} a").click()
    dialog = formgrader.locator(".modal.in")
    expect(dialog).to_contain_text("Success")
    dialog.get_by_role("button", name="OK").click()
    expect(dialog).to_be_hidden()


@pytest.mark.long
def test_students_fetch_and_submit_and_an_instructor_grades(installed_shared, restored_config):
    hub = installed_shared
    import_users(hub, ["tea", "stu", "eve"], PASSWORD)
    hub.run("tljh-config set users.extra_user_groups.teachers '[tea]'")
    hub.run(f"tljh-config set {COURSES}.physics.instructors teachers")
    assert "+ nbgrader 0." in hub.run("tljh-config plan").stdout
    hub.run("tljh-config reload", timeout_s=300)
    assert "nothing to do" in hub.run("tljh-config plan").stdout
    tea, eve = start(hub, "tea"), start(hub, "eve")
    tea.execute(WRITE_SOURCE)
    with page_of(f"http://{hub.address()}") as page:
        open_lab(page, "tea")
        open_in_menu(page, "Formgrader")
        formgrader = page.frame_locator("iframe")
        press(formgrader, "assign")
        press(formgrader, "release")
        with second_page(page) as student:
            open_lab(student, "stu")
            student.get_by_role("menuitem", name="Nbgrader").click()
            expect(student.get_by_role("menuitem", name="Assignment List")).to_be_visible()
            assert student.get_by_role("menuitem", name="Formgrader").count() == 0
            student.get_by_role("menuitem", name="Assignment List").click()
            student.get_by_role("button", name="Fetch", exact=True).click()
            submit = student.get_by_role("button", name="Submit", exact=True)
            expect(submit).to_be_visible()
            stu = start(hub, "stu")
            assert stu.execute(SOLVE).strip() == "gap"
            submit.click()
            expect(student.locator("#submitted_assignments_list")).to_contain_text("ps1")
            # Neither the formgrader nor what others submitted is for students.
            assert stu.http.get(f"{stu.server}/formgrader/manage_assignments").status_code == 404
        listing = eve.execute(READ_ALL)
        assert "refused: Permission denied" in listing and "outbound/ps1/p1.ipynb" in listing
        assert "jupyter-stu" not in listing and "gradebook" not in listing
        page.reload()
        press(formgrader, "collect")
        expect(formgrader.locator("#main-table td.num-submissions")).to_have_text("1")
        formgrader.locator("#main-table td.num-submissions a").click()
        press(formgrader, "autograde")
        expect(formgrader.locator("#main-table td.score")).to_contain_text("2 / 2")
    for user in (tea, stu, eve):
        user.stop_server()
    hub.run(f"tljh-config unset {COURSES} && tljh-config reload", timeout_s=300)
    assert "nbgrader" not in hub.run("tljh env list").stdout
    kept = hub.run("find /srv/nbgrader /srv/shared/physics").stdout
    assert "inbound/jupyter-stu+ps1+" in kept and "physics/gradebook.db" in kept
    assert "nothing to do" in hub.run("tljh-config plan").stdout


def join(page: Page, owner: str, path: str) -> None:
    """Follow a link to another user's notebook, past the warning and JupyterHub's question."""
    page.goto(f"/user/{owner}/lab/tree/{path}")
    page.get_by_role("button", name=f"Enter the server of {owner}").click()
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url(f"**/user/{owner}/lab/tree/{path}**")


WRITE_NOTEBOOK = """
import nbformat
from pathlib import Path
from nbformat.v4 import new_code_cell, new_notebook
book = new_notebook(cells=[new_code_cell("first = 1")])
book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
nbformat.write(book, Path.home() / "plan.ipynb")
"""


@pytest.mark.long
def test_members_of_a_group_edit_a_notebook_together_and_others_stay_out(
    installed_shared, restored_config
):
    hub = installed_shared
    import_users(hub, ["ann", "bob", "eve"], PASSWORD)
    hub.run("tljh-config set groups.team '[ann, bob]'")
    hub.run("tljh-config set presets.collaboration.groups.team '{}'")
    assert "+ jupyter-collaboration " in hub.run("tljh-config plan").stdout
    hub.run("tljh-config reload", timeout_s=300)
    assert "nothing to do" in hub.run("tljh-config plan").stdout
    ann, eve = start(hub, "ann"), start(hub, "eve")
    ann.execute(WRITE_NOTEBOOK)
    # Who is in no group keeps a plain JupyterLab, and gets into no other server.
    assert eve.http.get(f"{eve.server}/api/collaboration/session/x").status_code == 404
    assert eve.http.get(f"{ann.server}/lab").status_code in (403, 404)
    with page_of(f"http://{hub.address()}") as page:
        open_lab(page, "ann")
        page.goto("/user/ann/lab/tree/plan.ipynb")
        cells = page.locator(".jp-Notebook .cm-content")
        expect(cells.first).to_have_text("first = 1")
        with second_page(page) as visitor:
            log_in(visitor, "bob")
            join(visitor, "ann", "plan.ipynb")
            same = visitor.locator(".jp-Notebook .cm-content").first
            expect(same).to_have_text("first = 1")
            same.click()
            visitor.keyboard.press("End")
            visitor.keyboard.type(" + 41")
            expect(cells.first).to_have_text("first = 1 + 41")
            cells.first.click()
            page.keyboard.press("End")
            page.keyboard.type("  # ann")
            expect(same).to_have_text("first = 1 + 41  # ann")
    for user in (ann, eve):
        user.stop_server()
    hub.run("tljh-config unset presets.collaboration.groups && tljh-config reload", timeout_s=300)
    assert "jupyter-server-ydoc" not in hub.run("tljh env list").stdout
    start(hub, "ann")
    bob = HubUser(f"http://{hub.address()}", "bob")
    bob.login(PASSWORD)
    assert bob.http.get(f"{bob.url}/user/ann/lab").status_code in (403, 404)
