"""Debian's Prometheus scrapes the hub with the token of `tljh monitoring token`."""

from __future__ import annotations

import json
from pathlib import Path

import requests

from browser import page_of
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


SAMPLE = "systemctl start tljh-history"
# Into the control group of a server: with cgroup v1 and v2.
EAT = """
systemctl set-property --runtime jupyter-cy.service MemoryMax=400M
group=$(ls -d /sys/fs/cgroup/{memory/,}jupyter.slice/jupyter-cy.service 2>/dev/null | head -1)
(echo $BASHPID > $group/cgroup.procs && exec python3 -c 'bytearray(600 << 20)')
systemctl set-property --runtime jupyter-cy.service MemoryMax=2G
"""


def test_the_report_shows_what_happened_on_this_machine(installed_shared: Machine, tmp_path: Path):
    machine = installed_shared
    machine.run(SAMPLE)
    import_users(machine, ["cy", "di"], PASSWORD)
    cy, di = (HubUser(f"http://{machine.address()}", name) for name in ("cy", "di"))
    for user in (cy, di):
        user.login(PASSWORD)
        user.start_server()
    machine.run(SAMPLE)
    di.stop_server()
    machine.run("usermod --expiredate 1 jupyter-di")
    di.hub_api("POST", "/users/di/server")
    machine.run("head -c 30000000 /dev/urandom > /home/jupyter-cy/data")
    machine.run(["bash", "-c", EAT], check=False)
    machine.run("systemctl stop jupyterhub")
    machine.run(SAMPLE)
    machine.run("systemctl start jupyterhub")
    machine.run(f"{SAMPLE} tljh-homes")
    answer = json.loads(machine.run("tljh report --week --json").stdout)
    today = answer["days"][-1]
    assert len(answer["days"]) == 7
    # Other tests of this machine started servers, too.
    assert today["users"] >= 2 and today["servers"] >= 2 and today["starts"] >= 2
    assert (today["kills"], today["failed_starts"]) == (1, 1)
    assert today["server_bytes"] > 100 << 20 and today["cpu_peak"] > 0
    assert 0 < answer["away"][-1]["seconds"] < 300
    users = {each["user"]: each for each in answer["users"]}
    assert users["cy"]["home_bytes"] > 30_000_000 and users["cy"]["kills"] == 1
    assert users["di"]["failed_starts"] == 1
    token = machine.run("tljh monitoring token").stdout.strip()
    metrics = requests.get(
        f"http://{machine.address()}/hub/metrics",
        headers={"Authorization": f"token {token}"},
        timeout=10,
    ).text
    assert 'tljh_user_disk_bytes{user="cy"} 3' in metrics
    text = machine.run("tljh report").stdout
    assert "look again after a day" in text and "The hub did not answer for" in text
    machine.run("tljh report --html /root/use.html")
    look_at(machine.run("cat /root/use.html").stdout, tmp_path / "use.html")


def look_at(html: str, file: Path) -> None:
    """Open a report in a browser: it loads nothing, and fits a desk and a phone, light and dark."""
    file.write_text(html)
    with page_of(file.as_uri()) as page:
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text))
        page.on("request", lambda request: problems.append(request.url))
        for width, scheme in ((1280, "light"), (390, "dark")):
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=scheme)
            page.goto(file.as_uri())
            plots = page.locator("svg")
            assert plots.count() >= 9
            assert all(plot.bounding_box()["width"] <= width for plot in plots.all())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            letters = page.locator("svg text").first.evaluate(
                "text => text.getBoundingClientRect().height"
            )
            assert letters >= 10
            assert page.locator("svg .bar").count() > 0
        assert set(problems) == {file.as_uri()}
