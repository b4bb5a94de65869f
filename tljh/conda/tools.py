"""conda and mamba in their own prefix, and their wrappers in the user environment.

In the user environment `conda install` could break conda itself; from its own prefix conda
changes the user environment and stays whole.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda import engine
from tljh.conda.adopted import is_adopted
from tljh.conda.channels import build_package_environment, format_channels
from tljh.engine.file_resources import read_image, restore_image
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod, Stage
from tljh.host.interface import Host, HostReader

COMMANDS = ("conda", "mamba")


# Tried in this order: a channel may have conda without mamba.
CHOICES = (("conda", "mamba"), ("conda",))


# A file in the prefix in place of conda. It names the channels that have no conda, so that
# the next plan solves again only where they have changed.
ABSENT = "ABSENT"


WRAPPER = """\
#!/bin/sh
# Written by tljh. {command} itself is in {tools}, so that no change here can break it.
# Where no environment is active, it changes the user environment: with a snapshot before and after.
: "${{CONDA_PREFIX:={user}}}"
export CONDA_PREFIX MAMBA_ROOT_PREFIX={tools}
# Logins for channels and the proxy, which root alone can read.
if [ -r {variables} ]; then . {variables}; fi
verb= elsewhere=
[ "$CONDA_PREFIX" = {user} ] || elsewhere=1
for word in "$@"; do
    case $word in
        -n|--name|--name=*|-p|--prefix|--prefix=*|-n?*|-p?*|-d|--dry-run|-h|--help) elsewhere=1 ;;
        -*) ;;
        *) verb=${{verb:-$word}} ;;
    esac
done
case $verb in
    install|update|upgrade|remove|uninstall) ;;
    *) elsewhere=1 ;;
esac
if [ "$elsewhere" ]; then exec {tools}/bin/{command} "$@"; fi
if [ "$(id -u)" != 0 ]; then
    echo "{command}: only an admin changes the environment of all users, with sudo;" \
        "for one of your own: {command} create --name NAME python" >&2
    exit 1
fi
umask 022
{tljh} env record >/dev/null || echo "tljh: no snapshot was made before this" >&2
# After Ctrl-C, what {command} has changed until then is recorded.
trap : INT
flock {lock} {tools}/bin/{command} "$@"
status=$?
chmod -R a+rX {user}/conda-meta
{tljh} env record "{command} $*" >/dev/null || echo "tljh: no snapshot was made after this" >&2
exit $status
"""


# In the place of a conda that no channel has.
SUBSTITUTE = """\
#!/bin/sh
# Written by tljh, because no channel of the user environment has {command}.
echo "{command}: not in the channels of this hub; sudo tljh env install NAME installs packages" \
    "for all users, and pip install NAME for yourself" >&2
