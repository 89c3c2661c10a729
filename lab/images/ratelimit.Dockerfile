# The rate limit service, real (envoyproxy/ratelimit). Context: the static binary `ratelimit`.
FROM scratch
COPY ratelimit /bin/ratelimit
USER 65535:65535
ENTRYPOINT ["/bin/ratelimit"]
