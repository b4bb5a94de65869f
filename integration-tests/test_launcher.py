"""The example launcher on a machine: JupyterLab for visitors, and nothing left of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from playwright.sync_api import expect

from browser import page_of
from machine import Machine
from waiting import wait_until

LAUNCHER = Path(__file__).parents[1] / "examples" / "launcher" / "launcher.py"
UNIT = (
    "install -m 600 /dev/null /root/launcher.env && "
    "echo JUPYTERHUB_API_TOKEN=$(tljh launch token) > /root/launcher.env && "
    "systemd-run --unit launcher --collect --property DynamicUser=yes "
    "--property EnvironmentFile=/root/launcher.env /opt/tljh/hub/bin/python /srv/launcher.py"
)


@pytest.fixture(scope="module")
def launcher(installed_shared: Machine) -> Machine:
    serve_launcher(installed_shared)
    return installed_shared


def serve_launcher(machine: Machine) -> None:
    """Run the example as a unit, at the root of a hub that serves its API only."""
    machine.copy_in(LAUNCHER, "/srv/launcher.py")
    machine.run("tljh-config set hub.mode api-only && tljh-config set auth.type null")
    machine.run("tljh-config set proxy.extra_routes '{/: \"http://127.0.0.1:9000\"}'")
    machine.run("tljh-config set launch.enabled true && tljh-config set launch.token_in_url true")
    machine.run("tljh-config reload", timeout_s=180)
    machine.run(UNIT)
    site = f"http://{machine.address()}/"
    wait_until(lambda: "Start JupyterLab" in requests.get(site, timeout=10).text, "the form")


# What a temporary user may leave: hub, accounts, homes, units, limits, routes, records.
LEFT = (
    "tljh user list --json; getent passwd; getent group; ls -a /home /etc/systemd/system "
    "/opt/tljh/state/temporary-users; systemctl list-units --all 'jupyter-*'; "
    "cat /var/lib/tljh-traefik/dynamic/rules.toml /etc/cron.deny"
)


def what_is_left(machine: Machine) -> list[str]:
    text = machine.run(LEFT, check=False).stdout
    rows = machine.run(
        """/opt/tljh/hub/bin/python -c '
import sqlite3
db = sqlite3.connect("file:/opt/tljh/state/jupyterhub.sqlite?mode=ro", uri=True)
for table in "users", "spawners", "servers", "api_tokens":
    print(table, db.execute(f"select * from {table}").fetchall())
'"""
    ).stdout
    return re.findall(r".*guest-.*", f"{text}\n{rows}")


def begin(machine: Machine) -> str:
    """Send the form as a browser does, and return the address of the page with the progress."""
    with requests.Session() as session:
        site = f"http://{machine.address()}"
        session.get(f"{site}/", timeout=30)
        form = {"_xsrf": session.cookies["_xsrf"]}
        answer = session.post(f"{site}/", data=form, allow_redirects=False, timeout=60)
        assert answer.status_code == 303, answer.text
        return f"{site}{answer.headers['Location']}"


def events(page: str) -> Iterator[dict[str, object]]:
    with requests.get(f"{page}/events", stream=True, timeout=120) as answer:
        for line in answer.iter_lines():
            if line.startswith(b"data: "):
                yield json.loads(line[6:])


def follow(machine: Machine, page: str) -> str:
    """Wait for the address of JupyterLab, and open it with its token."""
    news: dict[str, object] = {}
    for news in events(page):
        assert not news.get("failed"), news
    with requests.Session() as session:
        url = f"http://{machine.address()}{news['url']}"
        assert session.get(url, timeout=60).status_code == 200
        path = url.partition("/lab?")[0]
        assert session.get(f"{path}/api/kernels", timeout=60).json() == []
        assert session.get(f"{path}/lab", timeout=60).status_code == 200
    return path.rpartition("/")[2]


def test_a_visitor_works_in_jupyterlab_and_nothing_is_left_afterwards(launcher):
    with page_of(f"http://{launcher.address()}") as page:
        page.goto("/")
        page.get_by_role("button", name="Start JupyterLab").click()
        page.wait_for_url("**/user/guest-*/lab**")
        expect(page.get_by_text("Python 3 (ipykernel)").first).to_be_visible()
        name = re.search(r"/user/(guest-\w+)/", page.url)
        assert name is not None
        assert f"jupyter-{name[1]}" in launcher.run("getent passwd").stdout
        launcher.run("systemctl stop 'jupyter-guest-*'")
    wait_until(lambda: what_is_left(launcher) == [], "nothing of the visitor", 90)


def test_a_hub_that_restarts_during_a_start_costs_no_visitor(launcher):
    page = begin(launcher)
    with ThreadPoolExecutor(1) as pool:
        name = pool.submit(follow, launcher, page)
        launcher.run("systemctl restart jupyterhub", timeout_s=120)
        assert name.result(180)
    launcher.run("systemctl stop 'jupyter-guest-*'")
    wait_until(lambda: what_is_left(launcher) == [], "nothing of the visitor", 90)


def test_a_visitor_who_leaves_half_way_is_removed(launcher):
    news = events(begin(launcher))
    next(news)
    news.close()
    assert what_is_left(launcher)
    wait_until(lambda: what_is_left(launcher) == [], "nothing of the visitor", 120)


def test_a_hub_killed_during_a_removal_continues_it(launcher):
    name = follow(launcher, begin(launcher))
    # As if it was killed after the hub's record went, and before the account.
    launcher.run("systemctl stop 'jupyter-guest-*'")
    launcher.run("systemctl kill --signal=KILL jupyterhub && systemctl start jupyterhub")
    wait_until(lambda: what_is_left(launcher) == [], f"nothing of {name}", 120)


@pytest.mark.long
def test_twenty_visitors_at_once_all_get_jupyterlab(launcher):
    with ThreadPoolExecutor(20) as pool:
        names = list(pool.map(lambda _: follow(launcher, begin(launcher)), range(20)))
    assert len(set(names)) == 20
    launcher.run("systemctl stop 'jupyter-guest-*'", timeout_s=120)
    wait_until(lambda: what_is_left(launcher) == [], "nothing of the visitors", 180)
