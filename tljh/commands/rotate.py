"""`tljh rotate`: replace the hub's secrets."""

from __future__ import annotations

from typing import Annotated

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.commands.confirmation import confirm
from tljh.commands.parameters import Argument, Option, Summary, choose_progress_on_stderr
from tljh.commands.reload import PlannedChange
from tljh.host.real import RealHost
from tljh.operations import rotation


def rotate(
    secret: Annotated[
        str,
        Argument(
            "SECRET", "cookie, api, traefik, metrics, service-NAME, services, or all of them."
        ),
    ] = "all",
    *,
    plan: Annotated[bool, Option("--plan", "Print what would change; change nothing.")] = False,
    yes: Annotated[bool, Option("--yes", "Do not ask before sessions end.")] = False,
    as_json: bool = False,
) -> Summary | PlannedChange:
    """Replace secrets of the hub by new ones; the old ones open nothing any more."""
    host, paths = RealHost(), get_paths()
    all_secrets = rotation.list_secrets(host, paths)
    secrets = rotation.choose_secrets(secret, all_secrets)
    if not secrets:
        names = ", ".join(each.name for each in all_secrets)
        raise TljhError(
            f"there is no secret {secret}",
            fix=f"one of: {names}, all",
            exit_code=Exit.USAGE,
        )
    if plan:
        return PlannedChange(rotation.plan_rotation(host, paths, secrets).plan)
    if any(each.ends_sessions for each in secrets):
        text = "\n".join(f"{each.title}: {each.notice}" for each in secrets)
        confirm(text, "Replace them?", yes=yes)
    rotation.rotate(host, paths, secrets, choose_progress_on_stderr(as_json))
    lines = [f"{each.title} is new: {each.notice}" for each in secrets]
    return Summary(tuple(lines), {"rotated": [each.name for each in secrets]})
