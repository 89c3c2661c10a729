"""Two clusters of one mesh, each a world of `certmesh`, that follow each write at once."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import certmesh
import pytest
from clock import Clock
from fakes import environment
from pki import Signed, b64, make, plugged, secret

from meshwright import cluster, envoys
from meshwright.certs import canary, consumers, making, members, moving, transition
from meshwright.certs import remote as remotes
from meshwright.certs.certificate import bundle
from meshwright.certs.gates import Pace
from meshwright.certs.remote import Known
from meshwright.environment import Environment
from meshwright.kube import Identity, portforward
from meshwright.kube import exec as inside
from meshwright.target import Local

_EDGES = (
    (envoys, "ask_all"),
    (consumers, "connect"),
    (canary, "token"),
    (canary, "ask"),
    (canary, "accepted"),
    (inside, "run"),
    (portforward, "http_get"),
)


@dataclass
class Clusters:
    """`worlds` by the clusters' names. `writes` has what was written to CA Secrets and standby Secrets, as
    (cluster, verb, Secret); `after` is called after each write, and may raise."""

    worlds: dict[str, certmesh.World]
    envs: dict[str, Environment]
    old: Signed
    new: Signed
    signers: dict[str, Signed]
    writes: list[tuple[str, str, str]] = field(default_factory=list)
    after: Callable[[str, str, str], None] = lambda *_: None

    def stands(self, name: str) -> tuple[list[str], str]:
        """The organizations of the roots that the CA Secret of a cluster has, in order; that of its signer's root."""
        held = self.worlds[name].session.objects["v1", "Secret", "istio-system", "cacerts"]["data"]
        found = bundle(base64.b64decode(held["root-cert.pem"]))
        [signer] = bundle(base64.b64decode(held["ca-cert.pem"]))
        return [each.subject.removeprefix("O=") for each in found], signer.issuer.removeprefix("O=")

    def roots(self, name: str) -> list[str]:
        """The first of these."""
        return self.stands(name)[0]


def kubeconfig(server: str, ca: Signed | None = None, token: str = "t0psecret") -> str:
    """As `istioctl create-remote-secret` writes it."""
    said = {"server": server} | ({"certificate-authority-data": b64(ca.pem)} if ca else {})
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": said}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
        "current-context": "c",
        "users": [{"name": "c", "user": {"token": token}}],
    }
    return json.dumps(document)


def remote_secret(name: str, cluster: str, text: str) -> dict[str, Any]:
    """The remote secret of a cluster."""
    made = secret(name, {cluster: text})
    made["metadata"]["labels"] = {"istio/multiCluster": "true"}
    return made


def made(monkeypatch: pytest.MonkeyPatch, host: Any, prefix: str = "prod") -> Clusters:
    """A mesh on one plugged-in root with an intermediate for each cluster; each knows all others by remote secrets, and
    the folder `ca` of the project has new files for each."""
    names = ("east", "west")
    old, new = make("Old"), make("New")
    worlds: dict[str, certmesh.World] = {}
    edges: dict[int, dict[str, Any]] = {}
    envs: dict[str, Environment] = {}
    signers = {name: make(f"Old {name}", old) for name in names}
    found = Clusters(worlds, envs, old, new, signers)
    for number, name in enumerate(names):
        world = certmesh.made(monkeypatch)
        session = world.session
        edges[id(session)] = {attribute: getattr(module, attribute) for module, attribute in _EDGES}
        worlds[name], envs[name] = world, environment(f"{prefix}/{name}")
        world.env = envs[name]
        del session.objects["v1", "Secret", "istio-system", "istio-ca-secret"]
        session.put(plugged(signers[name], old))
        session.who = Identity(f"the uid of {name}", f"{number}" * 64)
        for other in names:
            if other != name:
                text = kubeconfig(f"https://{other}:6443")
                session.put(remote_secret(f"istio-remote-secret-{other}", other, text))
        world.root, world.signer = old, signers[name]
        world.converge(old)
        intermediate = make(f"New {name}", new)
        folder = host.project.root / "ca" / name
        folder.mkdir(parents=True)
        texts = {
            "ca-cert.pem": intermediate.pem,
            "ca-key.pem": intermediate.key_pem,
            "cert-chain.pem": intermediate.pem,
            "root-cert.pem": new.pem,
        }
        for file, text in texts.items():
            (folder / file).write_text(text)
        _watched(found, name, session)
    _dispatched(monkeypatch, edges)
    _following(monkeypatch, found)
    monkeypatch.setattr(members, "members", lambda *_: [type("Loaded", (), {"env": env})() for env in envs.values()])
    monkeypatch.setattr(members, "_connected", lambda target, env: _target(target, env))
    monkeypatch.setattr(cluster, "session", lambda _target, env: worlds[env.name.rpartition("/")[2]].session)
    monkeypatch.setattr(
        remotes, "known", lambda name, *_: Known(name, frozenset({name.rpartition("/")[2]}), "", frozenset())
    )
    return found


