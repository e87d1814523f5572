"""What turns tracing on, and that nothing about it ever stops, slows or fails the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from gateway.telemetry.wanted import CannotTrace, exporters
from tests.faultserver import answer, free_port, hang
from tests.gatewayprocess import Gateway
from tests.server.scene import Scene, ask, router, told
from tests.traces.collector import Collector

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
URL = "http://collector:4318"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
#: A compiled module of the extra, which the system can tell that a process has loaded.
LOADED = "_upb"


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, ()),
        ({ENDPOINT: URL}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{URL}/v1/traces"}, ("otlp",)),
        ({ENDPOINT: " "}, ()),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "OTLP"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "console"}, ("console",)),
        ({"OTEL_TRACES_EXPORTER": "otlp, console,otlp"}, ("otlp", "console")),
        ({"OTEL_TRACES_EXPORTER": "none", ENDPOINT: URL}, ()),
        ({"OTEL_TRACES_EXPORTER": "", ENDPOINT: URL}, ("otlp",)),
        ({"OTEL_SDK_DISABLED": "TRUE", ENDPOINT: URL}, ()),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "zipkin"}, ()),
        ({"OTEL_SDK_DISABLED": "false", ENDPOINT: URL}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", ENDPOINT: URL}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_TRACES_EXPORTER": "console"}, ("console",)),
        (
            {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
                ENDPOINT: URL,
            },
            ("otlp",),
        ),
        # Others are configured by the same file.
        ({"OTEL_SERVICE_NAME": "x", "OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": URL}, ()),
    ],
)
def test_what_the_variables_ask_for(environ: dict[str, str], wanted: tuple[str, ...]) -> None:
    assert exporters(environ) == wanted


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "'zipkin'"),
        ({"OTEL_TRACES_EXPORTER": "otlp,jaeger"}, "'jaeger'"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", ENDPOINT: URL}, "http/protobuf"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json", "OTEL_TRACES_EXPORTER": "otlp"}, "http/protobuf"),
    ],
)
def test_what_cannot_be_had(environ: dict[str, str], words: str) -> None:
    with pytest.raises(CannotTrace, match=words):
        exporters(environ)


# --- the process ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def running(folder: Path, *arguments: str, **environ: str) -> AsyncIterator[tuple[Scene, Gateway]]:
    async with Scene() as scene:
        files = {"gateway.yaml": scene.gateway(), "one.yaml": router("one", candidates=("alpha",))}
        async with Gateway(folder, files, *arguments, environ=environ) as gateway:
            yield scene, gateway


def loaded(gateway: Gateway) -> bool:
    """Whether the worker has loaded OpenTelemetry."""
    (worker,) = gateway.workers()
    return LOADED in Path(f"/proc/{worker}/maps").read_text()


def parents(scene: Scene) -> list[str | None]:
    return [each.headers.get("traceparent") for each in scene.requests]


async def test_it_is_off_by_default(tmp_path: Path) -> None:
    async with running(tmp_path) as (scene, gateway):
        told(await ask(gateway.client, "Hello", model="one"))
        assert not loaded(gateway)
        assert parents(scene) == [None]
        assert "traces" not in gateway.output


async def test_without_the_extra_it_says_so_and_serves(tmp_path: Path) -> None:
    # A package of the same name hides the real one, as if it were not installed.
    (tmp_path / "hidden" / "opentelemetry").mkdir(parents=True)
    (tmp_path / "hidden" / "opentelemetry" / "__init__.py").touch()
    environ = {ENDPOINT: URL, "PYTHONPATH": str(tmp_path / "hidden")}
    async with running(tmp_path, **environ) as (scene, gateway):
        [line] = [line for line in gateway.log if line["level"] == "error"]
        assert "pip install 'llm-relay[otel]'" in line["msg"]
        told(await ask(gateway.client, "Hello", model="one"))
        assert parents(scene) == [None]
        assert await gateway.stop() == 0


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_BSP_SCHEDULE_DELAY": "0"},
    ],
)
async def test_settings_that_are_none_are_told_and_do_no_harm(tmp_path: Path, environ: dict[str, str]) -> None:
    async with running(tmp_path, **environ) as (scene, gateway):
        await gateway.logged(lambda line: line["level"] == "error" and line["msg"].startswith("no traces: "))
        told(await ask(gateway.client, "Hello", model="one"))
        assert parents(scene) == [None]


async def test_what_is_left_is_exported_at_the_end(tmp_path: Path) -> None:
    async with Collector() as collector:
        environ = {**collector.environ(), "OTEL_BSP_SCHEDULE_DELAY": "3600000", "OTEL_SERVICE_NAME": "edge"}
        async with running(tmp_path, **environ) as (_, gateway):
            assert loaded(gateway)
            got = await ask(gateway.client, "Hello", model="one")
            assert not collector.spans
            assert await gateway.stop() == 0
        server, _ = await collector.trace(got.headers["x-request-id"], 1)
        assert server.resource["service.name"] == "edge"


async def test_every_worker_exports(tmp_path: Path) -> None:
    async with Collector() as collector:
        async with running(tmp_path, "--workers", "2", **collector.environ()) as (_, gateway):
            requests = []
            for _ in range(40):
                # Over a connection of its own, so that any worker may get it.
                async with httpx.AsyncClient(base_url=gateway.url, trust_env=False) as client:
                    requests.append((await ask(client, "Hello", model="one")).headers["x-request-id"])
            assert await gateway.stop() == 0
        servers = [span for span in collector.spans if span.kind == "SERVER"]
        assert sorted(span.attributes["llm_relay.request_id"] for span in servers) == sorted(requests)
        assert len({span.resource["service.instance.id"] for span in servers}) == 2
        assert len({span.trace for span in servers}) == len({span.id for span in collector.spans}) / 2 == 40


async def test_the_sampler_is_the_operators(tmp_path: Path) -> None:
    async with Collector() as collector:
        environ = {**collector.environ(), "OTEL_TRACES_SAMPLER": "always_off"}
        async with running(tmp_path, **environ) as (scene, gateway):
            headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
            body = {"model": "one", "messages": [{"role": "user", "content": "Hello"}]}
            told(await gateway.client.post("/v1/chat/completions", json=body, headers=headers))
            [parent] = parents(scene)
            assert parent is not None
            assert parent.startswith(f"00-{TRACE}-")
            assert parent.endswith("-00")
            assert await gateway.stop() == 0
        assert not collector.requests


@pytest.mark.parametrize("trouble", ["nobody", "silence", "refusal"])
async def test_a_collector_in_trouble_is_nobody_elses(tmp_path: Path, trouble: str) -> None:
    async with Collector() as collector:
        collector.instead = [answer("no", 503)] if trouble == "refusal" else [hang()]
        environ = collector.environ()
        if trouble != "silence":
            # Soon given up; the silent one costs a worker all the time that it has for this at its end.
            environ["OTEL_EXPORTER_OTLP_TIMEOUT"] = "0.5"
        if trouble == "nobody":
            environ[ENDPOINT] = f"http://127.0.0.1:{free_port()}"
        # A queue that is full at once: what it cannot hold is lost.
        environ |= {"OTEL_BSP_MAX_QUEUE_SIZE": "4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2"}
        async with running(tmp_path, **environ) as (_, gateway):
            answers = await asyncio.gather(*(ask(gateway.client, "Hello", model="one") for _ in range(20)))
            for got in answers:
                told(got)
            assert await gateway.stop() == 0
        # However many batches are lost, the log says each thing of it once.
        lines = [line["msg"].split()[:2] for line in gateway.log if line.get("logger", "").startswith("opentelemetry")]
        assert all(lines.count(line) == 1 for line in lines)
