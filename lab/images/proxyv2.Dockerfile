# The sidecar and the gateways, real: pilot-agent as Istio's own sources build it, and an upstream Envoy.
# Context: `pilot-agent`, `envoy`, and `envoy_bootstrap.json` from Istio's tools/packaging/common.
ARG BASE
FROM ${BASE}
COPY envoy /usr/local/bin/envoy
COPY pilot-agent /usr/local/bin/pilot-agent
COPY envoy_bootstrap.json /var/lib/istio/envoy/envoy_bootstrap_tmpl.json
# What the proxy reports about itself to istiod. `vanilla`: an upstream Envoy, without the filters that Istio adds to its own build.
ARG ISTIO_VERSION
ENV ISTIO_META_ISTIO_PROXY_SHA=vanilla \
    ISTIO_META_ISTIO_VERSION=${ISTIO_VERSION}
USER 1337:1337
ENTRYPOINT ["/usr/local/bin/pilot-agent"]
