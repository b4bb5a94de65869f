"""Closing user managers (`systemd --user`) and polkit to users who are no admins.

A user manager runs whatever units are in its user's home, without the sandbox of the user's server.
logind starts one for each session, and at boot for each user who lingers.
"""

from __future__ import annotations

from collections.abc import Sequence

from tljh.base.paths import Paths
from tljh.engine.file_resources import Absent, Directory, File
from tljh.engine.resource import Resource
from tljh.host.accounts import ADMINS_GROUP, USERS_GROUP
from tljh.machine_logins.facts import LoginFacts

# `+`: as root, because the user can end or trace their own processes. logind ignores that the
# manager does not start, and the session begins without it.
CONDITION = f"""\
# Written by tljh from the setting users.user_units; edits are overwritten.
[Service]
ExecCondition=+/bin/sh -c 'case " $(/usr/bin/id -nG -- "%i") " in \
*" {ADMINS_GROUP} "*) exit 0;; *" {USERS_GROUP} "*) exit 1;; esac'
"""

# No: whatever the machine's other rules allow. `pkexec`, `machinectl shell`, `systemd-run`, the
# power of the machine and lingering are all decided here.
RULES = f"""\
// Written by tljh from the setting users.user_units; edits are overwritten.
polkit.addRule(function(action, subject) {{
    if (!subject.isInGroup("{USERS_GROUP}") || subject.isInGroup("{ADMINS_GROUP}")) {{
        return polkit.Result.NOT_HANDLED;
    }}{{linger}}
    return polkit.Result.NO;
}});
"""
LINGER = """
    if (action.id == "org.freedesktop.login1.set-self-linger") {
        return polkit.Result.YES;
    }"""

# The same for polkit 0.105. Of entries for several groups of a user, any may win, but one for the
# user wins over all of them. Admins have their own: an admin's password, which sudo does not ask.
ENTRY = """\

[JupyterHub: {name}]
Identity={identity}
Action={action}
ResultAny={result}
ResultInactive={result}
ResultActive={result}
"""
LINGERING = "org.freedesktop.login1.set-self-linger"


def format_polkit_entries(admins: Sequence[str], *, allows_lingering: bool) -> str:
    """Return the entries of polkit 0.105, with the meaning of `format_polkit_rules`."""
    users = f"unix-group:{USERS_GROUP}"
    entries = [("users", users, "*", "no")]
    if allows_lingering:
        entries.append(("lingering", users, LINGERING, "yes"))
    if admins:
        identity = ";".join(f"unix-user:{admin}" for admin in admins)
        entries.append(("admins", identity, "*", "auth_admin"))
        entries.append(("lingering of admins", identity, LINGERING, "yes"))
    header = "# Written by tljh from the setting users.user_units; edits are overwritten.\n"
    return header + "".join(
        ENTRY.format(name=name, identity=identity, action=action, result=result)
        for name, identity, action, result in entries
    )


def format_polkit_rules(*, allows_lingering: bool) -> str:
    """Return the rules of polkit, which refuse every action but perhaps lingering."""
    return RULES.replace("{linger}", LINGER if allows_lingering else "")


def build_user_manager_resources(
    paths: Paths, facts: LoginFacts, *, allows_user_units: bool, is_managed: bool
) -> list[Resource]:
    """Return the condition of user managers, and the rules of polkit where that is installed."""
    drop_in = paths.user_manager_drop_in
    resources: list[Resource] = [
        Absent(drop_in)
        if allows_user_units or not is_managed
        else File(drop_in, CONDITION.encode()),
    ]
    if isinstance(resources[0], File):
        resources.insert(0, Directory(drop_in.parent, 0o755))
    files = []
    if facts.has_polkit:
        rules = format_polkit_rules(allows_lingering=allows_user_units)
        files.append((paths.polkit_rules, rules))
    if facts.has_old_polkit:
        entries = format_polkit_entries(facts.admins, allows_lingering=allows_user_units)
        resources.append(Directory(paths.polkit_entries.parent, 0o755))
        files.append((paths.polkit_entries, entries))
    for path, text in files:
        resources.append(File(path, text.encode()) if is_managed else Absent(path))
    return resources
