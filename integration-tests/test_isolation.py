"""Attacks of user bob on user ann and on the machine, from a shell and from a notebook."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import threading

import pytest
import requests

from session import HubUser, import_users
from waiting import wait_until

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
METADATA = "169.254.169.254"
# What a program of ann answers to everyone who reaches it.
SECRET = "the-secret-of-ann"
# Connects to each endpoint (kind of socket, host, port) and prints the response or the refusal.
CONNECT = """
import json, socket, sys, threading
responses = {}
def connect(kind, host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, getattr(socket, kind)) as client:
        client.settimeout(3)
        try:
            client.connect((host, port))
            client.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            response = client.recv(65536)
            while kind == "SOCK_STREAM" and (more := client.recv(65536)):
                response += more
            responses[f"{kind} {host} {port}"] = response.decode(errors="replace")[-200:]
        except OSError as error:
            responses[f"{kind} {host} {port}"] = f"refused: {error}"
threads = [threading.Thread(target=connect, args=endpoint) for endpoint in json.loads(sys.argv[1])]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("responses:" + json.dumps(responses))
"""
# Serves the secret over TCP and UDP at one address.
SERVE = """
import http.server, socket, sys, threading
host, port, secret = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
family = socket.AF_INET6 if ":" in host else socket.AF_INET
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(secret)
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    address_family = family
datagrams = socket.socket(family, socket.SOCK_DGRAM)
datagrams.bind((host, port))
def echo():
    while True:
        _, sender = datagrams.recvfrom(4096)
        datagrams.sendto(secret, sender)
threading.Thread(target=echo, daemon=True).start()
Server((host, port), Answer).serve_forever()
"""


@pytest.fixture(scope="module")
def hub(installed_shared):
    """Return a hub with the users ann and bob, and the admin of the installation."""
    return add_attackers(installed_shared)


def add_attackers(machine):
    machine.url = f"http://{machine.address()}"
    import_users(machine, ("ann", "bob"), PASSWORD)
    machine.run("mkdir -p /srv/attack && chmod 755 /srv/attack")
    for name, text in (("connect", CONNECT), ("serve", SERVE)):
        machine.run(f"cat > /srv/attack/{name}.py", input=text)
    return machine


def with_server(hub, name: str, password: str = PASSWORD) -> HubUser:
    user = HubUser(hub.url, name)
    user.login(password)
    user.start_server()
    return user


@pytest.fixture(scope="module")
def ann(hub):
    return with_server(hub, "ann")


@pytest.fixture(scope="module")
def bob(hub):
    return with_server(hub, "bob")


@pytest.fixture
def admin(hub):
    output = hub.run("tljh user reset-password admin --json").stdout
    user = with_server(hub, "admin", json.loads(output)["password"])
    yield user
    user.stop_server()


def shell(user: HubUser, command: str) -> tuple[int, str]:
    """Run a command in a user's terminal and return its exit code and output."""
    output = user.terminal(f"printf 'be''gin\\n'; {command}")
    code = re.search(r"the-end-(\d+)", output)
    text = output.partition("begin\r\n")[2].partition("the-end-")[0]
    return int(code[1]) if code else -1, text.replace("\r\n", "\n").strip()


def connect(user: HubUser, *endpoints: tuple[str, str, int]) -> dict[str, str]:
    """Connect from a user's terminal; return the responses by endpoint."""
    command = f"python3 /srv/attack/connect.py '{json.dumps(endpoints)}' | fold -w 70"
    return responses_in(shell(user, command)[1])


def connect_from_notebook(user: HubUser, *endpoints: tuple[str, str, int]) -> dict[str, str]:
    code = f"import sys; sys.argv = ['', {json.dumps(endpoints)!r}]\n{CONNECT}"
    return responses_in(user.execute(code))


def responses_in(text: str) -> dict[str, str]:
    return json.loads(text.replace("\n", "").partition("responses:")[2])


def refused(responses: dict[str, str]) -> set[str]:
    """Return the endpoints that refused the connection."""
    return {name for name, text in responses.items() if text.startswith("refused")}


