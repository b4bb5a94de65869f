"""Attacks of bob on ann and on the machine, from his shell and his notebook: each is refused."""

from __future__ import annotations

import contextlib
import http.server
import json
import re
import threading

import pytest
import requests

from session import HubUser

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
METADATA = "169.254.169.254"
# What a server is told to say if it is asked for its secret.
SECRET = "the-secret-of-ann"
# Tries each address and says what came of it; in its own process, as any program of bob's.
KNOCK = """
import json, socket, sys, threading
said = {}
def knock(kind, host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, getattr(socket, kind)) as one:
        one.settimeout(3)
        try:
            one.connect((host, port))
            one.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            heard = one.recv(65536)
            while kind == "SOCK_STREAM" and (more := one.recv(65536)):
                heard += more
            said[f"{kind} {host} {port}"] = heard.decode(errors="replace")[-200:]
        except OSError as error:
            said[f"{kind} {host} {port}"] = f"refused: {error}"
knocking = [threading.Thread(target=knock, args=door) for door in json.loads(sys.argv[1])]
for one in knocking: one.start()
for one in knocking: one.join()
print("said:" + json.dumps(said))
"""
# Serves the secret over TCP and UDP at one address; says when it listens.
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
    """A hub with ann, bob and an administrator who is called admin."""
    machine = installed_shared
    machine.url = f"http://{machine.address()}"
    lines = "name,password\\n" + "".join(f"{name},{PASSWORD}\\n" for name in ("ann", "bob"))
    machine.run(f"printf '{lines}' | tljh user import -")
    machine.run("mkdir -p /srv/attack && chmod 755 /srv/attack")
    for name, text in (("knock", KNOCK), ("serve", SERVE)):
        machine.run(f"cat > /srv/attack/{name}.py", input=text)
    return machine


@pytest.fixture(scope="module")
def ann(hub):
    user = HubUser(hub.url, "ann")
    user.login(PASSWORD)
    user.start_server()
    return user


@pytest.fixture(scope="module")
def bob(hub):
    user = HubUser(hub.url, "bob")
    user.login(PASSWORD)
    user.start_server()
    return user


def shell(user: HubUser, command: str) -> tuple[int, str]:
    """What a command in somebody's terminal ended with, and what it showed."""
    shown = user.terminal(f"printf 'be''gin\\n'; {command}")
    code = re.search(r"the-end-(\d+)", shown)
    text = shown.partition("begin\r\n")[2].partition("the-end-")[0]
    return int(code[1]) if code else -1, text.replace("\r\n", "\n").strip()


def knock(user: HubUser, *doors: tuple[str, str, int]) -> dict[str, str]:
    """What each (kind of socket, address, port) said to a program of somebody's."""
    command = f"python3 /srv/attack/knock.py '{json.dumps(doors)}' | fold -w 70"
    return answers_in(shell(user, command)[1])


def knock_from_notebook(user: HubUser, *doors: tuple[str, str, int]) -> dict[str, str]:
    code = f"import sys; sys.argv = ['', {json.dumps(doors)!r}]\n{KNOCK}"
    return answers_in(user.execute(code))


def answers_in(text: str) -> dict[str, str]:
    return json.loads(text.replace("\n", "").partition("said:")[2])


def refused(said: dict[str, str]) -> set[str]:
    """The doors that nobody opened."""
    return {door for door, words in said.items() if words.startswith("refused")}


@contextlib.contextmanager
def serving(hub, account: str, host: str, port: int, secret: str = SECRET):
    """A program that an account runs; it answers with the secret, TCP and UDP."""
    command = f"exec setpriv --reuid {account} --regid {account} --init-groups "
    process = hub.popen(f"{command} python3 /srv/attack/serve.py {host} {port} {secret}")
    try:
        wait_for_listener(hub, port)
        yield
    finally:
        hub.run(f"pkill -f '[s]erve.py {host} {port} '", check=False)
        process.wait(timeout=20)


def wait_for_listener(hub, port: int) -> None:
    hub.run(f"for i in $(seq 100); do ss -Hltn sport = :{port} | grep -q . && exit; sleep .1; done")


def port_of(hub, account: str) -> int:
    """Where the server of an account listens."""
    environment = f"/run/{account}.service/{account}.service.env"
    line = hub.run(f"grep ^JUPYTERHUB_SERVICE_URL= {environment}").stdout
    return int(re.search(r"127\.0\.0\.1:(\d+)/", line)[1])


