# The base image, and its Python: docker build --build-arg PYTHON=3.12, or --build-arg BASE=<image>@sha256:<digest>. Any
# image with glibc whose `python` can make virtual environments: `make image` makes one of Debian's packages.
ARG PYTHON=3.14
ARG BASE=python:${PYTHON}-slim

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/gateway && python -m venv /opt/build
WORKDIR /src
# The locked packages change less often than the code: their layer is kept across builds.
COPY requirements.lock requirements-build.lock ./
RUN /opt/gateway/bin/pip install --require-hashes --only-binary :all: --requirement requirements.lock \
 && /opt/build/bin/pip install --require-hashes --only-binary :all: --requirement requirements-build.lock
COPY pyproject.toml setup.py README.md LICENSE ./
COPY protos ./protos
COPY gateway ./gateway
# The project alone, with the locked setuptools: nothing is resolved here, so nothing comes in without a hash.
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/gateway/bin/pip install --no-deps --no-index /wheels/*.whl

FROM ${BASE}
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --uid 10001 --home-dir /var/lib/gateway --create-home --shell /usr/sbin/nologin gateway \
 && chmod 0750 /var/lib/gateway
COPY --from=build /opt/gateway /opt/gateway
USER gateway
WORKDIR /var/lib/gateway
# The database and its write-ahead log. It must be a local disk: SQLite's locks do not hold on network file systems.
VOLUME /var/lib/gateway
# Chargers (wss). The control interface (gRPC, 50051) listens on loopback unless the configuration says otherwise.
EXPOSE 9443
# SIGTERM drains: give it longer than the drain deadline of the configuration (docker run --stop-timeout).
STOPSIGNAL SIGTERM
# Asks the control interface's health service; GATEWAY_TARGET, GATEWAY_CA and the like say where and how, if the settings
# move it or put TLS on it. Nothing but the volume is written to: run it with --read-only.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["gateway", "health"]
ENTRYPOINT ["gateway"]
CMD ["serve", "--config", "/etc/gateway/gateway.toml"]
