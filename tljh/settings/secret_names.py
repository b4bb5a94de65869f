"""Which settings hold secrets, told by their names; the catalogue of traits does not say."""

from __future__ import annotations

_SECRET_WORDS = ("secret", "password", "token", "private_key", "api_key", "crypt_key", "cookie")


_NOT_SECRET = ("_url", "_file", "_path", "_lifetime", "_expires", "_age", "_length", "_days", "_in")


def looks_secret(trait: str) -> bool:
    """Whether a trait of this name holds something that `show` must not print."""
    return any(word in trait for word in _SECRET_WORDS) and not trait.endswith(_NOT_SECRET)
