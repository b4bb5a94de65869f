"""The scripts that complete both commands in bash."""

from __future__ import annotations

from tljh.base.paths import Paths

COMMANDS = ("tljh", "tljh-config")

# Keys contain dots and quotes but no spaces, so words are split at line breaks only. Without
# offers, bash completes file names.
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
        if [ -n "${{BASH_VERSION-}}" ] && [ -r {Paths.completions_dir}/tljh-config ]; then
            . {Paths.completions_dir}/tljh
            . {Paths.completions_dir}/tljh-config
        fi
        ;;
esac
"""


def format_completion_script(command: str) -> str:
    """Return the script by which bash completes a command.

    It is installed under the command's name in `Paths.completions_dir`.
    """
    function = command.replace("-", "_")
    return _SCRIPT.format(
        command=command, function=function, variable=f"_{function.upper()}_COMPLETE"
    )
