"""The page of the documentation with the table of settings on Kubernetes.

python -m tljh.export.reference docs/reference
"""

from __future__ import annotations

import sys
from pathlib import Path

from tljh.export.mapping import ROWS
from tljh.export.report import CHART, format_target

NAME = "kubernetes-settings.md"
_HEAD = f"""\
# Settings on Kubernetes

Where [`tljh export z2jh`](../guides/kubernetes.md) writes each setting, as a value of the chart of
Zero to JupyterHub {CHART} or as a file of the export, and what has no counterpart there. Made from
`tljh/export/` by `make reference`; the export and its `REPORT.md` read the same table. NAME and
CLASS.TRAIT are any name.

| setting | where it is | what that means |
| --- | --- | --- |
"""


def format_page() -> str:
    """Return the page, which a test compares with the written one."""
    rows = sorted(ROWS, key=lambda row: row.key)
    lines = (f"| `{row.key}` | {format_target(row)} | {row.note} |\n" for row in rows)
    return _HEAD + "".join(lines)


def main() -> None:
    """Write the page: python -m tljh.export.reference docs/reference."""
    from tljh.host.real import RealHost

    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference").absolute()
    host = RealHost()
    info = host.info(directory)
    owner, group = (info.owner, info.group) if info else ("root", "root")
    page = format_page().encode()
    host.write(directory / NAME, page, mode=0o644, owner=owner, group=group)


if __name__ == "__main__":
    main()
