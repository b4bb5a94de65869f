"""Redaction of free text, such as logs: what looks like a secret is masked, rather too much.

For files that leave the machine. The caller adds the secrets that it knows; patterns find those
that nobody knows of: in a drop-in's comment, in a URL, in the output of a failed command.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

MASK = "[removed]"

# Shorter ones are words of a log, too: a password `admin` would remove each `admin`.
SHORTEST_KNOWN = 6

_WORDS = (
    r"pass(?:word|wd|phrase|code)?|pwd|secret|token|api[_-]?key|access[_-]?key|(?:private|crypt|encryption|signing)[_-]?key"
    r"|auth(?:orization|[_-]?key)|credential|cookie|session[_-]?id|bearer|hmac|signature|otp|pin"
)
_NAME = rf"[\w.-]*(?:{_WORDS})s?(?:[_-][\w-]*)?"

_PEM = re.compile(
    r"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY[A-Z ]*)-----.*?(?:-----END \1-----|\Z)", re.DOTALL
)
# //user:password@, and //token@, in a URL.
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s\"']+(?=@)")
# name: value, name = "value", "name": "value", --name value, name is value
_ASSIGNMENT = re.compile(
    rf"""(?P<name>\b{_NAME}["']?\]?\)?)(?P<sign>\s*(?:[:=]+>?|->|\bis\b|\bwas\b)\s*)"""
    r"""(?P<value>"[^"\n]*"|'[^'\n]*'|[^\s,;&}\])]+(?:[ \t]+[^\s,;&}\])=:]+(?=\s*$))?)""",
    re.IGNORECASE | re.MULTILINE,
)
_OPTION = re.compile(rf"(?P<name>(?<!\S)--?{_NAME})(?P<sign>[ =])(?P<value>\S+)", re.IGNORECASE)
_HEADER = re.compile(
    r"(?P<name>\b(?:set-)?cookie2?|(?:proxy-)?authorization|x-[\w-]*(?:token|key|auth)[\w-]*)"
    r"(?P<sign>[\"']?\s*[:=]\s*)(?P<value>[^\n]+)",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(?P<name>Bearer|Basic|token)(?P<sign> +)(?P<value>[\w.~+/=-]{8,})")
# A line of .netrc.
_NETRC = re.compile(r"(?P<name>login\s+\S+\s+password)(?P<sign>\s+)(?P<value>\S+)", re.IGNORECASE)
_SHAPES = tuple(
    re.compile(shape)
    for shape in (
        r"\$(?:2[aby]|5|6|y|argon2\w*|pbkdf2[\w-]*)\$[\w./$,=+-]+",  # hashes of passwords
        r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?",  # JWT
        r"\b(?:gh[pousr]|glpat|github_pat|xox[abprs]|sk|pk|rk|hf|npm|pypi|dop_v1|shpat)[_-]\w[\w-]{10,}",
        r"\b(?:AKIA|ASIA|AIza|ya29\.)[\w-]{12,}",
        r"\bAGE-SECRET-KEY-\w+",
        r"\b[0-9a-fA-F]{32,}\b",
        # Random text in base64: three kinds of letters, and longer than words are.
        r"(?<![\w/.-])(?=[\w+/-]*[0-9])(?=[\w+/-]*[A-Z])(?=[\w+/-]*[a-z])[A-Za-z0-9+/_-]{28,}={0,2}(?![\w/.])",
    )
)


@dataclass(frozen=True)
class Redactor:
    """Masks given secrets, and whatever looks like one."""

    secrets: frozenset[str] = field(repr=False, default=frozenset())

    @classmethod
    def of(cls, secrets: Iterable[str]) -> Redactor:
        """Return a redactor of secrets, and of the lines and forms in which they are written."""
        texts = {text.strip() for secret in secrets for text in (secret, *secret.splitlines())}
        return cls(frozenset(text for text in texts if len(text) >= SHORTEST_KNOWN))

    def redact(self, text: str) -> str:
        """Return a text without secrets."""
        # The longest first: a shorter one may be a part of it.
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, MASK)
        text = _PEM.sub(f"-----BEGIN \\1-----\n{MASK}", text)
        text = _CREDENTIALS.sub(MASK, text)
        text = _HEADER.sub(rf"\g<name>\g<sign>{MASK}", text)
        for pattern in (_SCHEME, _OPTION, _ASSIGNMENT, _NETRC):
            text = pattern.sub(_mask_value, text)
        for shape in _SHAPES:
            text = shape.sub(MASK, text)
        return text


# What follows a secret's name and is none: a type, a state, or a file's name.
_HARMLESS = re.compile(
    r"""["']?(?:true|false|null|none|no|yes|\{\}|\[\]|""|''|required|missing|set|empty|invalid|\d{1,2})["']?$""",
    re.IGNORECASE,
)


def _mask_value(match: re.Match[str]) -> str:
    value = match["value"]
    if _HARMLESS.match(value) or MASK in value:
        return match.group()
    quote = value[0] if value[0] in "\"'" else ""
    return f"{match['name']}{match['sign']}{quote}{MASK}{quote}"
