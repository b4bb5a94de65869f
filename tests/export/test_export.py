"""The whole export of a hub with a real database: written, read by JupyterHub 5.5, and compared."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.export.chart import find_schema_errors, merge_over_defaults, read_yaml, run_hub
from tests.export.hubs import make_hub
from tests.export.installations import ENVIRONMENT, LOCK, HostOfTests, make_installed_hub
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.export.files import Environment, build_export
from tljh.export.hub_state import ImageReference
from tljh.operations import kubernetes_export as operations
from tljh.operations.kubernetes_export import RECORD, PlannedExport, parse_image

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an export is root's")

NAMES = ["teacher", "ann", "ann@example.org", "2bob", "jörg", "x" * 60]
SETTINGS = """
users: {admin: [teacher], allowed: [ann, 2bob]}
limits: {memory: 1G}
services: {board: {command: [python, /srv/board.py], port: 9100}}
roles: {grader: {scopes: ["list:users"], users: [teacher]}}
"""


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    # The user environment of a test is none that rattler could read.
    monkeypatch.setattr(operations, "read_environment", lambda host, paths: ENVIRONMENT)
    monkeypatch.setattr(Paths, "cache", tmp_path / "cache")
    return make_installed_hub(tmp_path, SETTINGS, NAMES)


@pytest.fixture
def export(paths: Paths, tmp_path: Path) -> Callable[..., PlannedExport]:
    def run(host: HostOfTests | None = None, image: ImageReference | None = None) -> PlannedExport:
        host = host or HostOfTests()
        planned = operations.plan_export(host, paths, tmp_path / "out", image, SilentProgress())
        operations.write_export(host, planned)
        return planned

    return run


def snapshot(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def read_hub_here(database: Path, tokens: list[str]) -> dict[str, Any]:
    """Return what JupyterHub of this release has in a database."""
    code = """
import json, sys
from jupyterhub import orm
db = orm.new_session_factory(sys.argv[1])()
tokens = {}
for token in json.loads(sys.argv[2]):
    row = orm.APIToken.find(db, token)
    tokens[token] = [(row.user or row.service).name, sorted(row.scopes)] if row else None
