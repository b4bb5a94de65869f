"""Debian's Prometheus scrapes the hub with the token of `tljh monitoring token`."""

from __future__ import annotations

import json

import requests

from machine import Machine
from session import HubUser, import_users
from waiting import wait_until

PASSWORD = "a long password 1"
SCRAPE = """
global: {scrape_interval: 2s}
scrape_configs:
  - job_name: hub
    metrics_path: /hub/metrics
    authorization: {type: token, credentials_file: /etc/prometheus/hub-token}
    static_configs: [{targets: ["127.0.0.1:80"]}]
"""


def ask(machine: Machine, query: str) -> list[dict]:
    url = f"http://127.0.0.1:9090/api/v1/query?query={query}"
    done = machine.run(["curl", "-s", url], check=False)
    return json.loads(done.stdout)["data"]["result"] if done.code == 0 and done.stdout else []


def test_prometheus_sees_servers_and_machine(installed_shared: Machine):
    machine = installed_shared
    url = f"http://{machine.address()}/hub/metrics"
    assert requests.get(url, timeout=10).status_code == 403
    import_users(machine, ["ann"], PASSWORD)
    ann = HubUser(f"http://{machine.address()}", "ann")
    ann.login(PASSWORD)
    ann.start_server()
    machine.install_packages("prometheus", "curl")
    machine.run("tljh monitoring token > /etc/prometheus/hub-token")
    machine.run("chown prometheus /etc/prometheus/hub-token")
    machine.run("cat > /etc/prometheus/prometheus.yml", input=SCRAPE)
    machine.run("systemctl restart prometheus")
    wait_until(lambda: ask(machine, "tljh_server_memory_bytes"), "a scrape", timeout_s=90)
    [server] = ask(machine, "tljh_server_memory_bytes")
    assert server["metric"]["user"] == "ann"
    assert float(server["value"][1]) > 10 << 20
    [tasks] = ask(machine, "tljh_server_tasks")
    assert float(tasks["value"][1]) > 0
    assert ask(machine, "tljh_machine_memory_bytes") and ask(machine, "jupyterhub_total_users")
    [ann_now] = json.loads(machine.run("tljh top --json").stdout)["servers"]
    assert ann_now["user"] == "ann" and ann_now["tasks"] > 0 and ann_now["memory_bytes"] > 10 << 20
    # The token reads metrics and nothing else.
    token = machine.run("tljh monitoring token").stdout.strip()
    api = f"http://{machine.address()}/hub/api/users"
    headers = {"Authorization": f"token {token}"}
    assert requests.get(api, headers=headers, timeout=10).status_code == 403
    assert requests.get(url, headers=headers, timeout=10).status_code == 200


def test_rotated_secrets_open_nothing_any_more_and_servers_run_on(installed_shared: Machine):
    machine = installed_shared
    url = f"http://{machine.address()}"
    import_users(machine, ["bob"], PASSWORD)
    bob = HubUser(url, "bob")
    bob.login(PASSWORD)
    bob.start_server()
    pid = machine.run("systemctl show -P MainPID jupyter-bob").stdout
    old = machine.run("tljh monitoring token").stdout.strip()
    old_api = machine.run("cat /opt/tljh/state/hub-api.secret").stdout.strip()
    asked = machine.run("tljh rotate", check=False)
    assert asked.code == 1 and "--yes" in asked.stderr
    machine.run("tljh rotate --yes", timeout_s=180)
    headers = {"Authorization": f"token {old}"}
    assert requests.get(f"{url}/hub/metrics", headers=headers, timeout=10).status_code == 403
    headers = {"Authorization": f"token {old_api}"}
    assert requests.get(f"{url}/hub/api/users", headers=headers, timeout=10).status_code == 403
    assert "/hub/login" in bob.http.get(f"{url}/hub/home", timeout=10).url
    assert machine.run("systemctl show -P MainPID jupyter-bob").stdout == pid
    assert machine.run("tljh status", check=False).code == 0
    HubUser(url, "bob").login(PASSWORD)
    machine.run("tljh user add later", timeout_s=180)
