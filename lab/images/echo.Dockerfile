# Istio's own echo server, real: it says over HTTP/1.1, HTTP/2, gRPC and WebSocket what has reached which pod. Context:
# the static binary `echo`.
FROM scratch
COPY echo /echo
USER 65535:65535
ENTRYPOINT ["/echo"]
