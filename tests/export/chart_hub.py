"""Runs JupyterHub of the chart, as far as it runs without a cluster; started by its own Python.

python chart_hub.py < ORDERS

The orders are a list in JSON; each has the chart's values, merged; the directory of the hub; and
the names of users whose pods are described. Each is carried out by a process that is forked after
the imports, which take longer than a hub. JupyterHub reads the configuration that the chart makes
of the values, and makes its tables, users, groups, roles and services. It is no test module.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
import tempfile
import traceback
from typing import Any

# Of a cluster that does not answer: KubeSpawner needs one to exist.
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "none",
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}],
    "users": [{"name": "none", "user": {}}],
}
HUB_VALUES = {
    "concurrent_spawn_limit": "concurrentSpawnLimit",
    "active_server_limit": "activeServerLimit",
    "base_url": "baseUrl",
    "allow_named_servers": "allowNamedServers",
    "named_server_limit_per_user": "namedServerLimitPerUser",
    "authenticate_prometheus": "authenticatePrometheus",
    "redirect_to_server": "redirectToServer",
    "shutdown_on_logout": "shutdownOnLogout",
    "template_paths": "templatePaths",
    "template_vars": "templateVars",
}
POD_VALUES = {
    "start_timeout": "startTimeout",
    "uid": "uid",
    "fs_gid": "fsGid",
    "mem_limit": "memory.limit",
    "mem_guarantee": "memory.guarantee",
    "cpu_limit": "cpu.limit",
    "cpu_guarantee": "cpu.guarantee",
    "environment": "extraEnv",
    "storage_capacity": "storage.capacity",
}


def get(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values


def get_config(key: str, default: Any = None) -> Any:
    """Stand in for the chart's function of this name, which needs a key."""
    return default


def configure(c: Any, values: dict[str, Any]) -> None:
    hub, pods = values["hub"], values["singleuser"]
    c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
    c.JupyterHub.cleanup_servers = False
    kind, password = hub["db"]["type"], hub["db"]["password"]
    c.JupyterHub.db_url = (
        "sqlite:///jupyterhub.sqlite" if kind == "sqlite-pvc" else hub["db"]["url"]
    )
    if password is not None:
        os.environ["PGPASSWORD" if kind == "postgres" else "MYSQL_PWD"] = password
    for trait, key in HUB_VALUES.items():
        if hub[key] is not None:
            c.JupyterHub[trait] = hub[key]
    c.JupyterHub.hub_bind_url = "http://127.0.0.1:0"
    if hub["consecutiveFailureLimit"] is not None:
        c.Spawner.consecutive_failure_limit = hub["consecutiveFailureLimit"]
    for trait, key in POD_VALUES.items():
        if get(pods, key) is not None:
            c.KubeSpawner[trait] = get(pods, key)
    c.KubeSpawner.image = f"{pods['image']['name']}:{pods['image']['tag']}"
    configure_volumes(c, pods["storage"])
    configure_services(c, values)
    if pods["cmd"] is not None:
        c.Spawner.cmd = pods["cmd"]
    if pods["defaultUrl"] is not None:
        c.Spawner.default_url = pods["defaultUrl"]
    c.JupyterHub.cookie_secret = bytes.fromhex(hub["cookieSecret"])
    for section, traits in hub["config"].items():
        traits = dict(traits)
        if section == "JupyterHub":
            traits.pop("services", None)
        elif section == "CryptKeeper":
            # The chart joins and splits them.
            c.CryptKeeper.keys = ";".join(traits.pop("keys")).split(";")
        c[section].update(traits)
    namespace = {"c": c, "get_config": get_config, "__file__": "jupyterhub_config.py"}
    for _, text in sorted(hub["extraConfig"].items()):
        exec(text, namespace)


def configure_volumes(c: Any, storage: dict[str, Any]) -> None:
    dynamic = storage["dynamic"]
    if dynamic["pvcNameTemplate"]:
        c.KubeSpawner.pvc_name_template = dynamic["pvcNameTemplate"]
    c.KubeSpawner.storage_pvc_ensure = True
    name = dynamic["volumeNameTemplate"]
    claim = {"claimName": "{pvc_name}"}
    volumes = {name: {"name": name, "persistentVolumeClaim": claim}}
    mounts = {name: {"name": name, "mountPath": storage["homeMountPath"]}}
    for volume in storage["extraVolumes"] or []:
        volumes[volume["name"]] = volume
    for number, mount in enumerate(storage["extraVolumeMounts"] or []):
        mounts[f"{number}-{mount['name']}"] = mount
    c.KubeSpawner.volumes, c.KubeSpawner.volume_mounts = volumes, mounts