@contextlib.contextmanager
def serving(hub, account: str, host: str, port: int, secret: str = SECRET):
    """Run a program as an account, which answers with the secret over TCP and UDP."""
    command = f"exec setpriv --reuid {account} --regid {account} --init-groups "
    process = hub.popen(f"{command} python3 /srv/attack/serve.py {host} {port} {secret}")
    try:
        wait_until(lambda: has_listener(hub, port), f"a program listens at port {port}", 20)
        yield
    finally:
        hub.run(f"pkill -f '[s]erve.py {host} {port} '", check=False)
        process.wait(timeout=20)


def has_listener(hub, port: int) -> bool:
    return bool(hub.run(f"ss -Hltn sport = :{port}").stdout)


def port_of(hub, account: str) -> int:
    """Return the port of an account's server."""
    environment = f"/run/{account}.service/{account}.service.env"
    line = hub.run(f"grep ^JUPYTERHUB_SERVICE_URL= {environment}").stdout
    return int(re.search(r"127\.0\.0\.1:(\d+)/", line)[1])


def test_a_home_and_what_is_made_in_it_are_closed_to_others(hub, ann, bob, cleanup):
    cleanup.callback(shell, ann, "rm -f ~/diary")
    assert shell(ann, "umask; echo private > ~/diary; stat -c %a ~ ~/diary")[1].split() == [
        "0077",
        "700",
        "600",
    ]
    assert shell(bob, "cat /home/jupyter-ann/diary")[0] != 0
    assert shell(bob, "ls /home/jupyter-ann")[0] != 0
    accessible = bob.execute(
        "import os\nfor p in ('', '/diary', '/.local/share/jupyter/runtime'):\n"
        "    print(os.access('/home/jupyter-ann' + p, os.F_OK | os.R_OK))"
    )
    assert "True" not in accessible


@pytest.mark.parametrize("directory", ["/tmp", "/var/tmp", "/dev/shm", "/run/lock"])
def test_temporary_files_are_seen_by_their_owner_only(ann, bob, cleanup, directory):
    file = f"{directory}/ann-was-here"
    cleanup.callback(shell, ann, f"rm -f {file}")
    code, _ = shell(ann, f"echo 1 > {file} && chmod 666 {file}")
    assert code == 0
    assert "ann-was-here" not in shell(bob, f"ls -a {directory}")[1]


def test_nobody_sees_processes_of_others_nor_their_environment(hub, ann, bob, cleanup):
    cleanup.callback(shell, ann, "pkill -f 'sleep 471[1]'")
    shell(ann, "(sleep 4711 &)")
    process = hub.run("pgrep -u jupyter-ann -f singleuser | head -1").stdout.strip()
    _, listing = shell(bob, "ps aux; ls /proc; w -h; pgrep -a sleep")
    assert "4711" not in listing
    assert process not in listing.split()
    assert "jupyter-ann" not in listing
    assert shell(bob, f"cat /proc/{process}/environ /proc/{process}/cmdline")[0] != 0
    assert "False" in bob.execute(f"import os; os.path.exists('/proc/{process}')")


def test_nobody_gains_privileges(bob, cleanup):
    cleanup.callback(shell, bob, "rm -f /tmp/id")
    code, _ = shell(bob, "sudo -n true")
    assert code != 0
    _, status = shell(bob, "command grep -E 'NoNewPrivs|Cap(Prm|Eff|Bnd)' /proc/self/status")
    assert re.search(r"NoNewPrivs:\s+1", status)
    assert set(re.findall(r"Cap...:\s+(\w+)", status)) == {"0" * 16}
    # A setuid bit on a copy of a program makes nobody root, and su asks for root's password.
    _, output = shell(
        bob, "cp /usr/bin/id /tmp/id && chmod 4755 /tmp/id; su -c id root < /dev/null"
    )
    assert "uid=0" not in output


