"""The commands and the program that bring the hub's files into the cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases.servers import Server, create_database, make_server
from tests.export.chart import find_python, merge_over_defaults, read_yaml, run_hub
from tests.export.hubs import CONFIGURATIONS, make_hub
from tests.export.installations import HostOfTests, make_installed_hub
from tljh.export.homes import make_home_files, make_hub_files
from tljh.export.hub_state import Person
from tljh.export.mapping import values_of
from tljh.export.people import format_csv, list_homes
from tljh.export.values import format_yaml
from tljh.operations.kubernetes_database import convert_database

# A cluster whose claims are directories; `exec` runs what a pod would run.
KUBECTL = """\
#!/bin/bash
set -eu
shift 2
case $1 in
    apply) [ "$3" = - ] && sed -n 's/^ *claimName: "\\(.*\\)"/\\1/p' >"$CLUSTER/open" || true ;;
    exec) claim="$CLUSTER/$(cat "$CLUSTER/open")"; mkdir -p "$claim"
        [ "$*" = "exec --stdin tljh-copy -- tar -C /claim -x -p -f -" ]
        tar -C "$claim" -x -p -f - ;;
    *) echo "$*" >>"$CLUSTER/log" ;;
esac
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    directory = tmp_path / "cluster"
    directory.mkdir()
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(KUBECTL)
    program.chmod(0o755)
    return directory


def write_files(directory: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def run_script(script: Path, cluster: Path) -> subprocess.CompletedProcess[str]:
    path = f"{cluster.parent / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(script), "hub"],
        env={**os.environ, "PATH": path, "CLUSTER": str(cluster)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="homes are read, and owners set, by root")
def test_homes_are_copied_into_their_claims(cluster: Path, tmp_path: Path) -> None:
    home, other = tmp_path / "jupyter-ann b", tmp_path / "jupyter-x"
    for directory in (home, other):
        directory.mkdir()
    (home / "a b.txt").write_text("text")
    (home / ".config").mkdir(mode=0o700)
    people = (
        Person("ann@example.org", "jupyter-ann b", 1001, str(home), 4096),
        Person("2bob", "jupyter-x", 1002, str(other), 20 << 30),
        Person("new"),
    )
    hub = make_hub("limits: {disk: 5G}\n", people=people)
    homes = list_homes(hub)
    assert [(entry.claim, entry.capacity) for entry in homes] == [
        ("claim-x-2bob---31fd94fb", "26Gi"),
        ("claim-ann-example-org---438c4c7a", "5Gi"),
        ("claim-new", "5Gi"),
    ]
    assert format_csv(homes).splitlines()[2] == (
        "ann@example.org,jupyter-ann b,1001,ann-example-org---438c4c7a,"
        "claim-ann-example-org---438c4c7a,4096"
    )
    files = make_home_files(hub, homes)
    claims = read_yaml(files["homes/claims.yaml"])["items"]
    assert {claim["metadata"]["name"] for claim in claims} == {
        "claim-x-2bob---31fd94fb",
        "claim-ann-example-org---438c4c7a",
    }
    write_files(tmp_path, files)
    other.rmdir()
    done = run_script(tmp_path / "homes" / "copy-homes.sh", cluster)
    assert done.returncode == 0, done.stderr
    assert f"missing, left out: {other}" in done.stderr
    copied = cluster / "claim-ann-example-org---438c4c7a"
    assert (copied / "a b.txt").read_text() == "text"
    assert (copied / "a b.txt").stat().st_uid == 1000
    assert (copied / ".config").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="owners are set by root")
def test_the_hubs_files_are_copied_while_it_is_stopped(cluster: Path, tmp_path: Path) -> None:
    files = make_hub_files(make_hub(""))
    write_files(tmp_path, {**files, "homes/copy-pod.yaml": 'claimName: "CLAIM"\n'})
    write_files(tmp_path, {"hub/jupyterhub.sqlite": "rows", "hub/passwords.json": "{}"})
    done = run_script(tmp_path / "hub" / "copy-hub.sh", cluster)
    assert done.returncode == 0, done.stderr
    for name in ("jupyterhub.sqlite", "passwords.json"):
        copied = (cluster / "hub-db-dir" / name).stat()
        assert (copied.st_uid, copied.st_mode & 0o777) == (1000, 0o600)
    log = (cluster / "log").read_text()
    assert log.index("--replicas=0") < log.index("--replicas=1")


@pytest.mark.parametrize("text", ["", CONFIGURATIONS["PostgreSQL"], CONFIGURATIONS["LDAP"]])
def test_scripts_are_whole(text: str) -> None:
    hub = make_hub(text)
    for name, script in {**make_hub_files(hub), **make_home_files(hub, [])}.items():
        if name.endswith(".sh"):
            subprocess.run(["bash", "-n"], input=script, text=True, check=True, timeout=10)
        assert "{{" not in script.replace("${{", ""), name


@pytest.fixture(params=["postgresql", "mysql"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    base = Path(tempfile.mkdtemp(prefix="tljh-db-", dir="/tmp"))
    base.chmod(0o755)
    try:
        server = make_server(request.param, base / request.param[:2])
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(base)


def test_a_database_server_is_filled_for_the_hub_of_the_chart(
    server: Server, tmp_path: Path
) -> None:
    names = ["teacher", "ann", "jörg"]
    paths = make_installed_hub(tmp_path, "", names)
    work = tmp_path / "pod"
    work.mkdir()
    database = convert_database(HostOfTests(), paths, work)
    (work / "jupyterhub.sqlite").write_bytes(database.data)
    hub = make_hub(CONFIGURATIONS["PostgreSQL"])
    (work / "load_database.py").write_text(make_hub_files(hub)["hub/load_database.py"])
    create_database(server, "hub_z2jh")
    url = server.at("hub_z2jh").url.replace("+psycopg:", "+psycopg2:")
    load = [str(find_python()), "load_database.py", "jupyterhub.sqlite", url]
    done = subprocess.run(load, cwd=work, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "users: 3 rows" in done.stdout
    again = subprocess.run(load, cwd=work, capture_output=True, text=True, timeout=120)
    assert again.returncode == 1 and "not empty" in again.stderr

    values = values_of(hub)
    values.put("hub.db.url", url)
    values.put("hub.db.type", "postgres" if server.kind == "postgresql" else "mysql")
    plain, secret = (read_yaml(format_yaml(t, "")) for t in (values.plain, values.secret))
    tokens = [f"{number:04x}".ljust(32, "0") for number in range(len(names))]
    answer = run_hub(merge_over_defaults(plain, secret), work, tokens=tokens, pods=["new"])
    assert answer["users"] == {"ann": False, "jörg": False, "teacher": True}
    assert answer["groups"]["course a"] == ["jörg", "teacher"]
    assert [answer["tokens"][token][0] for token in tokens] == names
