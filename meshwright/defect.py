"""What nobody expected: one sentence for the user, the traceback in a file for whoever mends it."""

from __future__ import annotations

import tempfile
import traceback
from pathlib import Path

from meshwright.errors import MeshwrightError

__all__ = ["defect"]


def defect(error: Exception) -> MeshwrightError:
    """The error to show for an exception that is not a MeshwrightError. Its traceback is kept in a new file.

    A traceback has no values of variables in it, but the text of the exception; the file is for this user only (0600).
    """
    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile("w", prefix="meshwright-", suffix=".txt", delete=False, encoding="utf-8") as file:
        file.write(text)
    return MeshwrightError(
        f"Meshwright has a defect: {type(error).__name__}: {error}",
        hint=f"Nothing more was done. Please report it with {Path(file.name)}",
    )
