# OncoBone in a container. Started as it is, it refuses: a host that is not loopback needs signed clients,
# or ONCOBONE_ALLOW_OPEN=on on an isolated test network; it says so and exits.
FROM python:3.11-slim AS build
WORKDIR /build
COPY requirements.lock ./
RUN python -m venv /opt/oncobone \
 && /opt/oncobone/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY recommenders recommenders
COPY fhir_mapping fhir_mapping
COPY hooks hooks
COPY fixtures fixtures
RUN /opt/oncobone/bin/pip install --no-cache-dir hatchling \
 && /opt/oncobone/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /opt/oncobone/bin/pip uninstall --yes hatchling

FROM python:3.11-slim
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
