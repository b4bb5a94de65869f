"""The files of Slurm's controller. Workers fetch them from it, and have no other."""

from __future__ import annotations

from collections.abc import Mapping

from tljh.base.well_known import CONTROLLER_PORT

MARK = "# Written by tljh"
PARTITION = "servers"
# A job's number is the port of the server in it. The range is below that of ports which the kernel
# gives to outgoing connections (32768 and up).
FIRST_PORT = 20000
LAST_PORT = 29999
MOST_WORKERS = 64
# After these seconds without an answer a worker counts as failed, and its jobs with it.
LONGEST_SILENCE_S = 60

HEADER = f"{MARK} from the settings workers.*; edits are overwritten.\n"

# - NoCtldInAddrAny: the controller listens at its own address only.
# - CR_CPU_Memory with OverSubscribe=FORCE: jobs get the memory that they ask for, and share the
#   processors, which servers of users rarely need at the same time. CR_LLN takes the worker with
#   the least load.
# - JobRequeue=0: a server whose worker failed is not started again unasked.
# - ReturnToService=2: a worker that answers again is used again.
# - PrivateData: only root sees jobs of others, also where munge's socket is open.
# - job_container/tmpfs with Contain: each job has a private /tmp and /dev/shm.
_SLURM = """\
ClusterName=tljh
SlurmctldHost={host_name}({address})
SlurmctldPort={port}
SlurmctldParameters=enable_configless
CommunicationParameters=NoCtldInAddrAny
AuthType=auth/munge
SlurmUser=slurm
StateSaveLocation=/var/lib/slurm/slurmctld
SlurmdSpoolDir=/var/lib/slurm/slurmd
MaxNodeCount={most_workers}
FirstJobId={first_port}
MaxJobId={last_port}
JobRequeue=0
ReturnToService=2
SlurmdTimeout={silence_s}
MpiDefault=none
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup
JobContainerType=job_container/tmpfs
PrologFlags=Contain
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory,CR_LLN
DefMemPerNode=512
PrivateData=jobs,nodes,partitions,reservations,usage,users
PartitionName={partition} Nodes=ALL Default=YES MaxTime=UNLIMITED OverSubscribe=FORCE:1000 State=UP
"""

_CGROUP = """\
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
AllowedSwapSpace=0
"""

_CONTAINER = """\
AutoBasePath=true
BasePath=/var/lib/slurm/containers
"""

# An account that reaches the socket can submit jobs in its own name. munged opens it to all, so it
# is closed to all but root and Slurm.
_SOCKET = "/run/munge/munge.socket.2"
MUNGE_DROP_IN = f"""\
{HEADER}[Service]
ExecStartPost=+/bin/chmod 0660 {_SOCKET}
ExecStartPost=+/bin/chown munge:slurm {_SOCKET}
"""


FILE_NAMES = ("slurm.conf", "cgroup.conf", "job_container.conf")


def format_slurm_files(host_name: str, address: str) -> Mapping[str, bytes]:
    """Return the content of each file in /etc/slurm, by its name."""
    slurm = _SLURM.format(
        host_name=host_name,
        address=address,
        port=CONTROLLER_PORT,
        most_workers=MOST_WORKERS,
        first_port=FIRST_PORT,
        last_port=LAST_PORT,
        silence_s=LONGEST_SILENCE_S,
        partition=PARTITION,
    )
    texts = (slurm, _CGROUP, _CONTAINER)
    return {name: (HEADER + text).encode() for name, text in zip(FILE_NAMES, texts, strict=True)}
