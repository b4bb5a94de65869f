"""Sample data for pages: every name that JupyterHub gives to a template, with a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class Sample(str):
    """A value that works wherever a template uses one: as text, object, list or function.

    Templates are checked for what fails with any data, such as an unknown filter. What a page
    does with real data of a user is not known here.
    """

    def __getattr__(self, name: str) -> Any:
        # Jinja asks values for special methods, such as __html__; a text has none of them.
        if name.startswith("__"):
            raise AttributeError(name)
        return Sample(self)

    def items(self) -> list[tuple[Any, Any]]:
        return [(Sample(self), Sample(self))]

    def __getitem__(self, key: Any) -> Any:
        return Sample(self)

    def __call__(self, *_: Any, **__: Any) -> Any:
        return Sample(self)

    def __iter__(self) -> Iterator[Any]:
        if self:
            yield Sample(self)

    def _compare(self, other: Any) -> bool:
        return True

    __lt__ = __le__ = __gt__ = __ge__ = _compare

    def _compute(self, other: Any) -> Any:
        return Sample(self)

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = _compute
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = _compute
