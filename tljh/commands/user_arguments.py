"""User arguments."""

from __future__ import annotations

from typing import Annotated

import typer

NamesArgument = Annotated[list[str], typer.Argument(metavar="NAME", help="Login names.")]


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A login name.")]
