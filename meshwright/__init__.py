"""Meshwright brings Istio environments up, keeps them true and maintains them."""

__all__ = ["__version__"]

__version__ = "0.1.0"
