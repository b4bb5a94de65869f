"""When the hub's environment has to be another one, and having it built beside the one in use.

The bootstrap that built an environment lies in it and builds the next: there is one builder.
A new environment is referred to by nobody until the hub's link is flipped, so building it
changes nothing that runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tljh.base.errors import Finding, Place, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.host.interface import Host, HostReader

if TYPE_CHECKING:
    from tljh.settings.root import Config

STAMP = Path("share/tljh/environment.json")


BOOTSTRAP = Path("share/tljh/bootstrap.py")


# Downloads included, on a slow line.
BUILD_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Rebuild:
    """Why the environment in use is not the one that the configuration asks for.

    `specs` are the configuration's own: the builder asks the plugins of the new environment,
    which may be others than those of the one in use, what they add.
    """

    specs: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"with {', '.join(self.added)}"] if self.added else []
        parts += [f"without {', '.join(self.removed)}"] if self.removed else []
        return f"the hub environment is built anew {' and '.join(parts)}"


def rebuild_needed(
    host: HostReader, paths: Paths, config: Config, from_plugins: Sequence[str]
) -> Rebuild | None:
    """Compare what admins and plugins ask for with what the environment in use was built with."""
    stamp = host.read(paths.hub / STAMP)
    if stamp is None:
        return None
    built_with: dict[str, Any] = json.loads(stamp)["wanted"]
    own = set(configured_packages(config))
    specs, before = {*own, *from_plugins}, set(built_with["specs"])
    if specs == before:
        return None
    return Rebuild(tuple(sorted(own)), tuple(sorted(specs - before)), tuple(sorted(before - specs)))


def built_on(host: HostReader, paths: Paths) -> str | None:
    """The real path of the Python that the environment in use was built on."""
    link = host.readlink(paths.hub)
    stamp = host.read(paths.prefix / link / STAMP) if link else None
    # The builder's key: path, tag of the byte code, architecture.
    return str(json.loads(stamp)["wanted"]["python"]).rsplit(" ", 2)[0] if stamp else None


def configured_packages(config: Config) -> list[str]:
    """What the configuration asks for, by name or by what it makes necessary."""
    from tljh.certificates.dns_providers import plugin_packages

    return [*config.plugins.packages, *config.hub.packages, *plugin_packages(config)]


def build(host: Host, paths: Paths, rebuild: Rebuild, progress: Progress) -> Path:
    """Have the environment built; returns where it is.

    Raises TljhError with the builder's findings; the environment in use is not touched.
    """
    kept = json.loads(host.read(paths.state_dir / "environment.json") or b"{}")
    question = {"prefix": str(paths.prefix), "specs": list(rebuild.specs), "env": kept}
    with progress.step(str(rebuild)):
        done = host.run(
            [f"{paths.hub}/bin/python", f"{paths.hub}/{BOOTSTRAP}", "--build-hub-environment"],
            timeout_s=BUILD_TIMEOUT_S,
            stdin=json.dumps(question),
        )
    try:
        answer = json.loads(done.out.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise TljhError(
            "the hub environment could not be built", why=(done.err or done.out)[-2000:]
        ) from None
    if "errors" in answer:
        raise TljhError([_finding(item) for item in answer["errors"]])
    return Path(answer["environment"])


def _finding(item: dict[str, Any]) -> Finding:
    where = Place(item["path"], item["line"], item["column"]) if item["path"] else None
    return Finding(item["what"], where, item["why"], item["fix"])
