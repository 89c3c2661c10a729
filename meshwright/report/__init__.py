"""The report: how environments stand, as plain values and as one page of HTML that needs nothing else."""
