"""`tljh link`: a link by which students get a copy of a repository."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from tljh.base.paths import get_paths
from tljh.commands.parameters import Argument, Option
from tljh.host.real import RealHost
from tljh.operations.course_link import CheckedLink, LinkRequest, make_link


@dataclass(frozen=True)
class PrintedLink:
    """The link; the exit code is 2 if something of it could not be checked."""

    checked: CheckedLink

    @property
    def exit_code(self) -> int:
        return 2 if self.checked.unchecked else 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self.checked)

    def as_text(self) -> str:
        lines = [self.checked.url]
        lines += [f"  + {line}" for line in self.checked.checked]
        lines += [f"  ? not checked: {line}" for line in self.checked.unchecked]
        return "\n".join(lines)


def link(
    repository: Annotated[
        str, Argument("REPOSITORY", "An https address, or a directory in a shared folder.")
    ],
    *,
    branch: Annotated[str, Option("--branch", "The branch; the repository's own without it.")] = "",
    file: Annotated[str, Option("--file", "The file that opens; the folder without it.")] = "",
    app: Annotated[
        str, Option("--app", "lab, notebook or a path as /rstudio; default_app without it.")
    ] = "",
) -> PrintedLink:
    """Print a link that copies a repository to the user who opens it, and check the link.

    The exit code is 2 if something could not be checked from this machine.
    """
    request = LinkRequest(repository, branch or None, file, app)
    return PrintedLink(make_link(RealHost(), get_paths(), request))
