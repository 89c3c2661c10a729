"""Secrets that values refer to: read late, by whoever needs one, and kept nowhere (docs/secrets.md)."""

from meshwright.secrets.resolving import Resolver, references

__all__ = ["Resolver", "references"]
