import time

from tljh.hooks import hookimpl


@hookimpl
def tljh_custom_jupyterhub_config(c):
    c.Spawner.environment["HANGING"] = "1"
    time.sleep(3600)
