# The process of a pod's sandbox. Context: the static binary `pause`.
FROM scratch
COPY pause /pause
# Nobody: it needs no right at all.
USER 65535:65535
ENTRYPOINT ["/pause"]
