#!/usr/bin/env python3
"""Make or extend an index of releases: releases.json, and its signature releases.json.sig.

The directory is what `upgrade.url` names. Each call adds one release: its bootstrap.py is copied in
as bootstrap-VERSION.py, and the index is signed again with `ssh-keygen -Y sign`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

NAMESPACE = "tljh-release"


def read_release(bootstrap: Path) -> tuple[str, str]:
    """Return the version that a bootstrap.py installs, and the oldest that it replaces."""
    command = [sys.executable, str(bootstrap), "--version"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    match = re.match(r"tljh (\S+): .*replaces (\S+) and newer", answer, re.DOTALL)
    if match is None:
        raise SystemExit(f"error: {bootstrap} is not a release")
    return match[1], match[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap", type=Path, help="the bootstrap.py of the release")
    parser.add_argument("--into", type=Path, required=True, metavar="DIRECTORY")
    parser.add_argument("--key", type=Path, required=True, help="the private SSH key that signs")
    parser.add_argument("--security", action="store_true", help="it has a security fix")
    parser.add_argument("--summary", default="", help="one sentence for `tljh upgrade --check`")
    options = parser.parse_args()
    into: Path = options.into
    into.mkdir(parents=True, exist_ok=True)
    version, upgrades_from = read_release(options.bootstrap)
    data = options.bootstrap.read_bytes()
    (into / f"bootstrap-{version}.py").write_bytes(data)
    index = into / "releases.json"
    releases = json.loads(index.read_text())["releases"] if index.exists() else []
    releases = [each for each in releases if each["version"] != version]
    releases.append(
        {
            "version": version,
            "file": f"bootstrap-{version}.py",
            "sha256": hashlib.sha256(data).hexdigest(),
            "upgrades_from": upgrades_from,
            "security": options.security,
            "summary": options.summary,
        }
    )
    index.write_text(json.dumps({"format": 1, "releases": releases}, indent=2) + "\n")
    index.with_suffix(".json.sig").unlink(missing_ok=True)
    sign = ["ssh-keygen", "-Y", "sign", "-f", str(options.key), "-n", NAMESPACE, str(index)]
    subprocess.run(sign, check=True)
    print(f"{index} has {len(releases)} releases, the newest call added {version}")


if __name__ == "__main__":
    main()
