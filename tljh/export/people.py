"""`users.csv`: whose home belongs into which claim."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tljh.export.server_rows import find_disk, format_capacity, get_claim_name
from tljh.export.slugs import make_server_slug

if TYPE_CHECKING:
    from tljh.export.hub_state import ExportedHub, Person

COLUMNS = ("login", "account", "uid", "slug", "claim", "size")

# Room for what a home gets before it is copied, and for the file system of the claim.
_SPARE = 1.3


@dataclass(frozen=True)
class ClaimedHome:
    """A user's home, and the claim that it goes into."""

    person: Person
    slug: str
    claim: str
    capacity: str


def list_homes(hub: ExportedHub) -> list[ClaimedHome]:
    """Return all users with the claims of their homes, by login name."""
    homes = []
    for person in sorted(hub.people, key=lambda person: person.login):
        slug = make_server_slug(person.login)
        claim = get_claim_name(hub, person.login, slug)
        least_bytes = int((person.home_bytes or 0) * _SPARE)
        capacity = format_capacity(find_disk(hub, person.login), least_bytes)
        homes.append(ClaimedHome(person, slug, claim, capacity))
    return homes


def format_csv(homes: list[ClaimedHome]) -> str:
    """Return the table; `size` is that of the home in bytes, empty where it is unknown."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for home in homes:
        person = home.person
        size = "" if person.home_bytes is None else person.home_bytes
        uid = "" if person.uid is None else person.uid
        writer.writerow((person.login, person.account or "", uid, home.slug, home.claim, size))
    return stream.getvalue()
