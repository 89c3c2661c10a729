# Prometheus, real, as Debian packages it. `prometheus.py` starts it and finds pods for it, which Debian's build cannot.
# Context: `prometheus.py`, `answering.py`. It needs python3 in the base.
ARG BASE
FROM ${BASE}
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends prometheus \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /usr/share/doc /usr/share/man
COPY prometheus.py answering.py /app/
ENV PYTHONDONTWRITEBYTECODE=1
USER 65534:65534
ENTRYPOINT ["python3", "/app/prometheus.py"]
