from tljh.hooks import hookimpl


@hookimpl
def tljh_custom_jupyterhub_config(c):
    c.Spawner.environment["GOOD"] = "1"
