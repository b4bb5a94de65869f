from tljh.hooks import hookimpl


@hookimpl
def tljh_post_install():
    raise OSError("no network")
