"""`python -m tljh`: how the bootstrap calls the package that it has just installed."""

from __future__ import annotations

from tljh.cli.main import tljh

if __name__ == "__main__":
    tljh()
