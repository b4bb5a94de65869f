"""Settings of the checklist: items that an admin does without."""

from __future__ import annotations

from tljh.settings.declaration import Cost, Section, setting


class ChecklistSettings(Section):
    """What `tljh checklist` no longer asks for."""

    waived: dict[str, str] = setting(
        {},
        help="Items of tljh checklist that this machine does without, each with the reason.",
        cost=Cost.NOTHING,
        example="{firewall: the provider has one}",
    )
