# The node image: a STAND-IN for rancher/k3s. Upstream Kubernetes in one container, behind k3s's paths, flags and log
# lines, so that the real k3d can run it. Context: the binary `kube`, and lab/node as `node/`.
ARG BASE
FROM ${BASE}

# conntrack, ipset, nftables, kmod: kube-proxy. mount: the kubelet. openssl: the node's certificates.
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      conntrack containerd containernetworking-plugins ipset kmod mount nftables openssl runc \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /usr/share/doc /usr/share/man

# k3d's entrypoint traps signals by the names that bash knows (SIGTERM, not TERM) and reads $HOSTNAME; dash does neither.
RUN ln -sf bash /bin/sh \
 && ln -s kube /usr/local/bin/kubectl

COPY kube /usr/local/bin/kube
COPY node/ /usr/local/lib/meshwright-node/
RUN ln -s /usr/local/lib/meshwright-node/k3s /bin/k3s \
 && install -D -m 0644 /usr/local/lib/meshwright-node/containerd.toml /etc/containerd/config.toml

# KUBECONFIG: k3d runs kubectl in the node without naming a file. CONTAINERD_*: `ctr` finds what the kubelet uses.
ENV KUBECONFIG=/etc/rancher/k3s/k3s.yaml \
    CONTAINERD_ADDRESS=/run/k3s/containerd/containerd.sock \
    CONTAINERD_NAMESPACE=k8s.io

# On volumes, because overlayfs (containerd's snapshots) cannot lie on the overlayfs of a container.
VOLUME ["/var/lib/rancher/k3s", "/var/lib/kubelet", "/var/log"]

ENTRYPOINT ["/bin/k3s"]
CMD ["server"]
