"""What objects name of each other, and who still names what goes away.

What goes away is more than objects: a subset of a DestinationRule, a host or port of a Gateway, a port of a Service, a
named route. Whoever names it is looked for among the objects that stay. What proxies do right now is not asked here: a
route without requests may be the one that is needed tonight. `meshwright.addons.calling` is about requests.
"""

from meshwright.callers.asking import Ask, asks
from meshwright.callers.leaving import KINDS, Still, noted, still
from meshwright.callers.offers import Offers

__all__ = ["KINDS", "Ask", "Offers", "Still", "asks", "noted", "still"]
