"""Control characters in texts of others: names of files, and what programs and clients say.

Printed as they are, they could clear an admin's terminal or look like another line.
"""

from __future__ import annotations

import re

# C0 and C1 but the tabulator, line separators of Unicode, and those that reverse the direction.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def escape_controls(text: str) -> str:
    r"""Return a text of one line: control characters are written as `\x1b` or `\n`."""
    return _CONTROL.sub(lambda match: ascii(match[0])[1:-1], text)
