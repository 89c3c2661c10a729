"""Environments: all values of one target, typed, each knowing its file and line."""

from meshwright.environment.model import Environment

__all__ = ["Environment"]
