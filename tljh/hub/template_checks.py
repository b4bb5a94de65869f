"""Check of an admin's page templates, before a hub starts that would answer 500 with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tljh.base.errors import Finding, Place


def find_broken_templates(c: Any) -> Iterator[Finding]:
    """Report each file in `JupyterHub.template_paths` that jinja cannot parse, with its line."""
    from jinja2 import Environment, TemplateSyntaxError

    options = c.JupyterHub.get("jinja_environment_options", {})
    environment = Environment(extensions=options.get("extensions", ()), autoescape=True)
    for directory in c.JupyterHub.get("template_paths", ()):
        for path in sorted(Path(directory).rglob("*.html")):
            try:
                environment.parse(path.read_text(encoding="utf-8"))
            except TemplateSyntaxError as error:
                yield Finding(
                    f"the template {path.name} has a mistake",
                    where=Place(str(path), error.lineno),
                    why=f"{error.message}; the hub would answer with status 500",
                    fix="correct the line, or remove the file",
                )
            except (OSError, UnicodeDecodeError) as error:
                yield Finding(
                    f"the template {path.name} cannot be read",
                    where=Place(str(path)),
                    why=str(error),
                    fix="correct the file, in UTF-8, or remove it",
                )
