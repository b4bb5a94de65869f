"""The scripts by which bash completes both commands."""

from __future__ import annotations

from pathlib import Path

COMMANDS = ("tljh", "tljh-config")


# Where bash-completion looks; Debian's base packages have the directory even without it.
DIRECTORY = Path("/usr/share/bash-completion/completions")


# Keys hold dots and quotes but no spaces, so words may be split at lines only. Where nothing is
# offered, bash goes on with file names.
_SCRIPT = """\
# Completion of {command}; made by `tljh completion`.
_{function}_complete() {{
    local IFS=$'\\n'
    COMPREPLY=( $(COMP_WORDS="${{COMP_WORDS[*]}}" COMP_CWORD=$COMP_CWORD \\
        {variable}=complete_bash {command} 2>/dev/null) )
    [[ ${{#COMPREPLY[@]}} -eq 1 && ${{COMPREPLY[0]}} == *. ]] && compopt -o nospace
    return 0
}}
complete -o default -F _{function}_complete {command}
"""


# For /etc/profile.d: without the package bash-completion nothing loads the scripts.
PROFILE = f"""\
case "$-" in
    *i*)
        if [ -n "${{BASH_VERSION-}}" ] && [ -r {DIRECTORY}/tljh-config ]; then
            . {DIRECTORY}/tljh
            . {DIRECTORY}/tljh-config
        fi
        ;;
esac
"""


def completion_script(command: str) -> str:
    """What belongs into `DIRECTORY` under the command's name."""
    function = command.replace("-", "_")
    return _SCRIPT.format(
        command=command, function=function, variable=f"_{function.upper()}_COMPLETE"
    )
