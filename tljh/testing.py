"""A hub on a machine in memory, for the tests of plugins.

    from tljh.testing import FakeHub
    hub = FakeHub(mycourse=tljh_mycourse)
    hub.install()

The real planning, applying and rolling back run on a fake host: nothing of the computer changes,
and no root is needed. Left out is what needs a real machine: the user environment, Traefik and the
processes of the hub. docs/guides/plugins.md describes the module; its names stay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

from tljh.base.errors import Finding
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.base.well_known import INSTANCE_HEADER
from tljh.engine.facts import Facts
from tljh.engine.plan import Plan
from tljh.engine.resource import Resource
from tljh.host.fake import FakeHost
from tljh.host.interface import Response, Result
from tljh.operations.converge import Outcome, Request, converge, work_out
from tljh.operations.install_and_reload import make_install_request, make_reload_request
from tljh.operations.install_answers import InstallAnswers
from tljh.operations.plugin_events import check_by_plugins, collect_backup_contents
from tljh.plugins import hookspecs
from tljh.plugins.checks import CheckedMachine
from tljh.plugins.guard import PluginError
from tljh.plugins.inspection import ask, call_hook, register_module
from tljh.plugins.manager import (
    Contributions,
    call,
    call_implementation,
    read_contributions,
    record_contributions,
    replaced_plugins,
)
from tljh.plugins.plugin_settings import replaced_settings
from tljh.plugins.selection import parse_selection

if TYPE_CHECKING:
    from traitlets.config import Config as HubConfiguration

    from tljh.settings.root import Config

_TIMEOUT_S = 60.0
_ENVIRONMENT = Paths().versions / "hub-0123456789ab"


class FakeHub:
    """A hub with plugins on `host`, a machine in memory.

    The plugins are modules, given by their names as entry points. `warnings` has what was found
    wrong by the last change, `plan` what it changed.
    """

    def __init__(self, *, admin: str = "ada", **plugins: ModuleType) -> None:
        self.host = FakeHost()
        self.paths = Paths()
        self.plugins = plugins
        self.warnings: list[Finding] = []
        self.plan = Plan(())
        self._admin = admin
        self._manager = pluggy.PluginManager("tljh")
        self._manager.add_hookspecs(hookspecs)
        self._prepare()

    def install(self) -> None:
        """Install the hub with its plugins, or plan nothing where it is installed already.

        Raises TljhError where that fails, after a rollback.
        """
        answers = InstallAnswers(hub_environment=_ENVIRONMENT, admins=(self._admin,))
        self._converge(make_install_request(self.host, self.paths, answers))

    def reload(self, configuration: str | None = None) -> None:
        """Apply config.yaml; with `configuration`, that text in its place.

        Raises TljhError where that fails, after a rollback.
        """
        if configuration is not None:
            self.host.write(self.paths.config_file, configuration.encode(), mode=0o600)
        self._converge(make_reload_request(self.host, self.paths, "reload"))

    def remove(self, name: str) -> None:
        """Remove a plugin's package, and what it brought, with its hooks before and after."""
        self.call(name, "tljh_before_removal")
        self.host.remove(self._find_metadata(name))
        self.reload()
        self.call(name, "tljh_after_removal")
        self._manager.unregister(name=name)

    def call(self, name: str, hook: str, **arguments: Any) -> Any:
        """Call a hook of one plugin as tljh does, and return its answer as JSON values.

        Raises PluginError where it fails.
        """
        return call_hook(self._manager, name, hook, arguments, _TIMEOUT_S)

    def run_doctor(self) -> list[Finding]:
        """Return what the plugins' `tljh_doctor_checks` find."""
        subject = CheckedMachine(self.host, self.paths, self._load_settings(), None)
        return [finding for _, finding in check_by_plugins(subject)]

    def list_backup_paths(self) -> list[Path]:
        """Return the existing paths that plugins want in a backup."""
        contents = collect_backup_contents(self.host, self.paths, self._load_settings())
        return list(contents.trees)

    def plan_reload(self) -> Plan:
        """Return what a reload would change."""
        request = make_reload_request(self.host, self.paths, "reload")
        with replaced_plugins(self._manager):
            return work_out(self.host, self.paths, self._complete(request)).plan

    @property
    def packages(self) -> Contributions:
        """Packages, channels and all else that the plugins contribute."""
        return read_contributions(self.host, _ENVIRONMENT)

    @property
    def configuration(self) -> Mapping[str, Any]:
        """The content of config.yaml."""
        from tljh.settings.yaml_changes import read_value_at

        values = read_value_at((self.host.read(self.paths.config_file) or b"").decode(), ())
        return values if isinstance(values, dict) else {}

    def load_hub_configuration(self) -> HubConfiguration:
        """Return JupyterHub's configuration as applied, changed by the plugins' hooks.

        Raises PluginError where one fails.
        """
        return self._load(self.paths.applied.directory)

    def create_user(self, login: str) -> None:
        """Make the Linux account of a user, and call the plugins' hooks for it."""
        from tljh.base.account_names import make_account_name

        name = make_account_name(login)
        self.host.add_user(name, home=self.paths.homes / name)
        call(self._manager, "tljh_new_user_create", username=name)

    def _prepare(self) -> None:
        host, paths = self.host, self.paths
        for name, module in self.plugins.items():
            metadata = self._find_metadata(name)
            for directory in (*reversed(metadata.parents), metadata):
                host.mkdir(directory, mode=0o755)
            text = f"[tljh]\n{name} = {module.__name__}\n"
            host.write(metadata / "entry_points.txt", text.encode(), mode=0o644)
            register_module(self._manager, name, module)
        python = f"{_ENVIRONMENT}/bin/python"
        host.answers[f"{python} -I -m tljh.plugins.inspection"] = self._answer_inspection
        record_contributions(host, _ENVIRONMENT)
        host.answers["systemd-run"] = self._try_candidate

        def answer() -> Response:
            instance = (host.read(paths.state_dir / "instance") or b"").decode().strip()
            units = ("jupyterhub.service", "traefik.service")
            if not all(host.unit(unit).is_active for unit in units):
                return Response(0, "ConnectionError: refused")
            return Response(200, "ok", {INSTANCE_HEADER: instance})

        host.responses["http://127.0.0.1:15001/hub/health"] = answer
        host.responses["http://127.0.0.1:80/hub/login"] = answer
        host.responses["http://127.0.0.1:80/hub/api/health"] = answer

    def _load_settings(self) -> Config:
        from tljh.operations.installed_config import load_configuration

        data = self.host.read(self.paths.config_file) or b""
        return load_configuration(self.host, self.paths, data)

    def _find_metadata(self, name: str) -> Path:
        return _ENVIRONMENT / "lib/python3/site-packages" / f"tljh_{name}-0.dist-info"

    def _answer_inspection(self, argv: Sequence[str]) -> Result:
        name, _, *hook = argv[argv.index("tljh.plugins.inspection") + 1 :]
        try:
            if hook:
                arguments = json.loads(self.host.stdin_of_query or "{}")
                result = call_hook(self._manager, name, hook[0], arguments, _TIMEOUT_S)
                answer = {"answer": json.loads(json.dumps(result))}
            else:
                answer = ask(self._manager, name, _TIMEOUT_S)
        except PluginError as error:
            answer = {"failure": error.finding.as_json()}
        return Result(0, json.dumps(answer))

    def _try_candidate(self, argv: Sequence[str]) -> Result:
        directory = next(
            word.partition("TLJH_APPLIED=")[2] for word in argv if "TLJH_APPLIED=" in word
        )
        failures = {}
        try:
            self._load(Path(directory))
        except PluginError as error:
            failures[error.plugin] = error.finding.as_json()
        return Result(0, json.dumps({"errors": [], "ignored": [], "failures": failures}))

    def _load(self, directory: Path) -> HubConfiguration:
        from traitlets.config import Config as HubConfiguration

        selection = parse_selection(self.host.read(directory / "plugins.json"))
        traits = json.loads(self.host.read(directory / "hub.json") or b"{}")
        c = HubConfiguration(traits)
        hooks = self._manager.hook.tljh_custom_jupyterhub_config.get_hookimpls()
        with replaced_settings(selection.settings):
            for hook in hooks:
                if hook.plugin_name not in selection.left_out:
                    call_implementation(hook, "tljh_custom_jupyterhub_config", c=c)
        return c

    def _complete(self, request: Request) -> Request:
        from dataclasses import replace

        adjust = request.adjust

        def leave_out(
            resources: Sequence[Resource], config: Config, facts: Facts, plugins: Contributions
        ) -> Sequence[Resource]:
            adjusted = adjust(resources, config, facts, plugins)
            return [each for each in adjusted if not self._is_of_user_environment(each)]

        return replace(request, hub_environment=_ENVIRONMENT, adjust=leave_out)

    def _is_of_user_environment(self, resource: Resource) -> bool:
        path = getattr(resource, "path", None)
        is_below = isinstance(path, Path) and path.is_relative_to(self.paths.user)
        return is_below or type(resource).__module__.startswith("tljh.conda.")

    def _converge(self, request: Request) -> None:
        with replaced_plugins(self._manager):
            outcome: Outcome = converge(
                self.host, self.paths, self._complete(request), SilentProgress()
            )
        self.plan = outcome.plan
        self.warnings = list(outcome.warnings)
