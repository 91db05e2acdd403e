FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/gateway
WORKDIR /src
# The locked packages change less often than the code: their layer is kept across builds.
COPY requirements.lock requirements-build.lock ./
RUN /opt/gateway/bin/pip install --require-hashes --only-binary :all: --requirement requirements.lock \
 && pip install --require-hashes --only-binary :all: --requirement requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY gateway ./gateway
# The project alone, with the locked setuptools: nothing is resolved here, so nothing comes in without a hash.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/gateway/bin/pip install --no-deps --no-index /wheels/*.whl

FROM python:3.11-slim
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
# Asks the control interface's health service. Where the configuration moves it, or puts TLS on it, override this
# with --health-cmd or use the platform's own gRPC probe.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-c", "\
import grpc\n\
from grpc_health.v1 import health_pb2, health_pb2_grpc\n\
channel = grpc.insecure_channel('127.0.0.1:50051')\n\
answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2)\n\
raise SystemExit(answer.status != health_pb2.HealthCheckResponse.SERVING)\n\
"]
ENTRYPOINT ["gateway"]
CMD ["serve", "--config", "/etc/gateway/gateway.toml"]