def _target(target: Any, env: Environment) -> Local:
    made = Local(target.project, name=f"@cluster/{env.name.rpartition('/')[2]}")
    made.say = lambda sentence: target.say(f"{env.name.rpartition('/')[2]}: {sentence}")
    made.shared.safe_point = lambda where: target.shared.safe_point(where)
    return made


def _watched(found: Clusters, name: str, session: Any) -> None:
    """Notes what is written to the Secrets of the CA."""

    def noting(verb: str, real: Any, secret_of: Callable[..., str]) -> Any:
        def write(*given: Any, **more: Any) -> Any:
            done = real(*given, **more)
            what = secret_of(*given)
            if what in ("cacerts", "istio-ca-secret", "meshwright-ca-standby") and not more.get("dry_run"):
                found.writes.append((name, verb, what))
                found.after(name, verb, what)
            return done

        return write

    session.create = noting("create", session.create, lambda obj: str(obj["metadata"].get("name")))
    session.replace = noting("replace", session.replace, lambda obj: str(obj["metadata"].get("name")))
    session.delete = noting("delete", session.delete, lambda _api, _kind, secret, _namespace: str(secret))
    session.patch = lambda *_given, **_more: None


def _dispatched(monkeypatch: pytest.MonkeyPatch, edges: dict[int, dict[str, Any]]) -> None:
    for module, attribute in _EDGES:
        if attribute == "connect":

            @contextlib.contextmanager
            def connect(session: Any, *given: Any, **more: Any) -> Iterator[Any]:
                with edges[id(session)]["connect"](session, *given, **more) as stream:
                    yield stream

            monkeypatch.setattr(module, attribute, connect)
            continue

        def ask(session: Any, *given: Any, _attribute: str = attribute, **more: Any) -> Any:
            return edges[id(session)][_attribute](session, *given, **more)

        monkeypatch.setattr(module, attribute, ask)


def _following(monkeypatch: pytest.MonkeyPatch, found: Clusters) -> None:
    """While a mover sleeps, its cluster follows what is written there."""
    real = moving.Mover
    known: dict[Any, Signed] = {}

    def mover(session: Any, env: Any, change: Any, say: Any) -> Any:
        world = found.worlds[env.name.rpartition("/")[2]]

        def follow(seconds: float) -> None:
            clock.sleep(seconds)
            report, _ = moved.look()
            authority = report.seen.authority
            if report.ok or authority is None:
                return
            for ca in (change.old, change.new):
                key = making._key(ca.key, "x")
                known[ca.signer] = Signed(ca.signer, key, ca.chain)  # type: ignore[arg-type]
                known[ca.root] = Signed(ca.root, key)  # type: ignore[arg-type]
            world.converge(*(known[root] for root in dict.fromkeys(authority.ordered)), signer=known[authority.signer])

        clock = Clock()
        moved = real(session, env, change, say, Pace(patience=5, apart=0, every=0), clock=clock, sleep=follow)
        return moved

    monkeypatch.setattr(transition, "Mover", mover)
    monkeypatch.setattr(moving.wait, "ready", lambda *_args, **_more: None)