print(json.dumps({
    "users": {user.name: user.admin for user in db.query(orm.User)},
    "groups": {g.name: sorted(u.name for u in g.users) for g in db.query(orm.Group)},
    "grader": sorted(u.name for u in orm.Role.find(db, "grader").users),
    "tokens": tokens,
}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{database}", json.dumps(tokens)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def test_the_hub_of_the_chart_has_the_same_users_groups_roles_and_tokens(
    paths: Paths, export: Callable[..., PlannedExport], tmp_path: Path
) -> None:
    export()
    out = tmp_path / "out"
    plain, secret = (read_yaml((out / f"{n}.yaml").read_text()) for n in ("values", "secrets"))
    merged = merge_over_defaults(plain, secret)
    assert find_schema_errors(merged) == []
    tokens = [f"{number:04x}".ljust(32, "0") for number in range(len(NAMES))] + ["b" * 32, "c" * 32]
    here = read_hub_here(paths.hub_database, tokens)

    pod = tmp_path / "pod"
    pod.mkdir()
    (pod / "jupyterhub.sqlite").write_bytes((out / "hub/jupyterhub.sqlite").read_bytes())
    answer = run_hub(merged, pod, tokens=tokens)
    assert answer["users"] == here["users"]
    assert answer["groups"] == here["groups"]
    assert answer["roles"]["grader"]["users"] == here["grader"]
    assert answer["tokens"].pop("b" * 32) == ["board", ["servers!user=ann"]]
    assert here["tokens"].pop("b" * 32) == ["board", ["start:servers!user=ann"]]
    assert answer["tokens"] == here["tokens"]
    assert answer["tokens"]["c" * 32] is None
    assert "1 token with the scope start:servers" in (out / "REPORT.md").read_text()


def test_files_have_modes_and_secrets_their_place(
    export: Callable[..., PlannedExport], tmp_path: Path
) -> None:
    export()
    out = tmp_path / "out"
    assert out.stat().st_mode & 0o777 == 0o700
    files = snapshot(out)
    private = {"secrets.yaml", "hub/passwords.json", "hub/jupyterhub.sqlite", RECORD, "users.csv"}
    for name in private:
        assert (out / name).stat().st_mode & 0o777 == 0o600, name
    for secret in (b"cd" * 32, b"$2b$12$"):
        holders = {name for name, data in files.items() if secret in data}
        assert holders <= {"secrets.yaml", "hub/passwords.json"}, secret
    rows = list(csv.DictReader(io.StringIO(files["users.csv"].decode())))
    slugs = {row["login"]: row["slug"] for row in rows}
    assert slugs["ann@example.org"] == "ann-example-org---438c4c7a"
    assert slugs["2bob"] == "x-2bob---31fd94fb"
    assert slugs["jörg"] == "j-rg---12c433a0"
    assert list(rows[0]) == ["login", "account", "uid", "slug", "claim", "size"]
    assert files["image/packages.txt"].decode().splitlines() == [
        "@EXPLICIT",
        "https://conda.example.org/conda-forge/linux-64/python-3.12.3-h0_0.conda"
        "#00112233445566778899aabbccddeeff",
        "https://conda.example.org/conda-forge/noarch/jupyterlab-4.4.1-pyhd_0.conda",
    ]
    assert files["image/requirements.txt"].startswith(b"cowsay==6.1 --hash=sha256:274b1e")
    assert b"/opt/user" in files["image/Dockerfile"]
    assert b"`limits.memory`" in files["REPORT.md"]


def test_a_second_run_changes_nothing(export: Callable[..., PlannedExport], tmp_path: Path) -> None:
    export(image=ImageReference("registry.example.org/users", "7"))
    before = snapshot(tmp_path / "out")
    host = HostOfTests()
    planned = export(host)
    assert planned.is_empty and host.written == []
    assert snapshot(tmp_path / "out") == before
    assert str(planned.image) == "registry.example.org/users:7"


def test_an_export_that_was_killed_anywhere_is_completed_by_the_next(
    paths: Paths, export: Callable[..., PlannedExport], tmp_path: Path
) -> None:
    for number in (0, 1, 2, 9, 17):
        try:
            export(HostOfTests(dies_after=number))
        except KeyboardInterrupt:
            if number:
                with pytest.raises(TljhError, match="interrupted"):
                    operations.find_differences(
                        HostOfTests(), paths, tmp_path / "out", SilentProgress()
                    )
            continue
        break
    else:
        export()
    assert json.loads((tmp_path / "out" / RECORD).read_text())["complete"]
    assert export().is_empty
    assert not list((paths.cache).glob("*"))


def test_a_plan_writes_nothing(paths: Paths, tmp_path: Path) -> None:
    host = HostOfTests()
    planned = operations.plan_export(host, paths, tmp_path / "out", None, SilentProgress())
    assert set(planned.changes.values()) == {"+"}
    assert host.written == [] and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda out: (out.mkdir(), (out / "thesis.tex").write_text("")), "no export wrote"),
        (lambda out: out.write_text(""), "not a directory"),
        (lambda out: (out.mkdir(), out.chmod(0o777)), "not root's alone"),
        (lambda out: (out.mkdir(), (out / RECORD).write_text("[]")), "no export wrote"),
    ],
)
def test_directories_of_others_are_refused(
    export: Callable[..., PlannedExport], tmp_path: Path, prepare: Callable, message: str
) -> None:
    prepare(tmp_path / "out")
    with pytest.raises(TljhError, match=message) as caught:
        export()
    assert caught.value.findings[0].fix


def test_edited_files_are_not_replaced(
    paths: Paths, export: Callable[..., PlannedExport], tmp_path: Path
) -> None:
    export()
    values = tmp_path / "out" / "values.yaml"
    values.write_text(values.read_text() + "# mine\n")
    (tmp_path / "out" / "site.yaml").write_text("hub: {}\n")
    with pytest.raises(TljhError, match=r"edited: values\.yaml"):
        export()
    values.unlink()
    export()
    assert (tmp_path / "out" / "site.yaml").read_text() == "hub: {}\n"


