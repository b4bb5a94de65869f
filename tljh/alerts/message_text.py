"""The words of alerts: the subject and text of a mail, and the JSON of a webhook."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tljh.alerts.events import Message
from tljh.base.progress import format_count
from tljh.base.text_redaction import Redactor

# Discord refuses longer ones.
MOST_CHARACTERS = 1900
MOST_OF_A_REASON = 600


def format_subject(hub: str, messages: Sequence[Message]) -> str:
    """Return one line that names the event, or the number of them."""
    if len(messages) == 1:
        [message] = messages
        prefix = "ended: " if message.phase == "ends" else ""
        what = Redactor().redact(message.event.what).partition("\n")[0]
        return f"[{hub}] {prefix}{what}"
    return f"[{hub}] {format_count(len(messages), 'event')}"


def format_text(hub: str, messages: Sequence[Message]) -> str:
    """Return the text of a mail or a chat message, without what looks like a secret."""
    paragraphs = [_format(message) for message in messages]
    paragraphs.append(f"From {hub}. What lasts: sudo tljh alerts list; all of it: sudo tljh status")
    return "\n\n".join(paragraphs)


def _format(message: Message) -> str:
    time = message.time[:16].replace("T", " ")
    event = message.event
    what, why = Redactor().redact(event.what), Redactor().redact(event.why)
    if message.phase == "ends":
        since = message.since[:16].replace("T", " ")
        return f"{time} UTC  ended: {what}\n  it began {since} UTC"
    lines = [f"{time} UTC  {what}"]
    if why:
        lines += ["  because: " + why[-MOST_OF_A_REASON:].strip().replace("\n", "\n    ")]
    if event.fix:
        lines.append(f"  fix: {event.fix}")
    return "\n".join(lines)


def format_webhook(hub: str, messages: Sequence[Message]) -> str:
    """Return the JSON for a webhook.

    Slack, Mattermost and Teams read `text`, Discord `content`; programs read `events`.
    """
    text = format_text(hub, messages)[:MOST_CHARACTERS]
    events = [
        {
            "name": message.event.name,
            "phase": message.phase,
            "time": message.time,
            "what": Redactor().redact(message.event.what),
        }
        for message in messages
    ]
    return json.dumps({"text": text, "content": text, "hub": hub, "events": events})
