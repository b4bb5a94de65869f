"""The user environment of a real hub: checked, broken as admins do it, and repaired."""

from __future__ import annotations

import json
from typing import Any

import pytest

from machine import Machine

pytestmark = pytest.mark.machine

USER = "/opt/tljh/user"
SITE = "$(echo /opt/tljh/user/lib/python3.*/site-packages)"


@pytest.fixture(scope="module")
def hub(installed_shared: Machine) -> Machine:
    """Return a hub whose environment has its first snapshot."""
    installed_shared.run("tljh env record", timeout_s=600)
    return installed_shared


def answer(hub: Machine, command: str, *, code: int = 0) -> Any:
    done = hub.run(f"{command} --json", check=False, timeout_s=900)
    assert done.code == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def kinds(hub: Machine, *, code: int) -> set[tuple[str, str | None]]:
    report = answer(hub, "tljh env check", code=code)
    return {(problem["kind"], problem["package"]) for problem in report["problems"]}


def test_an_installed_environment_has_no_problem(hub):
    report = answer(hub, "tljh env check")
    assert report["status"] == "fine" and report["problems"] == []
    assert report["packages"] > 100 and report["files"] > 15_000


def test_what_an_admin_breaks_is_found_and_repaired(hub):
    before = answer(hub, "tljh env history")["snapshots"][-1]["number"]
    hub.run(
        f"cd {SITE} && rm -r jupyterlab/handlers && chmod 600 notebook/app.py && "
        f"chown nobody jupyter_server/serverapp.py && echo 'raise SystemExit' >> tornado/web.py && "
        f"chmod -x {USER}/bin/jupyterhub-singleuser"
    )
    status = answer(hub, "tljh status", code=2)
    texts = " ".join(item["what"] for item in status["findings"])
    assert "conda's jupyterlab lacks" in texts and "conda's jupyter-server" in texts
    expected = {
        ("missing", "jupyterlab"),
        ("unreadable", "notebook"),
        ("owner", "jupyter-server"),
        ("changed", "tornado"),
        ("server", None),
    }
    assert kinds(hub, code=1) >= expected
    # Without the cache of packages that all machines of the tests share.
    repair = answer(hub, "env -u RATTLER_CACHE_DIR tljh env repair --yes")
    assert repair["remaining"] == []
    assert kinds(hub, code=0) == set()
    assert answer(hub, f"tljh env diff {before}") == {"packages": [], "files": []}
    answer(hub, "tljh status")
