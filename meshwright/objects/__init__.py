"""Kubernetes objects: desired against live, and bringing the live ones to the desired.

`compare` and `apply` are what steps use; their parts are modules of their own: names and order, conflicts, taking over
what another tool has made, writing.
"""

from meshwright.objects.applying import Beat, apply
from meshwright.objects.comparing import Adjust, compare
from meshwright.objects.names import Key, Lists, Object, in_order, key, live, named, title
from meshwright.objects.planning import back, plan

__all__ = [
    "Adjust",
    "Beat",
    "Key",
    "Lists",
    "Object",
    "apply",
    "back",
    "compare",
    "in_order",
    "key",
    "live",
    "named",
    "plan",
    "title",
]
