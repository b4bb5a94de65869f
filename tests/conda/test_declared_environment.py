"""Files are recognized by what is in them; any other is named, with the kinds that are read."""

from __future__ import annotations

import textwrap

import pytest

from tljh.base.errors import TljhError
from tljh.conda.declared_environment import (
    DeclaredEnvironment,
    format_requirement,
    normalize_spec,
    parse,
)
from tljh.conda.requirement_lines import join_lines


def read(text: str) -> DeclaredEnvironment:
    return parse(textwrap.dedent(text).lstrip(), "file", "linux-64", lambda name: f"/dir/{name}")


REFUSED = {
    "": "it is empty",
    "\n \n": "it is empty",
    "[project]\nname = 'x'\n": "pyproject.toml",
    'lock-version = "1.0"\n[[packages]]\nname = "x"\n': "pylock.toml",
    "version = 1\n[[package]]\nname = 'x'\n": "uv or Poetry",
    "[packages]\nnumpy = '*'\n": "Pipfile",
    "[workspace]\nchannels = []\n": "manifest of pixi",
    '{\n "cells": [],\n "nbformat": 4\n}': "notebook",
    '{"dependencies": {"react": "1"}}': "no list",
    "services:\n  web: x\n": "no `dependencies:`",
    "dependencies: [numpy, {npm: [x]}]\n": "neither a package",
    "dependencies:\n  - pip: numpy\n": "no list of requirements",
    "dependencies: [numpy\n": "not YAML",
    "import numpy\n": "'import numpy' is neither",
    "numpy>=2\nthis is prose\n": "'this is prose' is neither",
    "#!/bin/sh\nconda install numpy\n": "'conda install numpy' is neither",
    "<!DOCTYPE html>\n<html>": "web page",
    "FROM debian:12\nRUN x\n": "Dockerfile",
    "@EXPLICIT\nnumpy\n": "no URL of a package",
    "@EXPLICIT\nhttps://x.org/c/osx-64/a-1-0.conda\n": "it is for osx-64",
    "version: 1\nmetadata: {}\npackage:\n- {platform: osx-64, manager: conda}\n": "for osx-64",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_file_of_another_kind_is_named(text):
    with pytest.raises(TljhError) as refusal:
        parse(text, "/srv/file", "linux-64", str)
    finding = refusal.value.findings[0]
    assert finding.what.startswith("/srv/file declares no environment")
    assert REFUSED[text] in (finding.why or "")
    assert "environment.yml, requirements.txt, conda-lock.yml" in (finding.fix or "")


def test_a_mistake_is_named_with_its_line():
    with pytest.raises(TljhError) as refusal:
        read("numpy\n\n# comment\npandas >= \n")
    where = refusal.value.findings[0].where
    assert where and where.line == 4


def test_requirements_are_read_as_pip_reads_them():
    declared = read(
        """
        # comment
        --extra-index-url https://x.org/simple
        -r other.txt
        numpy==2.1 \\
            --hash=sha256:abc \\
            --hash=sha256:def
        pandas[excel]>=2 ; python_version > "3.8"  # why
        git+https://github.com/x/y@main
        course @ https://x.org/c.zip
        ./local.whl
        wheel-1.0-py3-none-any.whl
        """
    )
    assert declared.kind == "requirements" and not declared.is_exact
    assert declared.requirements == (
        "--extra-index-url https://x.org/simple",
        "-r /dir/other.txt",
        "numpy==2.1 --hash=sha256:abc --hash=sha256:def",
        'pandas[excel]>=2 ; python_version > "3.8"',
        "git+https://github.com/x/y@main",
        "course @ https://x.org/c.zip",
        "/dir/./local.whl",
        "/dir/wheel-1.0-py3-none-any.whl",
    )


def test_an_environment_file_has_channels_packages_and_requirements():
    declared = read(
        """
        name: course
        channels:
          - conda-forge
        dependencies:
          - python=3.10
          - conda-forge::numpy[version='>=2']
          - pip
          - pip:
              - course==1.10
        """
    )
    assert declared.channels == ("conda-forge",)
    assert declared.specs == ("python=3.10", "conda-forge::numpy[version='>=2']", "pip")
    assert declared.requirements == ("course==1.10",)


def test_an_environment_exported_as_json_is_one_too():
    declared = read('{"channels": ["c"], "dependencies": ["numpy=1.26=py_0", {"pip": ["six"]}]}')
    assert declared.channels == ("c",) and declared.requirements == ("six",)
    assert declared.specs == ("numpy ==1.26 py_0",)


def test_a_list_of_conda_has_packages_of_pip_too():
    declared = read("# platform: linux-64\nnumpy=2.1=py312_0\ncourse=1.0=pypi_0\n")
    assert declared.specs == ("numpy ==2.1 py312_0",)
    assert declared.requirements == ("course==1.0",)


def test_locks_are_recognized_in_each_version():
    for version in (4, 5, 6, 7):
        lock = f"version: {version}\nenvironments:\n  default: {{}}\npackages: []\n"
        assert read(lock).kind == "lock"
    assert read(
        "version: 1\nmetadata: {}\npackage:\n- {platform: linux-64, manager: conda, url: u}\n"
    ).archives


def test_a_package_of_pypi_may_come_from_a_mirror_and_any_other_from_its_own_place():
    pypi = "https://files.pythonhosted.org/packages/aa/x-1-py3-none-any.whl"
    assert format_requirement("x", "1", pypi, "ab") == "x==1 --hash=sha256:ab"
    assert (
        format_requirement("x", "1", "https://h/x.zip", "ab")
        == "x @ https://h/x.zip --hash=sha256:ab"
    )
    assert format_requirement("x", "1", "git+https://h/x@c", "") == "x @ git+https://h/x@c"


def test_a_line_that_goes_on_has_the_number_of_its_first():
    assert list(join_lines("a \\\n  b\n\nc # d\n")) == [(1, "a b"), (4, "c")]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("river=1.0=0", "river ==1.0 0"),
        ("river==1.0=0", "river ==1.0 0"),
        ("river=1.0=py_0[sha256=ab]", "river ==1.0 py_0[sha256=ab]"),
        ("forge::river=1.0=0", "forge::river ==1.0 0"),
        *((text, text) for text in ("river", "river=1.0", "river>=1,<2", "river=1.*=py*")),
    ],
)
def test_a_version_of_one_build_is_spelled_as_the_solver_reads_it(spec, expected):
    assert normalize_spec(spec) == expected
