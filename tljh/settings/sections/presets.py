"""Settings of presets: packages that courses ask for, installed and configured for some users."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from tljh.settings.declaration import Cost, Section, section, setting
from tljh.settings.sections.access import GroupName
from tljh.settings.sections.services import HubGroup

_COURSE = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$")


def _check_course_name(name: str) -> str:
    if _COURSE.match(name):
        return name
    usable = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:63]
    example = f", such as {usable}" if _COURSE.match(usable) else ""
    raise ValueError(
        f"must be a course name of letters, digits, ., - and _{example}, because it is the name "
        f"of folders: not {name!r}"
    )


CourseName = Annotated[str, AfterValidator(_check_course_name)]


class CourseSettings(Section):
    """A course of nbgrader."""

    instructors: GroupName | None = setting(
        None,
        help="Linux group whose members release, collect and grade the assignments of this course; "
        "its members are in users.extra_user_groups.",
        cost=Cost.NEXT_SPAWN,
        example="teachers",
    )


class NbgraderSettings(Section):
    """nbgrader: assignments that students fetch and submit, and that instructors grade."""

    courses: dict[CourseName, CourseSettings] = setting(
        {},
        help="Courses with assignments; the first one installs nbgrader, without any it is "
        "removed. Assignments, submissions and grades always stay.",
        cost=Cost.ENVIRONMENT,
        example="{physics: {instructors: teachers}}",
    )


class CollaborationGroupSettings(Section):
    """Who may join the servers of a group's members."""

    joined_by: list[HubGroup] = setting(
        [],
        help="Groups of the hub whose members may open the servers of this group's members, and do "
        "there all that the owner can; without any, the members may join each other.",
        cost=Cost.HUB_RESTART,
        example="tutors",
    )


class CollaborationSettings(Section):
    """Real-time collaboration: several users edit a notebook in one server at the same time."""

    groups: dict[HubGroup, CollaborationGroupSettings] = setting(
        {},
        help="Groups of the hub whose members' servers others may join; the first one installs "
        "jupyter-collaboration, without any it is removed.",
        cost=Cost.ENVIRONMENT,
        example="{team: {joined_by: [team]}}",
    )


class PresetsSettings(Section):
    """Packages that courses ask for, installed and configured."""

    nbgrader: NbgraderSettings = section(
        NbgraderSettings,
        help="nbgrader: assignments that students fetch and submit, and that instructors grade.",
    )

    collaboration: CollaborationSettings = section(
        CollaborationSettings,
        help="Real-time collaboration: several users edit a notebook in one server at the same "
        "time.",
    )

    @property
    def joining_groups(self) -> dict[str, list[str]]:
        """By group: the groups whose members may join the servers of its members."""
        groups = self.collaboration.groups.items()
        return {name: list(group.joined_by) or [name] for name, group in groups}

    @property
    def course_folders(self) -> dict[str, str]:
        """The shared folder of each course, with the group that has it."""
        courses = self.nbgrader.courses.items()
        return {name: course.instructors for name, course in courses if course.instructors}
