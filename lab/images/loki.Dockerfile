# A STAND-IN for Loki, and for the helper beside it. Context: `loki.py`, `answering.py`. It needs python3 in the base.
ARG BASE
FROM ${BASE}
COPY loki.py answering.py /app/
ENV PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
ENTRYPOINT ["python3", "/app/loki.py"]
