# OncoBone in a container. Started as it is, it refuses: a host that is not loopback needs signed clients,
# or ONCOBONE_ALLOW_OPEN=on on an isolated test network; it says so and exits.
# The base is named by version; a site pins it by its digest, which deploy/compose/pin-images.sh prints:
# docker build --build-arg BASE=python:3.11-slim@sha256:… .
ARG BASE=python:3.11-slim
FROM ${BASE} AS build
WORKDIR /build
COPY requirements.lock deploy/requirements-build.txt ./
RUN python -m venv /opt/oncobone \
 && /opt/oncobone/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY recommenders recommenders
COPY fhir_mapping fhir_mapping
COPY hooks hooks
COPY fixtures fixtures
# The builder in an environment of its own, pinned by hash too: nothing of it gets into the image.
RUN python -m venv /opt/builder \
 && /opt/builder/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-build.txt \
 && /opt/builder/bin/python -m hatchling build -t wheel \
 && /opt/oncobone/bin/pip install --no-cache-dir --no-deps dist/*.whl

FROM ${BASE}
RUN useradd --system --uid 10001 --home-dir /data --create-home oncobone
COPY --from=build /opt/oncobone /opt/oncobone
ENV PATH=/opt/oncobone/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ONCOBONE_HOST=0.0.0.0 \
    ONCOBONE_PORT=8080 \
    ONCOBONE_DATABASE_URL=sqlite:////data/oncobone.sqlite
USER oncobone
WORKDIR /data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['ONCOBONE_PORT'] + '/healthz', timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["oncobone", "serve"]
