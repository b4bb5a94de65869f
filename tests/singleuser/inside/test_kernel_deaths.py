"""Whether a kernel was killed for lack of memory, by the counters of its cgroup."""

from __future__ import annotations

from pathlib import Path

import pytest

from tljh.singleuser.inside.kernel_deaths import (
    DeathReasons,
    MemoryKills,
    RunningCells,
    format_size,
)

NEW = "0::/jupyter.slice/jupyter-alice.service\n"
OLD = (
    "12:pids:/jupyter.slice/jupyter-alice.service\n"
    "5:memory:/jupyter.slice/jupyter-alice.service\n"
    "1:name=systemd:/jupyter.slice/jupyter-alice.service\n"
    "0::/\n"
)


def counted(root: Path, version: str, killed: int, reached: int) -> MemoryKills:
    """Make a cgroup with these counts."""
    base = root / "memory" if version == "old" else root
    directory = base / "jupyter.slice/jupyter-alice.service"
    directory.mkdir(parents=True, exist_ok=True)
    if version == "old":
        (directory / "memory.oom_control").write_text(
            f"oom_kill_disable 0\nunder_oom 0\noom_kill {killed}\n"
        )
        (directory / "memory.failcnt").write_text(f"{reached}\n")
    else:
        (directory / "memory.events").write_text(
            f"low 0\nhigh 0\nmax {reached}\noom 9\noom_kill {killed}\noom_group_kill 0\n"
        )
    return MemoryKills(root, OLD if version == "old" else NEW)


@pytest.mark.parametrize("version", ["old", "new"])
def test_both_versions_of_control_groups_count(tmp_path, version):
    assert counted(tmp_path, version, 2, 7).counts() == (2, 7)


@pytest.mark.parametrize("version", ["old", "new"])
def test_a_reason_has_the_servers_own_limit_if_that_was_reached(tmp_path, version):
    deaths = DeathReasons(counted(tmp_path, version, 0, 0), str(400 << 20))
    assert deaths.explain_death("a") is None
    counted(tmp_path, version, 1, 3)
    assert "all of the 400 MB" in (deaths.explain_death("a") or "")


def test_a_reason_names_the_other_servers_if_the_own_limit_was_not_reached(tmp_path):
    deaths = DeathReasons(counted(tmp_path, "new", 0, 5), None)
    counted(tmp_path, "new", 1, 5)
    assert "all servers on this machine together" in (deaths.explain_death("a") or "")


def test_a_death_without_a_memory_kill_is_not_explained(tmp_path):
    deaths = DeathReasons(counted(tmp_path, "new", 3, 8), "1")
    counted(tmp_path, "new", 3, 9)
    assert deaths.explain_death("a") is None


def test_a_kill_before_a_cell_began_does_not_explain_the_cells_death(tmp_path):
    deaths = DeathReasons(counted(tmp_path, "new", 0, 0), str(400 << 20))
    deaths.note_work("a")
    # Something started from a terminal, in the morning.
    counted(tmp_path, "new", 1, 3)
    deaths.note_work("a")
    assert deaths.explain_death("a") is None
    deaths.note_work("a")
    counted(tmp_path, "new", 2, 5)
    assert "all of the 400 MB" in (deaths.explain_death("a") or "")


def test_another_kernel_that_begins_to_work_hides_no_death(tmp_path):
    deaths = DeathReasons(counted(tmp_path, "new", 0, 0), str(400 << 20))
    deaths.note_work("a")
    counted(tmp_path, "new", 1, 3)
    deaths.note_work("b")
    assert "all of the 400 MB" in (deaths.explain_death("a") or "")


def test_all_pages_of_a_kernel_explain_its_death_and_those_of_others_do_not(tmp_path):
    deaths = DeathReasons(counted(tmp_path, "new", 0, 0), "1")
    counted(tmp_path, "new", 1, 1)
    reason = deaths.explain_death("a")
    assert reason is not None
    assert deaths.explain_death("a") == reason
    assert deaths.explain_death("b") is None


def test_without_counters_the_counts_are_0(tmp_path):
    assert MemoryKills(tmp_path, "").counts() == (0, 0)
    assert MemoryKills(tmp_path, OLD).counts() == (0, 0)


def test_amounts_are_in_mb_or_gb():
    assert (format_size(512 << 20), format_size(3 << 29)) == ("512 MB", "1.5 GB")


def message(kind: str, number: str = "") -> dict[str, str]:
    return {"msg_type": kind, "msg_id": number}


ONE, TWO = message("execute_request", "one"), message("execute_request", "two")


def test_the_cell_that_has_begun_is_explained_even_if_others_wait():
    cells = RunningCells()
    cells.to_kernel(ONE)
    cells.to_kernel(TWO)
    cells.from_kernel(message("execute_input"), ONE)
    cells.from_kernel(message("execute_reply"), ONE)
    cells.from_kernel(message("execute_input"), TWO)
    assert cells.take() == TWO
    assert cells.take() is None


def test_a_cell_is_explained_that_took_all_memory_before_the_kernel_reported_its_begin():
    cells = RunningCells()
    assert not cells.to_kernel(message("kernel_info_request", "zero"))
    assert cells.to_kernel(ONE)
    # Asked while another waits: the kernel may have died meanwhile.
    assert not cells.to_kernel(TWO)
    assert cells.take() == ONE


def test_the_death_of_an_idle_kernel_is_explained_in_the_cell_that_ran_last():
    cells = RunningCells()
    cells.to_kernel(ONE)
    cells.from_kernel(message("execute_input"), ONE)
    cells.from_kernel(message("execute_reply"), ONE)
    assert cells.take() == ONE


def test_a_page_explains_in_the_cell_that_another_page_ran():
    cells = RunningCells()
    cells.from_kernel(message("execute_input"), TWO)
    assert cells.take() == TWO
