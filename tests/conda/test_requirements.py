from __future__ import annotations

from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.conda.requirements import read_requirements
from tljh.host.fake import FakeHost
from tljh.host.interface import FileInfo, Response

FILE = Path("/root/requirements.txt")


def read(data: bytes) -> str:
    host = FakeHost()
    host.files[FILE] = (FileInfo("file", 0o644, "root", "root"), data)
    (text,) = read_requirements(host, str(FILE))
    return text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_file_is_read_as_windows_writes_it(encoding):
    assert read("numpy==2.1\r\nscipy\r\n".encode(encoding)) == "numpy==2.1\nscipy\n"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"name: course\ndependencies:\n  - numpy\n", "an environment file of conda"),
        (b"# platform: linux-64\nnumpy=2.1.0=py312h58c1407_1\n", "a list of conda packages"),
        (b"@EXPLICIT\nhttps://example.org/a.conda\n", "a list of conda packages"),
        (b"PK\x03\x04\0\0", "is not a text file"),
        (b"caf\xe9\n", "is not a text file"),
    ],
)
def test_file_of_another_kind_is_refused_with_its_name(data, what):
    with pytest.raises(TljhError) as failed:
        read(data)
    (finding,) = failed.value.findings
    assert str(FILE) in finding.what and what in finding.what
    assert finding.fix


@pytest.mark.parametrize(
    "line", ["numpy==2.1", "a[b]>=1,<2 ; python_version=='3.12'", "--index-url=https://h/?a=b=c"]
)
def test_requirements_are_not_taken_for_a_list_of_conda(line):
    assert read(f"{line}\n".encode()) == f"{line}\n"


def test_file_of_conda_behind_a_url_is_refused_too():
    host = FakeHost()
    url = "https://example.org/environment.yml"
    host.responses[url] = Response(200, "dependencies:\n  - numpy\n")
    with pytest.raises(TljhError, match="an environment file of conda"):
        read_requirements(host, url)
