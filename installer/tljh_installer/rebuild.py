"""The internal mode that tljh calls to build another hub environment: JSON in, JSON out.

Each environment keeps the bootstrap that built it as share/tljh/bootstrap.py, so that there
is one builder. On standard input: {"prefix", "specs": [...] or null to ask the environment in
use, "plugins": [...], "pip_spec": null, "env": {...}}. On standard output: {"environment",
"built", "packages"}, or {"errors": [...]} with exit code 1. Progress goes to standard error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tljh.base.errors import Exit, TljhError
from tljh.base.package_indexes import pip_configuration_files, read_pip_configuration, sources_from
from tljh_installer.environment import Builder
from tljh_installer.facts import find_python
from tljh_installer.index import PackagePages
from tljh_installer.release import Carried
from tljh_installer.steps import Steps


def answer(question: str, carried: Carried, pages: PackagePages, environ: Mapping[str, str]) -> int:
    """Build what `question` asks for, and print where it is."""
    asked = json.loads(question)
    os.umask(0o022)
    kept = asked.get("env") or {}
    if kept:
        environ = {**environ, **kept}
        configuration = read_pip_configuration(pip_configuration_files(environ))
        pages = PackagePages(sources_from(environ, configuration))
    prefix = Path(asked["prefix"])
    builder = Builder(
        steps=Steps(sys.stderr),
        carried=carried,
        pages=pages,
        python=find_python(),
        prefix=prefix,
        versions=Path(asked.get("versions") or prefix / "versions"),
        environ=environ,
        pip_spec=asked.get("pip_spec"),
    )
    try:
        hub = builder.build(asked.get("plugins") or [], specs=asked.get("specs"))
    except TljhError as error:
        print(json.dumps({"errors": [finding.as_json() for finding in error.findings]}))
        return int(Exit.FAILED)
    print(json.dumps({"environment": str(hub.path), "built": hub.built, "packages": hub.packages}))
    return int(Exit.DONE)