def test_nothing_can_be_written_that_others_run_or_read(hub, bob):
    writable = shell(
        bob,
        r"find / \( -path /proc -o -path /sys -o -path /dev -o -path ~ "
        # The package caches that the test harness mounts.
        r"-o -path /var/cache/tljh-test \) -prune "
        r"-o -writable -not -type l -not -type s -print 2>/dev/null | head -50 | tr '\n' ' '",
    )[1].split()
    allowed = re.compile(r"/tmp|/var/tmp|/run/(lock|jupyter-bob\.service)")
    assert [path for path in writable if not allowed.match(path)] == []
    for folder in ("hub", "user/bin", "user/share/jupyter/kernels", "user/etc/jupyter"):
        assert shell(bob, f"touch /opt/tljh/{folder}/mine")[0] != 0
    for folder in ("state", "config"):
        assert shell(bob, f"ls /opt/tljh/{folder}")[0] != 0
    _, path = shell(bob, "echo $PATH")
    owners = hub.run(f"stat -c '%U %a' $(echo '{path}' | tr : ' ') 2>/dev/null", check=False)
    assert {line.split()[0] for line in owners.stdout.splitlines()} == {"root"}


def test_a_program_that_listens_serves_its_owner_only_at_any_address(hub, ann, bob):
    addresses = {"127.0.0.1": 8121, "::1": 8122, "127.9.9.9": 8123, "0.0.0.0": 8124}
    endpoints = [
        (kind, hub.address() if host == "0.0.0.0" else host, port)
        for host, port in addresses.items()
        for kind in ("SOCK_STREAM", "SOCK_DGRAM")
    ]
    with contextlib.ExitStack() as programs:
        for host, port in addresses.items():
            programs.enter_context(serving(hub, "jupyter-ann", host, port))
        assert refused(connect(ann, *endpoints)) == set()
        assert len(refused(connect(bob, *endpoints))) == len(endpoints)
        assert len(refused(connect_from_notebook(bob, *endpoints))) == len(endpoints)


def test_no_port_of_anothers_server_or_kernels_answers(hub, ann, bob):
    kernel = ann.start_kernel()
    assert ann.execute("6 * 7", kernel) == "42"
    listing = hub.run("ss -Hltnp").stdout
    pids = set(hub.run("pgrep -u jupyter-ann").stdout.split())
    ports = sorted(
        int(line.split()[3].rpartition(":")[2])
        for line in listing.splitlines()
        if set(re.findall(r"pid=(\d+)", line)) & pids
    )
    assert len(ports) >= 6, listing
    endpoints = [("SOCK_STREAM", "127.0.0.1", port) for port in ports]
    assert len(refused(connect(bob, *endpoints))) == len(endpoints)
    # The owner reaches them without the proxy, as jupyter-server-proxy and ssh need it.
    responses = connect(ann, ("SOCK_STREAM", "127.0.0.1", port_of(hub, "jupyter-ann")))
    assert "refused" not in responses.popitem()[1]
    assert ann.execute("6 * 7", kernel) == "42"


@pytest.fixture
def restarted_ann(ann):
    """Restart ann's server after a test that killed it."""
    yield ann
    ann.stop_server()
    ann.start_server()
    assert ann.api("GET", "/status").status_code == 200


def test_what_listens_where_anothers_server_was_does_not_get_the_owners_requests(
    hub, restarted_ann, bob
):
    ann = restarted_ann
    port = port_of(hub, "jupyter-ann")
    assert ann.api("GET", "/status").status_code == 200
    hub.run("systemctl kill --signal=KILL jupyter-ann.service")
    wait_until(lambda: not has_listener(hub, port), f"port {port} is free")
    with serving(hub, "jupyter-bob", "127.0.0.1", port, "the-trap-of-bob"):
        # Traefik retries, because the server may come back, until the hub removes the route.
        with contextlib.suppress(requests.Timeout):
            response = ann.http.get(f"{ann.server}/api/status", allow_redirects=False, timeout=5)
            assert "the-trap-of-bob" not in response.text
        rules = hub.run("nft list chain inet tljh answers").stdout
        assert re.search(r"counter packets [1-9]\d* .*reject", rules)


