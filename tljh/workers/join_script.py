"""The script by which a machine joins the controller as a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from shlex import quote

from tljh.base.paths import Paths
from tljh.base.well_known import CONTROLLER_PORT
from tljh.workers.slurm_files import MUNGE_DROP_IN


@dataclass(frozen=True)
class ControllerAccess:
    """How workers reach the controller; `slurm` is its release, such as 22.05.

    `accounts` are the names and ids of users' accounts on the controller's machine.
    """

    host_name: str
    address: str
    slurm: str
    key: str
    accounts: Sequence[tuple[str, int]]


# All of it is in functions, so that the shell has read it before a command could read from the
# same standard input. printf is a builtin: the key is in no command line.
_SCRIPT = """\
# Joins this machine to the workers of @HUB@. It holds the key of all workers: keep no copy.
set -eu

fail() {
    echo "error: $1" >&2
    if [ -n "${2:-}" ]; then echo "  fix: $2" >&2; fi
    exit 1
}

check_accounts() {
    while read -r number login; do
        [ -n "$number" ] || continue
        own=$(getent passwd "$number" | cut -d: -f1)
        if [ -n "$own" ] && [ "$own" != "$login" ]; then
            fail "the account $own has the number $number, which is that of $login on @HUB@" \\
                "give $own another number: usermod -u NUMBER $own"
        fi
    done << 'END'
@ACCOUNTS@
END
}

install_packages() {
    # Unattended upgrades hold apt's locks for minutes after the first boot of a cloud image.
    for _ in $(seq 60); do
        if output=$(apt-get install -y -q --no-install-recommends \\
            slurmd slurm-client munge < /dev/null 2>&1); then
            return
        fi
        case $output in
            *"ould not get lock"* | *"nable to acquire"*) sleep 5 ;;
            *) break ;;
        esac
    done
    echo "$output" >&2
    fail "the packages could not be installed"
}

main() {
    [ "$(id -u)" = 0 ] || fail "a machine joins as root" "... | ssh WORKER sudo sh"
    name=$(hostname -s)
    case $name in
        localhost | @HUB@) fail "a worker cannot be called $name" "hostnamectl set-hostname NAME" ;;
    esac
    if [ -e /etc/slurm/slurm.conf ]; then
        fail "this machine has a Slurm of another cluster: /etc/slurm/slurm.conf"
    fi
    check_accounts
    export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
    apt-get update -qq < /dev/null > /dev/null || true
    slurm=$(apt-cache policy slurmd |
        sed -n 's/^ *Candidate: \\([0-9]*:\\)\\{0,1\\}\\([0-9]*\\.[0-9]*\\).*/\\2/p')
    if [ "$slurm" != @SLURM@ ]; then
        fail "this machine has Slurm ${slurm:-in no package}, and the controller @SLURM@" \\
            "use the release of the distribution that the machine of the hub has"
    fi
    install_packages
    umask 077
    printf %s @KEY@ > /etc/munge/.tljh-key
    chown munge:munge /etc/munge/.tljh-key
    chmod 0400 /etc/munge/.tljh-key
    mv /etc/munge/.tljh-key /etc/munge/munge.key
    umask 022
    units=@UNITS@
    mkdir -p $units/munge.service.d $units/slurmd.service.d
    cat > $units/munge.service.d/tljh.conf << 'END'
@MUNGE@END
    cat > $units/slurmd.service.d/tljh.conf << 'END'
[Unit]
ConditionPathExists=
StartLimitIntervalSec=0

[Service]
Restart=on-failure
RestartSec=5
END
    echo 'SLURMD_OPTIONS="-Z --conf-server @ADDRESS@:@PORT@"' > /etc/default/slurmd
    systemctl daemon-reload
    systemctl -q enable munge slurmd < /dev/null
    systemctl restart munge
    systemctl restart slurmd || true
    for _ in $(seq 60); do
        state=$(sinfo --noheader --nodes="$name" --format=%T 2> /dev/null) || state=
        case $state in
            *'*') ;;
            idle | mixed | allocated)
                echo "$name is a worker of @HUB@"
                return ;;
            drain*)
                echo "$name is a worker of @HUB@ and takes no jobs: sudo tljh worker resume $name"
                return ;;
        esac
        sleep 0.5
    done
    journalctl -u slurmd -n 10 --no-pager -o cat >&2 || true
    fail "the controller has not taken this machine after 30 s" \\
        "let it reach port @PORT@ of @ADDRESS@, and reach port 6818 here; compare the clocks"
}

main
"""


def format_join_script(controller: ControllerAccess) -> str:
    """Return the script for a worker's shell; it holds the key."""
    values = {
        "HUB": quote(controller.host_name),
        "ADDRESS": controller.address,
        "PORT": str(CONTROLLER_PORT),
        "SLURM": quote(controller.slurm),
        "KEY": quote(controller.key),
        "UNITS": quote(str(Paths.units_dir)),
        "MUNGE": MUNGE_DROP_IN,
        "ACCOUNTS": "\n".join(f"{uid} {name}" for name, uid in controller.accounts),
    }
    text = _SCRIPT
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text
