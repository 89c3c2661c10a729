"""Label selectors of Kubernetes, evaluated here (k8s.io/apimachinery, pkg/labels)."""

from __future__ import annotations

from typing import Any

from meshwright.errors import MeshwrightError

__all__ = ["matches"]

Object = dict[str, Any]


def matches(selector: Object, labels: Object) -> bool:
    """Whether a selector (matchLabels, matchExpressions) matches these labels; an empty one matches all. Raises
    MeshwrightError: it has an operator that nobody knows."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(each, labels) for each in selector.get("matchExpressions") or [])


def _holds(expression: Object, labels: Object) -> bool:
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case other:
            raise MeshwrightError(f"a label selector has the unknown operator {other}")