def test_a_home_and_what_is_made_in_it_are_closed_to_others(hub, ann, bob):
    assert shell(ann, "umask; echo private > ~/diary; stat -c %a ~ ~/diary")[1].split() == [
        "0077",
        "700",
        "600",
    ]
    assert shell(bob, "cat /home/jupyter-ann/diary")[0] != 0
    assert shell(bob, "ls /home/jupyter-ann")[0] != 0
    told = bob.execute(
        "import os\nfor p in ('', '/diary', '/.local/share/jupyter/runtime'):\n"
        "    print(os.access('/home/jupyter-ann' + p, os.F_OK | os.R_OK))"
    )
    assert "True" not in told


@pytest.mark.parametrize("directory", ["/tmp", "/var/tmp", "/dev/shm"])
def test_temporary_files_are_seen_by_their_owner_only(ann, bob, directory):
    code, _ = shell(ann, f"echo 1 > {directory}/ann-was-here && chmod 666 {directory}/ann-was-here")
    assert code == 0
    assert "ann-was-here" not in shell(bob, f"ls -a {directory}")[1]


def test_nobody_sees_processes_of_others_nor_their_environment(hub, ann, bob):
    shell(ann, "(sleep 4711 &)")
    process = hub.run("pgrep -u jupyter-ann -f singleuser | head -1").stdout.strip()
    _, shown = shell(bob, "ps aux; ls /proc; w -h; pgrep -a sleep")
    assert "4711" not in shown
    assert process not in shown.split()
    assert "jupyter-ann" not in shown
    assert shell(bob, f"cat /proc/{process}/environ /proc/{process}/cmdline")[0] != 0
    assert "False" in bob.execute(f"import os; os.path.exists('/proc/{process}')")


def test_nobody_gains_privileges(bob):
    code, _ = shell(bob, "sudo -n true")
    assert code != 0
    _, status = shell(bob, "command grep -E 'NoNewPrivs|Cap(Prm|Eff|Bnd)' /proc/self/status")
    assert re.search(r"NoNewPrivs:\s+1", status)
    assert set(re.findall(r"Cap...:\s+(\w+)", status)) == {"0" * 16}
    # A program that is root's for everybody stays one's own.
    _, who = shell(bob, "cp /usr/bin/id /tmp/id && chmod 4755 /tmp/id; su -c id root < /dev/null")
    assert "uid=0" not in who


def test_nothing_can_be_written_that_others_run_or_read(hub, bob):
    found = shell(
        bob,
        r"find / \( -path /proc -o -path /sys -o -path /dev -o -path ~ "
        # The harness's own.
        r"-o -path /var/cache/tljh-test \) -prune "
        r"-o -writable -not -type l -not -type s -print 2>/dev/null | head -50 | tr '\n' ' '",
    )[1].split()
    allowed = re.compile(r"/tmp|/var/tmp|/run/(lock|jupyter-bob\.service)")
    assert [path for path in found if not allowed.match(path)] == []
    for place in ("hub", "user/bin", "user/share/jupyter/kernels", "user/etc/jupyter"):
        assert shell(bob, f"touch /opt/tljh/{place}/mine")[0] != 0
    for place in ("state", "config"):
        assert shell(bob, f"ls /opt/tljh/{place}")[0] != 0
    _, path = shell(bob, "echo $PATH")
    owners = hub.run(f"stat -c '%U %a' $(echo '{path}' | tr : ' ') 2>/dev/null", check=False)
    assert {line.split()[0] for line in owners.stdout.splitlines()} == {"root"}


def test_a_program_that_listens_serves_its_owner_only_at_any_address(hub, ann, bob):
    addresses = {"127.0.0.1": 8121, "::1": 8122, "127.9.9.9": 8123, "0.0.0.0": 8124}
    doors = [
        (kind, hub.address() if host == "0.0.0.0" else host, port)
        for host, port in addresses.items()
        for kind in ("SOCK_STREAM", "SOCK_DGRAM")
    ]
    with contextlib.ExitStack() as programs:
        for host, port in addresses.items():
            programs.enter_context(serving(hub, "jupyter-ann", host, port))
        assert refused(knock(ann, *doors)) == set()
        assert len(refused(knock(bob, *doors))) == len(doors)
        assert len(refused(knock_from_notebook(bob, *doors))) == len(doors)


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
    doors = [("SOCK_STREAM", "127.0.0.1", port) for port in ports]
    assert len(refused(knock(bob, *doors))) == len(doors)
    # The owner still reaches them without the proxy, as jupyter-server-proxy and ssh do.
    own = knock(ann, ("SOCK_STREAM", "127.0.0.1", port_of(hub, "jupyter-ann")))
    assert "refused" not in own.popitem()[1]
    assert ann.execute("6 * 7", kernel) == "42"


