#!/usr/bin/env python3
"""Build the release: dist/bootstrap.py, one file that carries the wheel and the lock.

The same checkout gives the same bytes on all machines with the same zlib.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=CHECKOUT / "dist", metavar="DIRECTORY")
    out: Path = parser.parse_args().out
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(CHECKOUT / "installer"), str(CHECKOUT)]
    from tljh_installer.release import from_checkout

    payload = from_checkout(CHECKOUT)
    out.mkdir(parents=True, exist_ok=True)
    for name, data in (
        ("bootstrap.py", payload.bootstrap()),
        (payload.wheel.name, payload.wheel.data),
    ):
        partial = out / f".{name}.{os.getpid()}"
        partial.write_bytes(data)
        partial.chmod(0o644)
        partial.replace(out / name)
        print(f"{out / name}  {len(data) // 1024} kB")


if __name__ == "__main__":
    main()
