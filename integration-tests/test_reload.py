"""Reloads: a correct change interrupts no user, a wrong one leaves the hub running."""

from __future__ import annotations

import contextlib

import pytest

from session import claim_account
from traffic import HeldKernel, failures_of, probes_of, traffic
from waiting import wait_until

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
DROP_INS = "/opt/tljh/config/jupyterhub_config.d"


@pytest.fixture(scope="module")
def hub(installed_shared):
    return installed_shared


@pytest.fixture(scope="module")
def user(hub):
    """Return the admin, with a running server."""
    return admin_of(hub)


def admin_of(hub):
    admin = claim_account(hub, f"http://{hub.address()}", "admin", PASSWORD)
    admin.login(PASSWORD)
    admin.start_server()
    return admin


@pytest.fixture(scope="module")
def token(user):
    return token_of(user)


def token_of(user) -> str:
    response = user.hub_api("POST", "/users/admin/tokens", json={"note": "probe"})
    assert response.status_code == 201, response.text
    return response.json()["token"]


def is_working(hub) -> bool:
    return hub.run("tljh status", check=False).code in (0, 2)


def test_nobody_loses_a_request_or_a_web_socket_over_reloads_of_hub_and_proxy(
    hub, user, token, restored_config
):
    probes = probes_of(user, token)
    with HeldKernel(user) as kernel, traffic(probes):
        hub.run("tljh-config set services.cull.timeout 7000 && tljh-config reload", timeout_s=180)
        hub.run("tljh-config add-item trusted_proxies 192.0.2.1", timeout_s=60)
        plan = hub.run("tljh-config plan").stdout
        hub.run("tljh-config reload", timeout_s=180)
    assert "users notice nothing" in plan
    assert failures_of(probes) == {}
    assert min(probe.sent for probe in probes) > 50
    assert kernel.failures == []


@contextlib.contextmanager
def file_with(hub, path: str, text: str):
    hub.run(["tee", path], input=text)
    try:
        yield
    finally:
        hub.run(["rm", path])


def test_reload_with_a_broken_drop_in_names_the_line_and_touches_nothing(hub, user):
    before = hub.run("systemctl show -p MainPID jupyterhub traefik").stdout
    with file_with(hub, f"{DROP_INS}/bad.py", "c.Spawner.debug = True\nc.Spawner.cmd = [\n"):
        done = hub.run("tljh-config reload", check=False)
    assert done.code == 1
    assert f"{DROP_INS}/bad.py, line 2" in done.stderr
    assert hub.run("systemctl show -p MainPID jupyterhub traefik").stdout == before


def test_a_hub_that_does_not_start_is_rolled_back_with_its_last_words(hub, user):
    # Passes every check, because only systemd sets the variable.
    text = (
        'import os\nif os.environ.get("NOTIFY_SOCKET"):\n    raise SystemExit("the last words")\n'
    )
    with file_with(hub, f"{DROP_INS}/sick.py", text):
        done = hub.run("tljh-config reload --timeout 20", check=False, timeout_s=300)
    assert done.code == 1
    assert "the last words" in done.stderr
    assert "every change was rolled back" in done.stderr
    assert is_working(hub)
    assert user.api("GET", "/status").status_code == 200


def test_a_traefik_rule_that_traefik_cannot_read_is_refused_with_its_place(hub, user):
    with file_with(hub, "/opt/tljh/state/rules/mine.toml", "[http.routers.mine]\nrule = \n"):
        done = hub.run("tljh-config reload", check=False)
    assert done.code == 1
    assert "/opt/tljh/state/rules/mine.toml, line 2" in done.stderr
    assert is_working(hub)


@pytest.fixture
def taken_port(hub, cleanup) -> int:
    """Run another program that listens at a port."""
    cleanup.callback(hub.run, "systemctl stop squatter")
    hub.run("systemd-run --unit squatter python3 -m http.server 8081")
    wait_until(lambda: hub.run("ss -Hltn sport = :8081").stdout, "port 8081 is taken", 20)
    return 8081


def test_a_port_that_is_taken_leaves_the_old_one_serving(hub, user, taken_port, restored_config):
    hub.run(f"tljh-config set http.port {taken_port}")
    done = hub.run("tljh-config reload --timeout 20", check=False, timeout_s=300)
    assert done.code == 1
    assert "config.yaml, line" in done.stderr
    assert "cannot listen on :8081: address already in use (held by python3" in done.stderr
    assert "rolled back" not in done.stderr
    assert user.http.get(f"{user.url}/hub/login").status_code == 200


def test_rollback_restores_the_state_before(hub, user, restored_config):
    hub.run("tljh-config set services.cull.timeout 7171 && tljh-config reload", timeout_s=180)
    assert "7171" in hub.run("cat /opt/tljh/state/applied/hub.json").stdout
    hub.run("tljh-config rollback", timeout_s=180)
    assert "7171" not in hub.run("cat /opt/tljh/state/applied/hub.json").stdout
    assert "7171" not in hub.run("tljh-config show").stdout
    assert is_working(hub)


def test_a_reload_with_nothing_to_do_restarts_nothing(hub, user):
    before = hub.run("systemctl show -p MainPID jupyterhub traefik").stdout
    assert "Nothing to do" in hub.run("tljh-config reload").stdout
    assert hub.run("systemctl show -p MainPID jupyterhub traefik").stdout == before


MIGRATIONS = "/opt/tljh/hub/lib/python3*/site-packages/jupyterhub/alembic/versions"
MIGRATION = """
from alembic import op
revision = {revision!r}
down_revision = {before!r}
branch_labels = depends_on = None

def upgrade():
    op.execute({statement!r})

def downgrade():
    pass
"""


def schema(hub) -> str:
    code = (
        "import sqlite3; db = sqlite3.connect('/opt/tljh/state/jupyterhub.sqlite');"
        "print(db.execute('SELECT version_num FROM alembic_version').fetchone()[0])"
    )
    return hub.run(["python3", "-c", code]).stdout.strip()


def add_migration(hub, revision: str, statement: str) -> None:
    text = MIGRATION.format(revision=revision, before=schema(hub), statement=statement)
    hub.run(f"cat > $(echo {MIGRATIONS})/{revision}_of_a_test.py", input=text)


def test_a_migration_of_the_database_interrupts_nobody_and_a_failed_one_is_rolled_back(installed):
    hub, user = installed, admin_of(installed)
    before = schema(hub)
    add_migration(hub, "00000000000a", "CREATE TABLE of_a_test (number INTEGER)")
    assert f"schema {before} -> 00000000000a" in hub.run("tljh-config plan").stdout
    probes = probes_of(user, token_of(user))
    with traffic(probes):
        hub.run("tljh-config reload --timeout 150", timeout_s=240)
    assert failures_of(probes) == {}
    assert schema(hub) == "00000000000a"
    copies = hub.run("ls /opt/tljh/state/database-copies").stdout.split()
    assert copies == [f"1-{before}.sqlite"]

    add_migration(hub, "00000000000b", "ALTER TABLE nowhere ADD COLUMN number INTEGER")
    done = hub.run("tljh-config reload", check=False, timeout_s=180)
    hub.run(f"rm {MIGRATIONS}/00000000000b_of_a_test.py")
    assert done.code == 1
    assert "no such table: nowhere" in done.stderr
    assert schema(hub) == "00000000000a"
    assert is_working(hub)
    assert user.api("GET", "/status").status_code == 200
