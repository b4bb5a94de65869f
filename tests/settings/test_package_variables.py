"""Where packages come from: as variables for all tools, and as files for users' pip and conda."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tljh.base.bundles import make_bundle_variables
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.conda.channels import build_package_environment, use_mirrors
from tljh.conda.users_configuration import (
    build_conda_configuration,
    build_pip_resource,
    build_root_resources,
    format_pip_configuration,
)
from tljh.conda.worker import record_pip
from tljh.host.fake import FakeHost
from tljh.settings.load import load
from tljh.settings.package_variables import (
    build_package_variables,
    read_package_variables,
    select_network_variables,
)

PATHS = Paths()
TEXT = """
user_environment:
  channels: [conda-forge]
  mirrors: {conda-forge: https://mirror.example.org/cf}
  pip: {index_url: https://mirror.example.org/simple, extra_index_urls: [https://b.example.org/s]}
  proxy: http://me:secret@proxy.example.org:3128
  no_proxy: [.example.org]
  ca_bundle: /etc/ssl/company.pem
  credentials_file: /root/packages.netrc
"""


@pytest.fixture
def host() -> FakeHost:
    host = FakeHost()
    for directory in (PATHS.prefix, PATHS.config_dir, PATHS.state_dir):
        host.mkdir(directory, mode=0o700)
    return host


def test_each_tool_gets_its_own_names_of_the_settings():
    variables = build_package_variables(load(TEXT.encode()).user_environment)
    assert variables["PIP_INDEX_URL"] == variables["UV_DEFAULT_INDEX"]
    assert variables["UV_INDEX"] == "https://b.example.org/s"
    assert variables["https_proxy"] == variables["HTTPS_PROXY"]
    assert variables["NO_PROXY"] == "localhost,127.0.0.1,::1,.example.org"
    assert variables["SSL_CERT_FILE"] == variables["GIT_SSL_CAINFO"] == "/etc/ssl/company.pem"
    assert variables["NETRC"] == "/root/packages.netrc"
    assert build_package_variables(load(b"").user_environment) == {}


def test_settings_win_over_what_the_installation_used_and_hold_before_a_reload(host):
    kept = {"UV_DEFAULT_INDEX": "https://old.example.org", "HTTPS_PROXY": "http://old:1"}
    host.write(PATHS.kept_environment, json.dumps(kept).encode(), mode=0o600)
    assert read_package_variables(host, PATHS) == kept
    host.write(PATHS.config_file, TEXT.encode(), mode=0o600)
    variables = read_package_variables(host, PATHS)
    assert variables["UV_DEFAULT_INDEX"] == "https://mirror.example.org/simple"
    for name in ("HTTPS_PROXY", "https_proxy"):
        assert variables[name] == "http://me:secret@proxy.example.org:3128"
    environment = build_package_environment(host, PATHS, {"PIP_NO_INDEX": "1"})
    assert environment["NETRC"] == "/root/packages.netrc"


def test_a_mistake_elsewhere_in_the_file_leaves_the_proxy_in_effect(host):
    host.write(PATHS.config_file, TEXT.encode() + b"htp: {port: 1}\n", mode=0o600)
    assert read_package_variables(host, PATHS)["NETRC"] == "/root/packages.netrc"
    host.write(PATHS.config_file, b"user_environment: [", mode=0o600)
    assert read_package_variables(host, PATHS) == {}


@pytest.mark.parametrize(
    ("channel", "mirrors", "expected"),
    [
        ("conda-forge", {"conda-forge": "https://m.org/cf"}, "https://m.org/cf"),
        (
            "conda-forge",
            {"https://conda.anaconda.org": "https://m.org/"},
            "https://m.org/conda-forge",
        ),
        (
            "https://conda.anaconda.org/bioconda/",
            {"https://conda.anaconda.org/": "https://m.org"},
            "https://m.org/bioconda",
        ),
        ("conda-forge2", {"conda-forge": "https://m.org/cf"}, "conda-forge2"),
        ("/srv/channel", {"conda-forge": "https://m.org/cf"}, "/srv/channel"),
    ],
)
def test_a_channel_is_read_from_its_mirror(channel, mirrors, expected):
    assert use_mirrors([channel], mirrors) == (expected,)


def test_users_get_the_settings_without_secrets():
    config = load(TEXT.encode())
    pip = format_pip_configuration(config.user_environment) or ""
    conda = build_conda_configuration(("https://mirror.example.org/cf",), config).decode()
    for text in (pip, conda):
        assert "proxy.example.org:3128" in text and "company.pem" in text
        assert "secret" not in text and "netrc" not in text
    assert "index-url = https://mirror.example.org/simple" in pip
    assert "  - https://mirror.example.org/cf" in conda


def test_pip_itself_reads_the_values_as_they_are_set(tmp_path):
    url = "https://mirror.example.org/a%20b/simple"
    text = TEXT.replace("https://mirror.example.org/simple", url)
    (tmp_path / "pip").mkdir()
    file = tmp_path / "pip" / Paths.pip_configuration.name
    file.write_text(format_pip_configuration(load(text.encode()).user_environment) or "")
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        env={"XDG_CONFIG_DIRS": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"global.index-url='{url}'" in done.stdout
    assert "https://b.example.org/s" in done.stdout
    assert "global.proxy='http://proxy.example.org:3128'" in done.stdout


def test_a_file_of_the_admin_stays_and_ours_goes_with_its_settings(host):
    config = load(TEXT.encode())
    resource = build_pip_resource(PATHS, config)
    resource.apply(host, SilentProgress())
    assert resource.difference(host) is None
    gone = build_pip_resource(PATHS, load(b""))
    assert gone.difference(host) is not None
    gone.apply(host, SilentProgress())
    assert host.read(Paths.pip_configuration) is None and gone.difference(host) is None
    host.write(Paths.pip_configuration, b"[global]\n", mode=0o644)
    assert gone.difference(host) is None and resource.difference(host) is None


def test_logins_for_roots_pip_and_conda_are_in_files_for_root_alone(tmp_path):
    proxy, condarc = build_root_resources(PATHS, load(TEXT.encode()))
    assert proxy.path == PATHS.root_variables and proxy.mode == condarc.mode == 0o600
    assert proxy.secret and condarc.secret
    assert b"http://me:secret@proxy.example.org:3128" in condarc.data
    file = tmp_path / "packages.env"
    file.write_bytes(proxy.data)
    # The wrappers of conda and mamba read it as a shell.
    script = f'. {file}; echo "$NETRC $PIP_PROXY $CONDARC"'
    shell = subprocess.run(
        ["sh", "-c", script], env={"NETRC": "/own"}, capture_output=True, text=True, check=True
    )
    assert shell.stdout == (f"/own http://me:secret@proxy.example.org:3128 {PATHS.root_condarc}\n")


def test_roots_pip_reads_the_same_file(tmp_path, monkeypatch):
    file = tmp_path / "packages.env"
    settings = load(b'user_environment: {credentials_file: "/root/it\'s mine.netrc"}')
    file.write_bytes(build_root_resources(PATHS, settings)[0].data)
    monkeypatch.setenv("NETRC", "x")
    monkeypatch.delenv("NETRC")
    record_pip.add_logins(file)
    assert os.environ["NETRC"] == "/root/it's mine.netrc"


def test_without_logins_there_is_no_such_file():
    kinds = [type(each).__name__ for each in build_root_resources(PATHS, load(b""))]
    assert kinds == ["Absent", "Absent"]


def test_an_index_of_the_settings_leads_back_to_the_network_after_a_bundle(host):
    kept = make_bundle_variables(Path("/opt/tljh/versions/bundle-1"))
    host.write(PATHS.kept_environment, json.dumps(kept).encode(), mode=0o600)
    assert build_package_environment(host, PATHS, {})["UV_NO_INDEX"] == "1"
    text = b"user_environment: {pip: {index_url: https://pypi.org/simple}}"
    host.write(PATHS.config_file, text, mode=0o600)
    variables = build_package_environment(host, PATHS, {})
    assert "UV_NO_INDEX" not in variables
    assert variables["UV_DEFAULT_INDEX"] == "https://pypi.org/simple"


def test_a_bundle_for_one_command_hides_the_indexes_of_the_settings(host):
    host.write(PATHS.config_file, TEXT.encode(), mode=0o600)
    variables = build_package_environment(host, PATHS, make_bundle_variables(Path("/b")))
    assert variables["UV_NO_INDEX"] == "1" and variables["UV_FIND_LINKS"] == "/b/wheels"
    assert "UV_DEFAULT_INDEX" not in variables and "UV_INDEX" not in variables


def test_requests_of_alerts_and_backups_get_proxy_and_cas_only():
    variables = select_network_variables(
        build_package_variables(load(TEXT.encode()).user_environment)
    )
    assert variables["HTTPS_PROXY"] and variables["SSL_CERT_FILE"] and variables["NO_PROXY"]
    assert not any("INDEX" in name or name == "NETRC" for name in variables)
