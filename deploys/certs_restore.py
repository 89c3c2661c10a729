"""Puts the CA's Secrets of a backup back where they are gone: `--data to=FILE`."""

from meshwright.certs import restoring
from meshwright.deploy import run

steps = [restoring.restore]

run(steps)
