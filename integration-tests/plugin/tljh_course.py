"""A plugin written for The Littlest JupyterHub, with every hook."""

from tljh.hooks import hookimpl


@hookimpl
def tljh_extra_user_conda_packages():
    return ["ipywidgets"]


@hookimpl
def tljh_extra_user_conda_channels():
    return ["file:///srv/channel"]


@hookimpl
def tljh_extra_user_pip_packages():
    return ["there"]


@hookimpl
def tljh_extra_hub_pip_packages():
    return ["there"]


@hookimpl
def tljh_extra_apt_packages():
    return ["sl"]


@hookimpl
def tljh_config_post_install(config):
    config["course"] = {"present": True}


@hookimpl
def tljh_custom_jupyterhub_config(c):
    c.JupyterHub.authenticator_class = "tmpauthenticator.TmpAuthenticator"


@hookimpl
def tljh_post_install():
    with open("post-install", "w") as file:  # noqa: PTH123 - the working directory of the installer
        file.write("done")


@hookimpl
def tljh_new_user_create(username):
    with open("new-user", "w") as file:  # noqa: PTH123
        file.write(username)