@pytest.mark.long
def test_an_open_port_serves_everybody(hub, ann, bob, restored_config):
    endpoint = ("SOCK_STREAM", "127.0.0.1", 8786)
    with serving(hub, "jupyter-ann", "127.0.0.1", 8786):
        assert "refused" in connect(bob, endpoint).popitem()[1]
        hub.run("tljh-config set isolation.open_ports '[8786]' && tljh-config reload")
        assert SECRET in connect(bob, endpoint).popitem()[1]
        hub.run("tljh-config unset isolation.open_ports && tljh-config reload")
        assert "refused" in connect(bob, endpoint).popitem()[1]


def test_traefiks_api_is_closed_and_the_hub_and_root_services_are_not(hub, bob):
    with serving(hub, "root", "127.0.0.1", 8124, "public"):
        responses = connect(
            bob,
            ("SOCK_STREAM", "127.0.0.1", 8099),
            ("SOCK_STREAM", "127.0.0.1", 8124),
            ("SOCK_STREAM", "127.0.0.1", 80),
            ("SOCK_STREAM", "127.0.0.1", 15001),
        )
    assert "refused" in responses["SOCK_STREAM 127.0.0.1 8099"]
    assert "public" in responses["SOCK_STREAM 127.0.0.1 8124"]
    assert "refused" not in responses["SOCK_STREAM 127.0.0.1 80"]
    assert "refused" not in responses["SOCK_STREAM 127.0.0.1 15001"]


def test_the_clouds_metadata_service_is_out_of_reach_and_its_name_server_is_not(hub, bob, cleanup):
    cleanup.callback(hub.run, f"ip address del {METADATA}/32 dev lo")
    hub.run(f"ip address add {METADATA}/32 dev lo")
    with serving(hub, "root", METADATA, 8127), serving(hub, "root", METADATA, 53, "a-name"):
        assert SECRET in hub.run(f"curl -s -m 5 http://{METADATA}:8127/").stdout
        endpoints = [(kind, METADATA, 8127) for kind in ("SOCK_STREAM", "SOCK_DGRAM")]
        assert len(refused(connect(bob, *endpoints))) == 2
        assert len(refused(connect_from_notebook(bob, *endpoints))) == 2
        name_server = [(kind, METADATA, 53) for kind in ("SOCK_STREAM", "SOCK_DGRAM")]
        assert all("a-name" in text for text in connect(bob, *name_server).values())


def test_other_computers_are_reached(hub, bob):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"from-outside")

    gateway = hub.run("ip -4 route show default").stdout.split()[2]
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler) as outside:
        threading.Thread(target=outside.serve_forever, daemon=True).start()
        responses = connect(bob, ("SOCK_STREAM", gateway, outside.server_address[1]))
        outside.shutdown()
    assert "from-outside" in responses.popitem()[1]


def test_ones_own_token_opens_nothing_of_others_at_the_hub(bob):
    code = """
import json, os, urllib.request, urllib.error
def ask(method, path):
    request = urllib.request.Request("http://127.0.0.1:15001/hub/api" + path, method=method)
    request.add_header("Authorization", "token " + os.environ["JUPYTERHUB_API_TOKEN"])
    try:
        return urllib.request.urlopen(request, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code
print(json.dumps([ask(*call) for call in [
    ("GET", "/users/ann"), ("GET", "/users"), ("DELETE", "/users/ann/server"),
    ("POST", "/users/ann/tokens"), ("POST", "/users/ann/activity"), ("GET", "/proxy"),
    ("POST", "/shutdown"), ("PATCH", "/users/bob"), ("GET", "/user")]]))
"""
    *others, own = json.loads(bob.execute(code))
    assert own == 200
    assert all(status in (403, 404) for status in others), others


def test_cookies_and_pages_of_one_open_nothing_of_anothers_server(ann, bob):
    for path in ("/api/contents", "/lab", "/api/kernels"):
        response = bob.http.get(f"{ann.server}{path}", allow_redirects=True)
        assert response.status_code in (403, 404), f"{path}: {response.status_code}"


