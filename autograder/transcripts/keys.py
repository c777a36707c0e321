"""A folder in; signatures that a stranger can check, and the public keys to check them with, out.

The private key is made when it is first needed and only its owner can read it. A rotation leaves the old public key behind,
so that old signatures still hold; withdrawing a key that leaked removes that too.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from autograder.errors import BootcampError

_PRIVATE = "signing_key.pem"
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Signature:
    """`key` names the public key: the first 16 hexadecimal digits of its SHA-256."""

    key: str
    value: bytes


class Keys:
    """The keys in a folder, which is made on first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sign(self, text: bytes) -> Signature:
        """Sign with the current key. Raises: BootcampError when others can read it, or it is none."""
        private = self._private()
        return Signature(_id(private.public_key()), private.sign(text))

    def holds(self, signature: Signature, text: bytes) -> bool:
        """Whether the signature is of exactly this text, by a key of ours that was not withdrawn."""
        public = self._public(signature.key)
        if public is None:
            return False
        try:
            public.verify(signature.value, text)
        except InvalidSignature:
            return False
        return True

    def pem(self, key: str) -> str | None:
        """Return a public key as text, None when there is no such key of ours."""
        public = self._public(key)
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii") if public else None

    def current(self) -> str:
        """Return the name of the key that signs now."""
        return _id(self._private().public_key())

    def all(self) -> list[str]:
        """Return the names of all public keys, the current one too."""
        self._private()
        return sorted(p.stem for p in self._folder.glob("*.pub") if _ID.fullmatch(p.stem))

    def rotate(self, withdraw: bool = False) -> str:
        """Sign with a new key from now on, and return its name. With `withdraw` the old one's signatures hold no longer."""
        # A key that others can read signs nothing, and must be replaced all the same.
        old = self._load(self._folder / _PRIVATE) if (self._folder / _PRIVATE).exists() else None
        os.replace(self._draft(), self._folder / _PRIVATE)
        if withdraw and old:
            (self._folder / f"{_id(old.public_key())}.pub").unlink(missing_ok=True)
        return self.current()

    def _private(self) -> Ed25519PrivateKey:
        path = self._folder / _PRIVATE
        if not path.exists():
            draft = self._draft()
            try:
                os.link(draft, path)  # of two processes that come first, one wins, and both use its key
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise BootcampError(
                f"{path} has mode {mode:o}: others can read the signing key. Make a new one: bootcamp transcripts rotate"
            )
        key = self._load(path)
        self._publish(key.public_key())
        return key

    def _load(self, path: Path) -> Ed25519PrivateKey:
        try:
            key = load_pem_private_key(path.read_bytes(), None)
        except ValueError:
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise BootcampError(f"{path} holds no Ed25519 key. Move it away, and a new one is made.")
        return key

    def _draft(self) -> Path:
        """Write a new private key beside the current one; return where."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=self._folder)  # its mode is 0600
        with os.fdopen(fd, "wb") as f:
            f.write(Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return Path(name)

    def _publish(self, public: Ed25519PublicKey) -> None:
        path = self._folder / f"{_id(public)}.pub"
        if not path.exists():
            path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def _public(self, key: str) -> Ed25519PublicKey | None:
        path = self._folder / f"{key}.pub"
        if not _ID.fullmatch(key) or not path.is_file():
            return None
        found = load_pem_public_key(path.read_bytes())
        # The name is the key's own hash, so a file that somebody exchanged is no key of this name.
        return found if isinstance(found, Ed25519PublicKey) and _id(found) == key else None


def _id(public: Ed25519PublicKey) -> str:
    return hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]
