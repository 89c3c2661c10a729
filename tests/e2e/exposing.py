"""What the tests of addons change for a while: the lab's addons, who signs tokens, a disk for Loki, a dashboard."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import signal
import sys
import threading
import time
import urllib.error
import urllib.request

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ISSUER = "https://issuer.example.com"
DEADLINE = 120


def _b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Issuer:
    """Somebody who signs tokens."""

    def __init__(self):
        self.key = rsa.generate_private_key(65537, 2048)

    @property
    def jwks(self):
        numbers = self.key.public_key().public_numbers()
        n, e = (_b64(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in (numbers.n, numbers.e))
        return json.dumps({"keys": [{"kty": "RSA", "alg": "RS256", "kid": "one", "n": n, "e": e}]})

    def token(self):
        head = _b64(json.dumps({"alg": "RS256", "kid": "one"}).encode())
        body = _b64(json.dumps({"iss": ISSUER, "sub": "operator", "exp": int(time.time()) + 3600}).encode())
        signature = self.key.sign(f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{head}.{body}.{_b64(signature)}"


class Values:
    """The values of the lab, changed for a while."""

    def __init__(self, driver):
        self.file = driver.root / "group_data" / "lab.yaml"
        self.before = self.file.read_text()

    def addons(self, text):
        kept = self.before[: self.before.index("\naddons:\n")]
        self.file.write_text(f"{kept}\naddons:\n{text}")

    def back(self):
        self.file.write_text(self.before)


def sample(driver):
    """The lab's own addons, as a mapping's text by name."""
    text = (driver.root / "group_data" / "lab.yaml").read_text().partition("\naddons:\n")[2]
    return {found[1]: found[0] for found in re.finditer(r"(?m)^  (\w+):\n(?:    .*\n?)+", text)}


def until(look, deadline=DEADLINE):
    """What `look` gives as soon as it gives something."""
    ends = time.monotonic() + deadline
    while not (found := look()):
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.2)
    return found


def page(url):
    """What a GET answers; "" where nothing does."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError):
        return ""


def _hears_ctrl_c():
    # A shell has what it starts in the background ignore Ctrl-C, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def dashboard(lab, *words):
    """`meshwright dashboard lab WORDS...` while the block runs: its lines, as they come. Ctrl-C ends it."""
    command = lab.driver.start(sys.executable, "-m", "meshwright", "dashboard", "lab", *words, preexec_fn=_hears_ctrl_c)
    printed = []
    threading.Thread(target=lambda: printed.extend(command.stdout), daemon=True).start()
    try:
        until(lambda: any("Ctrl-C ends it" in line for line in printed) or command.poll() is not None)
        assert command.poll() is None, printed
        yield printed
        command.send_signal(signal.SIGINT)
        assert command.wait(60) == 130
    finally:
        if command.poll() is None:
            command.kill()
            command.wait()


def addresses(printed):
    """The addresses in such lines: by name, or "" where there is one alone."""
    return {
        found[1] or "": found[2] for line in printed if (found := re.match(r"(?:(\w+): )?(http://\S+)$", line.strip()))
    }
