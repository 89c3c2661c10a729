# A STAND-IN for Grafana. Context: `grafana.py`, `answering.py`. It needs python3 in the base.
ARG BASE
FROM ${BASE}
COPY grafana.py answering.py /app/
ENV PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
ENTRYPOINT ["python3", "/app/grafana.py"]
