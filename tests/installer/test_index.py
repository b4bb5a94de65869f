"""Downloads of locked wheels, also from an index that misbehaves."""

from __future__ import annotations

import json

import pytest
from tljh_installer.index import (
    LockedPackage,
    PackagePages,
    download_locked,
    fits,
    parse_index_page,
    parse_lock,
    sha256_of,
    without_hashes,
)
from tljh_installer.network import FetchError, fetch, without_password

from tests.installer.conftest import FakeIndex, make_wheel
from tljh.base.errors import TljhError
from tljh.base.package_indexes import PackageIndexes

NAME, DATA = make_wheel("uv", "1.0", {"uv/__init__.py": b""}, tag="py3-none-manylinux_2_17_x86_64")
LOCKED = LockedPackage("uv", "1.0", frozenset({sha256_of(DATA)}))


def pages(*indexes: str, **options: object) -> PackagePages:
    first, *extra = indexes
    return PackagePages(
        PackageIndexes(index=first, extra_indexes=tuple(extra), timeout_s=5, **options)
    )  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tljh_installer.network._PAUSE_S", 0.0)


def test_a_lock_is_read_with_markers_and_hashes() -> None:
    text = (
        "typer==1.0 ; python_full_version < '3.11' \\\n    --hash=sha256:" + "a" * 64 + " \\\n"
        "    --hash=sha256:" + "b" * 64 + "\nrich==2 \\\n    --hash=sha256:" + "c" * 64 + "\n"
    )
    typer, rich = parse_lock(text)
    assert typer == LockedPackage(
        "typer", "1.0", frozenset({"a" * 64, "b" * 64}), "python_full_version < '3.11'"
    )
    assert (rich.name, rich.version, rich.marker) == ("rich", "2", "")
    assert without_hashes(text) == "typer==1.0 ; python_full_version < '3.11'\nrich==2\n"


