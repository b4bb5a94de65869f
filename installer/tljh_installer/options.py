"""Command line of the bootstrap."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NoReturn

from tljh import UPGRADES_FROM
from tljh.base.account_names import is_acceptable
from tljh.base.bundles import CHANNEL, VARIABLE, make_bundle_variables, without_other_sources
from tljh.base.errors import Exit, TljhError
from tljh_installer.claim_code import read_claim_code

DEFAULT_PREFIX = "/opt/tljh"
DEFAULT_CHANNEL = "conda-forge"
DEFAULT_HTTP_PORT = 80
DEFAULT_HTTPS_PORT = 443
# Needed in addition to the entry points: the hub on 15001 and Traefik's API on 8099, on loopback.
LOOPBACK_PORTS = (15001, 8099)

# Variables that pip, uv, requests and conda's engine read. Those set at the installation are saved,
# so that an upgrade months later uses the same mirror and proxy.
_KEPT_PREFIXES = ("PIP_", "UV_")
_KEPT_NAMES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "TLJH_CONDA_CHANNELS",
    VARIABLE,
)
# Not saved: an upgrade should not inherit how much this run prints.
_NOT_KEPT = (
    "PIP_DISABLE_PIP_VERSION_CHECK",
    "PIP_NO_INPUT",
    "PIP_ROOT_USER_ACTION",
    "PIP_QUIET",
    "PIP_VERBOSE",
    "UV_NO_PROGRESS",
    "UV_OFFLINE",
)


@dataclass(frozen=True)
class Options:
    """The parsed command line and environment, with absolute paths.

    An item of `admins` may have a password after a colon.
    """

    prefix: Path = Path(DEFAULT_PREFIX)
    admins: tuple[str, ...] = ()
    claim_code: str | None = None
    plugins: tuple[str, ...] = ()
    hub_packages: tuple[str, ...] = ()
    user_requirements: str | None = None
    conda_channels: tuple[str, ...] = ()
    http_port: int | None = None
    https_port: int | None = None
    restore: str | None = None
    restore_key: str | None = None
    snapshot: str | None = None
    bundle: Path | None = None
    show_progress_page: bool = False
    plan: bool = False
    uninstall: bool = False
    purge: bool = False
    yes: bool = False
    json: bool = False
    pip_spec: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def ports(self) -> tuple[int, ...]:
        return (self.http_port or DEFAULT_HTTP_PORT, self.https_port or DEFAULT_HTTPS_PORT)

    @property
    def channels_or_default(self) -> tuple[str, ...]:
        return self.conda_channels or (DEFAULT_CHANNEL,)

    @property
    def passwords(self) -> tuple[str, ...]:
        """Passwords in `admins`, the claim code, the key file: what must not appear in a log."""
        pairs = (admin.partition(":") for admin in self.admins)
        passwords = tuple(password for _, _, password in pairs if password)
        lines = (self.restore_key or "").splitlines()
        values = (line.partition("=")[2].strip() or line.strip() for line in lines)
        return (*passwords, *(text for text in (self.claim_code, *values) if text))


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() else 0
    if not 1 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"must be a number between 1 and 65535, not {text}")
    if port in LOOPBACK_PORTS:
        raise argparse.ArgumentTypeError(f"cannot be {port}, which the hub needs on loopback")
    return port


def _admin(text: str) -> str:
    name, colon, password = text.partition(":")
    if not name.strip():
        raise argparse.ArgumentTypeError("needs a name: --admin NAME or --admin NAME:PASSWORD")
    if not is_acceptable(name):
        raise argparse.ArgumentTypeError(f"{name!r} cannot be the name of an account")
    if colon and not password:
        raise argparse.ArgumentTypeError(
            f"the password of {name} is empty: --admin {name} alone prints a claim link"
        )
    # JupyterHub converts user names to lower case.
    return f"{name.lower()}{colon}{password}"


def _channel(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("needs a URL, or a name like conda-forge")
    return text


class _Parser(argparse.ArgumentParser):
    """Reports usage errors as a `TljhError`, like all other errors here."""

    def error(self, message: str) -> NoReturn:
        raise TljhError(
            message.removeprefix("argument "),
            fix=f"see: {self.prog} --help",
            exit_code=Exit.USAGE,
        )


def parser(version: str) -> argparse.ArgumentParser:
    """Return the parser of all options; help and documentation are generated from it."""
    new = _Parser(
        prog="bootstrap.py",
        description=f"Turn this machine into a JupyterHub (tljh {version}).",
        epilog="environment: TLJH_INSTALL_PREFIX, TLJH_BOOTSTRAP_PIP_SPEC, TLJH_CONDA_CHANNELS, "
        "and what pip, uv and requests read (PIP_INDEX_URL, PIP_CERT, SSL_CERT_FILE, "
        "HTTPS_PROXY ...). exit codes: 0 done, 1 failed and rolled back, 2 usage, 3 the machine "
        "does not qualify (nothing written), 4 another installer is running",
        allow_abbrev=False,
    )
    add = new.add_argument
    add(
        "--admin",
        action="append",
        nargs="+",
        type=_admin,
        default=[],
        metavar="NAME[:PASSWORD]",
        help="an admin of the hub; without a password, a claim link is printed",
    )
    add(
        "--claim-code-file",
        metavar="FILE",
        help="a file with the claim code by which the admin sets the first password",
    )
    add(
        "--plugin",
        action="append",
        nargs="+",
        default=[],
        metavar="SPEC",
        help="a plugin to install, in any form that pip accepts",
    )
    add(
        "--user-requirements-txt-url",
        metavar="URL|FILE",
        help="a requirements file for the user environment",
    )
    add(
        "--conda-channel",
        action="append",
        type=_channel,
        default=[],
        metavar="URL",
        help="a source of conda packages instead of conda-forge; may be repeated",
    )
    add(
        "--bundle",
        metavar="FILE",
        help="a bundle with all packages, made by `tljh bundle create`: needs no network",
    )
    add(
        "--restore",
        metavar="REPOSITORY",
        help="bring back the hub of a backup: a directory, sftp:USER@HOST:/path, s3:, rest:",
    )
    add(
        "--restore-key-file",
        metavar="FILE",
        help="what `tljh backup key` printed: the password of the backups",
    )
    add("--snapshot", metavar="ID", help="with --restore: another backup than the newest")
    add("--http-port", type=_port, metavar="N", help="the port of plain HTTP (80)")
    add("--https-port", type=_port, metavar="N", help="the port of HTTPS (443)")
    add(
        "--show-progress-page",
        action="store_true",
        help="show the progress on the HTTP port while installing",
    )
    add("--plan", action="store_true", help="print the plan and leave nothing behind")
    add(
        "--uninstall",
        action="store_true",
        help="remove the hub, as `tljh uninstall` does, where that command is gone",
    )
    add(
        "--purge",
        action="store_true",
        help="with --uninstall: delete users' accounts and homes too",
    )
    add("--yes", action="store_true", help="ask nothing")
    add("--json", action="store_true", help="print the result as JSON")
    add(
        "--version",
        nargs="?",
        const="",
        metavar="VERSION",
        help="print the version that this installs, and how to get another",
    )
    return new


def version_answer(version: str) -> str:
    return (
        f"tljh {version}: a bootstrap.py installs the version that it carries; this one replaces "
        f"{UPGRADES_FROM} and newer. For another version, download its bootstrap.py, or set "
        "upgrade.url and run: sudo tljh upgrade --version VERSION"
    )


def _located(text: str, cwd: Path) -> str:
    """Return a URL unchanged, and a path as an absolute path."""
    if "://" in text or text.startswith("/"):
        return text
    return str(cwd / text)


def _plugin(spec: str, cwd: Path) -> str:
    looks_like_path = spec.startswith((".", "/")) or (cwd / spec).is_dir()
    return str((cwd / spec).resolve()) if looks_like_path else spec


def _claim_code(file: str, cwd: Path, admins: Sequence[str]) -> str:
    if len(set(admins)) != 1 or ":" in admins[0]:
        raise TljhError(
            "--claim-code-file needs one --admin NAME, without a password",
            why="the code sets the first password of one admin",
            fix="add the others later: sudo tljh user add NAME --admin",
            exit_code=Exit.USAGE,
        )
    return read_claim_code(cwd / file)


def _restore_key(parsed: argparse.Namespace, cwd: Path) -> str | None:
    """Return the content of the key file of a restore. Raises TljhError for options that lack."""
    if parsed.restore is None:
        if parsed.restore_key_file or parsed.snapshot:
            raise TljhError(
                "--restore-key-file and --snapshot belong to --restore", exit_code=Exit.USAGE
            )
        return None
    if parsed.restore_key_file is None:
        raise TljhError(
            "--restore needs --restore-key-file FILE",
            why="backups are encrypted",
            fix="on the hub's machine `sudo tljh backup key` prints the file",
            exit_code=Exit.USAGE,
        )
    try:
        return (cwd / str(parsed.restore_key_file)).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise TljhError(
            f"the key file {parsed.restore_key_file} cannot be read",
            why=str(error),
            exit_code=Exit.USAGE,
        ) from error


def parse(arguments: Sequence[str], environ: Mapping[str, str], version: str, cwd: Path) -> Options:
    """Read the command line and the environment. Raises TljhError for usage errors."""
    command_parser = parser(version)
    parsed = command_parser.parse_args(list(arguments))
    if parsed.version is not None and parsed.version != version:
        if parsed.version == "":
            print(version_answer(version))
            raise SystemExit(int(Exit.DONE))
        command_parser.exit(
            int(Exit.USAGE), f"error: not {parsed.version}: {version_answer(version)}\n"
        )
    if parsed.bundle is not None and parsed.conda_channel:
        raise TljhError(
            "--bundle and --conda-channel exclude each other",
            why="a bundle has the conda packages of its own channel",
            exit_code=Exit.USAGE,
        )
    if parsed.purge and not parsed.uninstall:
        raise TljhError("--purge belongs to --uninstall", exit_code=Exit.USAGE)
    restore_key = _restore_key(parsed, cwd)
    if parsed.http_port is not None and parsed.http_port == parsed.https_port:
        raise TljhError(
            f"--http-port and --https-port are both {parsed.http_port}", exit_code=Exit.USAGE
        )
    requirements = parsed.user_requirements_txt_url
    if requirements is not None:
        requirements = _located(requirements, cwd)
        if "://" not in requirements and not Path(requirements).is_file():
            raise TljhError(
                f"there is no file {requirements}",
                why="--user-requirements-txt-url takes a URL or an existing file",
                exit_code=Exit.USAGE,
            )
    prefix = Path(environ.get("TLJH_INSTALL_PREFIX") or DEFAULT_PREFIX)
    if not prefix.is_absolute() or len(prefix.parts) < 2:
        raise TljhError(
            f"TLJH_INSTALL_PREFIX must be an absolute directory, not {prefix}",
            exit_code=Exit.USAGE,
        )
    channels = (
        parsed.conda_channel or environ.get("TLJH_CONDA_CHANNELS", "").replace(",", " ").split()
    )
    admins = tuple(name for group in parsed.admin for name in group)
    file = parsed.claim_code_file
    return Options(
        prefix=prefix,
        admins=admins,
        claim_code=None if file is None else _claim_code(file, cwd, admins),
        plugins=tuple(_plugin(spec, cwd) for group in parsed.plugin for spec in group),
        user_requirements=requirements,
        conda_channels=tuple(channels),
        http_port=parsed.http_port,
        https_port=parsed.https_port,
        restore=parsed.restore,
        restore_key=restore_key,
        snapshot=parsed.snapshot,
        bundle=None if parsed.bundle is None else cwd / str(parsed.bundle),
        show_progress_page=parsed.show_progress_page,
        plan=parsed.plan,
        uninstall=parsed.uninstall,
        purge=parsed.purge,
        yes=parsed.yes,
        json=parsed.json,
        pip_spec=environ.get("TLJH_BOOTSTRAP_PIP_SPEC") or None,
        environment=kept_environment(environ),
    )


def kept_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the environment that later upgrades need."""
    return {
        name: value
        for name, value in sorted(environ.items())
        if (name.startswith(_KEPT_PREFIXES) or name in _KEPT_NAMES) and name not in _NOT_KEPT
    }


def use_bundle(options: Options, directory: Path) -> Options:
    """Return the options with an unpacked bundle as the only source of packages."""
    kept = without_other_sources(options.environment)
    return replace(
        options,
        conda_channels=(str(directory / CHANNEL),),
        environment={**kept, **make_bundle_variables(directory)},
    )


def answers(options: Options, hub_environment: Path, events_fd: int) -> dict[str, object]:
    """Return what `tljh install --answers -` reads on its standard input.

    It writes its steps to `events_fd` as lines of JSON, for the log and the progress page.
    """
    return {
        "admins": list(options.admins),
        "claim_code": options.claim_code,
        "plugins": list(options.plugins),
        "hub_packages": list(options.hub_packages),
        "user_requirements": options.user_requirements,
        "conda_channels": list(options.conda_channels),
        "restore": options.restore,
        "restore_key": options.restore_key,
        "snapshot": options.snapshot,
        "http_port": options.http_port,
        "https_port": options.https_port,
        "plan": options.plan,
        "yes": options.yes,
        "events_fd": events_fd,
        "hub_environment": str(hub_environment),
        "env": dict(options.environment),
    }
