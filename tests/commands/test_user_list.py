"""What `tljh user list` and `show` say about groups."""

from __future__ import annotations

from tljh.commands.user_list import UserList
from tljh.hub.user_directory import UserDirectory, UserRecord


def user(name: str, groups: tuple[str, ...] = (), *, is_admin: bool = False) -> UserRecord:
    account = f"jupyter-{name}"
    return UserRecord(name, "listed", is_admin, account, False, True, (), groups, "", None)


def test_groups_are_listed_and_those_that_give_root_are_marked_wherever_they_come_from() -> None:
    users = [user("ada", is_admin=True), user("bob", ("pupils", "docker")), user("eve")]
    powers = {"jupyter-ada": ("jupyterhub-admins",), "jupyter-eve": ("lxd",)}
    listed = UserList(UserDirectory({user.name: user for user in users}, True), powers)
    rows = [line.split("  ")[-1].strip() for line in listed.as_text().splitlines()]
    assert rows == ["GROUPS", "-", "pupils, docker (gives root)", "lxd (gives root)"]
    assert [row["groups_giving_root"] for row in listed.as_json()] == [[], ["docker"], ["lxd"]]
