# docker build --tag llm-relay .
# docker build --build-arg EXTRAS="otel intelligence" --tag llm-relay .     with traces, with ChromaDB
#
# With client keys in /config/gateway.yaml (`clients:`):
#   docker run -p 11434:11434 -v "$PWD/routers.d:/config:ro" -v llm-relay:/data -e OPENAI_API_KEY llm-relay
# Without, `serve` refuses to listen beyond the container. Where only trusted clients can reach it, say so:
#   docker run -p 127.0.0.1:11434:11434 -e LLM_RELAY_ALLOW_ANONYMOUS=1 ... llm-relay

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv /opt/llm-relay
COPY requirements.txt requirements-build.txt requirements-intelligence.txt requirements-otel.txt ./
ARG EXTRAS=""
RUN pip install --require-hashes -r requirements-build.txt \
    && set -- && for extra in $EXTRAS; do set -- "$@" -r "requirements-$extra.txt"; done \
    && /opt/llm-relay/bin/pip install --require-hashes -r requirements.txt "$@"
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/llm-relay/bin/pip install --no-deps --no-index /wheels/*.whl \
    && /opt/llm-relay/bin/pip uninstall --yes pip setuptools

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin relay \
    && install --directory --owner relay --group relay /data /config
COPY --from=build /opt/llm-relay /opt/llm-relay
ENV PATH=/opt/llm-relay/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    LLM_RELAY_CONFIG=/config \
    LLM_RELAY_DATA=/data \
    LLM_RELAY_HOST=0.0.0.0 \
    LLM_RELAY_PORT=11434
USER 10001:10001
WORKDIR /data
VOLUME ["/config", "/data"]
EXPOSE 11434
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['LLM_RELAY_PORT'] + '/livez', timeout=2)"]
ENTRYPOINT ["llm-relay"]
CMD ["serve"]
