"""One run of the bootstrap: check the machine, build the environment, hand over to tljh."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread

from tljh import UPGRADES_FROM
from tljh.base.bundles import (
    Manifest,
    make_bundle_variables,
    verify,
    without_bundle,
    without_other_sources,
)
from tljh.base.errors import Exit, Finding, TljhError
from tljh.base.interruptions import exit_code_of, raised_as_exceptions
from tljh.base.output import lasting_output
from tljh.base.package_indexes import (
    SETTINGS_VARIABLE,
    PackageIndexes,
    find_pip_configuration_files,
    read_package_indexes,
    read_pip_configuration,
)
from tljh.base.versions import find_replacement_problem
from tljh_installer import bundle, rebuild, release
from tljh_installer import facts as machine
from tljh_installer import options as command_line
from tljh_installer.environment import Builder, HubEnvironment
from tljh_installer.facts import MachineFacts
from tljh_installer.index import PackagePages
from tljh_installer.locks import downloading_packages, prepare_dpkg, run_lock
from tljh_installer.options import Options
from tljh_installer.page import progress_page
from tljh_installer.preflight import refusals
from tljh_installer.processes import run_on_terminal, run_through
from tljh_installer.release import Payload
from tljh_installer.steps import Steps, standard
from tljh_installer.takeover import find_added_packages

REBUILD_FLAG = "--build-hub-environment"


def report(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print errors as text, or as JSON for programs."""
    if as_json:
        print(json.dumps({"errors": [finding.as_json() for finding in findings]}, indent=2))
    for finding in () if as_json else findings:
        print(finding.as_text(), file=sys.stderr)


def main(arguments: Sequence[str], archive: str | None) -> int:
    """Run the bootstrap and return the exit code; `archive` is that of a release, if any."""
    # A closed terminal or pipe must not end the installation half-way.
    with lasting_output():
        return _main(arguments, archive)


def _main(arguments: Sequence[str], archive: str | None) -> int:
    try:
        kept = _kept_environment(os.environ)
        environ = {**kept, **os.environ}
        if archive is None:
            payload = release.from_checkout(Path(__file__).resolve().parents[2])
        else:
            payload = release.from_archive(archive)
        pages = PackagePages(_read_indexes(environ))
        with raised_as_exceptions():
            if list(arguments) == [REBUILD_FLAG]:
                return rebuild.rebuild(sys.stdin.read(), payload, pages, environ)
            options = command_line.parse(arguments, environ, payload.version, Path.cwd())
            options = replace(options, environment=_choose_kept(kept, os.environ))
            return Run(options, payload, pages, environ, release.page_html(archive)).run()
    except TljhError as error:
        report(error.findings, as_json="--json" in arguments)
        return int(error.exit_code)
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        report([Finding(f"{name}{error.strerror or error}".lower())], as_json="--json" in arguments)
        return int(Exit.FAILED)
    except KeyboardInterrupt as error:
        print("error: stopped before the end; all changes were rolled back", file=sys.stderr)
        return int(exit_code_of(error))


def _read_indexes(environ: Mapping[str, str]) -> PackageIndexes:
    return read_package_indexes(
        environ, read_pip_configuration(find_pip_configuration_files(environ))
    )


def _kept_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which an existing installation reaches mirrors and proxies.

    Without the channels: they are in config.yaml now, where an admin may have changed them.
    """
    prefix = Path(environ.get("TLJH_INSTALL_PREFIX") or command_line.DEFAULT_PREFIX)
    try:
        variables: dict[str, str] = json.loads((prefix / "state" / "environment.json").read_text())
    except (OSError, ValueError):
        return {}
    # An index that this run names takes the place of a bundle.
    if any(environ.get(name) for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX")):
        variables = without_bundle(variables)
    return {name: value for name, value in variables.items() if name != "TLJH_CONDA_CHANNELS"}


def _choose_kept(kept: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to keep: those kept before, and those of this run's caller.

    What the settings of the hub have set is read from there whenever it is needed.
    """
    of_settings = environ.get(SETTINGS_VARIABLE, "").split()
    own = {name: value for name, value in environ.items() if name not in of_settings}
    return command_line.kept_environment({**kept, **own})


