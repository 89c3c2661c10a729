"""Istio's Telemetry: access logs, traces and metrics."""

from __future__ import annotations

from typing import Literal

from meshwright.environment.mesh.security import TargetRef, WorkloadSelector
from meshwright.environment.mesh.words import Duration, MeshObject, Percent, Spec
from meshwright.environment.vocabulary import Text

__all__ = ["Telemetry"]


class ProviderName(Spec):
    """A provider of meshConfig.extensionProviders."""

    name: Text
    """Its name."""


class Mode(Spec):
    """On which side of a connection."""

    mode: Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"] | None = None
    """Where the setting holds."""


class LogFilter(Spec):
    """Which requests are logged."""

    expression: Text
    """CEL: response.code >= 400."""


class AccessLogging(Spec):
    """Access logs."""

    match: Mode | None = None
    """On which side."""
    providers: list[ProviderName] = []
    """Who takes them."""
    disabled: bool | None = None
    """Whether none are written."""
    filter: LogFilter | None = None
    """Which requests are logged."""


class TagValue(Spec):
    """A value."""

    value: Text
    """The value; of a formatter what Envoy's command operators make of it, such as %REQ(x-user)%."""


class TagSource(Spec):
    """A name whose value is taken."""

    name: Text
    """The name."""
    default_value: Text | None = None
    """The value where there is none."""


class CustomTag(Spec):
    """A tag of traces."""

    required = (("literal", "environment", "header", "formatter"),)

    literal: TagValue | None = None
    """The same value always."""
    environment: TagSource | None = None
    """An environment variable of the proxy."""
    header: TagSource | None = None
    """A header of the request."""
    formatter: TagValue | None = None
    """What Envoy knows about the request."""


class Tracing(Spec):
    """Traces."""

    match: Mode | None = None
    """On which side."""
    providers: list[ProviderName] = []
    """Who takes them."""
    random_sampling_percentage: Percent | None = None
    """How many requests are traced."""
    disable_span_reporting: bool | None = None
    """Whether nothing is sent, and headers are passed on only."""
    custom_tags: dict[Text, CustomTag] = {}
    """Further tags."""
    enable_istio_tags: bool | None = None
    """Whether Istio's own tags are there."""
    use_request_id_for_trace_sampling: bool | None = None
    """Whether x-request-id decides."""
    disable_context_propagation: bool | None = None
    """Whether headers of traces are not passed on."""


class MetricMatch(Spec):
    """Metrics."""

    exclusive = (("metric", "customMetric"),)

    metric: Text | None = None
    """One of Istio's, such as REQUEST_COUNT; ALL_METRICS."""
    custom_metric: Text | None = None
    """Another."""
    mode: Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"] | None = None
    """On which side."""


class TagOverride(Spec):
    """A tag of a metric."""

    operation: Literal["UPSERT", "REMOVE"] | None = None
    """What is done to it."""
    value: Text | None = None
    """CEL that gives its value."""


class MetricsOverride(Spec):
    """What is changed in metrics."""

    match: MetricMatch | None = None
    """Which metrics."""
    disabled: bool | None = None
    """Whether they are not kept."""
    tag_overrides: dict[Text, TagOverride] = {}
    """Their tags."""


class Metrics(Spec):
    """Metrics."""

    providers: list[ProviderName] = []
    """Who takes them."""
    overrides: list[MetricsOverride] = []
    """What is changed."""
    reporting_interval: Duration | None = None
    """How often they are sent."""


class Telemetry(MeshObject):
    """A Telemetry of Istio: access logs, traces and metrics."""

    exclusive = (("selector", "targetRefs"),)

    selector: WorkloadSelector | None = None
    """Its pods; absent: all of the namespace, in the root namespace all of the mesh."""
    target_refs: list[TargetRef] = []
    """The objects that it is for, instead of pods."""
    access_logging: list[AccessLogging] = []
    """Access logs."""
    tracing: list[Tracing] = []
    """Traces."""
    metrics: list[Metrics] = []
    """Metrics."""
