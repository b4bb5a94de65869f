"""Run a command in its own terminal, and end it at its first change, as a dropped SSH session does.

Runs in the machine: hang_up.py SIGNAL COMMAND…; SIGNAL HUP closes the
terminal, another one is sent to the command. Prints the exit code of the command.
"""

import contextlib
import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from pathlib import Path

STEPS = Path("/opt/tljh/state/journal/pending/steps.jsonl")
ours, theirs = pty.openpty()
command = subprocess.Popen(
    sys.argv[2:],
    stdin=theirs,
    stdout=theirs,
    stderr=theirs,
    start_new_session=True,
    preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
)
os.close(theirs)
printed = b""
while not (STEPS.exists() and STEPS.stat().st_size):
    # A terminal that nobody reads would block the command.
    if select.select([ours], [], [], 0.01)[0]:
        printed += os.read(ours, 65536)
    if command.poll() is not None:
        sys.exit(f"the command ended before it changed anything: {printed!r}")
if sys.argv[1] == "HUP":
    os.close(ours)
else:
    command.send_signal(getattr(signal, f"SIG{sys.argv[1]}"))
    with contextlib.suppress(OSError):
        while os.read(ours, 65536):
            pass
print(command.wait(timeout=120))
