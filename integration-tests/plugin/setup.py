from setuptools import setup

setup(
    name="tljh-course",
    version="0.1",
    py_modules=["tljh_course"],
    entry_points={"tljh": ["course = tljh_course"]},
)