def test_what_listens_where_anothers_server_was_does_not_get_the_owners_requests(hub, ann, bob):
    port = port_of(hub, "jupyter-ann")
    assert ann.api("GET", "/status").status_code == 200
    hub.run("systemctl kill --signal=KILL jupyter-ann.service")
    hub.run(
        f"for i in $(seq 50); do ss -Hltn sport = :{port} | grep -q . || exit 0; sleep .1; done"
    )
    with serving(hub, "jupyter-bob", "127.0.0.1", port, "the-trap-of-bob"):
        # The proxy tries again and again, as the server may come back, until the hub knows better.
        with contextlib.suppress(requests.Timeout):
            answer = ann.http.get(f"{ann.server}/api/status", allow_redirects=False, timeout=5)
            assert "the-trap-of-bob" not in answer.text
        counted = hub.run("nft list chain inet tljh answers").stdout
        assert re.search(r"counter packets [1-9]\d* .*reject", counted)
    ann.stop_server()
    ann.start_server()
    assert ann.api("GET", "/status").status_code == 200


@pytest.mark.long
def test_an_open_port_serves_everybody(hub, ann, bob):
    door = ("SOCK_STREAM", "127.0.0.1", 8786)
    with serving(hub, "jupyter-ann", "127.0.0.1", 8786):
        assert "refused" in knock(bob, door).popitem()[1]
        hub.run("tljh-config set isolation.open_ports '[8786]' && tljh-config reload")
        try:
            assert SECRET in knock(bob, door).popitem()[1]
        finally:
            hub.run("tljh-config unset isolation.open_ports && tljh-config reload")
        assert "refused" in knock(bob, door).popitem()[1]


def test_traefiks_api_is_closed_and_the_hub_and_root_services_are_not(hub, bob):
    with serving(hub, "root", "127.0.0.1", 8124, "public"):
        said = knock(
            bob,
            ("SOCK_STREAM", "127.0.0.1", 8099),
            ("SOCK_STREAM", "127.0.0.1", 8124),
            ("SOCK_STREAM", "127.0.0.1", 80),
            ("SOCK_STREAM", "127.0.0.1", 15001),
        )
    assert "refused" in said["SOCK_STREAM 127.0.0.1 8099"]
    assert "public" in said["SOCK_STREAM 127.0.0.1 8124"]
    assert "refused" not in said["SOCK_STREAM 127.0.0.1 80"]
    assert "refused" not in said["SOCK_STREAM 127.0.0.1 15001"]


def test_the_clouds_metadata_service_is_out_of_reach_and_its_name_server_is_not(hub, bob):
    hub.run(f"ip address add {METADATA}/32 dev lo")
    try:
        with serving(hub, "root", METADATA, 8127), serving(hub, "root", METADATA, 53, "a-name"):
            assert SECRET in hub.run(f"curl -s -m 5 http://{METADATA}:8127/").stdout
            doors = [(kind, METADATA, 8127) for kind in ("SOCK_STREAM", "SOCK_DGRAM")]
            assert len(refused(knock(bob, *doors))) == 2
            assert len(refused(knock_from_notebook(bob, *doors))) == 2
            names = [(kind, METADATA, 53) for kind in ("SOCK_STREAM", "SOCK_DGRAM")]
            assert all("a-name" in said for said in knock(bob, *names).values())
    finally:
        hub.run(f"ip address del {METADATA}/32 dev lo")


def test_other_computers_are_reached(hub, bob):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"from-outside")

    gateway = hub.run("ip -4 route show default").stdout.split()[2]
    with http.server.ThreadingHTTPServer(("0.0.0.0", 0), Answer) as outside:
        threading.Thread(target=outside.serve_forever, daemon=True).start()
        said = knock(bob, ("SOCK_STREAM", gateway, outside.server_address[1]))
        outside.shutdown()
    assert "from-outside" in said.popitem()[1]


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
print(json.dumps([ask(*one) for one in [
    ("GET", "/users/ann"), ("GET", "/users"), ("DELETE", "/users/ann/server"),
    ("POST", "/users/ann/tokens"), ("POST", "/users/ann/activity"), ("GET", "/proxy"),
    ("POST", "/shutdown"), ("PATCH", "/users/bob"), ("GET", "/user")]]))
