"""Logs of the hub, the proxy and users' servers, on a machine in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from tljh.base.errors import Exit, TljhError
from tljh.host.accounts import make_mark
from tljh.host.fake import FakeHost
from tljh.host.interface import Result
from tljh.operations.unit_logs import (
    list_units,
    list_units_of_user,
    read_server_log,
    read_unit_logs,
)


def test_the_log_of_all_parts_is_one_query_for_both_units() -> None:
    host = FakeHost()
    expected = "journalctl --no-pager -q -o short-iso -n 7 -u jupyterhub.service -u traefik.service"
    host.answers[expected] = Result(0, "first\nlast\n")
    assert read_unit_logs(host, list_units(""), 7) == "first\nlast"


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(TljhError, match="there is no log of hup") as caught:
        list_units("hup")
    assert caught.value.exit_code is Exit.USAGE


def test_an_empty_log_is_reported_only_for_a_user_without_an_account() -> None:
    host = FakeHost()
    with pytest.raises(TljhError, match="there is no log of ann"):
        read_server_log(host, "ann", 10)
    host.add_user("jupyter-ann", home=Path("/home/jupyter-ann"))
    assert read_server_log(host, "ann", 10) == ""


def test_the_log_of_a_removed_user_is_still_printed() -> None:
    host = FakeHost()
    host.answers["journalctl"] = Result(0, "bye\n")
    assert read_server_log(host, "ann", 10) == "bye"


def test_the_log_of_a_user_whom_tljh_gave_an_account_with_capitals_is_found() -> None:
    host = FakeHost()
    host.add_user("jupyter-Ann", home=Path("/home/jupyter-Ann"), comment=make_mark("Ann"))
    assert "jupyter-Ann.service" in list_units_of_user(host, "Ann")
