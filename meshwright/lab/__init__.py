"""The lab: all that a real k3d cluster with a real Istio needs where no container registry can be reached.

Each module with a step makes one kind of thing: programs (Go), envoy, rootfs (Debian), images. `dockerd` is the lab's
own container engine. What is a stand-in is named so: docs/lab.md.
"""
