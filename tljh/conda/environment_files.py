"""Files of tljh in the user environment: for its activation, for JupyterLab, and for git."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import ClassVar

from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda import git_helper
from tljh.engine.file_resources import File
from tljh.engine.resource import Difference
from tljh.host.interface import Host, HostReader

MARK = b"Written by tljh"

# For `source /opt/tljh/user/bin/activate`, as guides of The Littlest JupyterHub have it. There,
# conda brings the script; here conda is not in the user environment.
ACTIVATE = """\
# Written by tljh: `source` this file to have the user environment first in PATH.
if [ "${{TLJH_PATH_BEFORE-}}" = "" ]; then
    TLJH_PATH_BEFORE=$PATH
    TLJH_PROMPT_BEFORE=${{PS1-}}
fi
PATH={bin}:$TLJH_PATH_BEFORE
CONDA_PREFIX={prefix}
CONDA_DEFAULT_ENV={prefix}
export PATH CONDA_PREFIX CONDA_DEFAULT_ENV
if [ "${{PS1-}}" != "" ]; then
    PS1="(tljh) $TLJH_PROMPT_BEFORE"
fi
for tljh_script in {prefix}/etc/conda/activate.d/*.sh; do
    if [ -f "$tljh_script" ]; then . "$tljh_script"; fi
done
unset tljh_script
deactivate() {{
    PATH=$TLJH_PATH_BEFORE
    if [ "${{PS1-}}" != "" ]; then PS1=$TLJH_PROMPT_BEFORE; fi
    unset TLJH_PATH_BEFORE TLJH_PROMPT_BEFORE CONDA_PREFIX CONDA_DEFAULT_ENV
    unset -f deactivate
    hash -r
}}
hash -r
"""

# JupyterLab asks every new user whether it may fetch news from the internet. A user can still
# switch that on in the settings, and an admin for all of them in overrides.json, which is read
# after this file.
LAB_SETTINGS = """\
// Written by tljh: JupyterLab does not ask users about news. Your own defaults: ../overrides.json
{ "@jupyterlab/apputils-extension:notification": { "fetchNews": "false" } }
"""


@dataclass(frozen=True)
class EnvironmentFile(File):
    """A file of tljh in the user environment; another one at its path stays.

    Missing directories are made with it: the environment may be built in the same change.
    """

    kind: ClassVar[str] = "environment-file"

    def difference(self, host: HostReader) -> Difference | None:
        existing = host.read(self.path)
        if existing is not None and MARK not in existing:
            return None
        return super().difference(host)

    def apply(self, host: Host, progress: Progress) -> None:
        for directory in reversed(self.path.parents):
            if host.info(directory) is None:
                host.mkdir(directory, mode=0o755)
        super().apply(host, progress)


def make_environment_files(paths: Paths) -> list[EnvironmentFile]:
    """Return the activation script, the defaults of JupyterLab, and the helper of git."""
    prefix, binaries = shlex.quote(str(paths.user)), shlex.quote(str(paths.user / "bin"))
    return [
        EnvironmentFile(
            paths.activation_script, ACTIVATE.format(prefix=prefix, bin=binaries).encode()
        ),
        EnvironmentFile(paths.lab_defaults, LAB_SETTINGS.encode()),
        EnvironmentFile(paths.git_helper, git_helper.program(paths), 0o755),
        EnvironmentFile(paths.git_config, git_helper.configuration()),
    ]
