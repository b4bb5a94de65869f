"""Reading of an installed hub for its export to Kubernetes; nothing of the hub is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tljh.base.paths import Paths
from tljh.engine.journal import Journal
from tljh.export.files import Environment
from tljh.export.hub_state import ExportedHub, ImageReference, Person, Traits
from tljh.host.accounts import find_account_name, find_managed_accounts, get_login
from tljh.host.interface import HostReader, UserInfo
from tljh.host.password_store import read_hashes
from tljh.host.secret_files import read_token
from tljh.hub.configuration import build_hub_configuration
from tljh.operations import env_files
from tljh.operations.disk_usage import measure_directories
from tljh.operations.installed_config import load_configuration, read_installed_configuration
from tljh.settings.derived import uses_first_use
from tljh.settings.root import Config
from tljh.singleuser.limits import compute_auto_memory, read_machine_size

if TYPE_CHECKING:
    from tljh.host.interface import Host


def read_applied_configuration(host: HostReader, paths: Paths) -> Config:
    """Return the settings that the hub runs with. Raises TljhError if no hub is installed."""
    current = read_installed_configuration(host, paths)
    applied = Journal(paths.journal_dir).last_files(host) or {}
    return load_configuration(host, paths, applied.get("config.yaml", current))


def has_unapplied_edits(host: HostReader, paths: Paths) -> bool:
    """Return whether config.yaml was edited since it was applied."""
    applied = Journal(paths.journal_dir).last_files(host) or {}
    current = read_installed_configuration(host, paths)
    return applied.get("config.yaml", current) != current


def read_hub(
    host: HostReader,
    paths: Paths,
    config: Config,
    image: ImageReference,
    logins: Sequence[str],
) -> ExportedHub:
    """Return what an export is made from; `logins` are the users of the hub's database."""
    traits, from_files = resolve_files(
        lambda path: read_token(host, Path(path)) or "", build_hub_configuration(config, paths)
    )
    tls = config.https.tls
    named = [path for path in (tls.cert, tls.key, config.pages.logo) if path]
    password_file = config.database.password_file
    services = {name: read_token(host, paths.service_token(name)) for name in config.services.own}
    return ExportedHub(
        config=config,
        traits=traits,
        own_traits=build_hub_configuration(Config(), paths),
        default_memory_bytes=compute_auto_memory(read_machine_size(host)),
        cookie_secret=read_token(host, paths.cookie_secret) or "",
        service_tokens={name: token for name, token in services.items() if token},
        database_password=read_token(host, Path(password_file)) if password_file else None,
        from_files=from_files,
        drop_ins=_read_drop_ins(host, paths),
        files={path: data for path in named if (data := host.read(Path(path))) is not None},
        passwords=_read_passwords(paths) if uses_first_use(config) else {},
        people=tuple(_read_people(host, config, logins)),
        image=image,
        has_unapplied_edits=has_unapplied_edits(host, paths),
    )


def resolve_files(
    read: Callable[[str], str], traits: Traits
) -> tuple[Traits, frozenset[tuple[str, str]]]:
    """Return traits with the content of the file in place of each `{file: PATH}`.

    In addition: the class and trait of each that has one, because its value is a secret.
    """
    from_files = {
        (section, trait)
        for section, values in traits.items()
        for trait, value in values.items()
        if _has_file(value)
    }
    return _resolve(read, traits), frozenset(from_files)


def _has_file(value: Any) -> bool:
    if isinstance(value, Mapping):
        return _names_file(value) or any(_has_file(inner) for inner in value.values())
    return isinstance(value, list) and any(_has_file(inner) for inner in value)


def _names_file(value: Mapping[str, Any]) -> bool:
    return set(value) == {"file"} and isinstance(value["file"], str)


def _resolve(read: Callable[[str], str], value: Any) -> Any:
    if isinstance(value, Mapping):
        if _names_file(value):
            return read(value["file"])
        return {key: _resolve(read, inner) for key, inner in value.items()}
    return [_resolve(read, inner) for inner in value] if isinstance(value, list) else value


def _read_drop_ins(host: HostReader, paths: Paths) -> dict[str, str]:
    directory = paths.applied.drop_ins
    names = sorted(name for name in host.listdir(directory) if name.endswith(".py"))
    return {name: (host.read(directory / name) or b"").decode(errors="replace") for name in names}


def _read_passwords(paths: Paths) -> dict[str, str]:
    hashes = read_hashes(paths.passwords)
    return {login: hashed.decode(errors="replace") for login, hashed in hashes.items()}


def _read_people(host: HostReader, config: Config, logins: Sequence[str]) -> Iterator[Person]:
    has_own_accounts = config.users.accounts == "managed"
    accounts = {get_login(user): user for user in find_managed_accounts(host)}
    names = {*logins, *config.users.allowed, *config.users.admin}
    names |= set(accounts) if has_own_accounts else set()
    users: dict[str, UserInfo | None] = {}
    for login in names:
        name = find_account_name(host, login) if has_own_accounts else login
        users[login] = accounts.get(login) or (host.user(name) if name else None)
    homes = [user.home for user in users.values() if user is not None]
    sizes = measure_directories(host, sorted({home for home in homes if home.startswith("/")}))
    for login, user in sorted(users.items()):
        if user is None:
            yield Person(login)
            continue
        home = user.home if user.home in sizes else None
        yield Person(login, user.name, user.uid, home, sizes.get(user.home))


def read_environment(host: Host, paths: Paths) -> Environment:
    """Return the user environment as the image of users' servers has it."""
    exported = env_files.export(host, paths, "lock")
    files = {
        path.relative_to(paths.jupyter).as_posix(): data
        for path in (paths.lab_overrides, paths.lab_page, paths.server_extensions)
        if (data := host.read(path)) is not None
    }
    return Environment(exported.text, exported.warnings, files)
