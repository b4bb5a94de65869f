"""Rows of settings of the machine itself: most have no counterpart on Kubernetes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh.export.drop_ins import convert_drop_in
from tljh.export.row import Row, rows_without
from tljh.export.values import Values
from tljh.settings.derived import list_program_routes

if TYPE_CHECKING:
    from tljh.export.hub_state import ExportedHub


def _put_isolation(hub: ExportedHub, values: Values) -> None:
    isolation = hub.config.isolation
    values.put("singleuser.cloudMetadata.blockWithIptables", isolation.metadata)
    values.put("singleuser.networkPolicy.enabled", isolation.network)


def _put_extra_configuration(hub: ExportedHub, values: Values) -> None:
    """Write drop-ins and packages; a drop-in may hold secrets, so it is one."""
    for name, text in hub.drop_ins.items():
        converted = convert_drop_in(name, text)
        for sentence in converted.decisions:
            values.decisions.append(sentence)
        if converted.text is not None:
            values.put(("hub", "extraConfig", f"10-{name}"), converted.text, is_secret=True)
    config = hub.config
    if hub.has_unapplied_edits:
        values.decisions.append(
            "config.yaml has edits that were not applied, and that are not in the export: apply "
            "them with sudo tljh-config reload, then export again."
        )
    packages = [*config.hub.packages, *config.plugins.packages]
    if packages:
        values.decisions.append(
            f"the hub here has more packages ({', '.join(packages)}): where the chart's hub needs "
            "them too, make an image of the hub with them, and name it in hub.image. Plugins of "
            "tljh do not run there."
        )
    routes = list_program_routes(config)
    if routes:
        values.decisions.append(
            f"the proxy here serves other programs ({', '.join(routes)}): give them an Ingress or "
            "a service of the hub."
        )
    if config.launch.enabled:
        values.decisions.append(
            "temporary users (launch) are a part of tljh: the application that starts their "
            "servers has to make and remove them itself, with cull.users."
        )


_ISOLATION = (
    "a container has it by itself: own processes, files and kernel filters; open what a course "
    "needs with singleuser.extraPodConfig"
)
ROWS = (
    Row(
        "isolation.network",
        ("singleuser.networkPolicy.enabled",),
        "needs a network plugin that enforces policies",
        _put_isolation,
    ),
    Row(
        "isolation.metadata",
        ("singleuser.cloudMetadata.blockWithIptables",),
        build=_put_isolation,
    ),
    Row("isolation.open_ports", (), "programs of a teacher are pods with a Service"),
    *rows_without(
        _ISOLATION,
        "isolation.processes",
        "isolation.temporary_files",
        "isolation.kernel",
        "isolation.namespaces",
        "isolation.server_code",
    ),
    Row(
        "isolation.gpu_groups",
        (),
        "GPUs are resources of nodes: singleuser.extraResource, or a profile in "
        "singleuser.profileList",
    ),
    *rows_without(
        "nbgrader needs one file system for all servers, so nothing of it is exported; "
        "https://nbgrader.readthedocs.io has set-ups for Kubernetes",
        "presets.nbgrader.courses.NAME.instructors",
    ),
    *rows_without(
        "add jupyter-collaboration to the image, and to hub.loadRoles a role with the scope "
        "access:servers!group=GROUP for those who may join",
        "presets.collaboration.groups.NAME.joined_by",
    ),
    Row(
        "hub.packages",
        (),
        "the chart's hub is an image: where it needs them, build one on top of it",
        _put_extra_configuration,
    ),
    Row("plugins.packages", (), "plugins of tljh do not run in the chart's hub"),
    Row("plugins.required", (), "plugins of tljh do not run in the chart's hub"),
    Row("plugins.sections", (), "plugins of tljh do not run in the chart's hub"),
    Row(
        "jupyterhub_config.d/NAME",
        ("hub.extraConfig.NAME",),
        "in secrets.yaml, as it may hold secrets; without those that need tljh or this machine",
        _put_extra_configuration,
    ),
    *rows_without(
        "the chart's proxy has other options: proxy.chp and proxy.traefik",
        "traefik_api.ip",
        "traefik_api.port",
        "traefik_api.username",
        "traefik_api.password",
        "proxy.drain_timeout_s",
        "proxy.connections_per_address",
        "proxy.access_log",
        "proxy.log_level",
    ),
    Row(
        "proxy.extra_routes", (), "give other programs an Ingress, or make them services of the hub"
    ),
    *rows_without(
        "firewalls and networkPolicy belong to the cluster",
        "firewall.enabled",
        "firewall.ports",
        "firewall.ssh_from",
    ),
    *rows_without(
        "the cluster has its nodes",
        "workers.enabled",
        "workers.address",
    ),
    *rows_without(
        "who runs the cluster updates its nodes",
        "updates.install",
        "updates.reboot.automatic",
        "updates.reboot.window",
        "updates.reboot.most_wait_s",
        "updates.reboot.warning_s",
    ),
    *rows_without(
        "new versions come with a new version of the chart",
        "upgrade.url",
        "upgrade.signers",
        "upgrade.automatic",
        "upgrade.window",
    ),
    *rows_without(
        "a task of the storage: snapshots of the claims",
        "homes.snapshots.enabled",
        "homes.snapshots.schedule",
        "homes.snapshots.keep.latest",
        "homes.snapshots.keep.hourly",
        "homes.snapshots.keep.daily",
        "homes.snapshots.keep.weekly",
    ),
    *rows_without("a task of the nodes", "housekeeping.journal", "housekeeping.clean"),
    Row("housekeeping.history", (), "tljh report is of this machine; the cluster has own metrics"),
    *rows_without(
        "back up the claims with the cluster's own means, such as snapshots of volumes",
        "backup.repository",
        "backup.secrets",
        "backup.schedule",
        "backup.homes",
        "backup.exclude",
        "backup.keep.daily",
        "backup.keep.weekly",
        "backup.keep.monthly",
    ),
    *rows_without(
        "watch the cluster with its own means, and the hub by its metrics",
        "alerts.mail.to",
        "alerts.mail.sender",
        "alerts.mail.smtp.host",
        "alerts.mail.smtp.port",
        "alerts.mail.smtp.security",
        "alerts.mail.smtp.username",
        "alerts.mail.smtp.password_file",
        "alerts.webhooks",
        "alerts.ignore",
        "alerts.disk_percent",
        "alerts.memory_percent",
        "alerts.failed_starts",
        "alerts.refused_logins",
        "checklist.waived",
    ),
    *rows_without(
        "temporary users are a part of tljh: an application makes and removes them itself, with "
        "cull.users",
        "launch.enabled",
        "launch.idle",
        "launch.longest",
        "launch.unused",
        "launch.most",
        "launch.token_in_url",
    ),
)
