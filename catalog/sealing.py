"""SM4-GCM (GB/T 32907, NIST SP 800-38D) under a key of the keyring: a value sealed, bound to its place, opened.

No certified module: see docs/decisions/0005-sealing-and-keys.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from catalog.errors import Unreadable

NONCE, TAG = 12, 16


def sm4_key(key: bytes) -> bytes:
    """The 16 bytes that SM4 works with under a key of the keyring."""
    return _derived(key, b"leishu sm4-gcm")[:16]


def cipher(key: bytes) -> algorithms.SM4:
    """SM4 under a key of the keyring."""
    return algorithms.SM4(sm4_key(key))


def nonces(key: bytes) -> hmac.HMAC:
    """HMAC-SM3 to draw nonces from what is sealed, for ``seal_same``."""
    return hmac.HMAC(_derived(key, b"leishu nonce"), hashes.SM3())


def seal(sm4: algorithms.SM4, plain: bytes, aad: bytes) -> bytes:
    """nonce || SM4-GCM(plain) || tag; ``aad`` says where it belongs and is checked on opening.

    Nonces are random 96 bits: one key seals no more than 2**32 times (SP 800-38D, 8.3).
    """
    return _sealed(sm4, os.urandom(NONCE), plain, aad)


def seal_same(sm4: algorithms.SM4, nonces: hmac.HMAC, plain: bytes, aad: bytes) -> bytes:
    """As ``seal``, but the same content in the same place gives the same bytes, so that they can be compared.

    The nonce is HMAC-SM3(place and content), 96 bits of it: it repeats only with both, up to 2**32 times
    as for random ones.
    """
    draw = nonces.copy()
    draw.update(len(aad).to_bytes(8, "big") + aad + plain)
    return _sealed(sm4, draw.finalize()[:NONCE], plain, aad)


def unseal(sm4: algorithms.SM4, sealed: bytes, aad: bytes) -> bytes:
    """What was sealed; Unreadable where a bit, the key or the place is another."""
    if len(sealed) < NONCE + TAG:
        raise damaged()
    worker = Cipher(sm4, modes.GCM(sealed[:NONCE], sealed[-TAG:])).decryptor()
    worker.authenticate_additional_data(aad)
    try:
        return worker.update(sealed[NONCE:-TAG]) + worker.finalize()
    except InvalidTag:
        raise damaged() from None


def damaged() -> Unreadable:
    """For what cannot be opened."""
    return Unreadable("密封内容被截断、改动或放错了位置", "what was sealed was cut, changed or moved")


def netstrings(parts: Iterable[bytes]) -> bytes:
    """The parts as one, each behind its length in bytes and a colon: no two lists give the same bytes."""
    return b"".join(b"%d:%b" % (len(part), part) for part in parts)


def _sealed(sm4: algorithms.SM4, nonce: bytes, plain: bytes, aad: bytes) -> bytes:
    worker = Cipher(sm4, modes.GCM(nonce)).encryptor()
    worker.authenticate_additional_data(aad)
    return nonce + worker.update(plain) + worker.finalize() + worker.tag


def _derived(key: bytes, label: bytes) -> bytes:
    mac = hmac.HMAC(key, hashes.SM3())
    mac.update(label)
    return mac.finalize()
