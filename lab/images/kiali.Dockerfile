# A STAND-IN for Kiali, at the path that the sample starts. Context: `kiali.py`, `answering.py`. It needs python3 in the
# base.
ARG BASE
FROM ${BASE}
COPY kiali.py answering.py /app/
RUN mkdir -p /opt/kiali \
 && printf '#!/bin/sh\nexec python3 /app/kiali.py\n' > /opt/kiali/kiali \
 && chmod 0755 /opt/kiali/kiali
ENV PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