"""
    *others, own = json.loads(bob.execute(code))
    assert own == 200
    assert all(status in (403, 404) for status in others), others


def test_cookies_and_pages_of_one_open_nothing_of_anothers_server(ann, bob):
    for path in ("/api/contents", "/lab", "/api/kernels"):
        answer = bob.http.get(f"{ann.server}{path}", allow_redirects=True)
        assert answer.status_code in (403, 404), f"{path}: {answer.status_code}"


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


def test_configuration_of_ones_own_opens_no_server_and_own_kernels_work(hub, bob):
    files = {
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
    site = bob.execute("import site; print(site.getusersitepackages())").strip()
    for name, text in files.items():
        name = name.replace("~/SITE", site).replace("~", "/home/jupyter-bob")
        hub.run(
            [
                "runuser",
                "-u",
                "jupyter-bob",
                "--",
                "bash",
                "-c",
                f'mkdir -p "$(dirname {name})" && cat > {name}',
            ],
            input=text,
        )
    bob.stop_server()
    bob.start_server()
    try:
        stranger = HubUser(hub.url, "bob")
        for path in ("/api/contents", "/api/kernels", "/lab"):
            answer = stranger.http.get(
                f"{bob.server}{path}", allow_redirects=False, headers={"Origin": "http://evil"}
            )
            assert answer.status_code in (302, 403, 404), path
            assert "Access-Control-Allow-Origin" not in answer.headers
        forged = bob.http.post(f"{bob.server}/api/kernels", json={"name": "python3"})
        assert forged.status_code == 403, "without the XSRF token"
        main = hub.run("systemctl show -P MainPID jupyter-bob.service").stdout.strip()
        _, shown = shell(bob, "ls /tmp")
        assert "config-was-read" not in shown
        assert f"site-was-read-by-{main}" not in shown
        assert "mine" in bob.api("GET", "/kernelspecs").json()["kernelspecs"]
        kernel = bob.api("POST", "/kernels", json={"name": "mine"}).json()["id"]
        assert "from-my-home" in bob.execute("import mypackage; mypackage.value", kernel)
    finally:
        hub.run(f"rm -r /home/jupyter-bob/.jupyter {site} /home/jupyter-bob/jupyterhub.py")


def test_an_administrator_becomes_root_in_the_terminal(hub):
    told = hub.run("tljh user reset-password admin --json").stdout
    admin = HubUser(hub.url, "admin")
    admin.login(json.loads(told)["password"])
    admin.start_server()
    assert "jupyter-bob" not in shell(admin, "ps -eo user:32")[1]
    code, shown = shell(
        admin, "sudo touch /opt/tljh/user/x && sudo -n ps axww -o args | fold -w 70"
    )
    assert code == 0, shown
    assert "tljh.hub.process.app" in shown
    assert shell(admin, "sudo rm /opt/tljh/user/x && sudo /opt/tljh/user/bin/pip --version")[0] == 0
    admin.stop_server()


def test_rules_that_somebody_flushed_are_told_and_come_back(hub, ann, bob):
    hub.run("nft flush ruleset")
    told = json.loads(hub.run("tljh status --json", check=False).stdout)
    assert any(one["check"] == "isolation" for one in told["findings"])
    with serving(hub, "jupyter-ann", "127.0.0.1", 8125):
        door = ("SOCK_STREAM", "127.0.0.1", 8125)
        assert SECRET in knock(bob, door).popitem()[1]
        hub.run("tljh-config reload")
        assert "refused" in knock(bob, door).popitem()[1]
        hub.run("nft flush ruleset")
        bob.stop_server()
        bob.start_server()
        assert "refused" in knock(bob, door).popitem()[1]
    assert ann.api("GET", "/status").status_code == 200


def test_other_tables_of_nftables_are_left_alone(hub):
    hub.run("nft add table inet somebodys; nft add chain inet somebodys theirs")
    hub.run("systemctl restart tljh-isolation && systemctl reload tljh-isolation")
    assert "theirs" in hub.run("nft list table inet somebodys").stdout
    hub.run("nft delete table inet somebodys")
    assert hub.run("nft list tables").stdout.split("\n")[0] == "table inet tljh"


@pytest.mark.long
def test_rules_are_there_after_a_reboot_and_gone_when_they_are_not_wanted(hub):
    hub.restart()
    door = ("SOCK_STREAM", "127.0.0.1", 8126)
    with serving(hub, "jupyter-ann", "127.0.0.1", 8126):
        attack = f"runuser -u jupyter-bob -- python3 /srv/attack/knock.py '{json.dumps([door])}'"
        assert "refused" in hub.run(attack).stdout
        hub.run("tljh-config set isolation.network false && tljh-config reload")
        assert SECRET in hub.run(attack).stdout
        assert hub.run("nft list tables").stdout.strip() == ""
        hub.run("tljh-config rollback")
        assert "refused" in hub.run(attack).stdout
