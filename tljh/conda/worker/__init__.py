"""The short-lived process that runs py-rattler and changes conda environments.

py-rattler 0.28 crashes in a few per cent of interpreters' exits, and one pathological solve
can take gigabytes; so it runs here, under a memory cap and the caller's timeout, and the
process leaves by `os._exit`. It and the journalled resource that calls it are the only ones
that write to an environment. One request as JSON on standard input; events, then one
`result` or `problem`, as lines of JSON on standard output.
"""

from __future__ import annotations