@pytest.mark.parametrize(
    ("name", "is_fitting"),
    [
        ("uv-1.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("uv-1.0-py3-none-manylinux_2_17_aarch64.whl", False),
        ("uv-1.0-py3-none-musllinux_1_1_x86_64.whl", False),
        ("uv-1.0-py3-none-macosx_10_12_x86_64.whl", False),
        ("uv-1.0.1-py3-none-manylinux_2_17_x86_64.whl", False),
        ("uv_build-1.0-py3-none-manylinux_2_17_x86_64.whl", False),
        ("uv-1.0.tar.gz", False),
    ],
)
def test_the_wheel_for_this_architecture_is_chosen(name: str, is_fitting: bool) -> None:
    assert fits(name, LOCKED, "x86_64") is is_fitting


def test_both_formats_of_an_index_give_the_same_files() -> None:
    digest = "d" * 64
    html = f'<a href="../../f/{NAME}#sha256={digest}">x</a>'.encode()
    listed = {"filename": NAME, "url": f"../../f/{NAME}", "hashes": {"sha256": digest}}
    url = "https://mirror/simple/uv/"
    from_html = parse_index_page(url, "text/html", html)
    from_json = parse_index_page(
        url, "application/vnd.pypi.simple.v1+json", json.dumps({"files": [listed]}).encode()
    )
    assert from_html == from_json
    assert from_html[0].url == f"https://mirror/f/{NAME}"


def test_a_page_that_is_not_json_is_an_error_of_the_index() -> None:
    with pytest.raises(FetchError, match="cannot be read"):
        parse_index_page("https://m/simple/uv/", "application/json", b"<html>login</html>")


def test_the_locked_wheel_is_downloaded(index: FakeIndex) -> None:
    index.files[NAME] = DATA
    assert download_locked(pages(index.url), LOCKED, "x86_64") == DATA


def test_a_tampered_file_is_refused_by_its_hash(index: FakeIndex) -> None:
    index.files[NAME] = DATA
    index.tamper[NAME] = DATA[:-1] + b"x"
    with pytest.raises(TljhError, match="not the file that was locked"):
        download_locked(pages(index.url), LOCKED, "x86_64")


def test_a_download_that_is_cut_every_time_names_the_host(index: FakeIndex) -> None:
    index.files[NAME] = DATA
    index.cut.add(NAME)
    with pytest.raises(TljhError) as failed:
        download_locked(pages(index.url), LOCKED, "x86_64")
    assert "127.0.0.1" in str(failed.value)
    assert "ended after" in str(failed.value)
    assert "PIP_INDEX_URL" in str(failed.value)


def test_a_server_error_is_tried_again_and_then_reported(index: FakeIndex) -> None:
    index.is_down = True
    problems = pages(index.url).problems("uv")
    assert problems == {f"{index.url}/uv/": "answered 500 Internal Server Error"}
    assert len(index.asked) == 3


def test_a_missing_page_is_not_tried_again(index: FakeIndex) -> None:
    assert "404" in pages(index.url).problems("uv")[f"{index.url}/uv/"]
    assert len(index.asked) == 1


def test_an_extra_index_without_the_project_is_no_problem(new_index) -> None:
    main, extra = new_index(**{NAME: DATA}), new_index()
    assert pages(main.url, extra.url).problems("uv") == {}
    assert pages(extra.url, main.url).problems("uv") == {}


def test_an_extra_index_that_is_down_is_a_problem(new_index) -> None:
    main, extra = new_index(**{NAME: DATA}), new_index()
    extra.is_down = True
    assert list(pages(main.url, extra.url).problems("uv")) == [f"{extra.url}/uv/"]


def test_an_index_that_cannot_be_reached_is_named() -> None:
    (reason,) = pages("http://127.0.0.1:1/simple").problems("uv").values()
    assert reason == "connection refused"


def test_find_links_in_a_directory_serve_as_well(tmp_path, index: FakeIndex) -> None:
    (tmp_path / NAME).write_bytes(DATA)
    links = PackagePages(PackageIndexes(index=None, find_links=(str(tmp_path),)))
    assert download_locked(links, LOCKED, "x86_64") == DATA


def test_an_index_on_disk_serves_as_well(tmp_path) -> None:
    (tmp_path / "simple" / "uv").mkdir(parents=True)
    (tmp_path / "simple" / "uv" / "index.html").write_text(f'<a href="../../{NAME}">x</a>')
    (tmp_path / NAME).write_bytes(DATA)
    assert download_locked(pages((tmp_path / "simple").as_uri()), LOCKED, "x86_64") == DATA


def test_a_password_in_an_url_is_sent_and_never_shown(index: FakeIndex) -> None:
    index.files[NAME] = DATA
    url = index.url.replace("http://", "http://ada:secret@")
    assert pages(url).problems("uv") == {}
    assert index.authorizations == ["Basic YWRhOnNlY3JldA=="]
    index.is_down = True
    assert "secret" not in str(pages(url).problems("uv"))
    assert without_password(url) == index.url


def test_a_redirect_is_followed_and_a_password_stays_with_its_host(new_index) -> None:
    target, first = new_index(**{NAME: DATA}), new_index()
    first.redirect_to = target.url.removesuffix("/simple").replace("127.0.0.1", "localhost")
    url = first.url.replace("http://", "http://ada:secret@")
    assert pages(url).problems("uv") == {}
    assert first.authorizations
    assert not target.authorizations


def test_a_redirect_to_a_file_of_this_machine_is_refused(index: FakeIndex) -> None:
    index.redirect_to = "file:///etc/passwd#"
    with pytest.raises(FetchError):
        fetch(PackageIndexes(timeout_s=5), f"{index.url}/uv/")


def test_the_clock_of_the_server_is_noted(index: FakeIndex) -> None:
    index.files[NAME] = DATA
    index_pages = pages(index.url)
    index_pages.problems("uv")
    assert abs(index_pages.offsets_s[0]) < 5
