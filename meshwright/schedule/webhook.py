"""Telling somebody how a job ended: its result as JSON by POST, tried again a few times and never for long."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from meshwright.environment.timetable import Webhook
from meshwright.project import Project

__all__ = ["send"]

_FORMAT_VERSION = "1.0"
_TIMEOUT = 10.0
_PAUSES = (1.0, 5.0)


def send(
    project: Project,
    environment: str,
    hook: Webhook,
    result: dict[str, Any],
    say: Callable[[str], None],
    pauses: tuple[float, ...] = _PAUSES,
) -> bool:
    """Sends a result; `pauses` are the seconds between attempts. What goes wrong is said, without the URL, and gives
    false: the job has ended as it has."""
    head = {"format_version": _FORMAT_VERSION, "environment": environment, "machine": socket.gethostname()}
    try:
        url = hook.url or (project.root / Path(hook.url_file or "").expanduser()).read_text().strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        say(f"the result could not be sent: {hook.url_file} cannot be read: {reason}")
        return False
    why = ""
    for pause in (*pauses, None):
        why, again = _attempt(url, {**head, **result})
        if not why:
            return True
        if pause is None or not again:
            break
        time.sleep(pause)
    say(f"the result could not be sent to the webhook: {why}")
    return False


def _attempt(url: str, document: dict[str, Any]) -> tuple[str, bool]:
    """Why it failed, empty where it did not, and whether another attempt may help."""
    try:
        answer = httpx2.post(url, json=document, timeout=_TIMEOUT)
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
        return "its URL is none", False
    except httpx2.HTTPError as error:
        # Its text may have the URL in it.
        return type(error).__name__, True
    if answer.is_success:
        return "", False
    return f"it answered {answer.status_code}", answer.status_code == 429 or answer.status_code >= 500
