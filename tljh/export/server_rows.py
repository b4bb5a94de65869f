"""Rows of users' servers: limits, homes, shared folders, environment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tljh.base.paths import Paths
from tljh.export.login_rows import LIMITS_GROUP
from tljh.export.row import Row, rows_without
from tljh.export.slugs import make_slug
from tljh.export.values import Values
from tljh.host.accounts import USERS_GROUP
from tljh.settings.redaction import is_secret
from tljh.settings.sections.limits import AUTO, OwnLimits, parse_memory

if TYPE_CHECKING:
    from tljh.export.hub_state import ExportedHub

GIB = 1 << 30
MIB = 1 << 20
# What a pod reserves of a node's memory, where config.yaml reserves nothing: as the chart does.
_MEMORY_GUARANTEE = GIB
# Without a guarantee, Kubernetes reserves the whole limit.
_CPU_GUARANTEE = 0.1
# Of a claim, where config.yaml limits no disk: the chart's own.
CAPACITY = "10Gi"
SHARED = str(Paths.shared_folders)


def _put_limits(hub: ExportedHub, values: Values) -> None:
    """Write the general limits; a group that every user is in may raise them."""
    memory = _find_general(hub, "memory")
    memory_bytes = _read_memory(hub, memory)
    guarantee = _find_general(hub, "memory_guarantee")
    cpu = _find_general(hub, "cpu")
    values.put("singleuser.memory.limit", _format_memory(memory_bytes))
    values.put(
        "singleuser.memory.guarantee",
        _format_memory(_choose_guarantee(_read_memory(hub, guarantee), memory_bytes)),
    )
    values.put("singleuser.cpu.limit", cpu)
    values.put("singleuser.cpu.guarantee", min(_CPU_GUARANTEE, cpu or _CPU_GUARANTEE))
    overrides = dict(_list_overrides(hub))
    if overrides:
        values.put("hub.config.KubeSpawner.group_overrides", overrides)


def _find_general(hub: ExportedHub, name: str) -> Any:
    limits = hub.config.limits
    of_all = [
        getattr(limits.groups[group], name)
        for group in hub.config.users.groups
        if group in limits.groups and name in limits.groups[group].model_fields_set
    ]
    if not of_all:
        return getattr(limits, name)
    return max(of_all, key=lambda value: _rank(hub, name, value))


def _rank(hub: ExportedHub, name: str, value: Any) -> float:
    """Return the order of a limit; none is the largest limit, but the smallest guarantee."""
    if value is None:
        return 0 if name == "memory_guarantee" else math.inf
    return value if isinstance(value, (int, float)) else float(_read_memory(hub, value) or 0)


def _read_memory(hub: ExportedHub, value: str | None) -> int | None:
    if value is None:
        return None
    return hub.default_memory_bytes if value == AUTO else parse_memory(value)


def _format_memory(size_bytes: int | None) -> str | None:
    """Return an amount as both Kubernetes' chart and JupyterHub read it: 512M is 512 MiB."""
    if size_bytes is None:
        return None
    for unit_bytes, letter in ((GIB, "G"), (MIB, "M")):
        if size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes}{letter}"
    return f"{-(-size_bytes // 1024)}K"


def _choose_guarantee(guarantee_bytes: int | None, limit_bytes: int | None) -> int:
    """Return a guarantee that is never above the limit: Kubernetes refuses such a pod."""
    return min(guarantee_bytes or _MEMORY_GUARANTEE, limit_bytes or GIB << 20)


