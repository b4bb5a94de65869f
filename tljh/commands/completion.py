"""`tljh completion`: the script by which bash completes both commands."""

from __future__ import annotations

from dataclasses import dataclass

COMMANDS = ("tljh", "tljh-config")
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


@dataclass(frozen=True)
class Script:
    """A completion script for bash."""

    text: str

    def as_text(self) -> str:
        return self.text.rstrip("\n")

    def as_json(self) -> dict[str, str]:
        return {"shell": "bash", "script": self.text}


def completion_script(command: str) -> str:
    """What belongs into /usr/share/bash-completion/completions/<command>."""
    function = command.replace("-", "_")
    return _SCRIPT.format(
        command=command, function=function, variable=f"_{function.upper()}_COMPLETE"
    )


def completion() -> Script:
    """Print the completion script for bash: source <(tljh completion)."""
    return Script("".join(completion_script(command) for command in COMMANDS))
