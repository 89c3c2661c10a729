"""Seals the CA's Secrets into a file that only the recipients of the environment can open; changes nothing else."""

from meshwright.certs import restoring
from meshwright.deploy import run

steps = [restoring.backup_step]

run(steps)
