"""URLs of databases in the spellings of documents of any age, and the addresses of settings."""

from __future__ import annotations

import pytest

from tests.configurations import real_catalogue
from tljh.base.paths import Paths
from tljh.settings.database_address import correct_url, get_database_address
from tljh.settings.load import examine, load

PG = "postgresql+psycopg://hub@db.example.org/hub"
MY = "mysql+pymysql://hub@db.example.org/hub"


def findings(text: str) -> list:
    examined = examine(text.encode(), catalogue=real_catalogue())
    return examined.findings("error", "incomplete")


@pytest.mark.parametrize(
    ("spelling", "corrected"),
    [
        ("postgres://hub@db.example.org/hub", PG),
        ("postgresql://hub@db.example.org/hub", PG),
        ("postgres+psycopg2://hub@db.example.org/hub", PG),
        ("postgresql+psycopg2://hub@db.example.org/hub", PG),
        ("POSTGRESQL+asyncpg://hub@db.example.org/hub", PG),
        ("jdbc:postgresql://db.example.org/hub?user=hub", PG),
        ("host=db.example.org dbname=hub user=hub", PG),
        ("mysql://hub@db.example.org/hub", MY),
        ("mysql+mysqldb://hub@db.example.org/hub", MY),
        ("mysql+mysqlconnector://hub@db.example.org/hub", MY),
        ("mariadb://hub@db.example.org/hub", MY),
        ("mariadb+pymysql://hub@db.example.org/hub", MY),
    ],
)
def test_another_spelling_is_refused_with_the_one_to_write(spelling, corrected):
    (finding,) = findings(f"database:\n  url: '{spelling}'\n")
    assert f"database.url {corrected}" in finding.fix.replace("'", "")
    assert findings(f"database:\n  url: '{corrected}'\n") == []


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+psycopg://hub:s3cr3t-p@ss/w?rd#@db.example.org/hub",
        "mysql+pymysql://hub:s3cr3t-p@ss@db.example.org/hub",
        "postgres://db.example.org/hub?user=hub&password=s3cr3t-p",
        "host=db.example.org dbname=hub password=s3cr3t-p",
    ],
)
def test_a_password_in_a_url_is_refused_and_in_no_message(text):
    (finding,) = findings(f"database:\n  url: '{text}'\n")
    assert "password" in finding.what
    assert "database.password_file" in finding.fix
    assert "s3cr3t" not in str(finding)
    corrected = correct_url(text)
    assert corrected is not None
    assert "s3cr3t" not in corrected.url


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("database:\n  url: 'oracle://h/d'\n", "not the URL of a database"),
        ("database:\n  url: 'hub'\n", "not the URL of a database"),
        ("database:\n  url: 'sqlite:////tmp/hub.sqlite'\n", "names a file of SQLite"),
        ("database:\n  url: 'postgresql+psycopg://hub@db/'\n", "names no database"),
        (f"database:\n  type: mysql\n  url: '{PG}'\n", "database.type is mysql"),
        (f"database:\n  type: sqlite\n  url: '{PG}'\n", "database.type is sqlite"),
        ("database:\n  ca: /etc/ca.pem\n", "database.url is not"),
        ("database:\n  type: oracle\n", "database.type"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(text, part):
    problems = findings(text)
    assert any(part in finding.what for finding in problems), problems


@pytest.mark.parametrize(
    ("url", "commands"),
    [
        (
            "postgres://hub:s3cr3t@db/hub",
            ("database.type postgresql", "hub@db/hub", "password_file"),
        ),
        ("mysql+mysqldb://hub@db/hub", ("database.type mysql", "mysql+pymysql://hub@db/hub")),
        ("sqlite:///jupyterhub.sqlite", ("remove it",)),
    ],
)
def test_the_trait_of_jupyterhub_names_the_settings_that_replace_it(url, commands):
    (finding,) = findings(f"JupyterHub:\n  db_url: '{url}'\n")
    assert all(command in finding.fix for command in commands)
    assert "s3cr3t" not in str(finding)


def test_an_address_has_its_certificate_and_never_a_password():
    text = f"database:\n  url: '{PG}'\n  ca: /etc/ca.pem\n  password_file: /root/pw\n"
    address = get_database_address(load(text.encode()), Paths())
    assert "sslmode=verify-full" in address.url
    assert address.password_file == "/root/pw"
    assert str(address) == "PostgreSQL (hub on db.example.org)"
    without = get_database_address(load(f"database:\n  url: '{PG}'\n".encode()), Paths())
    assert without.url == PG
    assert without.identity == address.identity


def test_only_the_server_that_setup_installs_counts_as_local():
    local = get_database_address(load(b"database:\n  type: postgresql\n"), Paths())
    assert local.is_local_server
    elsewhere = load(b"database:\n  url: 'postgresql+psycopg:///hub?host=/srv/pg'\n")
    assert not get_database_address(elsewhere, Paths()).is_local_server
