"""Internal mode in which tljh builds another hub environment: JSON in, JSON out.

Each environment keeps the bootstrap that built it as share/tljh/bootstrap.py, so that there is
one builder. On standard input: {"prefix", "specs": [...] or null to ask the current environment,
"plugins": [...], "pip_spec": null, "env": {...}}. On standard output: {"environment", "built",
"packages"}, or {"errors": [...]} with exit code 1. Progress goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tljh.base.errors import Exit, TljhError
from tljh.base.package_indexes import (
    find_pip_configuration_files,
    read_package_indexes,
    read_pip_configuration,
)
from tljh_installer.environment import Builder
from tljh_installer.facts import find_python
from tljh_installer.index import PackagePages
from tljh_installer.release import Payload
from tljh_installer.steps import Steps


def rebuild(
    request_text: str, payload: Payload, pages: PackagePages, environ: Mapping[str, str]
) -> int:
    """Build the requested environment, print the result and return the exit code."""
    request = json.loads(request_text)
    os.umask(0o022)
    kept_variables = request.get("env") or {}
    if kept_variables:
        environ = {**environ, **kept_variables}
        configuration = read_pip_configuration(find_pip_configuration_files(environ))
        pages = PackagePages(read_package_indexes(environ, configuration))
    prefix = Path(request["prefix"])
    builder = Builder(
        steps=Steps(sys.stderr),
        payload=payload,
        pages=pages,
        python=find_python(),
        prefix=prefix,
        versions=Path(request.get("versions") or prefix / "versions"),
        environ=environ,
        pip_spec=request.get("pip_spec"),
    )
    try:
        hub = builder.build(request.get("plugins") or [], specs=request.get("specs"))
    except TljhError as error:
        print(json.dumps({"errors": [finding.as_json() for finding in error.findings]}))
        return int(Exit.FAILED)
    print(json.dumps({"environment": str(hub.path), "built": hub.built, "packages": hub.packages}))
    return int(Exit.DONE)
