"""The hooks a plugin can implement; names and arguments are TLJH's and stay.

A plugin is a module under the entry-point group `tljh` with functions marked `@hookimpl`.
"""

from tljh.plugins.hookspecs import (
    hookimpl as hookimpl,
)
from tljh.plugins.hookspecs import (
    hookspec as hookspec,
)
from tljh.plugins.hookspecs import (
    tljh_config_post_install as tljh_config_post_install,
)
from tljh.plugins.hookspecs import (
    tljh_custom_jupyterhub_config as tljh_custom_jupyterhub_config,
)
from tljh.plugins.hookspecs import (
    tljh_extra_apt_packages as tljh_extra_apt_packages,
)
from tljh.plugins.hookspecs import (
    tljh_extra_hub_pip_packages as tljh_extra_hub_pip_packages,
)
from tljh.plugins.hookspecs import (
    tljh_extra_user_conda_channels as tljh_extra_user_conda_channels,
)
from tljh.plugins.hookspecs import (
    tljh_extra_user_conda_packages as tljh_extra_user_conda_packages,
)
from tljh.plugins.hookspecs import (
    tljh_extra_user_pip_packages as tljh_extra_user_pip_packages,
)
from tljh.plugins.hookspecs import (
    tljh_new_user_create as tljh_new_user_create,
)
from tljh.plugins.hookspecs import (
    tljh_post_install as tljh_post_install,
)
