"""The types of single values in Istio's objects, each with what it allows in plain words; the base of the models."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Optional

from pydantic import BeforeValidator, ConfigDict, Field, model_serializer
from pydantic.alias_generators import to_camel

from meshwright.environment.base import Model
from meshwright.environment.dnsnames import HOST, HOST_WORDS
from meshwright.environment.vocabulary import LabelKey, LabelValue, Text, Words

__all__ = [
    "Address",
    "Duration",
    "GatewayHost",
    "GatewayRef",
    "HeaderName",
    "Host",
    "Labels",
    "MeshObject",
    "Number",
    "ObjectKey",
    "ObjectName",
    "ObjectRef",
    "Percent",
    "PortName",
    "Protocol",
    "Ratio",
    "SidecarHost",
    "Spec",
    "StatusCode",
    "removable",
]

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = rf"{_LABEL}(\.{_LABEL})*"

# Names of objects are RFC 1123 subdomains (Kubernetes: Object Names and IDs), those of namespaces labels.
ObjectKey = Annotated[
    str,
    Field(pattern=rf"^{_LABEL}/{_NAME}$", max_length=317),
    Words("NAMESPACE/NAME of the object, such as shop/reviews"),
]
ObjectName = Annotated[str, Field(pattern=rf"^{_NAME}$", max_length=253), Words("the name of an object")]
Host = Annotated[str, Field(pattern=rf"^{HOST}$", max_length=253), Words(f"a host, {HOST_WORDS}")]
GatewayHost = Annotated[
    str,
    Field(pattern=rf"^(({_LABEL}|\.|\*)/)?{HOST}$", max_length=317),
    Words(f"a host, or NAMESPACE/HOST; the host {HOST_WORDS}"),
]
SidecarHost = Annotated[
    str,
    Field(pattern=rf"^({_LABEL}|\.|\*|~)/{HOST}$", max_length=317),
    Words("NAMESPACE/HOST, where NAMESPACE may be . (its own), * (all) or ~ (none), and HOST may be *"),
]
GatewayRef = Annotated[
    str,
    Field(pattern=rf"^({_LABEL}/)?{_NAME}$", max_length=317),
    Words("mesh, the name of a Gateway in the same namespace, or NAMESPACE/NAME of one"),
]
Address = Annotated[
    str, Field(pattern=r"^[0-9a-fA-F:.]+(/[0-9]{1,3})?$"), Words("an IP address, or a range such as 10.0.0.0/8")
]

# Go's durations, of which Istio takes those of a millisecond and more.
_N, _U = r"[0-9]+(\.[0-9]+)?", "(h|m|s|ms)"
_MORE = r"([0-9]*[1-9][0-9]*(\.[0-9]+)?|[0-9]+\.[0-9]*[1-9][0-9]*)"
Duration = Annotated[
    str,
    Field(pattern=rf"^({_N}{_U})*{_MORE}{_U}({_N}{_U})*$"),
    Words("a time longer than nothing with its unit, such as 500ms, 2s or 1m30s"),
]
Number = Annotated[int, Field(ge=0, le=2147483647)]
Percent = Annotated[float, Field(ge=0, le=100), Words("a number from 0 to 100")]
Ratio = Annotated[int, Field(ge=0, le=100)]
StatusCode = Annotated[int, Field(ge=200, le=599)]
HeaderName = Annotated[
    str, Field(pattern=r"^:?[-A-Za-z0-9_.!#$%&'*+^`|~]+$"), Words("the name of a header, such as x-user")
]
PortName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$", max_length=256), Words("the name of a port")
]
Protocol = Annotated[
    str,
    Field(pattern=r"^(HTTP|HTTPS|HTTP2|GRPC|GRPC-WEB|TCP|TLS|MONGO|MYSQL|REDIS)$"),
    Words("HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TCP, TLS, MONGO, MYSQL or REDIS"),
]
Labels = dict[LabelKey, LabelValue]


class Spec(Model):
    """A mapping of an API: its keys are spelled as that API spells them (`httpsRedirect`).

    Of each group in `exclusive` at most one key may be given, of each in `required` exactly one; the keys are spelled
    as in the files.
    """

    model_config = ConfigDict(alias_generator=lambda name: to_camel(name.rstrip("_")))

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = ()
    required: ClassVar[tuple[tuple[str, ...], ...]] = ()

    @model_serializer
    def given(self) -> dict[str, Any]:
        """What the files say, as the API has it: no null, and no defaults but those that say something."""
        found = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if value is not None and (value or name in self.model_fields_set):
                found[field.alias or name] = _plain(value)
        return found


class ObjectRef(Spec):
    """An object of the same namespace."""

    group: str
    """Its API group; "" for those of Kubernetes itself."""
    kind: Text
    """Its kind."""
    name: ObjectName
    """Its name."""


class MeshObject(Spec):
    """An object in the cluster."""

    labels: Labels = {}
    """Labels of the object itself."""
    annotations: dict[LabelKey, str] = {}
    """Annotations of the object itself."""


def _plain(value: Any) -> Any:
    if isinstance(value, Spec):
        return value.given()
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    # As the API server gives it back.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _without_removed(objects: object) -> object:
    """An object that is null is none: so ENV.yaml takes away one that all.yaml has."""
    if isinstance(objects, dict):
        return {key: obj for key, obj in objects.items() if obj is not None}
    return objects


def removable(model: Any) -> BeforeValidator:
    """Beside `dict[ObjectKey, model]`: the value may be null, which takes the object away."""
    taken = dict.__class_getitem__((ObjectKey, Optional[model]))  # noqa: UP045 (a value, not an annotation)
    return BeforeValidator(_without_removed, json_schema_input_type=taken)
