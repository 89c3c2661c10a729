# istiod, real: pilot-discovery as Istio's own sources build it. Context: the binary `pilot-discovery`.
ARG BASE
FROM ${BASE}
COPY pilot-discovery /usr/local/bin/pilot-discovery
# The user that Istio's charts expect.
USER 1337:1337
ENTRYPOINT ["/usr/local/bin/pilot-discovery"]
