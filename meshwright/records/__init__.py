"""Records: what each changing run did, who did it and why; appended on the host and in the cluster, never edited."""

from meshwright.records.model import Entry, Record, Result
from meshwright.records.recorder import Recorder

__all__ = ["Entry", "Record", "Recorder", "Result"]
