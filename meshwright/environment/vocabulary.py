"""The types of single values that the model is written in, each with what it allows in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

__all__ = [
    "HostName",
    "Image",
    "K3dName",
    "LabelKey",
    "LabelValue",
    "MemberName",
    "Name",
    "NodePort",
    "Port",
    "Seconds",
    "Sha256",
    "Text",
    "Uid",
    "Version",
    "Volume",
    "Words",
]


@dataclass(frozen=True)
class Words:
    """Beside the pattern of a type: what the pattern allows, in words that follow "it must be"."""

    text: str


Port = Annotated[int, Field(ge=1, le=65535)]
NodePort = Annotated[int, Field(ge=30000, le=32767)]
Seconds = Annotated[int, Field(ge=1, le=86400)]
Text = Annotated[str, Field(min_length=1), Words("text that is not empty")]

# RFC 1123 labels, which Kubernetes uses for names; k3d allows a cluster's name 32 characters, because it puts its
# prefix, a role and a number around it and engines stop at 64 (DefaultClusterNameMaxLength in k3d's pkg/types).
_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_LABEL_WORDS = "characters: a-z, 0-9 and -, at both ends no -"
Name = Annotated[str, Field(pattern=_LABEL, max_length=63), Words(f"a name of at most 63 {_LABEL_WORDS}")]
MemberName = Annotated[str, Field(pattern=r"^[a-z0-9][-a-z0-9]*(/[a-z0-9][-a-z0-9]*)?$"), Words("ENV or ENV/CLUSTER")]
K3dName = Annotated[str, Field(pattern=_LABEL, max_length=32), Words(f"a name of at most 32 {_LABEL_WORDS}")]

Version = Annotated[
    str, Field(pattern=r"^[0-9]+\.[0-9]+[-.0-9A-Za-z]*$"), Words("a version as text, such as 1.30.3 (without a v)")
]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$"), Words("a sha256: 64 of the characters 0-9 and a-f")]
Uid = Annotated[
    str,
    Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
    Words("a uid: 32 of the characters 0-9 and a-f in groups of 8-4-4-4-12"),
]
Image = Annotated[
    str,
    Field(pattern=r"^[^\s@]+(:[A-Za-z0-9_][A-Za-z0-9_.-]*|@sha256:[0-9a-f]{64})$"),
    Words("an image with its tag or digest, such as docker.io/rancher/k3s:v1.35.4-k3s1"),
]
Volume = Annotated[
    str, Field(pattern=r"^[^:@\s][^:@]*:/[^@]*(@[^@]+)?$"), Words("SOURCE:/TARGET, or SOURCE:/TARGET@NODEFILTER")
]
HostName = Annotated[
    str,
    Field(pattern=r"^(@local|[0-9A-Za-z:]([-0-9A-Za-z._:]*[0-9A-Za-z])?)$"),
    Words("@local, or the name or address of a host"),
]
LabelKey = Annotated[
    str,
    Field(pattern=r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$", max_length=317),
    Words("the key of a Kubernetes label, such as example.com/team"),
]
LabelValue = Annotated[
    str,
    Field(pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", max_length=63),
    Words("the value of a Kubernetes label: text of at most 63 of the characters a-z, A-Z, 0-9, -, _ and ."),
]
