"""Attacks of user bob past the hub: SSH, user managers, cron, at, su, polkit's services."""

from __future__ import annotations

import json

import pytest

from session import import_users
from test_isolation import PASSWORD, shell, with_server
from waiting import wait_until

pytestmark = pytest.mark.machine

SERVICES = "libcap2-bin openssh-server polkitd pkexec cron at libpam-systemd dbus systemd-container"
SSH = (
    "ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
    "-o BatchMode=yes"
)
KEY = "/srv/attack/key"


@pytest.fixture(scope="module")
def hub(installed_shared):
    """Return a hub on a machine with the services of a cloud image; bob has a key for SSH."""
    machine = installed_shared
    machine.url = f"http://{machine.address()}"
    machine.install_packages(*SERVICES.split())
    machine.run("tljh-config reload", timeout_s=180)
    import_users(machine, ("ann", "bob"), PASSWORD)
    with_server(machine, "ann").stop_server()
    machine.run(f"mkdir -p /srv/attack && chmod 755 /srv/attack && rm -f {KEY}")
    machine.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", KEY])
    return machine


@pytest.fixture(scope="module")
def bob(hub):
    user = with_server(hub, "bob")
    install_key(hub, "jupyter-bob")
    return user


def install_key(hub, account: str) -> None:
    home = f"/home/{account}"
    hub.run(
        f"install -d -m 700 -o {account} -g {account} {home}/.ssh && "
        f"install -m 600 -o {account} -g {account} {KEY}.pub {home}/.ssh/authorized_keys && "
        f"install -m 600 -o {account} -g {account} {KEY} {home}/.ssh/id_ed25519"
    )


def ssh(hub, account: str, command: str, options: str = ""):
    return hub.run(
        ["bash", "-c", f'{SSH} -i {KEY} {options} {account}@127.0.0.1 "$0"', command],
        check=False,
        timeout_s=60,
    )


@pytest.fixture(scope="module")
def shells(hub, bob):
    """Let users log in with SSH, with a memory limit of 400 MB."""
    hub.run("tljh-config set users.ssh shell && tljh-config set limits.memory 400M")
    hub.run("tljh-config reload", timeout_s=180)


def test_ssh_is_for_admins_only_also_from_ones_own_server(hub, bob):
    assert ssh(hub, "jupyter-bob", "id").code == 255
    code, text = shell(bob, f"{SSH} jupyter-bob@127.0.0.1 id")
    assert code == 255 and "denied" in text


def test_a_former_admin_keeps_no_session_and_no_ssh(hub, bob):
    hub.run("tljh user add --admin bob", timeout_s=180)
    hub.run("usermod -aG jupyterhub-admins jupyter-bob")
    assert ssh(hub, "jupyter-bob", "systemd-run --user sleep 4713").code == 0
    hub.run("tljh-config remove-item users.admin bob", timeout_s=180)
    hub.run("tljh-config reload", timeout_s=180)
    assert hub.run("pgrep -u jupyter-bob", check=False).stdout == ""
    assert ssh(hub, "jupyter-bob", "id").code == 255
    assert "jupyter-bob" in hub.run("cat /etc/cron.deny").stdout
    bob.start_server()


def test_nobody_lingers_or_has_a_user_manager(hub, bob):
    code, text = shell(bob, "loginctl enable-linger")
    assert code != 0, text
    assert hub.run("ls /var/lib/systemd/linger").stdout == ""
    hub.run("loginctl enable-linger jupyter-bob")
    hub.run("systemctl start user@$(id -u jupyter-bob)", check=False)
    assert hub.run("pgrep -u jupyter-bob systemd", check=False).stdout == ""
    assert "jupyter-bob, who is no admin, lingers" in hub.run("tljh doctor", check=False).stdout
    hub.run("loginctl disable-linger jupyter-bob")


def test_a_shell_by_ssh_has_the_limits_of_the_server(hub, shells):
    big = "python3 -c \"x = bytearray(900 << 20); print('got', len(x) >> 20)\""
    assert "got 900" not in ssh(hub, "jupyter-bob", big).stdout
    assert "got" in ssh(hub, "jupyter-bob", big.replace("900", "100")).stdout
    assert "user-" in ssh(hub, "jupyter-bob", "cat /proc/self/cgroup").stdout


def test_a_shell_by_ssh_hides_the_processes_of_others(hub, shells):
    owners = ssh(hub, "jupyter-bob", "ps -e -o user:32= | sort -u").stdout.split()
    assert owners == ["jupyter-bob"]
    assert ssh(hub, "jupyter-bob", "cat /proc/1/cmdline").code != 0
    assert "root" in hub.run("ps -e -o user=").stdout


SYSTEMD = "org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager"


@pytest.mark.parametrize(
    "question",
    [
        "systemctl status jupyterhub.service",
        "systemctl show -p ExecStart jupyterhub.service",
        f"busctl call {SYSTEMD} GetUnitProcesses s jupyterhub.service",
    ],
)
def test_systemd_tells_nobody_of_the_processes_of_others(hub, bob, shells, question):
    assert "hub.process.app" in hub.run(question).stdout
    assert "hub.process.app" not in bob.terminal(f"{question} --no-pager 2>&1 | tail -20")
    assert "hub.process.app" not in ssh(hub, "jupyter-bob", question).stdout


