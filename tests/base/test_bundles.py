"""Bundles: what is damaged, foreign or unsafe is refused before anything is unpacked."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh.base.bundles import (
    MANIFEST,
    BundleFile,
    Manifest,
    find_mismatches,
    is_safe_name,
    make_bundle_variables,
    read_manifest,
    verify,
    without_bundle,
    without_other_sources,
)
from tljh.base.errors import TljhError
from tljh.host.bundle_archive import list_files, unpack_bundle, write_bundle

FILES = {
    "bootstrap.py": b"print()\n",
    "wheels/six-1.17.0-py2.py3-none-any.whl": b"wheel" * 1000,
    "apt/git_1%3a2.39-1_amd64.deb": b"deb" * 1000,
    "channel/noarch/repodata.json": b"{}\n",
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    content = tmp_path / "content"
    for name, data in FILES.items():
        (content / name).parent.mkdir(parents=True, exist_ok=True)
        (content / name).write_bytes(data)
    manifest = Manifest(
        "0.1.0", "0" * 64, "x86_64", "debian12", "2026-11-28T00:00:00Z", list_files(content)
    )
    write_bundle(tmp_path / "b.tar", manifest, content)
    return tmp_path / "b.tar"


def rewrite(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    """Write a tar archive of exactly these members."""
    with tarfile.open(path, "w:") as archive:
        for member, data in members:
            member.size = len(data) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(data))


def members_of(path: Path) -> list[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path) as archive:
        return [(each, archive.extractfile(each).read()) for each in archive.getmembers()]


def test_what_was_packed_is_unpacked(bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    manifest = unpack_bundle(bundle, target)
    assert {name: (target / name).read_bytes() for name in manifest.files} == FILES
    assert "4 files" in str(manifest) and "debian12" in str(manifest)


def test_the_same_files_give_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    first = bundle.read_bytes()
    manifest = read_manifest(bundle)
    write_bundle(bundle, manifest, tmp_path / "content")
    assert bundle.read_bytes() == first


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_a_changed_byte_is_found_wherever_it_is(bundle: Path, share: float) -> None:
    whole = bundle.read_bytes()
    with tarfile.open(bundle) as archive:
        spans = [(m.offset_data, m.size) for m in archive.getmembers() if m.name != MANIFEST]
    content = [offset + i for offset, size in spans for i in range(size)]
    place = content[int(share * len(content))]
    bundle.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(TljhError, match="is damaged") as refused:
        verify(bundle)
    (finding,) = refused.value.findings
    assert finding.where and finding.where.path in FILES
    assert "sha256" in (finding.why or "") and "copy it here again" in (finding.fix or "")


@given(st.integers(min_value=0))
def test_a_bundle_that_is_cut_off_anywhere_is_refused(tmp_path_factory, number: int) -> None:
    directory = tmp_path_factory.mktemp("cut")
    (directory / "content/wheels").mkdir(parents=True)
    (directory / "content/wheels/a.whl").write_bytes(b"a" * 3000)
    files = list_files(directory / "content")
    manifest = Manifest("0.1.0", "0" * 64, "x86_64", "debian12", "2026", files)
    path = directory / "b.tar"
    write_bundle(path, manifest, directory / "content")
    with tarfile.open(path) as archive:
        end = max(member.offset_data + member.size for member in archive.getmembers())
    path.write_bytes(path.read_bytes()[: number % end])
    with pytest.raises(TljhError):
        verify(path)


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"PK\x03\x04" + b"0" * 2000])
def test_a_file_of_another_kind_is_no_bundle(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(TljhError, match="is not a bundle of tljh"):
        verify(tmp_path / "x")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TljhError, match="there is no file"):
        verify(tmp_path / "none.tar")


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../x", "wheels/../../x", "wheels/..", "wheels/.x", "wheels//x", "state/x"],
)
def test_a_manifest_with_a_name_outside_the_bundle_is_refused(tmp_path: Path, name: str) -> None:
    assert not is_safe_name(name)
    manifest = Manifest(
        "0.1.0", "0" * 64, "x86_64", "debian12", "2026", {name: BundleFile(1, "0" * 64)}
    )
    member = tarfile.TarInfo(MANIFEST)
    rewrite(tmp_path / "b.tar", [(member, manifest.as_bytes())])
    with pytest.raises(TljhError, match="is not a bundle"):
        verify(tmp_path / "b.tar")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_a_member_that_is_no_plain_file_is_refused(bundle: Path, kind: bytes) -> None:
    members = members_of(bundle)
    members[2][0].type, members[2][0].linkname = kind, "/etc/passwd"
    rewrite(bundle, members)
    with pytest.raises(TljhError, match="is damaged"):
        verify(bundle)


def test_a_member_too_many_or_twice_is_refused(bundle: Path, tmp_path: Path) -> None:
    for extra in ("wheels/other.whl", "bootstrap.py"):
        path = tmp_path / "more.tar"
        rewrite(path, [*members_of(bundle), (tarfile.TarInfo(extra), b"x")])
        with pytest.raises(TljhError, match="is damaged"):
            verify(path)


def test_a_manifest_of_a_newer_format_is_refused(bundle: Path) -> None:
    (member, data), *others = members_of(bundle)
    values = json.loads(data)
    values["format"] = 2
    rewrite(bundle, [(member, json.dumps(values).encode()), *others])
    with pytest.raises(TljhError, match="is not a bundle") as refused:
        verify(bundle)
    assert "another release" in str(refused.value)


def test_another_kind_of_machine_is_named_with_the_command_for_it(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    assert find_mismatches(manifest, bundle, architecture="x86_64", distribution="debian12") == []
    findings = find_mismatches(manifest, bundle, architecture="aarch64", distribution="ubuntu24.04")
    text = "\n".join(finding.as_text() for finding in findings)
    assert "for x86_64 processors" in text and "runs ubuntu24.04" in text
    assert "--architecture aarch64 --distribution ubuntu24.04" in text


def test_a_bundle_takes_the_place_of_all_other_sources() -> None:
    environ = {"PIP_INDEX_URL": "https://x", "UV_INDEX": "https://y", "HTTPS_PROXY": "http://z"}
    assert without_other_sources(environ) == {"HTTPS_PROXY": "http://z"}
    variables = make_bundle_variables(Path("/b"))
    assert variables["PIP_FIND_LINKS"] == "/b/wheels" and variables["PIP_NO_INDEX"] == "1"
    assert without_bundle({**variables, "HTTPS_PROXY": "http://z"}) == {"HTTPS_PROXY": "http://z"}


def test_the_digest_is_that_of_the_manifest(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    assert manifest.directory_name.startswith("bundle-")
    other = replace(manifest, created="2027")
    assert other.as_bytes() != manifest.as_bytes()
