"""The file on disk survives everything: concurrency, kills, full disks, other people's mistakes."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.configurations import TLJH_CONFIG, make_installation
from tljh import config as tljh_config
from tljh.base.errors import Exit, TljhError
from tljh.host.real import RealHost
from tljh.settings.config_file import ConfigFile
from tljh.settings.load import check, examine, load
from tljh.settings.yaml_edit import add_item, remove_item, set_value


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / "config.yaml"
    file.write_text("# ours\nhttp:\n  port: 80\n")
    file.chmod(0o644)
    return file


def set_port(file: Path, port: int) -> None:
    path = ("http", "port")
    ConfigFile(file).change(lambda text: set_value(text, path, port), key_path=path)


@pytest.mark.parametrize(
    ("key", "fix"),
    [
        ("c.Authenticator.admin_users", "write it without `c.`: Authenticator.admin_users"),
        (
            "user_environment.default_server_options.storage_limit",
            "the setting is limits.disk",
        ),
        ("limits.storage", "the setting is limits.disk"),
        (
            "user_environment.default_server_options",
            "these settings are in limits: tljh-config describe limits",
        ),
        ("singleuser.memory.limit", "the setting is limits.memory"),
        ("singleuser.storage.capacity", "the setting is limits.disk"),
        (
            "hub.config.JupyterHub.admin_access",
            "write it without `hub.config.`: JupyterHub.admin_access",
        ),
    ],
)
def test_known_mistakes_in_keys_have_their_own_fix(file: Path, key: str, fix: str) -> None:
    with pytest.raises(TljhError) as failed:
        ConfigFile(file).look_up(key)
    (finding,) = failed.value.findings
    assert finding.fix == fix


def test_written_file_is_for_root_only_and_keeps_its_comments(file: Path) -> None:
    set_port(file, 8080)
    assert file.read_text() == "# ours\nhttp:\n  port: 8080\n"
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_owner_is_kept(file: Path) -> None:
    os.chown(file, 1, 1)
    set_port(file, 8080)
    assert (file.stat().st_uid, file.stat().st_gid) == (1, 1)


def test_link_to_the_file_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    set_port(link, 8080)
    assert link.is_symlink()
    assert load(file).http.port == 8080


def test_edit_that_adds_a_mistake_is_refused_and_the_file_is_untouched(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(TljhError) as refused:
        set_port(file, 99999)
    (finding,) = refused.value.findings
    assert finding.what == "http.port must be between 1 and 65535, not 99999"
    assert finding.fix == "see: tljh-config describe http.port"
    assert file.read_bytes() == before


def test_file_that_is_wrong_already_can_be_mended_step_by_step(file: Path) -> None:
    file.write_text("users:\n  admin: bob\nhttp:\n  port: 0\n")
    set_port(file, 80)
    assert "admin: bob" in file.read_text()
    assert load(file.read_bytes().replace(b"bob", b"[bob]")).http.port == 80


def test_list_with_several_bad_names_is_mended_name_by_name(file: Path) -> None:
    file.write_text("users:\n  admin: ['a;b', alice, 'c;d', 'c;d']\n")
    key_path = ("users", "admin")
    ConfigFile(file).change(lambda text: remove_item(text, key_path, 0), key_path=key_path)
    with pytest.raises(TljhError):
        ConfigFile(file).change(lambda text: add_item(text, key_path, "c;d"), key_path=key_path)
    for _ in range(2):
        ConfigFile(file).change(lambda text: remove_item(text, key_path, 1), key_path=key_path)
    assert load(file).users.admin == ["alice"]


@pytest.mark.parametrize(
    ("key", "value", "fix"),
    [
        ("http.port", 99999, "see: tljh-config describe http.port"),
        ("limits.memory", "1K", "see: tljh-config describe limits.memory"),
        ("https.mode", "qq", "see: tljh-config describe https.mode"),
        ("https.mode", "letsencript", "sudo tljh-config set https.mode letsencrypt"),
        ("users.admin", ["a;b"], "see: tljh-config describe users.admin"),
    ],
)
def test_refused_value_is_no_reason_to_give_up_the_one_that_stands(
    file: Path, key: str, value: object, fix: str
) -> None:
    path = ConfigFile(file).parse_key(key)
    with pytest.raises(TljhError) as refused:
        ConfigFile(file).change(lambda text: set_value(text, path, value), key_path=path)
    assert refused.value.findings[0].fix == fix


def test_file_that_is_no_yaml_is_not_touched(file: Path) -> None:
    file.write_text("http: [a\n")
    with pytest.raises(TljhError) as refused:
        set_port(file, 80)
    first, last = refused.value.findings
    assert first.where is not None
    assert first.where.line == 1
    assert last.fix == "sudo tljh-config edit"
    assert file.read_text() == "http: [a\n"


def test_place_of_what_stands_in_the_way_is_that_of_the_file(file: Path) -> None:
    file.write_text("# ours\nhttp: [80]\n")
    with pytest.raises(TljhError) as refused:
        set_port(file, 81)
    assert str(refused.value.findings[0].where) == f"{file}, line 2, column 7"
    assert file.read_text() == "# ours\nhttp: [80]\n"


def test_lock_that_is_held_past_the_deadline_is_exit_4(file: Path) -> None:
    lock = file.with_name(".config.yaml.lock")
    with (
        RealHost().lock(lock, timeout_s=5),
        pytest.raises(TljhError) as refused,
    ):
        ConfigFile(file, lock_timeout_s=0.2).change(lambda text: text)
    assert refused.value.exit_code == Exit.LOCKED


def test_temporary_files_of_killed_writers_are_removed(file: Path) -> None:
    old, new = file.with_name(".config.yaml.abcd1234"), file.with_name(".config.yaml.wxyz5678")
    for left in (old, new):
        left.write_text("half")
    os.utime(old, (1, 1))
    set_port(file, 81)
    assert not old.exists()
    assert new.exists()


def test_missing_directory_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TljhError) as refused:
        set_port(tmp_path / "none" / "config.yaml", 80)
    assert "there is no directory" in str(refused.value)


def test_names_that_plugins_import_edit_the_same_way(file: Path) -> None:
    path = str(file)
    tljh_config.set_config_value(path, "limits.memory", "1G")
    tljh_config.add_config_value(path, "users.admin", "alice")
    tljh_config.add_config_value(path, "users.admin", "alice")
    tljh_config.add_config_value(path, "users.admin", "bob")
    tljh_config.remove_config_value(path, "users.admin", "alice")
    tljh_config.unset_config_value(path, "http.port")
    config = load(file)
    assert config.users.admin == ["bob"]
    assert (config.limits.memory, config.http.port) == ("1G", 80)
    with pytest.raises(ValueError, match="does not exist"):
        tljh_config.unset_config_value(path, "http.port")
    with pytest.raises(ValueError, match="not a list"):
        tljh_config.remove_config_value(path, "users.allowed", "eve")
    with pytest.raises(TljhError):
        tljh_config.set_config_value(path, "http.prot", 1)


def test_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        file = disk / "config.yaml"
        file.write_text("http: {port: 80}\n")
        (disk / ".config.yaml.lock").touch()
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
            while True:
                stream.write(b"x" * 4096)
        with pytest.raises(TljhError) as refused:
            set_port(file, 8080)
        assert "is as it was" in refused.value.findings[0].what
        assert file.read_text() == "http: {port: 80}\n"
        assert sorted(item.name for item in disk.iterdir()) == [
            ".config.yaml.lock",
            "config.yaml",
            "filler",
        ]
    finally:
        subprocess.run(["umount", disk], check=True)


def test_twenty_sets_of_different_keys_at_once_all_survive(tmp_path: Path) -> None:
    file = make_installation(tmp_path)
    environ = {**os.environ, "TLJH_INSTALL_PREFIX": str(tmp_path)}
    running = [
        subprocess.Popen(
            [TLJH_CONFIG, "set", f"users.extra_user_groups.group{number}", "[alice]"],
            env=environ,
            stdout=subprocess.DEVNULL,
        )
        for number in range(20)
    ]
    assert [item.wait(timeout=120) for item in running] == [0] * 20
    groups = load(file).users.extra_user_groups
    assert groups == {f"group{number}": ["alice"] for number in range(20)}


WRITER = """
import sys
from pathlib import Path
from tljh.settings.config_file import ConfigFile
from tljh.settings.yaml_edit import set_value
path = ("http", "port")
file = ConfigFile(Path(sys.argv[1]))
file.examine()
file.change(lambda text: set_value(text, path, 8080), key_path=path)
"""


@pytest.mark.long
def test_kill_at_any_system_call_leaves_the_old_file_or_the_new(file: Path) -> None:
    """End each system call of a change in SIGKILL once, through strace."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    old = file.read_bytes()
    new = old.replace(b"80", b"8080")
    command = [sys.executable, "-c", WRITER, str(file)]
    log = file.with_name("trace")
    traced = subprocess.run(["strace", "-o", log, *command], check=False)
    if traced.returncode != 0:
        pytest.skip("processes cannot be traced here")
    assert file.read_bytes() == new
    calls = [match.group(1) for match in re.finditer(r"^(\w+)\(", log.read_text(), re.M)]
    texts = log.read_text().splitlines()
    begin = next(i for i, line in enumerate(texts) if "config.yaml.lock" in line)
    outcomes = set()
    seen: dict[str, int] = {}
    for position, call in enumerate(calls):
        seen[call] = seen.get(call, 0) + 1
        if position < begin or call in ("exit_group", "execve"):
            continue
        file.write_bytes(old)
        injected = f"inject={call}:signal=SIGKILL:when={seen[call]}"
        subprocess.run(
            ["strace", "-o", "/dev/null", "-e", injected, *command],
            check=False,
            capture_output=True,
        )
        content = file.read_bytes()
        assert content in (old, new), f"{call} number {seen[call]} left {content!r}"
        outcomes.add(content)
    assert outcomes == {old, new}