ATTACKS = (
    "echo '* * * * * touch /tmp/cron' | crontab -",
    "echo 'touch /tmp/at' | at now",
    "echo 'touch /tmp/at' | batch",
    "loginctl enable-linger",
    "XDG_RUNTIME_DIR=/run/user/$(id -u) systemd-run --user true",
    "systemd-run true",
    "pkexec true",
    "machinectl shell root@.host /bin/true",
    "machinectl shell .host /bin/true",
    "su -c true jupyter-ann < /dev/null",
    "su -c true < /dev/null",
    "sudo -n true",
    "busctl call org.freedesktop.login1 /org/freedesktop/login1 "
    "org.freedesktop.login1.Manager PowerOff b false",
)


def test_a_shell_by_ssh_opens_no_other_way(hub, shells):
    succeeded = [
        attack
        for attack in ATTACKS
        if ssh(hub, "jupyter-bob", f'timeout 20 bash -c "{attack}"').code == 0
    ]
    assert succeeded == []


def test_sftp_copies_files_and_does_nothing_else(hub, bob):
    hub.run("tljh-config set users.ssh sftp && tljh-config reload", timeout_s=180)
    sftp = f"{SSH.replace('ssh ', 'sftp ', 1)} -i {KEY} -b - jupyter-bob@127.0.0.1"
    assert "jupyter-bob" in hub.run(sftp, input="pwd\nput /etc/hostname mine\nls -l mine\n").stdout
    assert hub.run("stat -c %U /home/jupyter-bob/mine").stdout.strip() == "jupyter-bob"
    for place in ("/proc", "/etc/passwd", "/opt"):
        assert hub.run(sftp, input=f"ls {place}\n", check=False).code != 0
    assert "uid=" not in ssh(hub, "jupyter-bob", "id").stdout
    forward = ssh(hub, "jupyter-bob", "", "-o ExitOnForwardFailure=yes -W 127.0.0.1:22")
    assert "SSH-2.0" not in forward.stdout
    assert hub.run("pgrep -u jupyter-bob -x systemd", check=False).stdout == ""


def test_a_configuration_without_drop_ins_is_reported(hub, cleanup):
    cleanup.callback(hub.run, "mv /root/sshd_config /etc/ssh/sshd_config && systemctl reload ssh")
    hub.run(
        "cp -a /etc/ssh/sshd_config /root/sshd_config && sed -i '/^Include/d' /etc/ssh/sshd_config"
    )
    assert "users.ssh has no effect" in hub.run("tljh doctor", check=False).stdout


def test_doctor_finds_what_a_former_admin_left_and_nothing_on_a_machine_as_it_comes(
    hub, bob, cleanup
):
    def traces() -> list[str]:
        report = json.loads(hub.run("tljh doctor --json", check=False, timeout_s=180).stdout)
        return sorted(
            str(finding["path"])
            for finding in report["findings"]
            if finding["check"] == "traces of former admins"
        )

    assert traces() == []
    left = "/usr/local/bin/shell /etc/cron.d/left /etc/systemd/system/left.service"
    left += " /usr/local/bin/py /etc/systemd/system/quiet.timer /etc/ld.so.preload"
    cleanup.callback(hub.run, f"rm -f {left} /root/.ssh/authorized_keys /etc/sudoers.d/left")
    hub.run(
        "install -m 4755 /bin/sh /usr/local/bin/shell; "
        "install -o jupyter-bob -m 755 /dev/null /home/jupyter-bob/job; "
        "echo '* * * * * root /home/jupyter-bob/job' > /etc/cron.d/left; "
        "printf '[Service]\nExecStart=/home/jupyter-bob/job\n' > /etc/systemd/system/left.service; "
        f"mkdir -p /root/.ssh && cat {KEY}.pub > /root/.ssh/authorized_keys; "
        "echo 'jupyter-bob ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/left; "
        "cp -L /usr/bin/python3 /usr/local/bin/py && setcap cap_setuid=ep /usr/local/bin/py; "
        "printf '[Timer]\nOnCalendar=daily\n' > /etc/systemd/system/quiet.timer; "
        "echo $(ls /lib/*/libz.so.1 | head -1) > /etc/ld.so.preload"
    )
    assert sorted(set(traces())) == [
        "/etc/cron.d/left",
        "/etc/ld.so.preload",
        "/etc/sudoers.d/left",
        "/etc/systemd/system/left.service",
        "/etc/systemd/system/quiet.timer",
        "/root/.ssh/authorized_keys",
        "/usr/local/bin/py",
        "/usr/local/bin/shell",
    ]


def test_an_sshd_without_pam_is_reported_where_users_have_shells(hub, shells, cleanup):
    config = "/etc/ssh/sshd_config.d/00-no-pam.conf"
    cleanup.callback(hub.run, f"rm -f {config}; systemctl reload ssh")
    assert "does not ask PAM" not in hub.run("tljh doctor", check=False, timeout_s=180).stdout
    hub.run(f"echo 'UsePAM no' > {config} && systemctl reload ssh")
    assert "does not ask PAM" in hub.run("tljh doctor", check=False, timeout_s=180).stdout


def test_who_is_removed_keeps_no_session_and_no_unit(hub, bob):
    hub.run("tljh-config set users.ssh shell && tljh-config set users.user_units true")
    hub.run("tljh-config reload", timeout_s=180)
    wait_until(
        lambda: ssh(hub, "jupyter-bob", "loginctl enable-linger").code == 0, "bob lingers", 20
    )
    started = ssh(hub, "jupyter-bob", "systemd-run --user --unit=stays sleep 4712; sleep 0.1")
    assert started.code == 0, started.stderr
    assert hub.run("pgrep -f 'sleep 471[2]'").stdout
    hub.run("tljh user remove bob", timeout_s=180)
    assert hub.run("ls /var/lib/systemd/linger").stdout == ""
    assert hub.run("pgrep -u jupyter-bob", check=False).stdout == ""
    assert ssh(hub, "jupyter-bob", "id").code == 255
