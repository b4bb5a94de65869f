"""The index of releases: made by installer/release_index.py, checked with the real ssh-keygen."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.host.real import RealHost
from tljh.settings.sections.upgrade import UpgradeSettings
from tljh.upgrades.release_index import (
    ListedRelease,
    choose_release,
    fetch_release,
    find_next,
    read_index,
)

CHECKOUT = Path(__file__).resolve().parents[2]
STUB = 'print("tljh {version}: a bootstrap.py; this one replaces {oldest} and newer.")\n'


@dataclass
class Publisher:
    """A directory of releases, and the key that signs its index."""

    directory: Path
    key: Path

    def publish(self, version: str, oldest: str = "0.1.0", *options: str) -> None:
        bootstrap = self.key.with_name("bootstrap.py")
        bootstrap.write_text(STUB.format(version=version, oldest=oldest))
        script = CHECKOUT / "installer" / "release_index.py"
        command = [sys.executable, str(script), str(bootstrap), "--into", str(self.directory)]
        command += ["--key", str(self.key), *options]
        subprocess.run(command, check=True, capture_output=True)

    def settings(self) -> UpgradeSettings:
        key = self.key.with_suffix(".pub").read_text().strip()
        return UpgradeSettings(url=str(self.directory), signers=[key])


def make_key(directory: Path, name: str) -> Path:
    key = directory / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(key)]
    subprocess.run(command, check=True)
    return key


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    new_publisher = Publisher(tmp_path / "releases", make_key(tmp_path, "key"))
    new_publisher.publish("0.2.0")
    new_publisher.publish("0.10.0", "0.2.0", "--security", "--summary", "closes a hole")
    return new_publisher


def read(publisher: Publisher, tmp_path: Path) -> tuple[ListedRelease, ...]:
    return read_index(RealHost(), publisher.settings(), tmp_path / "scratch")


def test_a_signed_index_lists_the_newest_release_first_and_leaves_no_files(publisher, tmp_path):
    releases = read(publisher, tmp_path)
    assert [release.version for release in releases] == ["0.10.0", "0.2.0"]
    assert releases[0].is_security
    assert releases[0].summary == "closes a hole"
    assert list((tmp_path / "scratch").iterdir()) == []
    data = fetch_release(RealHost(), publisher.settings(), releases[1])
    assert b"tljh 0.2.0" in data


def test_an_index_that_was_changed_after_signing_is_refused(publisher, tmp_path):
    index = publisher.directory / "releases.json"
    index.write_text(index.read_text().replace("0.10.0", "0.11.0"))
    with pytest.raises(TljhError, match="no valid signature"):
        read(publisher, tmp_path)


def test_an_index_that_another_key_signed_is_refused(publisher, tmp_path):
    publisher.key = make_key(tmp_path, "other")
    publisher.publish("0.3.0")
    publisher.key = tmp_path / "key"
    with pytest.raises(TljhError, match="no valid signature"):
        read(publisher, tmp_path)


def test_a_signature_for_another_purpose_is_refused(publisher, tmp_path):
    index = publisher.directory / "releases.json"
    signature = publisher.directory / "releases.json.sig"
    signature.unlink()
    command = ["ssh-keygen", "-Y", "sign", "-f", str(publisher.key), "-n", "file", str(index)]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(TljhError, match="no valid signature"):
        read(publisher, tmp_path)


def test_without_any_key_nothing_is_believed(publisher, tmp_path):
    settings = UpgradeSettings(url=str(publisher.directory))
    with pytest.raises(TljhError, match="no key to check it with"):
        read_index(RealHost(), settings, tmp_path / "scratch")


def test_a_release_that_is_not_the_one_in_the_index_is_refused(publisher, tmp_path):
    (release, _) = read(publisher, tmp_path)
    (publisher.directory / release.file).write_text("import evil\n")
    with pytest.raises(TljhError, match="is not the file that the index names"):
        fetch_release(RealHost(), publisher.settings(), release)


@pytest.mark.parametrize("content", ["", "[]", '{"releases": [{}]}', '{"releases": 3}'])
def test_a_signed_text_that_is_no_index_is_refused(publisher, tmp_path, content):
    index = publisher.directory / "releases.json"
    index.write_text(content)
    (publisher.directory / "releases.json.sig").unlink()
    command = ["ssh-keygen", "-Y", "sign", "-f", str(publisher.key), "-n", "tljh-release"]
    subprocess.run([*command, str(index)], check=True, capture_output=True)
    with pytest.raises(TljhError, match="is not an index of releases"):
        read(publisher, tmp_path)


def listed(version: str, oldest: str) -> ListedRelease:
    return ListedRelease(version, f"bootstrap-{version}.py", "0" * 64, oldest)


RELEASES = (listed("0.4.0", "0.3.0"), listed("0.3.0", "0.1.0"), listed("0.2.0", "0.1.0"))


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [("0.1.0", "0.3.0"), ("0.3.0", "0.4.0"), ("0.4.0", None), ("0.5.0", None)],
)
def test_the_newest_release_that_can_replace_the_installed_one_is_chosen(installed, chosen):
    release = find_next(RELEASES, installed)
    assert (release.version if release else None) == chosen
    assert choose_release(RELEASES, installed) == release


def test_a_version_that_skips_releases_is_refused_with_the_one_to_take_first():
    with pytest.raises(TljhError) as caught:
        choose_release(RELEASES, "0.1.0", "0.4.0")
    assert caught.value.findings[0].fix == "upgrade to 0.3.0 first, then to 0.4.0"


def test_an_older_or_unknown_version_is_refused():
    with pytest.raises(TljhError, match=r"0\.2\.0 is older"):
        choose_release(RELEASES, "0.4.0", "0.2.0")
    with pytest.raises(TljhError, match=r"there is no release 0\.9"):
        choose_release(RELEASES, "0.4.0", "0.9")


def test_an_index_is_plain_json(publisher):
    value = json.loads((publisher.directory / "releases.json").read_text())
    assert value["format"] == 1
