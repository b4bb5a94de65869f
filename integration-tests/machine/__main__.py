"""`python3 integration-tests/machine …`: machines on the command line."""

import sys
from pathlib import Path

if sys.version_info < (3, 10):  # noqa: UP036 - an older Python prints this sentence
    sys.exit("error: the machine harness needs Python 3.10 or newer")

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# Python has put this directory into the path, where its modules would shadow the standard
# library's.
sys.path[:] = [p for p in sys.path if Path(p).resolve() != Path(__file__).resolve().parent]

from machine.cli import main  # noqa: E402

sys.exit(main())
