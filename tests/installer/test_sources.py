"""Package indexes as pip's configuration and the environment set them."""

from __future__ import annotations

from pathlib import Path

from tljh.base.package_indexes import (
    PackageIndexes,
    build_uv_environment,
    find_pip_configuration_files,
    read_package_indexes,
    read_pip_configuration,
)


def test_the_default_index_is_pypi() -> None:
    assert read_package_indexes({}, {}) == PackageIndexes(index="https://pypi.org/simple")


def test_the_environment_wins_over_pips_files_and_uvs_own_over_both() -> None:
    files = {"index-url": "https://file/simple", "cert": "/file.pem", "find-links": "/a /b"}
    sources = read_package_indexes({"PIP_INDEX_URL": "https://env/simple"}, files)
    assert sources.index == "https://env/simple"
    assert sources.certificate == "/file.pem"
    assert sources.find_links == ("/a", "/b")
    assert (
        read_package_indexes({"UV_DEFAULT_INDEX": "u=https://uv/simple"}, files).index
        == "https://uv/simple"
    )


def test_pips_files_are_read_in_pips_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a.conf", tmp_path / "b.conf"
    first.write_text("[global]\nindex-url = https://one/simple\ntimeout = 60\n")
    second.write_text("[install]\nindex_url = https://two/simple\n")
    settings = read_pip_configuration([first, tmp_path / "missing.conf", second])
    assert settings == {"index-url": "https://two/simple", "timeout": "60"}


def test_an_unreadable_pip_file_is_skipped(tmp_path: Path) -> None:
    bad = tmp_path / "bad.conf"
    bad.write_bytes(b"\xff\xfe no section")
    assert read_pip_configuration([bad]) == {}


def test_pips_files_can_be_switched_off() -> None:
    assert find_pip_configuration_files({"PIP_CONFIG_FILE": "/dev/null"}) == []
    assert Path("/etc/pip.conf") in find_pip_configuration_files({"HOME": "/root"})


def test_no_index_leaves_find_links_only() -> None:
    sources = read_package_indexes({"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}, {})
    assert (sources.indexes, sources.find_links) == ((), ("/wheels",))


def test_uv_gets_what_pip_would_use() -> None:
    variables = build_uv_environment(
        PackageIndexes(
            index="https://mirror/simple",
            extra_indexes=("https://extra/simple",),
            find_links=("/wheels",),
            certificate="/ca.pem",
            proxy="http://proxy:3128",
            trusted_hosts=("mirror",),
        ),
        {},
    )
    assert variables["UV_DEFAULT_INDEX"] == "https://mirror/simple"
    assert variables["UV_INDEX"] == "https://extra/simple"
    assert variables["UV_FIND_LINKS"] == "/wheels"
    assert variables["SSL_CERT_FILE"] == "/ca.pem"
    assert variables["HTTPS_PROXY"] == "http://proxy:3128"
    assert variables["UV_INSECURE_HOST"] == "mirror"


def test_uv_trusts_what_the_machine_trusts() -> None:
    assert build_uv_environment(PackageIndexes(), {})["UV_SYSTEM_CERTS"] == "1"


def test_uvs_own_variables_are_left_alone() -> None:
    environ = {"UV_DEFAULT_INDEX": "https://b"}
    variables = build_uv_environment(PackageIndexes(index="https://a/simple"), environ)
    assert variables["UV_DEFAULT_INDEX"] == "https://b"