def _list_overrides(hub: ExportedHub) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what groups change, in the order in which KubeSpawner applies it: by the key.

    Of several groups the largest limit applies, so it comes last; limits of a user come after all.
    """
    limits = hub.config.limits
    everybody = set(hub.config.users.groups)
    groups = {name: own for name, own in limits.groups.items() if name not in everybody}
    for number, (name, setting) in enumerate(_SETTINGS.items(), start=1):
        declared = [
            (group, getattr(own, name))
            for group, own in groups.items()
            if name in own.model_fields_set
        ]
        declared.sort(key=lambda pair: (_rank(hub, name, pair[1]), pair[0]))
        for position, (group, value) in enumerate(declared):
            key = f"{number}-{name}-{position:04}-{group}"
            yield key, {"groups": [group], "spawner_override": setting(hub, groups[group], value)}
    for login, own in limits.users.items():
        changes: dict[str, Any] = {}
        for name, setting in _SETTINGS.items():
            if name in own.model_fields_set:
                changes |= setting(hub, own, getattr(own, name))
        if changes:
            group = f"{LIMITS_GROUP}{login.lower()}"
            yield f"8-user-{login.lower()}", {"groups": [group], "spawner_override": changes}
    yield from _list_folder_overrides(hub)


def _override_guarantee(hub: ExportedHub, own: OwnLimits, value: str | None) -> dict[str, Any]:
    limit = own.memory if "memory" in own.model_fields_set else _find_general(hub, "memory")
    guarantee = _choose_guarantee(_read_memory(hub, value), _read_memory(hub, limit))
    return {"mem_guarantee": _format_memory(guarantee)}


def _override_memory(hub: ExportedHub, own: OwnLimits, value: str | None) -> dict[str, Any]:
    limit = _read_memory(hub, value)
    is_own = "memory_guarantee" in own.model_fields_set
    guarantee = own.memory_guarantee if is_own else _find_general(hub, "memory_guarantee")
    reserved = _choose_guarantee(_read_memory(hub, guarantee), limit)
    return {"mem_limit": _format_memory(limit), "mem_guarantee": _format_memory(reserved)}


def _override_cpu(hub: ExportedHub, own: OwnLimits, value: float | None) -> dict[str, Any]:
    return {"cpu_limit": value, "cpu_guarantee": min(_CPU_GUARANTEE, value or _CPU_GUARANTEE)}


def _override_disk(hub: ExportedHub, own: OwnLimits, value: str | None) -> dict[str, Any]:
    return {"storage_capacity": format_capacity(value)}


# The guarantee comes before the limit, which lowers it where it has to.
_SETTINGS: dict[str, Callable[[ExportedHub, OwnLimits, Any], dict[str, Any]]] = {
    "memory_guarantee": _override_guarantee,
    "memory": _override_memory,
    "cpu": _override_cpu,
    "disk": _override_disk,
}


def format_capacity(amount: str | None, least_bytes: int = 0) -> str:
    """Return the size of a claim, in whole GiB: the limit of the disk, but at least `least`."""
    wanted_bytes = parse_memory(amount) if amount is not None else 0
    if amount is None:
        wanted_bytes = int(CAPACITY.removesuffix("Gi")) * GIB
    return f"{max(1, -(-max(wanted_bytes, least_bytes) // GIB))}Gi"


def find_disk(hub: ExportedHub, login: str) -> str | None:
    """Return the limit of a user's disk: the user's own, else the largest of the groups."""
    limits, members = hub.config.limits, hub.config.users.extra_user_groups
    for name, own in limits.users.items():
        if name.lower() == login and "disk" in own.model_fields_set:
            return own.disk
    of_groups = [
        own.disk
        for group, own in limits.groups.items()
        if login in members.get(group, ()) and "disk" in own.model_fields_set
    ]
    if not of_groups:
        limit: str | None = _find_general(hub, "disk")
        return limit
    return max(of_groups, key=lambda value: _rank(hub, "disk", value))


def _put_starts(hub: ExportedHub, values: Values) -> None:
    limits = hub.config.limits
    if limits.concurrent_starts is not None:
        values.put("hub.concurrentSpawnLimit", limits.concurrent_starts)
    values.put("hub.allowNamedServers", limits.named_servers > 0)
    if limits.named_servers:
        values.put("hub.namedServerLimitPerUser", limits.named_servers)
        # The servers of a user share the home, as on the machine.
        values.put("singleuser.storage.dynamic.pvcNameTemplate", "claim-{username}")
        values.put("singleuser.storage.dynamic.volumeNameTemplate", "volume-{username}")
        values.decisions.append(
            "named servers share the home of their user: choose a storage class with "
            "ReadWriteMany (singleuser.storage.dynamic.storageClass and storageAccessModes), or "
            "two servers of a user only start on the same node."
        )


def get_claim_name(hub: ExportedHub, login: str, slug: str) -> str:
    """Return the claim of a user's home; `slug` is that of the server without a name."""
    return f"claim-{make_slug(login) if hub.config.limits.named_servers else slug}"


def _put_storage(hub: ExportedHub, values: Values) -> None:
    values.put("singleuser.storage.capacity", format_capacity(_find_general(hub, "disk")))
    values.put("singleuser.image.name", hub.image.name)
    values.put("singleuser.image.tag", hub.image.tag)
    values.put("singleuser.defaultUrl", hub.config.user_environment.default_url)
    general = [
        folder
        for folder, group in hub.config.users.shared_folders.items()
        if _is_for_all(hub, group)
    ]
    if general:
        values.put("singleuser.storage.extraVolumes", [_make_volume(name) for name in general])
        values.put("singleuser.storage.extraVolumeMounts", [_make_mount(name) for name in general])


def _is_for_all(hub: ExportedHub, group: str) -> bool:
    return group == USERS_GROUP or group in hub.config.users.groups


def get_folder_claim(folder: str) -> str:
    """Return the claim of a shared folder."""
    return f"shared-{make_slug(folder)}"


def _make_volume(folder: str) -> dict[str, Any]:
    name = get_folder_claim(folder)
    return {"name": name, "persistentVolumeClaim": {"claimName": name}}


def _make_mount(folder: str) -> dict[str, Any]:
    return {"name": get_folder_claim(folder), "mountPath": f"{SHARED}/{folder}"}


def _list_folder_overrides(hub: ExportedHub) -> Iterator[tuple[str, dict[str, Any]]]:
    for folder, group in hub.config.users.shared_folders.items():
        if _is_for_all(hub, group):
            continue
        name = get_folder_claim(folder)
        changes = {
            "volumes": {name: _make_volume(folder)},
            "volume_mounts": {name: _make_mount(folder)},
        }
        yield f"9-shared-{folder}", {"groups": [group], "spawner_override": changes}


