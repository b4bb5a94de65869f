"""The chart of Zero to JupyterHub in tests: its values, its schema, and its JupyterHub."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

HERE = Path(__file__).parent

# What the chart's image of the hub has. All of these have wheels on PyPI.
PACKAGES = (
    "jupyterhub==5.5.*",
    "jupyterhub-kubespawner==7.0.0",
    "jupyterhub-firstuseauthenticator==1.1.1",
    "jupyterhub-nativeauthenticator==1.3.0",
    "jupyterhub-ltiauthenticator==1.6.3",
    "jupyterhub-ldapauthenticator==2.0.2",
    "jupyterhub-tmpauthenticator==1.0.0",
    "oauthenticator==17.4.0",
    "psycopg2-binary",
    "pymysql",
)
INSTALL_TIMEOUT_S = 600
RUN_TIMEOUT_S = 300


@cache
def find_python() -> Path:
    """Return the Python of the chart's JupyterHub; it is installed once for all tests."""
    from uv import find_uv_bin

    key = f"{PACKAGES} {sys.version_info[:2]}"
    base = os.environ.get("TLJH_TEST_CACHE") or Path.home() / ".cache" / "tljh-test"
    environment = Path(base) / f"chart-hub-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
    environment.parent.mkdir(parents=True, exist_ok=True)
    python, stamp = environment / "bin" / "python", environment / "complete"
    with environment.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists():
            uv = find_uv_bin()
            run = {"check": True, "timeout": INSTALL_TIMEOUT_S}
            create = [uv, "venv", "--quiet", "--clear", "--python", sys.executable]
            subprocess.run([*create, str(environment)], **run)
            install = [uv, "pip", "install", "--quiet", "--python", str(python)]
            subprocess.run([*install, *PACKAGES], **run)
            stamp.touch()
    return python


def read_yaml(text: str) -> Any:
    """Read YAML by the rules of 1.1, which are those that take more texts for something else."""
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 1)
    return reader.load(text)


@cache
def _read_chart() -> tuple[str, str]:
    return (HERE / "chart" / "values.yaml").read_text(), (
        HERE / "chart" / "values.schema.json"
    ).read_text()


def merge(*trees: Mapping[str, Any]) -> dict[str, Any]:
    """Merge values as helm does: maps are merged, and null deletes a key."""
    merged: dict[str, Any] = {}
    for tree in trees:
        for key, value in tree.items():
            if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
                merged[key] = merge(merged[key], value)
            else:
                merged[key] = value
    return merged


def merge_over_defaults(*trees: Mapping[str, Any]) -> dict[str, Any]:
    return merge(read_yaml(_read_chart()[0]), *trees)


def find_schema_errors(values: Mapping[str, Any]) -> list[str]:
    """Return what the chart's schema refuses in merged values."""
    validator = Draft202012Validator(json.loads(_read_chart()[1]))
    return [f"{'.'.join(map(str, e.path))}: {e.message}" for e in validator.iter_errors(values)]


def has_value(path: str) -> bool:
    """Return whether the schema has a value at a path; NAME and CLASS.TRAIT are any names."""
    schema = json.loads(_read_chart()[1])
    for name in path.split("."):
        patterns = schema.get("patternProperties", {})
        properties = schema.get("properties", {})
        if name in properties:
            schema = properties[name]
        elif patterns:
            schema = next(iter(patterns.values()))
        elif schema.get("additionalProperties", True) is not False:
            schema = {}
        else:
            return False
    return True


def make_order(values: Mapping[str, Any], directory: Path, **more: Any) -> dict[str, Any]:
    """Return an order for a hub with merged values, in a directory with its database."""
    return {"values": values, "directory": str(directory), **more}


def run_hubs(orders: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what JupyterHub 5.5 makes of each order; `failure` is a traceback."""
    done = subprocess.run(
        [str(find_python()), str(HERE / "chart_hub.py")],
        input=json.dumps(list(orders)),
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return answers


def run_hub(values: Mapping[str, Any], directory: Path, **more: Any) -> dict[str, Any]:
    """Return what JupyterHub 5.5 makes of merged values."""
    (answer,) = run_hubs([make_order(values, directory, **more)])
    assert "failure" not in answer, answer["failure"]
    return answer
