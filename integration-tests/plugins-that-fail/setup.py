from pathlib import Path

from setuptools import setup

names = sorted(path.stem for path in Path(__file__).parent.glob("tljh_*.py"))
setup(
    name="tljh-failing",
    version="0.1",
    py_modules=names,
    entry_points={"tljh": [f"{name.removeprefix('tljh_')} = {name}" for name in names]},
)
