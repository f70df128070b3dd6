"""Messages at rest in an inbox and its hospital: as they came, or sealed by a cipher of the application's. Pure.

1. A sealed body begins with `SEALED`: rows of before a cipher was given stay readable.
2. Bytes that are no message may begin with anything: what looks sealed and is not is marked as such.
"""

from __future__ import annotations

from typing import Protocol

from regionkit.errors import ConfigurationError

__all__ = ["Cipher", "sealed", "unsealed"]

SEALED = b"rk1\x01"
AS_IT_CAME = b"rk1\x02"


class Cipher(Protocol):
    """Encrypts what stands in tables, authenticated; `Fernet` of cryptography is one. Safe to share between threads."""

    def encrypt(self, data: bytes, /) -> bytes:
        """Sealed."""
        ...

    def decrypt(self, token: bytes, /) -> bytes:
        """As it was; raises where it was not sealed by this one."""
        ...


def sealed(cipher: Cipher | None, body: bytes) -> bytes:
    """A body as it is stored."""
    if cipher is not None:
        return SEALED + cipher.encrypt(body)
    return AS_IT_CAME + body if body.startswith((SEALED, AS_IT_CAME)) else body


def unsealed(cipher: Cipher | None, stored: bytes) -> bytes:
    """A body as it came.

    Raises:
        ConfigurationError: it is sealed, and not by this cipher.
    """
    if stored.startswith(AS_IT_CAME):
        return stored[len(AS_IT_CAME) :]
    if not stored.startswith(SEALED):
        return stored
    if cipher is None:
        raise ConfigurationError("a message is encrypted.", fix="give cipher=, the same to inbox and hospital.")
    try:
        return cipher.decrypt(stored[len(SEALED) :])
    except Exception as error:
        raise ConfigurationError(
            "a message cannot be decrypted.",
            why=f"the cipher raised {type(error).__name__}",
            fix="give the cipher that encrypted it; if keys rotate, use a cipher that takes several keys.",
        ) from error
