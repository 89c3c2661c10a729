"""The flags and environment variables of k3s that the stand-in honours; any other flag is refused, never ignored.

One that would be ignored would make a cluster that is not what its k3d configuration says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# Flags of k3s that hand arguments on to one component, and that component's name here.
PASSED_ON = {
    "kube-apiserver-arg": "kube-apiserver",
    "kube-controller-manager-arg": "kube-controller-manager",
    "kube-scheduler-arg": "kube-scheduler",
    "kubelet-arg": "kubelet",
    "kube-proxy-arg": "kube-proxy",
    "etcd-arg": "etcd",
}
LISTS = ("tls-san", "disable", "node-label", "node-taint", *PASSED_ON)

# Components of k3s that can be disabled because the stand-in does not have them anyway.
ABSENT = frozenset({"traefik", "servicelb", "local-storage", "metrics-server", "runtimes"})


class Refused(Exception):
    """The stand-in cannot do what it was asked for; the text says what."""


@dataclass(frozen=True)
class Options:
    """What one node was asked to be."""

    token: str
    server_url: str = ""
    kubeconfig_copy: str = ""
    names: tuple[str, ...] = ()
    disabled: frozenset[str] = frozenset()
    labels: tuple[str, ...] = ()
    taints: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def arguments_for(self, component: str) -> list[str]:
        """The arguments handed on to one component: k3s takes them as `name=value`, components as `--name=value`."""
        return ["--" + argument.removeprefix("--") for argument in self.extra.get(component, ())]


def parse(command: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Options:
    """Read a k3s command line."""
    values: dict[str, list[str]] = {name: [] for name in (*LISTS, "token", "server")}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or name not in values:
            raise Refused(_unknown(command, argument))
        if not equals:
            if not rest:
                raise Refused(f"--{name} needs a value")
            value = rest.pop(0)
        values[name].append(value)

    token = (values["token"] or [environment.get("K3S_TOKEN", "")])[-1]
    server_url = (values["server"] or [environment.get("K3S_URL", "")])[-1]
    if command == "agent" and not (server_url and token):
        raise Refused("an agent needs K3S_URL and K3S_TOKEN")
    if command == "server" and server_url:
        raise Refused("this stand-in for k3s makes clusters with one server: a second one cannot join")
    return Options(
        token=token,
        server_url=server_url,
        kubeconfig_copy=environment.get("K3S_KUBECONFIG_OUTPUT", ""),
        names=tuple(values["tls-san"]),
        disabled=_disabled(values["disable"]),
        labels=tuple(values["node-label"]),
        taints=tuple(values["node-taint"]),
        extra={component: tuple(values[flag]) for flag, component in PASSED_ON.items() if values[flag]},
    )


def _disabled(values: Sequence[str]) -> frozenset[str]:
    names = frozenset(name.strip() for value in values for name in value.split(",") if name.strip())
    if unknown := names - ABSENT - {"coredns"}:
        raise Refused(f"nothing to disable is called {', '.join(sorted(unknown))}")
    return names


def _unknown(command: str, argument: str) -> str:
    if argument.startswith("--cluster-init"):
        return "this stand-in for k3s makes clusters with one server: --cluster-init is for several"
    known = ", ".join(f"--{name}" for name in (*LISTS, "token", "server"))
    return f"this stand-in for k3s does not know {argument!r} ({command}); it knows {known}"
