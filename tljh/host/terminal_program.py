"""Another program with this command's terminal: its output is read by the admin, not by us."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence

from tljh.base.errors import TljhError
from tljh.host.command_environment import build_command_environment


def run_on_terminal(
    argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdin: str | None = None
) -> int:
    """Run a program with our output and return its exit code; `stdin` is text for its input.

    A signal reaches both programs; we wait until the other one has rolled back and ended.
    """
    # What we printed before must come first, also where the output is a file.
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        process = subprocess.Popen(
            list(argv),
            env=build_command_environment(env),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            text=True,
        )
    except OSError as error:
        raise TljhError(f"{argv[0]} cannot be started", why=error.strerror) from error
    while True:
        try:
            if stdin is not None:
                process.communicate(stdin)
            code = process.wait()
        except KeyboardInterrupt:
            # It got the signal, too, or gets ours: systemd stops only the main process.
            process.terminate()
            stdin = None
            continue
        return code if code >= 0 else 128 - code
