"""A STAND-IN for Loki: it is ready, and lists no labels. It keeps no logs.

The sample starts a helper beside it, which brings rules into a folder. This is a stand-in for that one too: it brings
none. The helper is told by METHOD in its environment.
"""

import os
import threading

from answering import Answering, end_when_told, serve


class Handler(Answering):
    """The few paths that are asked for."""

    def get(self, path, _query):
        if path == "/ready":
            self.send(200, b"ready\n")
        elif path == "/loki/api/v1/labels":
            self.answer({"status": "success", "data": []})
        else:
            self.answer({"status": "error", "error": "the stand-in has no such page"}, 404)


if __name__ == "__main__":
    if "METHOD" in os.environ:
        end_when_told()
        threading.Event().wait()
    serve(Handler, 3100)