OPEN_CONFIGURATION = """
c = get_config()
open("/tmp/config-was-read", "w").close()
c.ServerApp.token = ""
c.ServerApp.password = ""
c.ServerApp.allow_origin = "*"
c.ServerApp.disable_check_xsrf = True
c.ServerApp.allow_unauthenticated_access = True
c.ServerApp.identity_provider_class = "jupyter_server.auth.IdentityProvider"
c.IdentityProvider.token = ""
"""
OWN_KERNEL = {"argv": ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"]}
# SITE is bob's user site-packages.
OWN_FILES = {
    "~/.jupyter/jupyter_server_config.py": OPEN_CONFIGURATION,
    "~/.jupyter/jupyter_config.py": OPEN_CONFIGURATION,
    "~/.local/etc/jupyter/jupyter_server_config.py": OPEN_CONFIGURATION,
    "~/.local/share/jupyter/kernels/mine/kernel.json": json.dumps(
        {**OWN_KERNEL, "display_name": "mine", "language": "python"}
    ),
    "~/SITE/usercustomize.py": "import os; open(f'/tmp/site-was-read-by-{os.getpid()}', 'w')",
    "~/SITE/jupyter_server/__init__.py": "raise SystemExit('shadowed')",
    "~/SITE/mypackage.py": "value = 'from-my-home'",
    "~/.bashrc": "export JUPYTERHUB_API_URL=http://127.0.0.1:1/ PYTHONPATH=$HOME\n",
    "~/jupyterhub.py": "raise SystemExit('shadowed')",
}


@pytest.fixture
def bob_with_own_files(hub, bob, cleanup):
    """Put configuration and packages into bob's home and restart the server; restore both."""
    home = "/home/jupyter-bob"
    site = bob.execute("import site; print(site.getusersitepackages())").strip()
    hub.run(f"cp -a {home} /root/bob.saved")
    cleanup.callback(bob.start_server)
    cleanup.callback(
        hub.run, f"rm -rf {home} && cp -a /root/bob.saved {home} && rm -r /root/bob.saved"
    )
    cleanup.callback(bob.stop_server)
    for name, text in OWN_FILES.items():
        path = name.replace("~/SITE", site).replace("~", home)
        write = f'mkdir -p "$(dirname {path})" && cat > {path}'
        hub.run(["runuser", "-u", "jupyter-bob", "--", "bash", "-c", write], input=text)
    bob.stop_server()
    bob.start_server()
    return bob


def test_configuration_of_ones_own_opens_no_server_and_own_kernels_work(hub, bob_with_own_files):
    bob = bob_with_own_files
    stranger = HubUser(hub.url, "bob")
    for path in ("/api/contents", "/api/kernels", "/lab"):
        response = stranger.http.get(
            f"{bob.server}{path}", allow_redirects=False, headers={"Origin": "http://evil"}
        )
        assert response.status_code in (302, 403, 404), path
        assert "Access-Control-Allow-Origin" not in response.headers
    forged = bob.http.post(f"{bob.server}/api/kernels", json={"name": "python3"})
    assert forged.status_code == 403, "without the XSRF token"
    main = hub.run("systemctl show -P MainPID jupyter-bob.service").stdout.strip()
    _, listing = shell(bob, "ls /tmp")
    assert "config-was-read" not in listing
    assert f"site-was-read-by-{main}" not in listing
    assert "mine" in bob.api("GET", "/kernelspecs").json()["kernelspecs"]
    kernel = bob.api("POST", "/kernels", json={"name": "mine"}).json()["id"]
    assert "from-my-home" in bob.execute("import mypackage; mypackage.value", kernel)


HOLD_LOCKS = """
import fcntl, os, time
held = []
for top in ("/opt/tljh", "/run", "/var/lib", "/var/cache", "/etc", "/tmp"):
    for directory, _, names in os.walk(top):
        # Libraries have thousands of files, and none of them is a lock.
        if "/lib/python3" in directory or "/share/" in directory:
            continue
        for name in names:
            try:
                opened = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_NONBLOCK)
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held.append(opened)
            except OSError:
                pass
            if len(held) > 15000:
                break
print("held", flush=True)
time.sleep(300)
"""


def test_locks_that_bob_holds_hold_up_nothing(hub, bob, cleanup, restored_config):
    cleanup.callback(hub.run, "pkill -u jupyter-bob -f hold.py", check=False)
    shell(
        bob,
        f"cat > ~/hold.py <<'END'\n{HOLD_LOCKS}\nEND\n"
        "ulimit -n $(ulimit -Hn); (setsid python3 ~/hold.py > ~/held 2>&1 &)",
    )
    wait_until(
        lambda: "held" in hub.run("cat /home/jupyter-bob/held", check=False).stdout,
        "bob holds what he can read",
        timeout_s=120,
    )
    for command in (
        "tljh-config set services.cull.timeout 7300 && tljh-config reload",
        "tljh user list",
        "tljh env list",
        "tljh status || test $? = 2",
    ):
        hub.run(command, timeout_s=120)


def test_an_admin_becomes_root_in_the_terminal(hub, admin, cleanup):
    cleanup.callback(hub.run, "rm -f /opt/tljh/user/x")
    assert "jupyter-bob" not in shell(admin, "ps -eo user:32")[1]
    code, output = shell(
        admin, "sudo touch /opt/tljh/user/x && sudo -n ps axww -o args | fold -w 70"
    )
    assert code == 0, output
    assert "tljh.hub.process.app" in output
    assert shell(admin, "sudo rm /opt/tljh/user/x && sudo /opt/tljh/user/bin/pip --version")[0] == 0


def test_rules_that_somebody_flushed_are_told_and_come_back(hub, ann, bob, cleanup):
    cleanup.callback(hub.run, "tljh-config reload")
    hub.run("nft flush ruleset")
    status = json.loads(hub.run("tljh status --json", check=False).stdout)
    assert any(finding["check"] == "isolation" for finding in status["findings"])
    with serving(hub, "jupyter-ann", "127.0.0.1", 8125):
        endpoint = ("SOCK_STREAM", "127.0.0.1", 8125)
        assert SECRET in connect(bob, endpoint).popitem()[1]
        hub.run("tljh-config reload")
        assert "refused" in connect(bob, endpoint).popitem()[1]
        hub.run("nft flush ruleset")
        bob.stop_server()
        bob.start_server()
        assert "refused" in connect(bob, endpoint).popitem()[1]
    assert ann.api("GET", "/status").status_code == 200


def test_other_tables_of_nftables_are_left_alone(hub, cleanup):
    cleanup.callback(hub.run, "nft delete table inet foreign", check=False)
    hub.run("nft add table inet foreign; nft add chain inet foreign kept")
    hub.run("systemctl restart tljh-isolation && systemctl reload tljh-isolation")
    assert "kept" in hub.run("nft list table inet foreign").stdout
    hub.run("nft delete table inet foreign")
    assert hub.run("nft list tables").stdout.split("\n")[0] == "table inet tljh"


@pytest.fixture
def rebooted(installed):
    """Reboot a machine after ann and bob have got their accounts."""
    add_attackers(installed)
    for name in ("ann", "bob"):
        with_server(installed, name)
    installed.restart()
    return installed


@pytest.mark.long
def test_rules_are_there_after_a_reboot_and_gone_when_they_are_not_wanted(rebooted):
    endpoint = ("SOCK_STREAM", "127.0.0.1", 8126)
    script = f"python3 /srv/attack/connect.py '{json.dumps([endpoint])}'"
    attack = f"runuser -u jupyter-bob -- {script}"
    with serving(rebooted, "jupyter-ann", "127.0.0.1", 8126):
        assert "refused" in rebooted.run(attack).stdout
        rebooted.run("tljh-config set isolation.network false && tljh-config reload")
        assert SECRET in rebooted.run(attack).stdout
        assert "hook output" not in rebooted.run("nft list ruleset").stdout
        rebooted.run("tljh-config rollback")
        assert "refused" in rebooted.run(attack).stdout
