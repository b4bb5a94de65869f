"""Unit files, rendered from the templates in this folder."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


@lru_cache(maxsize=1)
def _load_templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("tljh.systemd", "."),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # unit files, not HTML
    )


def render_unit(name: str, **values: object) -> bytes:
    """Return the text of a unit file, from its template.

    Raises jinja2's UndefinedError for a value that the caller did not pass.
    """
    return _load_templates().get_template(f"{name}.j2").render(**values).encode()
