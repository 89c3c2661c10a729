# A STAND-IN for Prometheus' config reloader. Context: `reloader.py`, `answering.py`. It needs python3 in the base.
ARG BASE
FROM ${BASE}
COPY reloader.py answering.py /app/
ENV PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
ENTRYPOINT ["python3", "/app/reloader.py"]
