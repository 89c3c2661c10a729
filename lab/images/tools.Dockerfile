# A STAND-IN for k3d's own helper image (rancher's k3d-tools): k3d starts it beside a cluster and runs commands in it.
# Meshwright uses none of what the real one does (it saves and loads images), so this one only has to stay.
ARG BASE
FROM ${BASE}
ENTRYPOINT ["/bin/sh", "-c", "exec sleep infinity"]
