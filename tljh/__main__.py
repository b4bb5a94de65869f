"""`python -m tljh`: how the bootstrap calls the package that it has just installed."""

from tljh.cli import tljh

if __name__ == "__main__":
    tljh()
