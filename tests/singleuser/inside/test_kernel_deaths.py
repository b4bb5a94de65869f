"""Whether memory ended a kernel, read off the counts that Linux keeps of a control group."""

from __future__ import annotations

from pathlib import Path

import pytest

from tljh.singleuser.inside.kernel_deaths import Cells, Ended, Watch, shown

NEW = "0::/jupyter.slice/jupyter-alice.service\n"
OLD = (
    "12:pids:/jupyter.slice/jupyter-alice.service\n"
    "5:memory:/jupyter.slice/jupyter-alice.service\n"
    "1:name=systemd:/jupyter.slice/jupyter-alice.service\n"
    "0::/\n"
)


def counted(root: Path, version: str, ended: int, reached: int) -> Ended:
    """A control group with these counts."""
    base = root / "memory" if version == "old" else root
    directory = base / "jupyter.slice/jupyter-alice.service"
    directory.mkdir(parents=True, exist_ok=True)
    if version == "old":
        (directory / "memory.oom_control").write_text(
            f"oom_kill_disable 0\nunder_oom 0\noom_kill {ended}\n"
        )
        (directory / "memory.failcnt").write_text(f"{reached}\n")
    else:
        (directory / "memory.events").write_text(
            f"low 0\nhigh 0\nmax {reached}\noom 9\noom_kill {ended}\noom_group_kill 0\n"
        )
    return Ended(root, OLD if version == "old" else NEW)


@pytest.mark.parametrize("version", ["old", "new"])
def test_both_versions_of_control_groups_count(tmp_path, version):
    assert counted(tmp_path, version, 2, 7).counts() == (2, 7)


@pytest.mark.parametrize("version", ["old", "new"])
def test_a_server_whose_own_limit_was_reached_is_told_the_limit(tmp_path, version):
    watch = Watch(counted(tmp_path, version, 0, 0), str(400 << 20))
    assert watch.reason_for("a") is None
    counted(tmp_path, version, 1, 3)
    assert "all of the 400 MB" in (watch.reason_for("a") or "")


def test_a_server_that_others_left_no_memory_is_told_so(tmp_path):
    watch = Watch(counted(tmp_path, "new", 0, 5), None)
    counted(tmp_path, "new", 1, 5)
    assert "all servers on this machine together" in (watch.reason_for("a") or "")


def test_a_kernel_that_died_of_something_else_is_not_explained(tmp_path):
    watch = Watch(counted(tmp_path, "new", 3, 8), "1")
    counted(tmp_path, "new", 3, 9)
    assert watch.reason_for("a") is None


def test_what_memory_ended_before_a_cell_began_does_not_explain_the_cells_death(tmp_path):
    watch = Watch(counted(tmp_path, "new", 0, 0), str(400 << 20))
    watch.begins("a")
    # Something started from a terminal, in the morning.
    counted(tmp_path, "new", 1, 3)
    watch.begins("a")
    assert watch.reason_for("a") is None
    watch.begins("a")
    counted(tmp_path, "new", 2, 5)
    assert "all of the 400 MB" in (watch.reason_for("a") or "")


def test_another_kernel_that_begins_meanwhile_hides_no_death(tmp_path):
    watch = Watch(counted(tmp_path, "new", 0, 0), str(400 << 20))
    watch.begins("a")
    counted(tmp_path, "new", 1, 3)
    watch.begins("b")
    assert "all of the 400 MB" in (watch.reason_for("a") or "")


def test_all_pages_of_one_kernel_hear_of_its_death_and_other_kernels_do_not(tmp_path):
    watch = Watch(counted(tmp_path, "new", 0, 0), "1")
    counted(tmp_path, "new", 1, 1)
    reason = watch.reason_for("a")
    assert reason is not None
    assert watch.reason_for("a") == reason
    assert watch.reason_for("b") is None


def test_where_nothing_is_counted_nothing_is_said(tmp_path):
    assert Ended(tmp_path, "").counts() == (0, 0)
    assert Ended(tmp_path, OLD).counts() == (0, 0)


def test_amounts_are_told_as_people_say_them():
    assert (shown(512 << 20), shown(3 << 29)) == ("512 MB", "1.5 GB")


def message(kind: str, number: str = "") -> dict[str, str]:
    return {"msg_type": kind, "msg_id": number}


ONE, TWO = message("execute_request", "one"), message("execute_request", "two")


def test_the_cell_that_has_begun_is_told_even_if_others_wait():
    cells = Cells()
    cells.to_kernel(ONE)
    cells.to_kernel(TWO)
    cells.from_kernel(message("execute_input"), ONE)
    cells.from_kernel(message("execute_reply"), ONE)
    cells.from_kernel(message("execute_input"), TWO)
    assert cells.take() == TWO
    assert cells.take() is None


def test_a_cell_that_took_all_memory_before_the_kernel_said_it_began_is_told():
    cells = Cells()
    assert not cells.to_kernel(message("kernel_info_request", "zero"))
    assert cells.to_kernel(ONE)
    # Asked while another waits: the kernel may have died meanwhile.
    assert not cells.to_kernel(TWO)
    assert cells.take() == ONE


def test_a_kernel_that_died_at_rest_is_told_in_the_cell_that_ran_last():
    cells = Cells()
    cells.to_kernel(ONE)
    cells.from_kernel(message("execute_input"), ONE)
    cells.from_kernel(message("execute_reply"), ONE)
    assert cells.take() == ONE


def test_a_page_hears_in_the_cell_of_another_page_that_ran():
    cells = Cells()
    cells.from_kernel(message("execute_input"), TWO)
    assert cells.take() == TWO
