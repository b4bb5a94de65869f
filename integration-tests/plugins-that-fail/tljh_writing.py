from pathlib import Path

from tljh.config import CONFIG_DIR
from tljh.hooks import hookimpl


@hookimpl
def tljh_post_install():
    Path(CONFIG_DIR, "jupyterhub_config.d", "writing.py").write_text("import tljh_missing\n")
