# A STAND-IN for one of Bookinfo's application images: which one is said by the build arguments.
# Context: `bookinfo.py`. It needs python3 in the base, and curl, which the in-mesh check runs in the ratings pod.
ARG BASE
FROM ${BASE}
COPY bookinfo.py /app/bookinfo.py
ARG ROLE
ARG VERSION
ENV ROLE=${ROLE} \
    VERSION=${VERSION} \
    PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
EXPOSE 9080
ENTRYPOINT ["python3", "/app/bookinfo.py"]