def configure_services(c: Any, values: dict[str, Any]) -> None:
    hub, cull = values["hub"], values["cull"]
    c.JupyterHub.services, c.JupyterHub.load_roles = [], []
    if cull["enabled"]:
        scopes = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
        scopes += ["admin:users"] if cull["users"] else []
        name = "jupyterhub-idle-culler"
        c.JupyterHub.services.append({"name": name, "command": ["true"]})
        c.JupyterHub.load_roles.append({"name": name, "scopes": scopes, "services": [name]})
    for name, service in hub["services"].items():
        service = {"name": name, **service}
        token = service.pop("apiToken", None)
        service["api_token"] = token or "f" * 64
        c.JupyterHub.services.append(service)
    for name, role in hub["loadRoles"].items():
        c.JupyterHub.load_roles.append({"name": name, **role})


def describe_database(app: Any) -> dict[str, Any]:
    from jupyterhub import orm

    db = app.db
    return {
        "users": {user.name: user.admin for user in db.query(orm.User)},
        "groups": {
            group.name: sorted(user.name for user in group.users) for group in db.query(orm.Group)
        },
        "roles": {
            role.name: {
                "scopes": sorted(role.scopes or []),
                "users": sorted(user.name for user in role.users),
                "groups": sorted(group.name for group in role.groups),
                "services": sorted(service.name for service in role.services),
            }
            for role in db.query(orm.Role)
        },
        "services": sorted(service.name for service in db.query(orm.Service)),
    }


def find_tokens(app: Any, tokens: list[str]) -> dict[str, Any]:
    """Return for each token whose it is; None for one that is not accepted."""
    from jupyterhub import orm, scopes

    owners = {}
    for token in tokens:
        row = orm.APIToken.find(app.db, token)
        owner = (row.user or row.service) if row is not None else None
        if row is not None:
            # As each request with it does; an unknown scope fails.
            scopes.get_scopes_for(row)
        owners[token] = [owner.name, sorted(row.scopes)] if owner is not None else None
    return owners


async def describe_pod(app: Any, name: str) -> dict[str, Any]:
    from jupyterhub import orm

    if orm.User.find(app.db, name) is None:
        app.db.add(orm.User(name=name))
        app.db.commit()
    spawner = app.users[name].spawners[""]
    await spawner.apply_group_overrides()
    pod = await spawner.get_pod_manifest()
    container = pod.spec.containers[0]
    claim = spawner.get_pvc_manifest()
    return {
        "name": pod.metadata.name,
        "image": container.image,
        "limits": container.resources.limits,
        "requests": container.resources.requests,
        "environment": {
            variable.name: variable.value
            for variable in container.env
            if not variable.name.startswith(("JUPYTERHUB_", "JPY_"))
        },
        "claim": claim.metadata.name,
        "capacity": claim.spec.resources.requests["storage"],
        "claims": sorted(
            volume.persistent_volume_claim["claimName"]
            if isinstance(volume.persistent_volume_claim, dict)
            else volume.persistent_volume_claim.claim_name
            for volume in pod.spec.volumes
            if volume.persistent_volume_claim
        ),
        "mounts": sorted(mount.mount_path for mount in container.volume_mounts),
    }


class Warnings(logging.Handler):
    """The messages of traitlets about traits that no class has."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if "not recognized" in text:
            self.messages.append(re.sub(r"\s+", " ", text))


async def run(order: dict[str, Any]) -> dict[str, Any]:
    from jupyterhub.app import JupyterHub
    from jupyterhub.utils import maybe_future
    from kubespawner import KubeSpawner
    from traitlets.config import Config

    os.chdir(order["directory"])
    c = Config()
    configure(c, order["values"])
    # No cluster answers: only what is sent to it is of interest.
    KubeSpawner._mock = True
    app = JupyterHub.instance(config=c)
    warnings = Warnings()
    app.log.addHandler(warnings)
    # As the chart does, --upgrade-db is not needed: the schema has to be right.
    await app.initialize([])
    answer = describe_database(app)
    answer["tokens"] = find_tokens(app, order.get("tokens", []))
    answer["authenticator"] = type(app.authenticator).__name__
    authenticator = app.authenticator
    answer["access"] = {
        name: bool(await maybe_future(authenticator.check_allowed(name, None)))
        for name in order.get("people", [])
    }
    answer["pods"] = {name: await describe_pod(app, name) for name in order.get("pods", [])}
    answer["warnings"] = warnings.messages
    return answer


def carry_out(order: dict[str, Any]) -> dict[str, Any]:
    """Run one hub in a forked process; its failure is part of the answer."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        try:
            answer = asyncio.run(run(order))
        except BaseException:
            answer = {"failure": traceback.format_exc()}
        with os.fdopen(writing, "w") as stream:
            json.dump(answer, stream)
        # Threads of the hub would keep the process.
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    os.waitpid(process, 0)
    return json.loads(text or '{"failure": "the hub has exited"}')


def main() -> None:
    with tempfile.NamedTemporaryFile("w") as file:
        json.dump(KUBECONFIG, file)
        file.flush()
        # Read at the import.
        os.environ["KUBECONFIG"] = file.name
        import jupyterhub.app  # noqa: F401
        import kubespawner  # noqa: F401
        import oauthenticator  # noqa: F401

        print(json.dumps([carry_out(order) for order in json.load(sys.stdin)]))


if __name__ == "__main__":
    main()
