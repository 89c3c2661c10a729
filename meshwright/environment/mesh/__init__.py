"""The objects of Istio and of the Gateway API that an environment writes as values, in the words of their own APIs.

One model per mapping of those APIs. What a field means in full is in the API's own reference; what a template makes of
it is in docs/templates.
"""