def test_kill_before_any_line_of_the_write_leaves_the_old_file_or_the_new(file: Path) -> None:
    """Kill the process before each line of the writer in turn: the quick form."""
    old = file.read_bytes()
    new = old.replace(b"80", b"8080")
    killer = """
import os, signal, sys
countdown = int(sys.argv[2])
def trace(frame, event, argument):
    global countdown
    if frame.f_code.co_name not in ("write", "_fsync_directory"):
        return None
    if event == "line":
        countdown -= 1
        if countdown == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return trace
""" + WRITER.replace("file.change", "sys.settrace(trace)\nfile.change")
    outcomes = set()
    for countdown in range(1, 100):
        file.write_bytes(old)
        done = subprocess.run(
            [sys.executable, "-c", killer, str(file), str(countdown)],
            check=False,
            capture_output=True,
        )
        content = file.read_bytes()
        assert content in (old, new)
        outcomes.add(content)
        if done.returncode == 0:
            break
    assert outcomes == {old, new}


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("limits.memory: 1G", "write limits: {memory: VALUE}"),
        ("limits: {users.ann.memory: 1G}", "write users: {ann: {memory: VALUE}}"),
        ("c.Spawner.cmd: [x]", "write Spawner: {cmd: VALUE}"),
        ("users: {allowed: '*'}", "sudo tljh-config set auth.allow_all true"),
        ("users: {admin: a b}", 'write it as a list: ["a b"]'),
        ("limits: {cpu: '1,5'}", "write the number alone, with a point: 1.5"),
        ("limits: {cpu: 2 cores}", "write the number alone, with a point: 2"),
    ],
)
def test_a_common_mistake_in_the_file_has_the_fix_to_write(text: str, fix: str) -> None:
    [finding] = check(text.encode())
    assert fix in (finding.fix or "")


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        (
            "user_environment: {default_server_options: {storage_limit: 5G}}",
            "for storage_limit: the setting is limits.disk",
        ),
        (
            "user_environment: {default_server_options: {mem_limit: 1G, disk: {quota: 5G}}}",
            "for mem_limit: the setting is limits.memory; for quota: the setting is limits.disk",
        ),
        ("singleuser: {memory: {limit: 1G}}", "for limit: the setting is limits.memory"),
    ],
)
def test_settings_of_others_in_a_map_have_their_own_fix(text: str, fix: str) -> None:
    findings = check(text.encode())
    assert fix in [finding.fix for finding in findings]