@dataclass
class Run:
    """One run of the bootstrap; `html` is that of the progress page."""

    options: Options
    payload: Payload
    pages: PackagePages
    environ: Mapping[str, str]
    html: str
    manifest: Manifest | None = None

    def run(self) -> int:
        """Carry the run out and return the exit code."""
        os.umask(0o022)
        steps = standard(self.options.json, self.options.passwords)
        local = machine.read_local(self.options.prefix, self.options.ports)
        with ExitStack() as stack:
            if local.uid == 0:
                stack.enter_context(run_lock())
            if self.options.bundle:
                with steps.step("check the bundle") as step:
                    self.manifest = verify(self.options.bundle)
                    step.detail = str(self.manifest)
            with steps.step("check the machine") as step:
                facts = self._with_network(local)
                findings = refusals(facts, self.options)
                if self.options.bundle and self.manifest:
                    findings += bundle.find_problems(
                        self.options.bundle, self.manifest, facts, self.payload
                    )
                if self.options.uninstall and local.uid == 0:
                    # A full disk, or a missing channel, is no reason to keep a hub.
                    findings = []
                else:
                    findings += self._find_release_problems(local)
                step.detail = f"{facts.os_name}, {facts.architecture}"
                if findings:
                    raise TljhError(findings, exit_code=Exit.UNFIT)
            if facts.previous == "tljh":
                self._add_packages_of_admins(steps)
            if any(":" in admin for admin in self.options.admins):
                steps.say(
                    "warning: a password on the command line is visible to every user of this "
                    "machine, and stays in the shell's history; --admin NAME alone prints a "
                    "claim link instead"
                )
            if self.options.uninstall:
                return self._uninstall(steps, facts)
            if self.options.plan:
                return self._plan(steps, facts)
            return self._install(steps, facts, stack)

    @property
    def _added_packages(self) -> list[str]:
        return [*self.options.plugins, *self.options.hub_packages]

    def _add_packages_of_admins(self, steps: Steps) -> None:
        """Add what admins installed into the environment of The Littlest JupyterHub."""
        added = find_added_packages(self.options.prefix)
        self.options = replace(
            self.options,
            plugins=(*self.options.plugins, *added.plugins),
            hub_packages=added.others,
        )
        if self._added_packages:
            steps.say(
                f"packages of admins in the hub environment: {' '.join(self._added_packages)}"
            )

    def _with_network(self, local: MachineFacts) -> MachineFacts:
        """Add the facts about index and channels, unless nothing would be downloaded from them."""
        if self.options.bundle:
            return local
        channels = self.options.conda_channels
        has_environment = (self.options.prefix / "user" / "conda-meta").is_dir()
        # A backup brings the user environment with it.
        if not has_environment and not self.options.restore:
            channels = self.options.channels_or_default
        if not channels and local.previous == "ours" and self._is_built(local):
            return local
        index, bad_channels, offsets = machine.check_network(self.pages, channels)
        return replace(
            local,
            index_problems=index,
            channel_problems=bad_channels,
            clock_offsets_s=offsets,
        )

    def _builder(self, steps: Steps, local: MachineFacts, versions: Path) -> Builder:
        return Builder(
            steps=steps,
            payload=self.payload,
            pages=self.pages,
            python=local.python,
            prefix=self.options.prefix,
            versions=versions,
            environ=self.environ,
            pip_spec=self.options.pip_spec,
        )

    def _find_release_problems(self, local: MachineFacts) -> list[Finding]:
        """Return why this release may not replace the installed one."""
        installed = self._builder(Steps(io.StringIO()), local, self.options.prefix).current
        if installed is None:
            return []
        problem = find_replacement_problem(installed.version, self.payload.version, UPGRADES_FROM)
        return [problem] if problem else []

    def _is_built(self, local: MachineFacts) -> bool:
        """Return whether the current environment is the one that this run would build."""
        silent_steps = Steps(io.StringIO())
        builder = self._builder(silent_steps, local, self.options.prefix / "versions")
        current = builder.current
        return (
            current is not None
            and current.spec == builder.spec_with([*current.spec.specs, *self.options.plugins])
            and current.python.exists()
        )

    def _hand_over(self, steps: Steps, hub: HubEnvironment) -> int:
        """Run `tljh install` of the environment, and return its exit code."""
        reading, writing = os.pipe()
        answers = command_line.answers(self.options, hub.path, writing)
        environ = {**self.environ, "TLJH_INSTALL_PREFIX": str(self.options.prefix)}
        for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
            environ.pop(name, None)
        command: list[str | Path] = [hub.python, "-I", "-m", "tljh", "install", "--answers", "-"]
        if self.options.json:
            command.append("--json")
        steps.log("$ " + " ".join(map(str, command)))
        with os.fdopen(reading, encoding="utf-8", errors="replace") as events:
            listener = Thread(target=steps.republish, args=(events,), daemon=True)
            listener.start()
            code = run_through(
                command, environ=environ, standard_input=json.dumps(answers), pass_fd=writing
            )
            # A process that the install left behind could keep the pipe open for ever.
            listener.join(timeout=5)
        return code if code >= 0 else int(Exit.FAILED)

    def _plan(self, steps: Steps, facts: MachineFacts) -> int:
        """Print the plan of a real environment, which is built in a temporary directory."""
        with self._temporary_environment(steps, facts, self._added_packages) as hub:
            return self._hand_over(steps, hub)

    def _uninstall(self, steps: Steps, facts: MachineFacts) -> int:
        """Run `tljh uninstall` of a temporary environment: the installed one may be gone."""
        with self._temporary_environment(steps, facts, ()) as hub:
            environ = {**self.environ, "TLJH_INSTALL_PREFIX": str(self.options.prefix)}
            flags = {
                "--plan": self.options.plan,
                "--purge": self.options.purge,
                "--yes": self.options.yes,
                "--json": self.options.json,
            }
            chosen = [flag for flag, is_chosen in flags.items() if is_chosen]
            return run_on_terminal(
                [hub.python, "-I", "-m", "tljh", "uninstall", *chosen], environ=environ
            )

    @contextmanager
    def _temporary_environment(
        self, steps: Steps, facts: MachineFacts, plugins: Sequence[str]
    ) -> Iterator[HubEnvironment]:
        """Build the hub environment in a directory that is removed afterwards."""
        parent, prefix = Path("/var/tmp"), "tljh-plan-"
        _remove_leftovers(parent, prefix)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as scratch:
            versions = Path(scratch) / "versions"
            self._use_bundle(steps, versions)
            # Nothing is left behind, so a missing cache is not created either.
            temporary = Path(scratch) / "tmp"
            temporary.mkdir(mode=0o700)
            # uv and setuptools leave lock files in the directory for temporary files.
            environ = {**self.environ, "TMPDIR": str(temporary)}
            builder = self._builder(steps, facts, versions)
            if not builder.cache.is_dir():
                environ["UV_CACHE_DIR"] = str(Path(scratch) / "cache")
            yield replace(builder, environ=environ).build(plugins)

    def _install(self, steps: Steps, facts: MachineFacts, stack: ExitStack) -> int:
        prefix = self.options.prefix
        is_first = facts.previous != "ours"
        created = _missing_directories(prefix / "versions")
        try:
            steps.open_log(prefix / "installer.log")
            self._page(steps, facts, stack)
            self._use_bundle(steps, prefix / "versions")
            with ExitStack() as background:
                if is_first:
                    prepare_dpkg(steps, self.environ)
                    if not self.options.bundle:
                        background.enter_context(downloading_packages(steps, self.environ))
                hub = self._builder(steps, facts, prefix / "versions").build(self._added_packages)
            if not hub.built:
                steps.say(f"hub environment {hub.path.name} exists already")
            code = self._hand_over(steps, hub)
            if code != 0:
                steps.event({"event": "failed", "what": ""})
                _remove_unused(prefix, hub)
                steps.log(f"tljh install ended with exit code {code}")
        except BaseException as error:
            steps.event({"event": "failed", "what": ""})
            if isinstance(error, TljhError):
                steps.log(str(error))
            bundle.remove_unused(prefix)
            _remove_empty(created)
            raise
        bundle.remove_unused(prefix)
        if code == 0:
            steps.event({"event": "done"})
        else:
            _remove_empty(created)
        return code

    def _use_bundle(self, steps: Steps, versions: Path) -> None:
        """Unpack the bundle, if there is one, and take all packages from there."""
        if self.options.bundle is None or self.manifest is None:
            return
        with steps.step("unpack the bundle") as step:
            directory = bundle.unpack(self.options.bundle, self.manifest, versions)
            step.detail = f"{self.manifest.total_bytes / 1e6:.0f} MB"
        self.options = command_line.use_bundle(self.options, directory)
        self.environ = {**without_other_sources(self.environ), **make_bundle_variables(directory)}
        self.pages = PackagePages(_read_indexes(self.environ))

    def _page(self, steps: Steps, facts: MachineFacts, stack: ExitStack) -> None:
        if not self.options.show_progress_page:
            return
        port = self.options.ports[0]
        if any(listener.port == port for listener in facts.listeners):
            steps.say("no progress page: the installed hub has the port")
            return
        parent, prefix = Path("/run"), "tljh-progress-"
        _remove_leftovers(parent, prefix)
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        steps.open_events(stack.enter_context(progress_page(port, self.html, directory)))
        steps.say(f"this machine shows the progress on port {port}")


def _remove_leftovers(parent: Path, prefix: str) -> None:
    """Remove what killed runs left; the caller holds `run_lock`, so no other run uses it."""
    for leftover in parent.glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _missing_directories(path: Path) -> list[Path]:
    """Return which of `path` and its parents do not exist, the deepest first."""
    return [candidate for candidate in (path, *path.parents) if not candidate.exists()]


def _remove_empty(directories: Sequence[Path]) -> None:
    for directory in directories:
        with contextlib.suppress(OSError):
            directory.rmdir()


def _remove_unused(prefix: Path, hub: HubEnvironment) -> None:
    """Remove the environment that this run built, unless the link `hub` points at it."""
    link = prefix / "hub"
    if hub.built and not (link.exists() and link.resolve() == hub.path.resolve()):
        shutil.rmtree(hub.path, ignore_errors=True)
