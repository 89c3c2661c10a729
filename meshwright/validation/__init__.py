"""What an environment's objects must agree on, looked at before anything is sent."""

from meshwright.validation.finding import Finding, Level
from meshwright.validation.run import RULES, Validated, validate

__all__ = ["RULES", "Finding", "Level", "Validated", "validate"]
