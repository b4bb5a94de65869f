"""What an export is made from: an installed hub, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tljh.settings.root import Config

Traits = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Person:
    """A user of the hub; `account` and `uid` are None without an account on the machine.

    `home_bytes` is None where the home is missing, or could not be measured.
    """

    login: str
    account: str | None = None
    uid: int | None = None
    home: str | None = None
    home_bytes: int | None = None


@dataclass(frozen=True)
class ImageReference:
    """The image of users' servers: its name with the registry, and its tag."""

    name: str = "tljh-users"
    tag: str = "1"

    def __str__(self) -> str:
        return f"{self.name}:{self.tag}"


@dataclass(frozen=True)
class ExportedHub:
    """Settings, secrets and users of a hub.

    `traits` are those of JupyterHub's classes that config.yaml leads to, `own_traits` those of an
    empty config.yaml. A `{file: PATH}` in them is resolved in `traits`; `from_files` holds the
    class and trait of each of these, which are secrets. `drop_ins` are texts by file name, and
    `files` the contents of files that settings name, by path. `widened_tokens` is the number of
    tokens that have a wider scope in the copy of the database. With `has_unapplied_edits`,
    config.yaml is not what the hub runs with.
    """

    config: Config
    traits: Traits
    own_traits: Traits
    default_memory_bytes: int
    cookie_secret: str = field(default="", repr=False)
    service_tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    database_password: str | None = field(default=None, repr=False)
    from_files: frozenset[tuple[str, str]] = frozenset()
    drop_ins: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)
    people: tuple[Person, ...] = ()
    image: ImageReference = ImageReference()
    widened_tokens: int = 0
    has_unapplied_edits: bool = False

    def trait(self, section: str, name: str, default: Any = None) -> Any:
        """Return a trait of a class; None or `default` where it is not set."""
        return self.traits.get(section, {}).get(name, default)
