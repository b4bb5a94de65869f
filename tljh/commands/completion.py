"""`tljh completion`: the script that completes both commands in bash."""

from __future__ import annotations

from dataclasses import dataclass

from tljh.operations.bash_completion import COMMANDS, format_completion_script


@dataclass(frozen=True)
class CompletionScript:
    """A completion script for bash."""

    text: str

    def as_text(self) -> str:
        return self.text.rstrip("\n")

    def as_json(self) -> dict[str, str]:
        return {"shell": "bash", "script": self.text}


def completion() -> CompletionScript:
    """Print the script that completes both commands in bash: source <(tljh completion)."""
    return CompletionScript("".join(format_completion_script(command) for command in COMMANDS))
