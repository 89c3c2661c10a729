# CoreDNS, real. Context: the static binary `coredns`.
FROM scratch
COPY coredns /coredns
ENTRYPOINT ["/coredns"]
