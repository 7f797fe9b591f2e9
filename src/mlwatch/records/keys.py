"""Keys: parts joined so that no part can be mistaken for two, and digests."""

from __future__ import annotations

import re


def join_key(*parts: object) -> str:
    """Join parts with "/", escaping what a part holds of it, so that the key is unambiguous."""
    return "/".join(str(part).replace("%", "%25").replace("/", "%2F") for part in parts)


def split_key(key: str) -> tuple[str, ...]:
    """Return the parts that `join_key` joined."""
    return tuple(part.replace("%2F", "/").replace("%25", "%") for part in key.split("/"))


def file_name(text: str) -> str:
    """Return a name for a file or folder that no other text has, whatever the text holds."""
    readable = re.sub(r"[^a-z0-9_]", "_", text)[:40]
    if readable == text:
        return text
    return f"{readable}-{digest(text.encode('utf-8', 'surrogatepass'))}"


def digest(content: bytes) -> str:
    """Return 16 hexadecimal digits that in practice no other content has."""
    from hashlib import sha256  # loads OpenSSL, which is not needed to import mlwatch

    return sha256(content).hexdigest()[:16]
