# Jaeger, real (github.com/jaegertracing/jaeger): its program, without its pages. Context: the static binary `jaeger`.
FROM scratch
COPY jaeger /bin/jaeger
USER 10001:10001
ENTRYPOINT ["/bin/jaeger"]
