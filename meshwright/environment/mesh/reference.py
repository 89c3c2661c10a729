"""References: where a secret is, in place of the secret. What they stand for is read late: `meshwright.secrets`."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from meshwright.environment.mesh.words import MeshObject, Spec
from meshwright.environment.vocabulary import Text, Words

__all__ = ["WORDS", "Reference", "SecretAt", "SecretObject"]

WORDS = ("file", "age", "sops", "vault", "env")
"""The keys of which a reference has one."""

Variable = Annotated[
    str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"), Words("the name of an environment variable, such as SHOP_PASSWORD")
]
VaultPath = Annotated[
    str,
    Field(pattern=r"^[^\s/?#%.][^\s/?#%]*(/[^\s/?#%.][^\s/?#%]*)+$"),
    Words("MOUNT/PATH of a secret, such as secret/shop, without a / at its ends"),
]
# Kubernetes: the keys of a Secret's data.
DataKey = Annotated[
    str,
    Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253),
    Words("a key of a Secret: at most 253 of the characters a-z, A-Z, 0-9, -, _ and ."),
]


class Reference(Spec):
    """Where a secret is. Exactly one of `file`, `age`, `sops`, `vault` and `env` says it."""

    secret: ClassVar[bool] = True
    required = (WORDS,)

    file: Text | None = None
    """Path of a file that has it as it is."""
    age: Text | None = None
    """Path of a file that is encrypted by age."""
    sops: Text | None = None
    """Path of a file that is encrypted by sops; the program sops decrypts it."""
    vault: VaultPath | None = None
    """MOUNT/PATH of a secret in Vault (KV version 2), at the address that VAULT_ADDR has."""
    env: Variable | None = None
    """Name of an environment variable; not for a private key."""
    key: Text | None = None
    """With sops and vault: which value of the document; levels are parted by /."""
    identity: Text | None = None
    """With age: path of the file with the identity; where absent the one that sops uses."""

    @property
    def word(self) -> str:
        """Which of `WORDS` it has."""
        return next(word for word in WORDS if getattr(self, word) is not None)

    @property
    def shown(self) -> str:
        """The reference in a few words: "sops shop.yaml (tls/key)". Never what it stands for."""
        inside = f" ({self.key})" if self.key else ""
        return f"{self.word} {getattr(self, self.word)}{inside}"


SecretAt = Annotated[
    Reference, Words("a reference, such as {file: PATH}; beside file there are age, sops, vault and env")
]


class SecretObject(MeshObject):
    """A Secret whose values are references."""

    type: Text = "Opaque"
    """The type of the Secret."""
    data: Annotated[
        dict[DataKey, SecretAt], Field(min_length=1), Words("a mapping of keys to references, at least one")
    ]
    """What it holds: by key, where the value is."""
