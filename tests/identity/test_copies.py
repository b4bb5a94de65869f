"""A machine that is copied: prepared copies make their own secrets, others are recognized."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.operations.test_converge import PATHS, install, machine, reload
from tljh.base.errors import TljhError
from tljh.base.progress import SilentProgress
from tljh.host.fake import FakeHost, Killed
from tljh.operations.checks import examine_machine, run_checks
from tljh.operations.generalization import MACHINE_ID, SSH, generalize, plan_generalization
from tljh.operations.rotation import SECRETS, choose_secrets, rotate

HOST_KEY = SSH / "ssh_host_ed25519_key"
INSTANCE = Path("/var/lib/cloud/data/instance-id")


@pytest.fixture(autouse=True)
def no_conda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_, **__: [])


@pytest.fixture
def host() -> FakeHost:
    host = machine()
    host.mkdir(SSH, mode=0o755)
    for path, data in ((MACHINE_ID, b"one\n"), (HOST_KEY, b"a key\n")):
        host.write(path, data, mode=0o444)
    install(host)
    return host


def secrets(host: FakeHost) -> list[bytes | None]:
    return [host.read(secret.file(PATHS)) for secret in SECRETS]


def is_called_a_copy(host: FakeHost) -> bool:
    reported = run_checks(examine_machine(host, PATHS), quick_only=True)
    return any("is a copy" in each.finding.what for each in reported)


def test_a_prepared_machine_has_no_secrets_and_its_copy_makes_new_ones(host):
    before = secrets(host)
    contents = [data for data in before if data]
    generalize(host, PATHS, SilentProgress())
    assert secrets(host) == [None] * len(SECRETS)
    everything = b"".join(entry[1] for entry in host.files.values() if isinstance(entry[1], bytes))
    assert not any(secret.strip() in everything for secret in contents)
    assert host.read(HOST_KEY) is None and host.read(MACHINE_ID) == b""
    assert not host.unit("jupyterhub.service").is_enabled
    host.write(MACHINE_ID, b"two\n", mode=0o444)
    reload(host)
    assert host.unit("jupyterhub.service").is_active and host.unit("traefik.service").is_active
    after = secrets(host)
    assert [data is None for data in after] == [data is None for data in before]
    assert not {data for data in after if data} & {data for data in before if data}
    assert not is_called_a_copy(host)


@pytest.mark.parametrize("number", range(0, 24, 3))
def test_a_preparation_that_was_killed_is_continued(host, number):
    host.die_before = len(host.effects) + number
    try:
        generalize(host, PATHS, SilentProgress())
    except Killed:
        host.die_before = None
        host.locks.clear()
        generalize(host, PATHS, SilentProgress())
    host.die_before = None
    assert secrets(host) == [None] * len(SECRETS)
    reload(host)
    assert host.unit("jupyterhub.service").is_active


def test_a_copy_that_was_not_prepared_is_recognized_until_its_secrets_are_new(host):
    assert not is_called_a_copy(host)
    host.write(MACHINE_ID, b"two\n", mode=0o444)
    assert is_called_a_copy(host)
    rotate(host, PATHS, choose_secrets("cookie"), SilentProgress())
    assert is_called_a_copy(host)
    rotate(host, PATHS, choose_secrets("all"), SilentProgress())
    assert not is_called_a_copy(host)


def test_what_one_of_both_machines_lacks_tells_nothing(host):
    for directory in (INSTANCE.parents[1], INSTANCE.parent):
        host.mkdir(directory, mode=0o755)
    host.write(INSTANCE, b"i-1\n", mode=0o644)
    assert not is_called_a_copy(host)
    host.remove(MACHINE_ID)
    assert not is_called_a_copy(host)


def test_a_machine_without_a_hub_is_not_prepared():
    with pytest.raises(TljhError, match="no hub installed"):
        plan_generalization(FakeHost(), PATHS)
