"""What the first snapshot of an environment costs, compared with a copy of its files.

    python -m benchmarks.snapshot ENVIRONMENT [--json]

Makes a copy of a conda environment in a temporary directory next to it, then a first and a second
snapshot of that copy. Run it on the file system of the environment: on overlayfs, linking a file of
the image copies it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tljh.conda.worker import snapshots
from tljh.conda.worker.snapshot_store import SnapshotStore


def measure(action: Callable[[], object]) -> float:
    start_s = time.monotonic()
    action()
    subprocess.run(["sync"], check=True)
    return round(time.monotonic() - start_s, 2)


def main() -> None:
    """Measure, and print seconds and shares."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("environment", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.environment.absolute().parent) as directory:
        copy, versions = Path(directory) / "user", Path(directory) / "versions"
        versions.mkdir()
        command = ["cp", "-a", str(options.environment), str(copy)]
        request = {
            "prefix": str(copy),
            "versions": str(versions),
            "user": "",
            "command": "",
            "most_snapshots": 10,
            "most_bytes": 1 << 60,
        }
        copying_s = measure(lambda: subprocess.run(command, check=True))
        first_s = measure(lambda: snapshots.record(request))
        second_s = measure(lambda: snapshots.record(request))
        used = subprocess.run(["du", "-sk", str(copy)], capture_output=True, text=True, check=True)
        content_bytes = SnapshotStore(versions).size_bytes()
        lists = (path for path in versions.rglob("*") if path.parent.name != "objects")
        lists_bytes = sum(
            path.stat().st_size
            for path in lists
            if path.is_file() and "objects" not in path.relative_to(versions).parts[:-1]
        )
    size_bytes = int(used.stdout.split()[0]) * 1024
    result = {
        "environment_mb": round(size_bytes / 1e6),
        "copy_s": copying_s,
        "first_snapshot_s": first_s,
        "first_per_copy": round(first_s / copying_s, 2),
        "unchanged_s": second_s,
        "content_percent": round(100 * content_bytes / size_bytes, 1),
        "lists_percent": round(100 * lists_bytes / size_bytes, 1),
    }
    if options.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:>18}  {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
