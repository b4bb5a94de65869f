"""A database elsewhere: a password from a file, and a certificate that is verified."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases.servers import Server, create_database
from tests.databases.test_copies import ask
from tests.databases.test_outages import configure
from tests.hub.process.running import running_hub
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.host.native_records import TABLE
from tljh.host.real import RealHost
from tljh.host.server_records import ServerPlace
from tljh.hub.database_client import DatabaseAway, require_private_password
from tljh.settings.database_address import DatabaseAddress, get_database_address
from tljh.settings.load import load

PASSWORD = "päss w:o/r%d@"
SUBJECT = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]


@pytest.fixture(scope="module")
def guarded(request: pytest.FixtureRequest) -> Iterator[tuple[Server, Path]]:
    """Give a server a certificate and a role `hub` with a password; yield it, and its authority."""
    server: Server = request.getfixturevalue(request.param)
    certificate, key = server.directory / "server.pem", server.directory / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run(
        [*command, *SUBJECT, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    os.chown(key, pwd.getpwnam(server.account).pw_uid if os.getuid() == 0 else -1, -1)
    key.chmod(0o600)
    server.stop()
    if server.kind == "postgresql":
        server.options = tuple(
            part
            for option in ("ssl=on", f"ssl_cert_file={certificate}", f"ssl_key_file={key}")
            for part in ("-c", option)
        )
        access = server.directory / "data" / "pg_hba.conf"
        access.write_text("hostssl elsewhere hub all scram-sha-256\n" + access.read_text())
        statements = [
            f"CREATE ROLE hub LOGIN PASSWORD '{PASSWORD}'",
            "ALTER DATABASE elsewhere OWNER TO hub",
        ]
    else:
        server.options = (
            f"--ssl-cert={certificate}",
            f"--ssl-key={key}",
            f"--ssl-ca={certificate}",
        )
        statements = [
            f"CREATE USER hub@'%' IDENTIFIED BY '{PASSWORD}' REQUIRE SSL",
            "GRANT ALL ON elsewhere.* TO hub@'%'",
        ]
    server.start()
    create_database(server, "elsewhere")
    for statement in statements:
        answer = server.ask(statement)
        assert answer.ok, answer.text
    yield server, certificate


both = pytest.mark.parametrize("guarded", ["postgresql", "mariadb"], indirect=True)


def settings(server: Server, password_file: Path, ca: Path | None, host: str = "localhost") -> str:
    driver = server.address.url.partition(":")[0]
    text = (
        f"database:\n  type: {server.kind}\n  url: {driver}://hub@{host}:{server.port}/elsewhere\n"
    )
    text += f"  password_file: {password_file}\n"
    return text + (f"  ca: {ca}\n" if ca else "")


def address_of(text: str) -> DatabaseAddress:
    return get_database_address(load(text.encode()), Paths())


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    file.chmod(0o600)
    return file


@both
def test_password_and_certificate_open_the_database(guarded, password_file, tmp_path):
    server, ca = guarded
    address = address_of(settings(server, password_file, ca))
    assert ask("probe", address)["kind"] == server.kind
    text = "auth:\n  type: dummy\n  DummyAuthenticator:\n    password: a-long-password\n"
    with running_hub(tmp_path, text + settings(server, password_file, ca)) as hub:
        assert hub.api("POST", "users/remote").status_code == 201
        assert PASSWORD not in hub.log
        assert PASSWORD not in (tmp_path / "applied" / "hub.json").read_text()
        environment = Path(f"/proc/{hub.process.pid}/cmdline").read_bytes()
        assert PASSWORD.encode() not in environment
    assert ServerPlace(address.url, address.password_file).read_user_names() == {"remote"}
    assert ask("probe", address)["users"] == 1


@both
def test_a_wrong_password_and_a_foreign_certificate_are_refused(guarded, password_file, tmp_path):
    server, ca = guarded
    foreign = tmp_path / "foreign.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null"]
    subprocess.run([*command, *SUBJECT, "-out", str(foreign)], check=True, capture_output=True)
    with pytest.raises(DatabaseAway) as refused:
        ask("probe", address_of(settings(server, password_file, foreign)))
    assert "certificate" in str(refused.value.findings[0].why).lower()
    password_file.write_text("another")
    with pytest.raises(DatabaseAway) as refused:
        ask("probe", address_of(settings(server, password_file, ca)))
    assert "another" not in str(refused.value)


def test_a_password_file_must_be_roots_alone(tmp_path):
    file = tmp_path / "password"
    address = DatabaseAddress("postgresql", "postgresql+psycopg://hub@db/hub", str(file))
    with pytest.raises(TljhError, match="does not exist"):
        require_private_password(RealHost(), address)
    file.write_text(PASSWORD)
    file.chmod(0o644)
    with pytest.raises(TljhError, match="can be read by other users"):
        require_private_password(RealHost(), address)


def test_native_passwords_on_a_server_are_read_and_replaced(server: Server, tmp_path):
    create_database(server, "native")
    text = configure(server, "native").replace("type: dummy", "type: native")
    text = text.replace("  DummyAuthenticator:\n    password: a-long-password\n", "")
    text += "users:\n  allowed: [lena]\n"
    with running_hub(tmp_path, text):
        pass
    place = ServerPlace(server.at("native").url)
    record = {"username": "lena", "password": b"$2b\x00\xff", "is_authorized": True}
    place.write_record("lena", record)
    assert place.read_sign_ups() == {"lena": True}
    read = place.read_record("lena")
    assert read is not None
    assert read["password"] == b"$2b\x00\xff"
    place.write_record("lena", {**read, "password": b"new"})
    assert (place.read_record("lena") or {})["password"] == b"new"
    place.write_record("lena", None)
    assert place.read_record("lena") is None
    assert server.ask(f"SELECT count(*) FROM {TABLE}", "native").text == "0"
