"""`tljh completion`: the script by which bash completes both commands."""

from __future__ import annotations

from dataclasses import dataclass

from tljh.operations.bash_completion import COMMANDS, completion_script


@dataclass(frozen=True)
class Script:
    """A completion script for bash."""

    text: str

    def as_text(self) -> str:
        return self.text.rstrip("\n")

    def as_json(self) -> dict[str, str]:
        return {"shell": "bash", "script": self.text}


def completion() -> Script:
    """Print the completion script for bash: source <(tljh completion)."""
    return Script("".join(completion_script(command) for command in COMMANDS))
