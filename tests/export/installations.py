"""An installed hub in a directory, with a database of this release's JupyterHub, to export."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tljh.base.paths import Paths
from tljh.export.files import Environment
from tljh.host.password_store import store_hashes
from tljh.host.real import RealHost

# As `tljh env export --format lock` writes it.
LOCK = """\
# written by tljh env export --format lock
version: 7
environments:
  default:
    channels:
    - url: https://conda.example.org/conda-forge/
    packages:
      linux-64:
      - conda: https://conda.example.org/conda-forge/linux-64/python-3.12.3-h0_0.conda
      - conda: https://conda.example.org/conda-forge/noarch/jupyterlab-4.4.1-pyhd_0.conda
      - pypi: https://pypi.example.org/cowsay-6.1-py3-none-any.whl
packages:
- conda: https://conda.example.org/conda-forge/linux-64/python-3.12.3-h0_0.conda
  sha256: 0c4e
  md5: 00112233445566778899aabbccddeeff
  license: Python
- conda: https://conda.example.org/conda-forge/noarch/jupyterlab-4.4.1-pyhd_0.conda
  sha256: 0c4f
- pypi: https://pypi.example.org/cowsay-6.1-py3-none-any.whl
  name: cowsay
  version: '6.1'
  sha256: 274b1e6fc1b966d53976333eb90ac94cb07a450a700b455af9fbdf882244b30a
"""

# Users, groups, roles, tokens, servers and a service, as a hub of this release has them.
FILL = """
import json, sys
from jupyterhub import orm, roles, scopes
db = orm.new_session_factory(sys.argv[1])()
names = json.loads(sys.argv[2])
for role in roles.get_default_roles():
    roles.create_role(db, role)
roles.create_role(db, {"name": "grader", "scopes": ["list:users"]})
grader = orm.Role.find(db, "grader")
db.add(orm.OAuthClient(identifier="jupyterhub", secret=""))
group = orm.Group(name="course a")
db.add(group)
service = orm.Service(name="board", url="http://127.0.0.1:9100")
service.server = orm.Server(proto="http", ip="127.0.0.1", port=9100)
db.add(service)
for number, name in enumerate(names):
    user = orm.User(name=name, admin=number == 0)
    db.add(user)
    roles.assign_default_roles(db, entity=user)
    if number % 2 == 0:
        group.users.append(user)
    spawner = orm.Spawner(name="", user=user, state={"unit_name": "jupyter-x"})
    spawner.server = orm.Server(proto="http", ip="127.0.0.1", port=5000 + number % 1000)
    db.add(spawner)
    if number % 10 == 0:
        grader.users.append(user)
    db.flush()
    user.new_api_token(token=f"{number:04x}".ljust(32, "0"), roles=["token"])
db.commit()
service.new_api_token(token="b" * 32)
db.commit()
# The scope is one that JupyterHub 5.5 does not have.
db.add(orm.Role(name="launcher", scopes=["start:servers!group=course a"]))
db.query(orm.APIToken).filter_by(service_id=service.id).one().scopes = ["start:servers!user=ann"]
db.commit()
"""


@dataclass
class HostOfTests(RealHost):
    """This machine, except that locks and writes may fail as a test wants."""

    dies_after: int | None = None
    written: list[str] = field(default_factory=list)

    @contextmanager
    def lock(self, path: Path, *, timeout_s: float) -> Iterator[None]:
        yield

    def write(self, path: Path, data: bytes, **access: object) -> None:  # type: ignore[override]
        if self.dies_after is not None and len(self.written) >= self.dies_after:
            raise KeyboardInterrupt
        self.written.append(path.name)
        super().write(path, data, **access)  # type: ignore[arg-type]


def make_installed_hub(base: Path, text: str, names: list[str]) -> Paths:
    """Make an installation with settings and users; return its paths."""
    import json

    paths = Paths(base / "opt")
    for directory in (paths.config_dir, paths.state_dir, paths.versions, paths.applied.drop_ins):
        directory.mkdir(parents=True, mode=0o700)
    paths.hub.symlink_to(sys.prefix)
    paths.config_file.write_text(text)
    paths.cookie_secret.write_text("cd" * 32 + "\n")
    subprocess.run(
        [sys.executable, "-c", FILL, f"sqlite:///{paths.hub_database}", json.dumps(names)],
        check=True,
        timeout=300,
        capture_output=True,
    )
    store_hashes(
        paths.passwords, {name: b"$2b$12$" + name.encode()[:5].hex().encode() for name in names[:3]}
    )
    return paths


ENVIRONMENT = Environment(LOCK, (), {"labconfig/page_config.json": b"{}\n"})
