"""A machine on which two users' servers run, as `systemctl show` describes them."""

from __future__ import annotations

from tljh.host.accounts import make_mark
from tljh.host.fake import FakeHost
from tljh.host.interface import Result, UserInfo

SHOWN = """\
Slice=jupyter.slice
MemoryCurrent=104857600
CPUWeight=[not set]
CPUQuotaPerSecUSec=1.500000s
IOWeight=[not set]
MemoryLow=0
MemoryMax=2147483648
TasksMax=3072
User=1001
Id=jupyter-alice.service
ActiveState=active

Slice=jupyter.slice
MemoryCurrent=[not set]
CPUWeight=100
CPUQuotaPerSecUSec=infinity
IOWeight=100
MemoryLow=0
MemoryMax=infinity
TasksMax=3072
User=1002
Id=jupyter-bob.service
ActiveState=active

Slice=system.slice
Id=jupyter-thing-of-others.service
ActiveState=active

Slice=jupyter.slice
Id=jupyter-carol.service
ActiveState=failed
"""


def machine() -> FakeHost:
    host = FakeHost(
        answers={"systemctl show": Result(0, SHOWN), "systemctl set-property": Result(0)}
    )
    host.accounts["jupyter-alice"] = UserInfo(
        "jupyter-alice", 1001, 1001, "/home/a", "/bin/bash", make_mark("alice")
    )
    # As TLJH made it, without a mark.
    host.accounts["jupyter-bob"] = UserInfo("jupyter-bob", 1002, 1002, "/home/b", "/bin/bash")
    return host
