# Images of Pierhead. The last stage is the default:
#
#   docker build -t pierhead .                      the server, a base image for your application:
#                                                       FROM pierhead
#                                                       COPY app.py ./
#                                                       CMD ["pierhead", "run", "app:app"]
#   docker build --target examples -t examples .    the server with the examples, for docker-compose.yml
#   docker build --target migrate -t migrate .      dbmate, to run db/migrations
#   docker build --target wrk / locust ...          the load tools

# --- the server and what it needs, each package by its hash, in a virtual environment
FROM python:3.14-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_COMPILE=1 \
    PIP_ROOT_USER_ACTION=ignore
SHELL ["/bin/sh", "-euc"]
WORKDIR /src
RUN python -m venv --without-pip /opt/pierhead \
 && python -m venv /opt/build
COPY locks/build.txt locks/server.txt locks/
RUN /opt/build/bin/pip install --require-hashes -r locks/build.txt \
 && pip --python /opt/pierhead/bin/python install --require-hashes --only-binary :all: -r locks/server.txt
COPY pyproject.toml README.md LICENSE ./
COPY server server
# Modules never change in an image: compiled once, and never compared with their source again.
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && pip --python /opt/pierhead/bin/python install --no-deps --no-index /wheels/*.whl \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/pierhead/lib

FROM build AS build-examples
COPY locks/examples.txt locks/
RUN pip --python /opt/pierhead/bin/python install --require-hashes --only-binary :all: -r locks/examples.txt \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/pierhead/lib
COPY examples /app
RUN python -m compileall -q --invalidation-mode unchecked-hash /app

# --- what every image with the server has
FROM python:3.14-slim AS base
ARG VERSION=0.1.0
ARG REVISION=
ARG CREATED=
LABEL org.opencontainers.image.title="Pierhead" \
      org.opencontainers.image.description="A small, strict, fast HTTP/1.1 and WebSocket application server" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="python:3.14-slim" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# PIP_PYTHON: `pip install` in a Dockerfile that starts from this one (USER root before it) means the server's Python.
ENV PATH=/opt/pierhead/bin:$PATH \
    PIP_PYTHON=/opt/pierhead/bin/python \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIERHEAD_LISTEN=http://0.0.0.0:8080
RUN groupadd --gid 10001 pierhead \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin pierhead
WORKDIR /app
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=30s --start-period=180s --start-interval=1s --retries=6 \
    CMD ["pierhead", "health", "--timeout", "25", "http://127.0.0.1:8080/readyz"]

# --- the examples, as one application
FROM base AS examples
COPY --from=build-examples /opt/pierhead /opt/pierhead
COPY --from=build-examples /app /app
CMD ["pierhead", "run", "stack:app"]

# --- migrations
FROM build AS build-migrate
COPY locks/migrate.txt locks/
RUN python -m venv --without-pip /opt/dbmate \
 && pip --python /opt/dbmate/bin/python install --require-hashes --only-binary :all: -r locks/migrate.txt

FROM debian:trixie-slim AS migrate
LABEL org.opencontainers.image.title="Pierhead migrations" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build-migrate /opt/dbmate/bin/dbmate /usr/local/bin/dbmate
COPY db/migrations /db/migrations
USER 10001:10001
WORKDIR /
ENTRYPOINT ["dbmate", "--no-dump-schema"]
CMD ["migrate"]

# --- load tools
FROM debian:trixie-slim AS wrk
# A pinned version is gone from Debian's mirrors with the next update, and the build with it.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends wrk \
 && rm -rf /var/lib/apt/lists/*
USER 10001:10001
ENTRYPOINT ["wrk"]

FROM build AS build-locust
COPY locks/load.txt locks/
RUN python -m venv --without-pip /opt/locust \
 && pip --python /opt/locust/bin/python install --require-hashes --only-binary :all: -r locks/load.txt \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/locust/lib

FROM python:3.14-slim AS locust
ENV PATH=/opt/locust/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=build-locust /opt/locust /opt/locust
COPY examples /examples
USER 10001:10001
WORKDIR /examples
EXPOSE 8089
ENTRYPOINT ["locust"]

# --- the server alone
FROM base AS server
COPY --from=build /opt/pierhead /opt/pierhead
CMD ["pierhead", "run", "app:app"]
