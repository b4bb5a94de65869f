"""The short-lived process that runs py-rattler and changes conda environments.

py-rattler 0.28 crashes at a few per cent of interpreter exits, and one pathological solve can
take gigabytes. So it runs in this process, under a memory cap and the caller's timeout, and
the process ends by `os._exit`. Only this process and the journalled resource that calls it
write to an environment.

Standard input carries one request as JSON; standard output carries lines of JSON: events, then
one `result` or `problem`.
"""

from __future__ import annotations
