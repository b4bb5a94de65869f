"""An ACME authority in a machine: Pebble, Let's Encrypt's own test server, with a DNS server.

Names resolve to the machine itself by default. Pebble's environment variables (`PEBBLE_…`) make
it reject or delay requests; a restart loses its accounts and certificates.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from machine import Machine

DIRECTORY = "https://localhost:14000/dir"
FOLDER = "/srv/pebble"
CA = f"{FOLDER}/ca.pem"
ROOT = f"{FOLDER}/root.pem"
MANAGEMENT = "https://localhost:15000"
DNS = "127.0.0.1:8053"
EAB_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
_OWN_CERTIFICATE = f"""
mkdir -p {FOLDER} && cd {FOLDER}
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=pebble -keyout ca.key -out ca.pem
openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out csr.pem
echo subjectAltName=DNS:localhost,IP:127.0.0.1 > names
openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names \\
    -out cert.pem
"""


class Authority:
    """Pebble in `machine`; `start` it first."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        machine.install_packages("pebble", "openssl")
        machine.run(_OWN_CERTIFICATE)
        self.run_unit(
            "challtestsrv",
            f"pebble-challtestsrv -http01 '' -https01 '' -tlsalpn01 '' -dns01 {DNS} "
            "-management 127.0.0.1:8055 -defaultIPv6 ''",
        )

    def run_unit(self, name: str, command: str, **environment: str) -> None:
        setenv = " ".join(f"-E {key}={value}" for key, value in environment.items())
        self.machine.run(f"systemd-run --quiet --collect --unit={name} {setenv} {command}")

    def start(
        self,
        *,
        valid_s: int = 90 * 86400,
        needs_account: bool = False,
        dns: str = DNS,
        **variables: str,
    ) -> None:
        """Restart Pebble. By default it answers without delay and rejects no nonce."""
        self.stop()
        config = {
            "listenAddress": "127.0.0.1:14000",
            "managementListenAddress": "127.0.0.1:15000",
            "certificate": f"{FOLDER}/cert.pem",
            "privateKey": f"{FOLDER}/key.pem",
            "httpPort": 80,
            "tlsPort": 443,
            "certificateValidityPeriod": valid_s,
            "externalAccountBindingRequired": needs_account,
            "externalAccountMACKeys": {"kid-1": EAB_KEY},
        }
        text = shlex.quote(json.dumps({"pebble": config}))
        self.machine.run(f"echo {text} > {FOLDER}/config.json")
        reliable = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
        command = f"pebble -config {FOLDER}/config.json -dnsserver {dns}"
        self.run_unit("pebble", command, **{**reliable, **variables})
        self.machine.run(
            f"for i in $(seq 100); do "
            f"curl -sf --cacert {CA} {MANAGEMENT}/roots/0 -o {ROOT} && exit; read -t 0.1 <> <(:); "
            f"done; exit 1"
        )

    def stop(self) -> None:
        self.machine.run("systemctl stop pebble", check=False)

    def freeze(self) -> None:
        """Make Pebble accept connections without answering."""
        self.machine.run("systemctl kill --signal=SIGSTOP pebble")

    def thaw(self) -> None:
        self.machine.run("systemctl kill --signal=SIGCONT pebble")

    def resolve(self, name: str, address: str) -> None:
        """Make a name resolve to another address."""
        data = shlex.quote(json.dumps({"host": f"{name}.", "addresses": [address]}))
        self.machine.run(f"curl -sf -d {data} http://127.0.0.1:8055/add-a")

    def status_of(self, serial: str) -> str:
        """Return a certificate's status at the authority: Valid or Revoked."""
        output = self.machine.run(
            f"curl -sf --cacert {CA} {MANAGEMENT}/cert-status-by-serial/{serial}"
        ).stdout
        status: str = json.loads(output)["Status"]
        return status


def trusted_status(machine: Machine, name: str, root: Path | str = ROOT) -> str:
    """Return the login page's status for a client that trusts `root` only; 000 for no trust."""
    return machine.run(
        f"curl -s -o /dev/null -w '%{{http_code}}' --cacert {root} "
        f"--resolve {name}:443:127.0.0.1 https://{name}/hub/login",
        check=False,
    ).stdout


_ZONE = """$TTL 60
@ IN SOA ns hostmaster 1 60 60 60 60
@ IN NS ns
ns IN A 127.0.0.1
"""


class DnsServer:
    """BIND with one zone, which accepts signed updates (RFC 2136)."""

    port = 5300
    credentials = "/root/rfc2136.ini"

    def __init__(self, machine: Machine, zone: str) -> None:
        machine.install_packages("bind9", "bind9-dnsutils")
        machine.run("systemctl disable --now named", check=False)
        machine.run("tsig-keygen -a hmac-sha256 tljh > /etc/bind/tljh.key")
        zone_file = f"/var/cache/bind/{zone}"
        configuration = f"""
include "/etc/bind/tljh.key";
options {{
    directory "/var/cache/bind"; recursion no; listen-on-v6 {{ none; }};
    listen-on port {self.port} {{ 127.0.0.1; }}; pid-file "/run/named/own.pid";
}};
controls {{ }};
zone "{zone}" {{
    type primary; file "{zone_file}";
    update-policy {{ grant tljh name _acme-challenge.{zone} TXT; }};
}};
"""
        machine.run(["tee", "/etc/bind/own.conf"], input=configuration)
        machine.run(["tee", zone_file], input=_ZONE)
        machine.run(f"chown bind: {zone_file} /etc/bind/tljh.key; mkdir -p /run/named")
        machine.run("chown bind: /run/named; systemctl reset-failed", check=False)
        machine.run(
            "systemd-run --quiet --collect --unit=own-dns named -g -u bind -c /etc/bind/own.conf"
        )
        lines = f"""dns_rfc2136_server = 127.0.0.1
dns_rfc2136_port = {self.port}
dns_rfc2136_name = tljh.
dns_rfc2136_secret = $(sed -n 's/.*secret "\\(.*\\)".*/\\1/p' /etc/bind/tljh.key)
dns_rfc2136_algorithm = HMAC-SHA256
"""
        machine.run(f"umask 077; cat > {self.credentials} <<END\n{lines}END")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"
