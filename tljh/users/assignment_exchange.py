"""The folders in which instructors and students exchange files of nbgrader's assignments.

nbgrader would make them with the first release of an assignment, for one instructor. Here root
makes them, for the group of all instructors of a course, with the modes that nbgrader documents.
What is in them belongs to the users; root never opens it.
"""

from __future__ import annotations

from collections.abc import Mapping

from tljh.base.paths import Paths
from tljh.engine.file_resources import Directory
from tljh.engine.resource import Resource

# By folder of a course. setgid: what is put there belongs to the group of the instructors.
# Students read releases and cannot list submissions, nor feedback: the names in these folders are
# random, and each student knows only the own ones.
MODES = {"outbound": 0o2775, "inbound": 0o2773, "feedback": 0o2771}


def build_exchange(courses: Mapping[str, str]) -> list[Resource]:
    """Return the folders of courses (name -> group of its instructors).

    The groups are among the resources of the courses' shared folders.
    """
    if not courses:
        return []
    return [
        Directory(Paths.exchange.parent, 0o755),
        Directory(Paths.exchange, 0o755),
        *(
            resource
            for name, group in sorted(courses.items())
            for resource in (
                Directory(Paths.exchange / name, 0o755),
                *(
                    Directory(Paths.exchange / name / folder, mode, group=group)
                    for folder, mode in MODES.items()
                ),
            )
        ),
    ]
