"""Promotion: what works in one environment is taken over into the next, past its gates."""