exit 1
"""

MARK = b"# Written by tljh"


CONDARC = """\
# Written by tljh: where packages come from. Put your own settings into /etc/conda/.condarc.
{settings}
auto_update_conda: false
notify_outdated_conda: false
"""


@dataclass(frozen=True)
class CondaTools(Resource):
    """conda's own prefix; where no channel has conda, a file that says so."""

    paths: Paths
    channels: tuple[str, ...]
    # Lines of conda's configuration.
    configuration: bytes = b""
    lock: str | None = None
    specs: tuple[str, ...] = ()

    kind: ClassVar[str] = "conda"
    stage: ClassVar[Stage] = Stage.ENVIRONMENTS
    rollback: ClassVar[RollbackMethod] = RollbackMethod.SNAPSHOT

    @property
    def name(self) -> str:
        return str(self.paths.conda)

    def difference(self, host: HostReader) -> Difference | None:
        planned = self.planned(host, frozenset())
        return planned[1] if planned else None

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        prefix = self.paths.conda
        if is_adopted(host, self.paths):
            return None
        if host.info(prefix / "bin" / "conda") is not None:
            return self._plan_wrappers(host)
        if host.read(prefix / ABSENT) == self._absent_text():
            return self._plan_wrappers(host)
        solution, specs = self._solve(host)
        if solution is None:
            text = f"left out: no conda in {format_channels(self.channels)}"
            return self, Difference("+", text)
        size = f"{solution.download_bytes / 1e6:.0f} MB"
        text = f"{' and '.join(specs)}, {len(solution.added)} packages, {size}"
        return replace(self, lock=solution.lock, specs=specs), Difference("+", text)

    def _plan_wrappers(self, host: HostReader) -> tuple[Resource, Difference] | None:
        wrappers = self._wrappers(host).items()
        stale = [path for path, text in wrappers if not _is_file_with(host, path, text)]
        names = ", ".join(path.name for path in stale)
        if stale:
            return self, Difference("~", f"wrappers: {names}")
        return (self, Difference("~", "configuration")) if self._is_stale(host) else None

    def _is_stale(self, host: HostReader) -> bool:
        """Return whether our configuration of conda differs; an admin's own stays."""
        current = host.read(self._condarc)
        return current is not None and MARK in current and current != self._format_condarc()

    def _solve(self, host: HostReader) -> tuple[engine.Solution | None, tuple[str, ...]]:
        variables = build_package_environment(host, self.paths, os.environ)
        for specs in CHOICES:
            try:
                solution = engine.solve(host, self.channels, specs, self.paths.conda, variables)
            except engine.UnsolvableSpecs:
                continue
            return solution, specs
        return None, ()

    def before(self, host: HostReader) -> Record:
        return {
            "prefix": str(self.paths.conda),
            "other": str(self._other),
            "number": 1,
            "existed": False,
            "is_built": self.lock is not None,
            "existed_before": host.info(self.paths.conda) is not None,
            "condarc": read_image(host, self._condarc),
            "wrappers": [read_image(host, self._command(name)) for name in COMMANDS],
        }

    def apply(self, host: Host, progress: Progress) -> None:
        if self.lock is not None:
            self._build(host, progress)
        elif host.info(self.paths.conda / "bin" / "conda") is None:
            host.mkdir(self.paths.conda, mode=0o755)
            host.write(self.paths.conda / ABSENT, self._absent_text(), mode=0o644)
        if self._is_stale(host):
            self._write_condarc(host)
        for path, text in self._wrappers(host).items():
            if host.info(path.parent) is None:
                host.mkdir(path.parent, mode=0o755)
            host.write(path, text, mode=0o755)

    def _build(self, host: Host, progress: Progress) -> None:
        variables = build_package_environment(host, self.paths, os.environ)
        kept_cache = variables.get("RATTLER_CACHE_DIR")
        # Planning found no conda here: at most the ABSENT file, or what a killed run left.
        host.remove(self.paths.conda)
        build = engine.BuildRequest(
            prefix=self.paths.conda,
            other=self._other,
            number=1,
            cache=Path(kept_cache) if kept_cache else self.paths.package_cache,
            keep_cache=kept_cache is not None,
            lock=self.lock,
            specs=self.specs,
        )
        engine.build(host, build, self.channels, variables, progress)
        self._write_condarc(host)

    @property
    def _condarc(self) -> Path:
        return self.paths.conda / ".condarc"

    def _format_condarc(self) -> bytes:
        return CONDARC.format(settings=self.configuration.decode()).encode()

    def _write_condarc(self, host: Host) -> None:
        # A channel's URL with a user may hold a password: only root reads the file then.
        mode = 0o600 if any("@" in channel for channel in self.channels) else 0o644
        host.write(self._condarc, self._format_condarc(), mode=mode)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        for image in record["wrappers"]:
            restore_image(host, image)
        if record["is_built"]:
            engine.revert(host, {k: record[k] for k in ("prefix", "other", "number", "existed")})
        elif not record["existed_before"]:
            host.remove(Path(record["prefix"]))
        elif "condarc" in record:
            restore_image(host, record["condarc"])

    @property
    def _other(self) -> Path:
        return self.paths.conda_build

    def _command(self, name: str) -> Path:
        return self.paths.user / "bin" / name

    def _absent_text(self) -> bytes:
        return f"no conda in these channels: {format_channels(self.channels)}\n".encode()

    def _wrappers(self, host: HostReader) -> Mapping[Path, bytes]:
        """Return the scripts that start conda and mamba in the user environment, by path.

        Where there is no conda, a script says so; a conda in the user environment itself stays.
        """
        values = {
            "tools": self.paths.conda,
            "user": self.paths.user,
            "tljh": self.paths.hub / "bin" / "tljh",
            "variables": self.paths.root_variables,
            "lock": self.paths.environment_lock,
        }
        scripts = {}
        for name in COMMANDS:
            if host.info(self.paths.conda / "bin" / name) is not None:
                text = WRAPPER
            elif MARK in (host.read(self._command(name)) or MARK):
                text = SUBSTITUTE
            else:
                continue
            scripts[self._command(name)] = text.format(command=name, **values).encode()
        return scripts


def _is_file_with(host: HostReader, path: Path, text: bytes) -> bool:
    info = host.info(path)
    return info is not None and info.kind == "file" and host.read(path) == text
