"""The one dialect of parameters, and what importing a command may load."""

from __future__ import annotations

import subprocess
import sys


def test_no_command_imports_typer() -> None:
    code = """
import sys
from tljh.cli.verbs import TLJH, VerbGroup, import_function

def load(group):
    for verb in group.verbs.values():
        load(verb) if isinstance(verb, VerbGroup) else import_function(verb)

load(TLJH)
print([module for module in ("typer", "click") if module in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
