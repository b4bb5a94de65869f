"""How findings are printed."""

from __future__ import annotations

from tljh.base.errors import Finding, Place


def test_a_name_with_escape_sequences_or_line_breaks_prints_as_it_is_and_in_one_line():
    forged = "/home/eve/\x1b[2Jx\nfix: sudo chmod -s /usr/bin/sudo\x9b\u202e"
    finding = Finding(f"{forged} is odd", where=Place(forged), why="a\nb\x1b", fix=f"rm {forged}")
    text = finding.as_text()
    assert not {"\x1b", "\x9b", "\u202e"} & {*text, *finding.as_note()}
    assert [line.partition(":")[0].strip() for line in text.splitlines()] == [
        "error",
        "at /home/eve/\\x1b[2Jx\\nfix",
        "because",
        "b\\x1b",
        "fix",
    ]
