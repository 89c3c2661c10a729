"""The certificates of a mesh: who signs, what is trusted where, how long it lasts, and whether it all fits together.

Nothing in here writes to a cluster. Private keys are never kept: of a CA Secret only the certificates get past
`meshwright.certs.authority.material`.
"""