def _put_environment(hub: ExportedHub, values: Values) -> None:
    """Write the variables that config.yaml adds: those of tljh itself are in the image.

    KubeSpawner puts names in place of braces.
    """
    environment: dict[str, Any] = {}
    for section in _SPAWNER_SECTIONS:
        environment |= _subtract(hub, section)
    for name, value in environment.items():
        text = _format_variable(value).replace("{", "{{").replace("}", "}}")
        secret = is_secret(("environment", name.lower()), text)
        values.put(("singleuser", "extraEnv", name), text, is_secret=secret)


_SPAWNER_SECTIONS = ("Spawner", "LocalProcessSpawner", "SystemdSpawner", "UserCreatingSpawner")


def _subtract(hub: ExportedHub, section: str) -> Mapping[str, Any]:
    own = hub.own_traits.get(section, {}).get("environment", {})
    variables = hub.trait(section, "environment", {})
    return {name: value for name, value in variables.items() if own.get(name) != value}


def _format_variable(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_SHARE = "limits of the node decide; a share while processors are busy is the guarantee of cpu"
_LEVELS = ("limits", "limits.groups.NAME", "limits.users.NAME")


def _rows_of_limits() -> Iterable[Row]:
    targets = {
        "memory": ("singleuser.memory.limit", "singleuser.memory.guarantee"),
        "memory_guarantee": ("singleuser.memory.guarantee",),
        "cpu": ("singleuser.cpu.limit", "singleuser.cpu.guarantee"),
        "disk": ("singleuser.storage.capacity",),
    }
    notes = {
        "memory": "auto is written as the amount that it is on this machine; the guarantee, which "
        "reserves memory of a node, is never above the limit",
        "cpu": "the guarantee is small, else Kubernetes reserves the whole limit",
        "disk": "the size of a new claim; whether it is enforced depends on the storage class "
        "(NFS does not)",
    }
    for level in _LEVELS:
        for name, to in targets.items():
            where = to if level == "limits" else ("hub.config.KubeSpawner.group_overrides",)
            note = notes.get(name, "")
            if level == "limits.users.NAME":
                note = "; ".join(filter(None, (note, f"by a group {LIMITS_GROUP}NAME of the hub")))
            yield Row(f"{level}.{name}", where, note, _put_limits)
        yield Row(f"{level}.cpu_weight", (), _SHARE)
        yield Row(f"{level}.io_weight", (), "Kubernetes has no share of disks")
        yield Row(f"{level}.tasks", (), "a setting of the nodes: podPidsLimit of the kubelet")


ROWS = (
    *_rows_of_limits(),
    Row(
        "limits.named_servers",
        (
            "hub.allowNamedServers",
            "hub.namedServerLimitPerUser",
            "singleuser.storage.dynamic.pvcNameTemplate",
            "singleuser.storage.dynamic.volumeNameTemplate",
        ),
        "the servers of a user share one claim, as they share the home here",
        _put_starts,
    ),
    Row(
        "limits.concurrent_starts",
        ("hub.concurrentSpawnLimit",),
        "more starts at once are refused with 429, and do not wait in a queue; null is the chart's "
        "own default, 64",
        _put_starts,
    ),
    Row(
        "users.shared_folders",
        (
            "singleuser.storage.extraVolumes",
            "singleuser.storage.extraVolumeMounts",
            "hub.config.KubeSpawner.group_overrides",
            "<homes/shared-folders.yaml>",
        ),
        "a claim for each folder, which all nodes must be able to mount (ReadWriteMany)",
        _put_storage,
    ),
    Row(
        "user_environment.default_app",
        ("singleuser.defaultUrl", "singleuser.image.name", "singleuser.image.tag"),
        "the environment is an image, built from image/Dockerfile",
        _put_storage,
    ),
    # Variables of servers have no setting but the trait.
    Row(
        "Spawner.environment",
        ("singleuser.extraEnv.NAME",),
        "braces are doubled, because KubeSpawner formats the values",
        _put_environment,
    ),
    *(
        Row(key, ("<image/jupyter>",), "a file in the image")
        for key in (
            "user_environment.jupyterlab.settings",
            "user_environment.jupyterlab.extensions",
            "user_environment.jupyterlab.news",
            "user_environment.server_extensions",
        )
    ),
    Row(
        "user_environment.channels",
        ("<image/packages.txt>",),
        "the addresses of the packages; the channel is not asked again",
    ),
    *(
        Row(key, ("<image/pip.conf>",), "for pip, in the image")
        for key in ("user_environment.pip.index_url", "user_environment.pip.extra_index_urls")
    ),
    *rows_without(
        "give it to the build of the image (docker build --build-arg), and to pods with "
        "singleuser.extraEnv",
        "user_environment.mirrors",
        "user_environment.proxy",
        "user_environment.no_proxy",
        "user_environment.ca_bundle",
        "user_environment.credentials_file",
    ),
    *rows_without(
        "an image has a tag in place of snapshots: a new set of packages is a new tag",
        "user_environment.snapshots.number",
        "user_environment.snapshots.size",
    ),
)
