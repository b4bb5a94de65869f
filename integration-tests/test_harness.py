"""The parts of the harness that need no machine."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from machine import CannotBoot, engine, image, owner, passthrough, tryout
from machine.container import checkout_archive


def test_indexes_of_this_computers_disk_are_not_passed_on(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://index.example/simple\n"
        "extra-index-url =\n  file:///opt/simple\n  https://more.example/simple\n"
    )
    variables = passthrough.registry_environment({}, [config])
    assert variables == {
        "PIP_INDEX_URL": "https://index.example/simple",
        "PIP_EXTRA_INDEX_URL": "https://more.example/simple",
    }


def test_environment_wins_over_pips_file(tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = https://file.example/simple\n")
    environment = {"PIP_INDEX_URL": "https://variable.example/simple"}
    assert passthrough.registry_environment(environment, [config]) == environment


def test_a_certificate_bundle_here_is_the_systems_bundle_in_the_machine() -> None:
    variables = passthrough.registry_environment({"PIP_CERT": "/home/me/company.pem"}, [])
    assert set(variables.values()) == {passthrough.BUNDLE}
    assert {"PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"} <= set(variables)


def test_nothing_set_here_sets_nothing_in_the_machine() -> None:
    assert passthrough.registry_environment({"HOME": "/root"}, []) == {}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sources.list", "deb [arch=amd64] http://mirror.example/debian/ bookworm main\n"),
        ("sources.list.d/a.list", "deb http://mirror.example/debian bookworm main\n"),
        ("sources.list.d/a.sources", "Types: deb\nURIs: http://mirror.example/debian/\n"),
    ],
)
def test_debian_comes_from_the_mirror_of_this_computer(
    tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / name).write_text(content)
    assert passthrough.apt_mirrors(tmp_path)["debian"] == "http://mirror.example/debian"


def test_ubuntu_comes_from_the_mirror_of_this_computer_and_not_from_the_host_of_its_security(
    tmp_path: Path,
) -> None:
    (tmp_path / "sources.list").write_text(
        "deb http://mirror.example/ubuntu/ noble main\n"
        "deb http://security.ubuntu.com/ubuntu noble-security main\n"
    )
    mirrors = passthrough.apt_mirrors(tmp_path)
    assert passthrough.apt_sources("jammy", "ubuntu", mirrors) == (
        "deb http://mirror.example/ubuntu jammy main universe\n"
        "deb http://mirror.example/ubuntu jammy-updates main universe\n"
        "deb http://mirror.example/ubuntu jammy-security main universe\n"
    )


def test_keys_that_are_not_ubuntus_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / image.UBUNTU_KEYRING
    package.parent.mkdir(parents=True)
    package.write_bytes(b"other keys")
    monkeypatch.setattr(image, "apt_mirrors", lambda: {"ubuntu": tmp_path.as_uri()})
    with pytest.raises(CannotBoot, match="is not the expected package with Ubuntu's keys"):
        image.fetch_ubuntu_keyring(tmp_path)


def test_cgroup_version_is_looked_up(tmp_path: Path) -> None:
    assert engine.cgroup_version(tmp_path) == 1
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    assert engine.cgroup_version(tmp_path) == 2


def test_limit_of_processes_never_passes_pid_max(tmp_path: Path) -> None:
    pid_max = tmp_path / "pid_max"
    pid_max.write_text("77\n")
    assert "nproc=77:77" in engine.hard_limits(pid_max)


def test_missing_privilege_is_named() -> None:
    assert next(iter(engine.missing_privileges(0))) == "CAP_SYS_ADMIN"
    assert list(engine.missing_privileges((1 << 41) - 1)) == []


def test_without_root_the_reason_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TLJH_MACHINE_ENGINE", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(engine, "docker_serves", lambda: False)
    with pytest.raises(CannotBoot, match=r"^machines need root for podman: run it with sudo$"):
        engine.find_engine.__wrapped__()


@pytest.mark.parametrize("name", ["debian12", "debian:12", "bookworm", "12"])
def test_a_release_has_several_names(name: str) -> None:
    assert image.release_of(name).suite == "bookworm"


def test_owner_that_runs_is_alive_and_a_reused_pid_is_not() -> None:
    assert owner.is_alive(owner.own_label())
    assert owner.is_alive(owner.KEPT)
    assert not owner.is_alive(f"{os.getpid()}:1")
    assert not owner.is_alive("0:0")


def test_copied_checkout_has_new_files_and_none_that_git_ignores(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("*.secret\n")
    (tmp_path / "new.py").write_text("")
    (tmp_path / "my.secret").write_text("")
    with tarfile.open(fileobj=BytesIO(checkout_archive(tmp_path))) as archive:
        assert archive.getnames() == [".gitignore", "new.py"]
        assert {member.uid for member in archive} == {0}


def test_taken_port_moves_try_to_the_next_one() -> None:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert tryout.free_port(port) != port


def test_the_bootstraps_addresses_are_shown_as_this_computer_reaches_them() -> None:
    line = "  http://10.88.0.9/hub/claim?token=x\n"
    assert (
        tryout.from_here(line, "10.88.0.9", 8001) == "  http://127.0.0.1:8001/hub/claim?token=x\n"
    )
    other = "from http://10.88.0.99/simple\n"
    assert tryout.from_here(other, "10.88.0.9", 8001) == other


def test_an_old_python_prints_a_sentence() -> None:
    text = (Path(__file__).parent / "machine" / "__main__.py").read_text()
    # Parsed by the oldest grammar that such a Python may have.
    compile(text, "__main__.py", "exec", dont_inherit=True)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "machine"), "--help"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0
    assert "try-down" in done.stdout
