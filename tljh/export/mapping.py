"""Where each setting of tljh went in the chart's values, or why it has no counterpart there.

This is the one table of that: `values_of` fills the chart's values by it, the report and the
documentation print it. A test fails for a setting without a row, and for a value that no row names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tljh.export import (
    address_rows,
    class_rows,
    login_rows,
    machine_rows,
    server_rows,
    service_rows,
)
from tljh.export.row import Row
from tljh.export.values import Values

if TYPE_CHECKING:
    from pydantic import BaseModel

    from tljh.export.hub_state import ExportedHub
    from tljh.settings.shape import Shape

ROWS: tuple[Row, ...] = (
    *address_rows.ROWS,
    *login_rows.ROWS,
    *server_rows.ROWS,
    *service_rows.ROWS,
    *class_rows.ROWS,
    *machine_rows.ROWS,
)


def values_of(hub: ExportedHub) -> Values:
    """Return the chart's values for a hub."""
    values = Values()
    for builder in dict.fromkeys(row.build for row in ROWS if row.build is not None):
        builder(hub, values)
    return values


def list_setting_keys(model: type[BaseModel]) -> Iterator[str]:
    """Yield the key of each setting; NAME stands for any name below a map or an open section."""
    from tljh.settings.shape import derive_shape

    yield from _list_keys(derive_shape(model), ())


def _list_keys(shape: Shape, path: Sequence[str]) -> Iterator[str]:
    if shape.kind == "section":
        for name, inner in shape.fields.items():
            yield from _list_keys(inner, (*path, name))
        if shape.takes_classes:
            yield ".".join((*path, "CLASS.TRAIT"))
        if shape.others is not None:
            yield from _list_keys(shape.others, (*path, "NAME"))
    elif shape.kind == "map" and shape.item is not None and shape.item.kind == "section":
        yield from _list_keys(shape.item, (*path, "NAME"))
    else:
        yield ".".join(path)
