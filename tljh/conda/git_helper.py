"""The remote helper of git by which users clone repositories of other users from below /srv."""

from __future__ import annotations

import shlex

from tljh.base.paths import Paths

# git refuses to read a repository that belongs to another user: its configuration and hooks could
# run that user's programs. So no student could clone a teacher's repository from a shared folder.
# safe.directory in /etc/gitconfig would switch that protection off for every git command in the
# folder. It is needed in one program only, upload-pack, which is made for serving repositories that
# are not trusted: it runs none of their hooks and programs. So in users' servers, addresses below
# /srv lead to this remote helper, which starts upload-pack with safe.directory. Everything else,
# such as a push, keeps git's protection.
PROGRAM = """\
#!/bin/sh
# Written by tljh: git fetches from repositories of other users below {root} with it.
while read -r command service; do
    case $command in
    capabilities) printf 'connect\\n\\n' ;;
    connect)
        printf '\\n'
        unset $(git rev-parse --local-env-vars)
        if [ "$service" = git-upload-pack ]; then
            export GIT_CONFIG_GLOBAL={config} GIT_NO_LAZY_FETCH=1
        fi
        exec git "${{service#git-}}" "$2"
        ;;
    *) exit 0 ;;
    esac
done
"""
CONFIGURATION = """\
# Written by tljh: read by git-remote-{scheme} alone. In /etc/gitconfig this would be dangerous.
[safe]
	directory = *
"""
SCHEME = "tljh-shared"


def program(paths: Paths) -> bytes:
    """Return the remote helper."""
    config = shlex.quote(str(paths.git_config))
    return PROGRAM.format(root=Paths.shared_folders.parent, config=config).encode()


def configuration() -> bytes:
    """Return the configuration that the helper gives to upload-pack."""
    return CONFIGURATION.format(scheme=SCHEME).encode()


def variables() -> dict[str, str]:
    """Return the environment variables by which git uses the helper for addresses below /srv."""
    root = f"{Paths.shared_folders.parent}/"
    key = f"url.{SCHEME}::{root}.insteadOf"
    values = {"GIT_CONFIG_COUNT": "2"}
    for number, address in enumerate((root, f"file://{root}")):
        values |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": address}
    return values