def test_a_group_that_gives_root_is_named_unless_its_members_are_admins() -> None:
    text = "users: {admin: [ada], extra_user_groups: {sudo: [ada, bob], docker: [ada]}}"
    [finding] = examine(text.encode()).findings("warning")
    assert finding.what == "members of the group sudo can become root: bob"


@pytest.mark.parametrize("group", ["docker", "lxc", "microk8s", "libvirt", "shadow", "podman"])
def test_a_group_of_all_users_that_gives_root_is_named_with_its_line(group: str) -> None:
    text = f"users:\n  groups:\n    - video\n    - {group}\n"
    [finding] = examine(text.encode()).findings("warning")
    assert finding.what == f"members of the group {group} can become root: every user"
    assert finding.where and finding.where.line == 4 and finding.why


def test_a_course_of_a_group_without_members_is_a_warning() -> None:
    text = (
        "users: {extra_user_groups: {teachers: []}}\n"
        "presets: {nbgrader: {courses: {physics: {instructors: teachers}}}}"
    )
    [finding] = examine(text.encode()).findings("warning")
    assert finding.what.endswith("names teachers, which has no members")
    assert finding.fix == "sudo tljh-config add-item users.extra_user_groups.teachers NAME"


def test_a_group_for_gpus_that_is_in_no_list_is_named_with_the_nearest() -> None:
    groups = "{users: {extra_user_groups: {vision: [ada]}}, groups: {nets: [bob]}, "
    assert not examine(f"{groups} isolation: {{gpu_groups: [vision, nets]}}}}".encode()).findings()
    text = f"{groups} isolation: {{gpu_groups: [visoin]}}}}"
    [finding] = examine(text.encode()).findings("warning")
    assert "names visoin, which has no members" in finding.what
    assert finding.fix == "write vision"
