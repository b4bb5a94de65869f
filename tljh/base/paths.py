"""Every path that tljh uses on the machine, derived from one prefix."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from tljh.base.path_groups import AppliedFiles, HubEnvironmentFiles, LocalCaFiles

DEFAULT_PREFIX = Path("/opt/tljh")


@dataclass(frozen=True)
class Paths:
    """The paths of one installation.

    What is outside the prefix is the same for every installation; those paths are attributes of
    the class, too.
    """

    prefix: Path = DEFAULT_PREFIX
    traefik_dir: Path = Path("/var/lib/tljh-traefik")
    units_dir: Path = Path("/etc/systemd/system")
    commands_dir: Path = Path("/usr/bin")
    # A named environment: `user`, `versions` and the lock are its own. Empty: that of all users.
    environment: str = ""

    # Locks are in /run: a first install needs them before the prefix exists.
    lock: ClassVar[Path] = Path("/run/tljh-apply.lock")
    accounts_lock: ClassVar[Path] = Path("/run/tljh-accounts.lock")
    # While a home moves, a start of its user's server waits for the lock of the account's name.
    moving_homes: ClassVar[Path] = Path("/run/tljh-moving-homes")
    isolation_lock: ClassVar[Path] = Path("/run/tljh-isolation.lock")
    # Two backups at once would wait for each other's lock in the repository.
    backup_lock: ClassVar[Path] = Path("/run/tljh-backup.lock")
    bundle_lock: ClassVar[Path] = Path("/run/tljh-bundle.lock")
    alerts_lock: ClassVar[Path] = Path("/run/tljh-alerts.lock")
    # What the alerts remember, for when the disk is full.
    alert_state_copy: ClassVar[Path] = Path("/run/tljh-alerts.json")
    # Why the network rules could not be loaded.
    isolation_problem: ClassVar[Path] = Path("/run/tljh-isolation.json")
    # The RuntimeDirectory of the proxy's unit, and the supervisor's state in it.
    proxy_runtime_dir: ClassVar[Path] = Path("/run/traefik")
    proxy_state: ClassVar[Path] = proxy_runtime_dir / "state.json"
    sudoers: ClassVar[Path] = Path("/etc/sudoers.d/jupyterhub-admins")
    profile: ClassVar[Path] = Path("/etc/profile.d/tljh.sh")
    # pip reads it before the files of /etc/pip.conf and of users, which win over it.
    pip_configuration: ClassVar[Path] = Path("/etc/xdg/pip/pip.conf")
    # The first in its directory: of two values for one keyword, sshd takes the first.
    sshd_drop_in: ClassVar[Path] = Path("/etc/ssh/sshd_config.d/00-tljh.conf")
    pam_profile: ClassVar[Path] = Path("/usr/share/pam-configs/tljh")
    session_namespace: ClassVar[Path] = Path("/etc/security/namespace.d/tljh.conf")
    session_script: ClassVar[Path] = session_namespace.with_name("tljh-processes")
    session_directory: ClassVar[Path] = Path("/run/tljh-session")
    bus_policy: ClassVar[Path] = Path("/etc/dbus-1/system.d/tljh.conf")
    polkit_rules: ClassVar[Path] = Path("/etc/polkit-1/rules.d/00-tljh.rules")
    # polkit 0.105 (Ubuntu 22.04, Debian 11) reads no rules in JavaScript, but these files.
    polkit_authority: ClassVar[Path] = Path("/etc/polkit-1/localauthority")
    polkit_entries: ClassVar[Path] = polkit_authority / "90-mandatory.d/99-tljh.pkla"
    cron_denials: ClassVar[Path] = Path("/etc/cron.deny")
    at_denials: ClassVar[Path] = Path("/etc/at.deny")
    crontabs: ClassVar[Path] = Path("/var/spool/cron/crontabs")
    at_jobs: ClassVar[Path] = Path("/var/spool/cron/atjobs")
    # logind keeps a file for each user whose user manager starts at boot.
    linger: ClassVar[Path] = Path("/var/lib/systemd/linger")
    # needrestart reads it after its own settings, also when it is installed after tljh.
    needrestart: ClassVar[Path] = Path("/etc/needrestart/conf.d/tljh.conf")
    # apt runs its hooks after each installation and removal of packages.
    apt_hook: ClassVar[Path] = Path("/etc/apt/apt.conf.d/90tljh")
    # After those of unattended-upgrades (20 and 50), whose values it replaces.
    apt_updates: ClassVar[Path] = Path("/etc/apt/apt.conf.d/52tljh-updates")
    journal_limit: ClassVar[Path] = Path("/etc/systemd/journald.conf.d/tljh.conf")
    # The reboot that the hub's pages announce; the reboot removes it.
    announcement: ClassVar[Path] = Path("/run/tljh-announcement.txt")
    # bash-completion reads it; Debian's base packages create it even without that package.
    completions_dir: ClassVar[Path] = Path("/usr/share/bash-completion/completions")
    # The controller of workers, and the daemon by which Slurm's programs know each other.
    slurm_dir: ClassVar[Path] = Path("/etc/slurm")
    munge_key: ClassVar[Path] = Path("/etc/munge/munge.key")
    # The default of `users.home_root`.
    homes: ClassVar[Path] = Path("/home")
    shared_folders: ClassVar[Path] = Path("/srv/shared")
    # Where instructors and students exchange the files of assignments.
    exchange: ClassVar[Path] = Path("/srv/nbgrader/exchange")
    # The directories in which services keep their data.
    services_data: ClassVar[Path] = Path("/var/lib/tljh-services")
    # Their keys for `internal_ssl`, each made when the service starts.
    services_certificates: ClassVar[Path] = Path("/run/tljh-services")
    cache: ClassVar[Path] = Path("/var/cache/tljh")
    uv_cache: ClassVar[Path] = cache / "uv"
    # The names of a repository's files, while `tljh link` looks at them.
    link_trial: ClassVar[Path] = cache / "link"
    # apt's list of the packages of a bundle, and the source that it is made from.
    bundle_lists: ClassVar[Path] = cache / "apt"
    bundle_source: ClassVar[Path] = Path("/run/tljh-bundle.list")
    # Outside the prefix, so that an uninstall works after somebody deleted that by hand.
    backups: ClassVar[Path] = Path("/var/backups/tljh")
    manifest: ClassVar[Path] = backups / "manifest.jsonl"

    @property
    def user_manager_drop_in(self) -> Path:
        """The condition for `systemd --user` to start."""
        return self.units_dir / "user@.service.d" / "tljh.conf"

    def session_limits(self, uid: int) -> Path:
        """Return the drop-in with the limits of a user's login sessions."""
        return self.units_dir / f"user-{uid}.slice.d" / "tljh.conf"

    @property
    def controller_drop_in(self) -> Path:
        """What tljh adds to the unit of Slurm's controller."""
        return self.units_dir / "slurmctld.service.d" / "tljh.conf"

    @property
    def munge_drop_in(self) -> Path:
        """What tljh adds to the unit of munge: users do not reach its socket."""
        return self.units_dir / "munge.service.d" / "tljh.conf"

    @property
    def hub(self) -> Path:
        """The link to the current hub environment."""
        return self.prefix / "hub"

    @property
    def hub_files(self) -> HubEnvironmentFiles:
        """The files of the current hub environment."""
        return HubEnvironmentFiles(self.hub)

    @property
    def user(self) -> Path:
        """The user environment, a conda environment that all users share; or a named one."""
        return self.environments / self.environment if self.environment else self.prefix / "user"

    def of_environment(self, name: str) -> Paths:
        """Return the paths of a named environment; of that of all users for an empty name."""
        return replace(self, environment=name)

    @property
    def environments(self) -> Path:
        """Named environments, which users see as kernels."""
        return self.prefix / "environments"

    @property
    def kernels(self) -> Path:
        """Kernels of named environments, in a directory for all and one for each group."""
        return self.jupyter / "kernels"

    @property
    def page_settings(self) -> Path:
        """What the server of pages and folders reads: texts, links, and directories."""
        return self.prefix / "pages.json"

    @property
    def activation_script(self) -> Path:
        """The script that puts the user environment first in a shell's PATH."""
        return self.user / "bin" / "activate"

    @property
    def lab_defaults(self) -> Path:
        """Our defaults of JupyterLab's settings; those of admins are in overrides.json."""
        return self.user / "share" / "jupyter" / "lab" / "settings" / "overrides.d" / "tljh.json5"

    @property
    def git_helper(self) -> Path:
        """The remote helper by which git reads other users' repositories; its name is fixed."""
        return self.user / "bin" / "git-remote-tljh-shared"

    @property
    def git_config(self) -> Path:
        """The configuration of git's upload-pack where a user clones from a shared folder."""
        return self.user / "etc" / "tljh" / "upload-pack.gitconfig"

    @property
    def pip_plugin(self) -> Path:
        """The program that makes snapshots around `sudo pip install`."""
        return self.user / "etc" / "tljh" / "pip_plugin.py"

    @property
    def conda(self) -> Path:
        """The environment of the conda and mamba commands themselves."""
        return self.prefix / "conda"

    @property
    def versions(self) -> Path:
        """Hub environments and snapshots of the user environment; or snapshots of a named one."""
        versions = self.prefix / "versions"
        return versions / "environments" / self.environment if self.environment else versions

    def replaced_user(self, number: int) -> Path:
        """Return the place of a new user environment; after the exchange, of the previous one."""
        return self.versions / f".replaced-user-{number}"

    @property
    def snapshot_store(self) -> Path:
        """The content of the snapshots of the user environment, which versions/user-N list."""
        return self.versions / ".snapshots"

    @property
    def littlest(self) -> Path:
        """What The Littlest JupyterHub had, where tljh took its machine over: the way back."""
        return self.state_dir / "littlest"

    @property
    def littlest_database(self) -> Path:
        """The copy of its database from right before the takeover."""
        return self.littlest / "jupyterhub.sqlite"

    @property
    def littlest_files(self) -> Path:
        """What was at the paths that the takeover changed, as images."""
        return self.littlest / "files.json"

    @property
    def littlest_hub(self) -> Path:
        """Its hub environment, which was `hub`."""
        return self.versions / "littlest-hub"

    @property
    def conda_build(self) -> Path:
        """The place where `conda` is built, before it replaces the one in use."""
        return self.versions / "conda-1"

    @property
    def package_cache(self) -> Path:
        """Conda packages. Environments have hard links to them, so the file system is the same."""
        return self.of_environment("").versions / ".packages"

    @property
    def launcher(self) -> Path:
        """The program that starts a user's server without the configuration of the home."""
        return self.prefix / "singleuser.py"

    @property
    def kernel_deaths(self) -> Path:
        """The module by which a user's server reports a kernel that was killed."""
        return self.prefix / "kernel_deaths.py"

    @property
    def jupyter(self) -> Path:
        """Configuration of users' servers that config.yaml sets; Jupyter reads it first."""
        return self.prefix / "jupyter"

    @property
    def lab_configuration(self) -> Path:
        """The directory with the configuration of JupyterLab for all users."""
        return self.jupyter / "labconfig"

    @property
    def lab_overrides(self) -> Path:
        """Defaults of JupyterLab's settings that config.yaml sets."""
        return self.lab_configuration / "default_setting_overrides.json"

    @property
    def lab_page(self) -> Path:
        """Extensions of JupyterLab that are on or off for all users."""
        return self.lab_configuration / "page_config.json"

    @property
    def server_extensions(self) -> Path:
        """Extensions of users' servers that are on or off for all users."""
        return self.jupyter / "jupyter_server_config.d" / "tljh.json"

    @property
    def nbgrader_configuration(self) -> Path:
        """nbgrader's configuration in users' servers and terminals, in Python."""
        return self.jupyter / "nbgrader_config.py"

    @property
    def nbgrader_courses(self) -> Path:
        """The courses that it reads."""
        return self.jupyter / "nbgrader_courses.json"

    @property
    def group_configurations(self) -> Path:
        """Configuration of users' servers, a directory for each group; it comes first."""
        return self.jupyter / "groups"

    @property
    def log(self) -> Path:
        return self.prefix / "installer.log"

    # The configuration, which admins edit.

    @property
    def config_dir(self) -> Path:
        return self.prefix / "config"

    @property
    def config_file(self) -> Path:
        return self.config_dir / "config.yaml"

    @property
    def hub_drop_ins(self) -> Path:
        return self.config_dir / "jupyterhub_config.d"

    @property
    def traefik_drop_ins(self) -> Path:
        """Drop-ins for Traefik's static configuration."""
        return self.config_dir / "traefik_config.d"

    @property
    def rules_dir(self) -> Path:
        """Drop-ins for Traefik's dynamic configuration."""
        return self.state_dir / "rules"

    # State, which only root can read.

    @property
    def state_dir(self) -> Path:
        return self.prefix / "state"

    @property
    def journal_dir(self) -> Path:
        return self.state_dir / "journal"

    @property
    def environment_lock(self) -> Path:
        """The lock for whatever changes the user environment, pip and conda included."""
        name = f"environment-{self.environment}" if self.environment else "environment"
        return self.state_dir / f"{name}.lock"

    @property
    def applied(self) -> AppliedFiles:
        """What the hub loads, as the last apply wrote it."""
        return AppliedFiles(self.state_dir / "applied")

    def candidate(self, process_id: int) -> AppliedFiles:
        """Return the files of a candidate that a process has tried."""
        return AppliedFiles(Path(f"/run/tljh-candidate-{process_id}"))

    @property
    def root_variables(self) -> Path:
        """Variables with logins, for root's pip and conda."""
        return self.state_dir / "packages.env"

    @property
    def root_condarc(self) -> Path:
        """The proxy with its login, for root's conda."""
        return self.state_dir / "condarc"

    @property
    def kept_environment(self) -> Path:
        """Variables by which the installation reached package indexes."""
        return self.state_dir / "environment.json"

    @property
    def post_install(self) -> Path:
        """The set of plugins whose `tljh_post_install` has run."""
        return self.state_dir / "post-install"

    @property
    def internal_ssl(self) -> Path:
        """Authorities, and the certificates of hub and proxy, of JupyterHub's `internal_ssl`."""
        return self.state_dir / "internal-ssl"

    @property
    def isolation_rules(self) -> Path:
        """The network rules of the last apply, which a unit loads at boot."""
        return self.state_dir / "isolation.nft"

    # Users

    @property
    def claims_dir(self) -> Path:
        return self.state_dir / "claims"

    @property
    def new_accounts(self) -> Path:
        """A mark for each new account whose plugins' hooks have not succeeded yet."""
        return self.state_dir / "new-accounts"

    @property
    def plugin_items(self) -> Path:
        """What plugins brought to the machine, by plugin: removed when the plugin goes."""
        return self.state_dir / "plugin-items.json"

    @property
    def login_plugins(self) -> Path:
        """Names of the plugins that chose the way to log in; they count as required."""
        return self.state_dir / "login-plugins.json"

    @property
    def plugin_writes(self) -> Path:
        """What plugins wrote in their own actions at an installation, by plugin."""
        return self.state_dir / "plugin-writes.json"

    @property
    def plugin_failures(self) -> Path:
        """Mistakes of plugins at the last start of the hub; missing if there were none."""
        return self.state_dir / "plugin-failures.json"

    @property
    def passwords(self) -> Path:
        """Passwords of the first-use authenticator: bcrypt hashes in a dbm file."""
        return self.state_dir / "passwords.dbm"

    @property
    def ledger(self) -> Path:
        """Users, admins and groups of the lists that were applied last."""
        return self.state_dir / "users.json"

    @property
    def hub_lists(self) -> Path:
        """The lists of users that the running hub loaded; the hub writes it when it starts."""
        return self.state_dir / "hub-lists.json"

    @property
    def archived_homes(self) -> Path:
        """Archives of home directories that were deleted."""
        return self.state_dir / "homes"

    @property
    def homes_marker(self) -> Path:
        """The path of a file that is there while the disk is mounted to which homes were moved."""
        return self.state_dir / "homes-marker"

    # Backups

    @property
    def backup_dir(self) -> Path:
        return self.state_dir / "backup"

    @property
    def backup_key(self) -> Path:
        """The password of the backups' repository."""
        return self.backup_dir / "key"

    @property
    def last_backup(self) -> Path:
        """When the last backups were made and checked, and why the last one failed."""
        return self.backup_dir / "last.json"

    @property
    def staged_backup(self) -> Path:
        """Copies of configuration, state and database that belong together, for one backup."""
        return self.backup_dir / "staged"

    @property
    def restored_backup(self) -> Path:
        """The backup that this machine was restored from, until all of it is in its place."""
        return self.versions / ".restored"

    @property
    def alert_state(self) -> Path:
        """The events that were reported and last, and what no channel has taken yet."""
        return self.state_dir / "alerts.json"

    @property
    def usage_history(self) -> Path:
        """What the machine and its users used in the last month, for reports."""
        return self.state_dir / "usage-history.sqlite"

    @property
    def firewall_dir(self) -> Path:
        """The firewall's rules: wanted, confirmed, and those to go back to."""
        return self.state_dir / "firewall"

    # The hub's database and secrets

    @property
    def hub_database(self) -> Path:
        return self.state_dir / "jupyterhub.sqlite"

    @property
    def database_copies(self) -> Path:
        """Copies of the database, made before each migration."""
        return self.state_dir / "database-copies"

    @property
    def database_trial(self) -> Path:
        """A copy of the database, on which a migration is tried."""
        return self.state_dir / ".trial.sqlite"

    @property
    def migration_order(self) -> Path:
        """An order to migrate the database, which the next hub to start carries out once."""
        return self.state_dir / "migrate-database.json"

    @property
    def move_order(self) -> Path:
        """An order to copy the database to another place, for the next hub to start."""
        return self.state_dir / "move-database.json"

    @property
    def replaced_database(self) -> Path:
        """The SQLite file that a move back to SQLite replaced."""
        return self.database_copies / "replaced.sqlite"

    @property
    def release_before(self) -> Path:
        """What `tljh rollback` needs: the environment, configuration and database before."""
        return self.state_dir / "release-before.json"

    @property
    def releases(self) -> Path:
        """Releases that were downloaded for an upgrade."""
        return self.state_dir / "releases"

    @property
    def known_releases(self) -> Path:
        """The index of releases, as the last look at it saw it."""
        return self.releases / "known.json"

    @property
    def identity(self) -> Path:
        """Which machine the secrets were made for."""
        return self.state_dir / "identity.json"

    @property
    def generalized(self) -> Path:
        """It exists while the machine has no secrets: the next boot makes new ones."""
        return self.state_dir / "generalized"

    @property
    def cookie_secret(self) -> Path:
        return self.state_dir / "jupyterhub_cookie_secret"

    @property
    def announcement_file(self) -> Path:
        """The announcement of `tljh announce`, which the hub's pages show."""
        return self.state_dir / "announcement.json"

    @property
    def hub_token(self) -> Path:
        """Token of the commands for the hub's API."""
        return self.state_dir / "hub-api.secret"

    @property
    def metrics_token(self) -> Path:
        """Token by which Prometheus reads the hub's metrics, and nothing else."""
        return self.state_dir / "metrics.secret"

    def service_token(self, name: str) -> Path:
        """Return the token of a service in config.yaml, which the hub reads."""
        return self.state_dir / f"service-{name}.secret"

    def service_environment(self, name: str) -> Path:
        """Return the variables of a service, its token included, which systemd reads."""
        return self.state_dir / f"service-{name}.env"

    @property
    def service_ports(self) -> Path:
        """The port of each account of a service, which users' programs must not reach."""
        return self.state_dir / "service-ports.json"

    @property
    def hub_groups(self) -> Path:
        """The groups of config.yaml that the running hub loaded."""
        return self.state_dir / "hub-groups.json"

    @property
    def launcher_token(self) -> Path:
        """Token of the service account that makes temporary users."""
        return self.state_dir / "launcher.secret"

    @property
    def workers_key(self) -> Path:
        """The key by which workers and the controller know each other."""
        return self.state_dir / "workers.secret"

    @property
    def temporary_users(self) -> Path:
        """A record for each temporary user, until nothing is left of the user."""
        return self.state_dir / "temporary-users"

    @property
    def api_secret(self) -> Path:
        """Password of Traefik's API, which the hub and Traefik share."""
        return self.state_dir / "traefik-api.secret"

    @property
    def instance(self) -> Path:
        """The mark by which this hub's own answers are recognized."""
        return self.state_dir / "instance"

    # Certificates

    @property
    def local_ca(self) -> LocalCaFiles:
        return LocalCaFiles(self.state_dir / "internal-ca")

    @property
    def acme_dir(self) -> Path:
        return self.state_dir / "acme"

    @property
    def acme_certificates(self) -> Path:
        return self.acme_dir / "certificates"

    @property
    def acme_attempts(self) -> Path:
        """Successful and failed requests, for the backoff."""
        return self.acme_dir / "attempts.json"

    @property
    def acme_revocation(self) -> Path:
        """A certificate whose revocation is not finished."""
        return self.acme_dir / "to-revoke.json"

    @property
    def certbot_dir(self) -> Path:
        """The account, configuration and logs of certbot."""
        return self.acme_dir / "certbot"

    @property
    def acme_scratch(self) -> Path:
        """Files of one run of certbot."""
        return self.acme_dir / "scratch"

    @property
    def traefik_acme(self) -> Path:
        """Certificates that Traefik obtained for The Littlest JupyterHub."""
        return self.state_dir / "acme.json"

    # What Traefik reads

    @property
    def traefik_static(self) -> Path:
        return self.traefik_dir / "traefik.yaml"

    @property
    def traefik_entry_points(self) -> Path:
        """Names and addresses of the entry points, which the supervisor listens on."""
        return self.traefik_dir / "entrypoints.json"

    @property
    def traefik_dynamic(self) -> Path:
        return self.traefik_dir / "dynamic"

    @property
    def traefik_own_file(self) -> Path:
        """The dynamic configuration that is rendered from config.yaml."""
        return self.traefik_dynamic / "tljh.yaml"

    @property
    def traefik_tls_file(self) -> Path:
        """The dynamic file that names the certificate to serve."""
        return self.traefik_dynamic / "tls.yaml"

    @property
    def traefik_routes_file(self) -> Path:
        """The routes to users' servers, which the hub writes."""
        return self.traefik_dynamic / "rules.toml"

    @property
    def traefik_certs(self) -> Path:
        return self.traefik_dir / "certs"

    @property
    def traefik_internal(self) -> Path:
        """What Traefik shows to the hub and to users' servers with `internal_ssl`."""
        return self.traefik_dir / "internal-ssl"


def find_prefix(environment: Path) -> Path | None:
    """Return the prefix that a hub environment belongs to; None for any other environment."""
    if environment.parent.name == "versions" and environment.name.startswith("hub-"):
        return environment.parent.parent
    if environment.name == "hub" and (environment.parent / "versions").is_dir():
        return environment.parent
    return None


def get_paths(environ: Mapping[str, str] | None = None, environment: str | None = None) -> Paths:
    """Return the paths of the installation that this process belongs to.

    `TLJH_INSTALL_PREFIX` wins; without it, the prefix is derived from the environment that the
    command runs in (by default `sys.prefix`).
    """
    prefix = (os.environ if environ is None else environ).get("TLJH_INSTALL_PREFIX")
    if prefix:
        return Paths(Path(prefix).absolute())
    own_prefix = find_prefix(Path(environment or sys.prefix))
    return Paths(own_prefix or DEFAULT_PREFIX)
