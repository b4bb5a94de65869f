from tljh.hooks import hookimpl


@hookimpl
def tljh_custom_jupyterhub_config(c):
    c.JupyterHub.hub_port = 9999
