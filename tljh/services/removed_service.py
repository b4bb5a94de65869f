"""The removal of a service that config.yaml does not have any more: unit, account and token."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.well_known import get_service_unit
from tljh.engine.file_resources import read_image, restore_image
from tljh.engine.resource import Difference, Record, Resource, Stage
from tljh.host.interface import Host, HostReader
from tljh.services.environment import get_certificate_directory, get_data_directory
from tljh.settings.sections.services import get_account
from tljh.systemd.unit_resource import act, reload_systemd


@dataclass(frozen=True)
class RemovedService(Resource):
    """What is left of a service, removed as one change; `keeps_token`: it runs elsewhere now.

    Its data stays, closed to everyone but root.
    """

    service: str
    paths: Paths
    keeps_token: bool = False

    kind: ClassVar[str] = "removed-service"
    # The hub has forgotten the service by then: nobody is led to a port that another program takes.
    stage: ClassVar[Stage] = Stage.RUNNING

    @property
    def name(self) -> str:
        return self.service

    @property
    def key(self) -> str:
        return f"service {self.service}"

    @property
    def _files(self) -> list[Path]:
        paths = self.paths
        files = [
            paths.units_dir / get_service_unit(self.service),
            paths.service_environment(self.service),
        ]
        return files if self.keeps_token else [*files, paths.service_token(self.service)]

    def difference(self, host: HostReader) -> Difference | None:
        left = [
            *(["unit"] if host.info(self._files[0]) else []),
            *(["account"] if host.user(get_account(self.service)) else []),
            *(["token"] if not self.keeps_token and host.info(self._files[-1]) else []),
        ]
        has_files = any(host.info(file) for file in self._files)
        if not left and not has_files:
            return None
        data = get_data_directory(self.service)
        stays = f"; its data stays in {data}" if host.info(data) else ""
        return Difference("-", f"{', '.join(left) or 'variables'}{stays}")

    def before(self, host: HostReader) -> Record:
        unit, account = get_service_unit(self.service), host.user(get_account(self.service))
        state = host.unit(unit)
        data = get_data_directory(self.service)
        return {
            "unit": unit,
            "active": state.active != "inactive",
            "enabled": state.is_enabled,
            "images": [read_image(host, file) for file in self._files],
            "data": read_image(host, data) if host.info(data) else None,
            "account": get_account(self.service),
            "uid": account.uid if account else None,
            "home": account.home if account else None,
        }

    def apply(self, host: Host, progress: Progress) -> None:
        unit = get_service_unit(self.service)
        if host.unit(unit).active != "inactive":
            act(host, "stop", unit)
        if host.unit(unit).is_enabled:
            act(host, "disable", unit)
        # The key in it is of no use to a service that comes back: each start makes a new one.
        for file in (*self._files, get_certificate_directory(self.service)):
            host.remove(file)
        reload_systemd(host)
        host.systemctl("reset-failed", unit)
        data = get_data_directory(self.service)
        if host.info(data) is not None:
            host.chmod(data, mode=0o700, owner="root", group="root")
        if host.user(get_account(self.service)) is not None:
            host.remove_user(get_account(self.service))

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        if record["uid"] is not None and host.user(record["account"]) is None:
            host.add_user(
                record["account"],
                home=Path(record["home"]),
                system=True,
                shell="/usr/sbin/nologin",
                uid=record["uid"],
            )
        for image in (*record["images"], *([record["data"]] if record["data"] else [])):
            restore_image(host, image)

    @classmethod
    def settle(cls, host: Host, record: Record) -> None:
        reload_systemd(host)
        if record["enabled"]:
            act(host, "enable", record["unit"])
        if record["active"]:
            act(host, "start", record["unit"])
