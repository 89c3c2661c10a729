"""Requests to a lab's mesh from outside of it and from inside, and environments whose objects are an example's."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from dataclasses import dataclass

import examples
import h2.connection
import h2.events
import protobuf
import wsproto
from owning import Owned

from meshwright import ingress
from meshwright.kube import exec as kube_exec

DEADLINE = 90


@dataclass(frozen=True)
class Answer:
    """What came back from outside of the cluster. `certificate` is what was served, PEM."""

    status: int
    headers: dict[str, str]
    text: str
    seconds: float
    certificate: str = ""


class Outside:
    """Requests to the gateway from outside: by the published ports of the lab."""

    def __init__(self, lab):
        found = ingress.address(lab.target, lab.env)
        self.host, self.ports = found.host, {"http": found.port, "https": found.secure_port}

    def get(self, host, path="/", *, scheme="http", method="GET", client=None, seconds=30, **headers):
        """One request. `client` is a file with a certificate and its key, shown to a server that asks for it; `seconds`
        how long nothing may come."""
        start = time.monotonic()
        stream = socket.create_connection((self.host, self.ports[scheme]), timeout=seconds)
        served = ""
        if scheme == "https":
            context = ssl.create_default_context()
            # Who signed it is looked at below; nobody else has.
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if client is not None:
                context.load_cert_chain(client)
            stream = context.wrap_socket(stream, server_hostname=host)
            served = ssl.DER_cert_to_PEM_cert(stream.getpeercert(binary_form=True))
        connection = http.client.HTTPConnection(host)
        connection.sock = stream
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers={"Host": host, "Connection": "close", **names})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read().decode(), time.monotonic() - start, served)
        finally:
            connection.close()

    def on_one_connection(self, host, times, path="/", *, body=None, **headers):
        """The answers to so many requests, one after the other, on one HTTP/2 connection: headers and trailers
        together, and the body. With a `body` they are POST, with gRPC's content type."""
        connection = h2.connection.H2Connection()
        head = {":method": "GET" if body is None else "POST", ":scheme": "http", ":authority": host, ":path": path}
        head |= {} if body is None else {"content-type": "application/grpc", "te": "trailers"}
        head |= {name.replace("_", "-"): value for name, value in headers.items()}
        with socket.create_connection((self.host, self.ports["http"]), timeout=30) as stream:
            connection.initiate_connection()
            return [_asked(connection, stream, list(head.items()), body) for _ in range(times)]

    def call(self, host, method, fields, times=1):
        """The answers to so many calls of a method of gRPC on one connection: gRPC's status ("" where something else
        has answered), and the texts of the message's first field."""
        sent = protobuf.frame(protobuf.message(fields))
        found = self.on_one_connection(host, times, f"/{method}", body=sent)
        return [(head.get("grpc-status", ""), protobuf.texts(body)) for head, body in found]

    def websocket(self, host, text, path="/", **headers):
        """What a server answers to one text, over a WebSocket."""
        names = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        socket_, answered = wsproto.WSConnection(wsproto.ConnectionType.CLIENT), ""
        with socket.create_connection((self.host, self.ports["http"]), timeout=30) as stream:
            stream.sendall(socket_.send(wsproto.events.Request(host=host, target=path, extra_headers=names)))
            while True:
                received = stream.recv(65536)
                if not received:
                    raise ConnectionError("the server has closed the connection")
                socket_.receive_data(received)
                for event in socket_.events():
                    if isinstance(event, wsproto.events.RejectConnection):
                        raise ConnectionError(f"no WebSocket: {event.status_code}")
                    if isinstance(event, wsproto.events.AcceptConnection):
                        stream.sendall(socket_.send(wsproto.events.TextMessage(data=text)))
                    if isinstance(event, wsproto.events.TextMessage):
                        answered += event.data
                        if event.message_finished:
                            return answered

    def until(self, good, *words, row=5, **more):
        """The answer once `good` holds for it, so many times in a row; the last one when it never does."""
        deadline, held = time.monotonic() + DEADLINE, 0
        while True:
            try:
                answer = self.get(*words, **more)
            except OSError:  # nothing listens there yet
                answer = Answer(0, {}, "", 0)
            held = held + 1 if good(answer) else 0
            if held == row or time.monotonic() > deadline:
                return answer
            if not held:
                time.sleep(0.2)


def _asked(connection, stream, head, body):
    number, headers, answer, ended = connection.get_next_available_stream_id(), {}, b"", False
    connection.send_headers(number, head, end_stream=body is None)
    if body is not None:
        connection.send_data(number, body, end_stream=True)
    while not ended:
        stream.sendall(connection.data_to_send())
        received = stream.recv(65536)
        if not received:
            raise ConnectionError("the server has closed the connection")
        for event in connection.receive_data(received):
            if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
                headers |= {name.decode(): value.decode() for name, value in event.headers}
            if isinstance(event, h2.events.DataReceived):
                answer += event.data
                connection.acknowledge_received_data(event.flow_controlled_length, number)
            ended = ended or isinstance(event, h2.events.StreamEnded | h2.events.StreamReset)
    return headers, answer


class Example(Owned):
    """An environment whose objects are those of one page."""

    def of(self, page):
        examples.put_files(self.lab.driver.root, page)
        return self.has(examples.example(page))

    def has(self, values):
        """Applies these values, which begin with `resources:`; the second plan is empty."""
        self.values.write_text(self.base + values + "  allow_empty: true\n")
        return self.applied()


INSIDE = """
import sys, urllib.request
try:
    headers = {"Host": sys.argv[2]} if len(sys.argv) > 2 else {}
    answer = urllib.request.urlopen(urllib.request.Request(sys.argv[1], headers=headers), timeout=5)
    print(answer.status, answer.headers.get("x-stand-in"))
except urllib.error.HTTPError as error:
    print(error.code)
except OSError as error:
    print("no connection")
"""


def ask_from(lab, namespace, app, url, *host):
    """What a request from inside of a pod is answered."""
    [pod] = lab.session.list("v1", "Pod", namespace, labels=f"app={app}")
    container = next(one["name"] for one in pod["spec"]["containers"] if one["name"] != "istio-proxy")
    code, out, err = kube_exec.run(
        lab.session, namespace, pod["metadata"]["name"], container, ["python3", "-c", INSIDE, url, *host]
    )
    assert code == 0, err.decode()
    return out.decode().strip()


def pod_like(lab, namespace, name):
    """A pod without a sidecar that answers as Bookinfo's details does; ready."""
    [pod] = lab.session.list("v1", "Pod", "bookinfo", labels="app=details")
    [container] = [one for one in pod["spec"]["containers"] if one["name"] == "details"]
    wanted = {key: container[key] for key in ("name", "image", "env", "imagePullPolicy") if key in container}
    labels = {"app": name, "sidecar.istio.io/inject": "false"}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    lab.session.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [wanted]}})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status = lab.session.get("v1", "Pod", name, namespace).get("status", {})
        if status.get("podIP") and all(one["ready"] for one in status.get("containerStatuses") or [{"ready": False}]):
            return status["podIP"]
        time.sleep(0.5)
    raise AssertionError(f"{name} is not ready")


def settled(ask, wanted, row=3):
    """The answer of `ask` once it is `wanted`, so many times in a row; the last one when it never is."""
    deadline, held = time.monotonic() + DEADLINE, 0
    while True:
        answer = ask()
        held = held + 1 if answer == wanted else 0
        if held == row or time.monotonic() > deadline:
            return answer
        time.sleep(0.3)
