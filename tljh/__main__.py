"""`python -m tljh`: the bootstrap starts the package that it has just installed this way."""

from __future__ import annotations

from tljh.cli.main import tljh

if __name__ == "__main__":
    tljh()
