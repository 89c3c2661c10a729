"""Changing the root without a restart and without telling anybody: every phase waits for half of a certificate's life,
which is short here. It is interrupted in its first wait and gone on with (#6)."""

from __future__ import annotations

import signal
import sys
import time

from load import fresh_handshakes, running
from rooted import NAMESPACE, bookinfo_hosts, certs, in_order, page_load
from slowness import SLOW, generations, slowed

LIFE = "3m0s"


def restarts(lab):
    found = generations(lab)
    return {name: found[name] for name in found if name.rpartition("/")[2] in SLOW}


def test_patience_restarts_nobody_and_loses_nothing(lab):
    with slowed(lab, SECRET_TTL=LIFE):
        in_order(lab)
        before = restarts(lab)
        begin = ["certs", "transition", "lab", "--to", "new-self-signed", "--mode", "patient", "--yes"]
        with fresh_handshakes(lab.session, NAMESPACE, bookinfo_hosts(lab)), running(page_load(lab)) as load:
            started = time.monotonic()
            first = lab.driver.start(sys.executable, "-m", "meshwright", *begin)
            while certs(lab, "status")[1]["phase"] != "both_sign_old":
                assert time.monotonic() < started + 300
            time.sleep(20)
            first.send_signal(signal.SIGINT)
            first.wait(60)
            code, document = certs(lab, "status")
            assert document["phase"] == "both_sign_old"
            # Without --mode: what was begun goes on in its own.
            again = lab.driver.meshwright("certs", "transition", "lab", "--yes", timeout=1800)
        assert again.code == 0, again.err
        assert "waiting for the next certificates of 2 proxies, until" in again.err + again.out
        assert load.lost() == []
        assert restarts(lab) == before
        code, document = certs(lab, "status")
        assert (code, document["phase"]) == (0, "new_alone")
        assert lab.driver.meshwright("certs", "transition", "lab", "--to", "forget", "--yes").code == 0