def test_a_check_names_what_has_changed_and_no_secret(
    paths: Paths, export: Callable[..., PlannedExport], tmp_path: Path
) -> None:
    export()

    def check() -> set[tuple[str, str]]:
        differences = operations.find_differences(
            HostOfTests(), paths, tmp_path / "out", SilentProgress()
        )
        return {(difference.kind, difference.what) for difference in differences}

    assert check() == set()
    paths.config_file.write_text(SETTINGS.replace("memory: 1G", "memory: 2G"))
    paths.cookie_secret.write_text("ef" * 32)
    (paths.applied.drop_ins / "own.py").write_text("c.Spawner.http_timeout = 5\n")
    subprocess.run(
        [
            *(sys.executable, "-c"),
            "import sys; from jupyterhub import orm; "
            "db = orm.new_session_factory(sys.argv[1])(); db.add(orm.User(name='new')); "
            "db.delete(orm.User.find(db, 'ann')); db.commit()",
            f"sqlite:///{paths.hub_database}",
        ],
        check=True,
        timeout=60,
    )
    from tljh.host.password_store import store_hashes

    store_hashes(paths.passwords, {"ann": b"$2b$12$other", "new": b"$2b$12$new"})
    differences = check()
    assert ("settings", "limits.memory has changed: 1G -> 2G") in differences
    assert ("users", "new: new") in differences
    assert ("users", "gone: ann") in differences
    assert ("secrets", "hub.cookieSecret has changed") in differences
    assert ("drop-ins", "own.py is new") in differences
    assert ("passwords", "ann has changed") in differences
    assert ("passwords", "new is new") in differences
    assert not any("ef" * 32 in what or "$2b" in what for _, what in differences)


def test_a_database_of_another_release_is_refused(
    paths: Paths, export: Callable[..., PlannedExport], tmp_path: Path
) -> None:
    import sqlite3

    with sqlite3.connect(paths.hub_database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '4dc2d5a8c53c'")
    connection.close()
    with pytest.raises(TljhError, match="schema 4dc2d5a8c53c"):
        export()
    assert not (tmp_path / "out").exists()


def test_passwords_are_filled_into_the_file_of_the_pod(
    export: Callable[..., PlannedExport], tmp_path: Path
) -> None:
    export()
    out = tmp_path / "out"
    values = read_yaml((out / "values.yaml").read_text())
    text = values["hub"]["extraConfig"]["00-first-use-passwords"]
    pod = tmp_path / "srv"
    pod.mkdir()
    (pod / "passwords.json").write_bytes((out / "hub/passwords.json").read_bytes())
    text = text.replace("/srv/jupyterhub", str(pod))
    read = f"import dbm\nwith dbm.open('{pod}/passwords.dbm') as d: print(d[b'ann'].decode())"
    chosen = f"import dbm\nwith dbm.open('{pod}/passwords.dbm', 'w') as d: d[b'ann'] = b'own'"
    for code, expected in ((text, ""), (read, "$2b$12$"), (chosen, ""), (text, ""), (read, "own")):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout.startswith(expected)


@pytest.mark.parametrize(
    "text", ["users", "users:", "a b:1", "reg/users@sha256:0", "reg:5000/users"]
)
def test_an_image_needs_a_tag(text: str) -> None:
    with pytest.raises(TljhError, match="no image with a tag"):
        parse_image(text)


def test_an_image_may_have_a_port() -> None:
    assert parse_image("reg.example.org:5000/users:1.0") == ImageReference(
        "reg.example.org:5000/users", "1.0"
    )


def test_packages_of_this_machine_are_named() -> None:
    hub = make_hub("")
    lock = LOCK.replace("https://conda.example.org/", "file:///srv/")
    export = build_export(hub, "/opt/tljh", Environment(lock), b"", {})
    assert any("file:///srv/conda-forge/linux-64/python" in text for text in export.decisions)
    assert not build_export(hub, "/opt/tljh", Environment(LOCK), b"", {}).decisions


def test_edits_that_were_not_applied_are_named() -> None:
    hub = make_hub("", has_unapplied_edits=True)
    (decision,) = build_export(hub, "/opt/tljh", ENVIRONMENT, b"", {}).decisions
    assert "edits that were not applied" in decision
