"""The whole way: a refresh from the command line, ChromaDB, and the next request's designator."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from gateway.intelligence.store import ChromaStore, Place
from tests.faultserver import FaultServer, Request, Script, answer, free_port
from tests.gatewayprocess import ROOT, Gateway
from tests.intelligence.kit import ENVIRON, FULL, SMALL, Web, assessment, documents, needs_chroma, write
from tests.intelligence.test_store import chroma

CHAT = {"model": "smart", "messages": [{"role": "user", "content": "What is in this picture?"}]}
#: Looks at the store follow each other at once.
QUICK = {**ENVIRON, "LLM_RELAY_INTELLIGENCE_POLL": "0.1"}


class Command:
    """``llm-relay intelligence`` over a folder with a configuration and its data."""

    def __init__(self, folder: Path, environ: dict[str, str] | None = None) -> None:
        self.config = folder / "routers.d"
        self.data = folder / "data"
        self._environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **ENVIRON, **(environ or {})}

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        words = ("-m", "gateway", "intelligence", arguments[0], str(self.config), *arguments[1:])
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *(*words, "--data", str(self.data)),
            cwd=ROOT,
            env=self._environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def __call__(self, *arguments: str) -> tuple[int | None, str]:
        process = await self.start(*arguments)
        out, _ = await process.communicate()
        return process.returncode, out.decode()


def chroma_in(gateway: Gateway) -> list[int]:
    """The processes of a gateway that have ChromaDB's native library loaded."""
    pids = [gateway.pid, *gateway.workers()]
    return [pid for pid in pids if "chromadb" in Path(f"/proc/{pid}/maps").read_text()]


def touched(folder: Path) -> list[tuple[Path, int, int]]:
    """When each file of a folder was last read and written."""
    files = [(file, file.stat()) for file in sorted(folder.rglob("*"))]
    return [(file, status.st_atime_ns, status.st_mtime_ns) for file, status in files]


@needs_chroma
async def test_from_the_web_to_the_designator(tmp_path: Path) -> None:
    web = Web()
    async with web.server() as server:
        command = Command(tmp_path)
        async with Gateway(tmp_path, documents(server.url), environ=QUICK) as gateway:
            before = await gateway.client.post("/v1/chat/completions", json=CHAT)
            assert "; assessment: " not in web.designations[-1]
            status, out = await command("refresh")
            assert (status, "2 written" in out) == (0, True), out
            assert f"[1/2] smart {FULL}: written" in out or f"[2/2] smart {FULL}: written" in out
            assert "the summaries cost $0.0024" in out
            await gateway.logged(lambda line: "with other assessments" in str(line))
            after = await gateway.client.post("/v1/chat/completions", json=CHAT)
            assert "GPT-4o is strong at vision tasks." in web.designations[-1]
            revisions = [answer.headers["x-llm-relay-revision"] for answer in (before, after)]
            assert "+" not in revisions[0]
            assert "+" in revisions[1]
            assert await gateway.metric("llm_relay_intelligence_age_seconds", router="smart", candidate=SMALL) >= 0
            assert not chroma_in(gateway)
        status, out = await command("show")
        assert "GPT-4o is strong at vision tasks." in out
        assert "https://a.example/gpt-4o" in out


@needs_chroma
async def test_an_address_in_the_environment_is_enough(tmp_path: Path) -> None:
    web = Web()
    async with web.server() as server:
        command = Command(tmp_path, {"SEARXNG_URL": server.url})
        write(command.config, documents(server.url, search="-"))
        status, out = await command("refresh")
        assert (status, "2 written" in out) == (0, True), out
    write(command.config, documents("http://127.0.0.1:1", search="search: {provider: searxng}\n"))
    nowhere = Command(tmp_path)
    status, out = await nowhere("refresh", "--force")
    assert status == 1
    assert (
        "gateway.yaml:7:9 search: SearXNG has no address of its own; add 'searxng: {url: …}', or set SEARXNG_URL" in out
    )


@needs_chroma
@pytest.mark.parametrize("provider", ["perplexity", "jina"])
async def test_other_providers_to_the_store(tmp_path: Path, provider: str) -> None:
    web = Web()
    async with web.server() as server:
        own = {"perplexity": f"base_url: '{server.url}/px'", "jina": f"search_url: '{server.url}/jina'"}[provider]
        command = Command(tmp_path, {f"{provider.upper()}_API_KEY": "k-0123456789"})
        search = f"search: {{provider: {provider}, {provider}: {{{own}}}}}\n"
        write(command.config, documents(server.url, provider=provider, search=search))
        status, out = await command("refresh")
        assert (status, "2 written" in out) == (0, True), out
        assert len(web.queries) == 5
        assert "https://c.example/both" in (await command("show"))[1]
        assert "k-0123456789" not in out


@needs_chroma
async def test_requests_ask_nothing_of_the_store(tmp_path: Path) -> None:
    ChromaStore(Place(tmp_path / "data" / "chroma")).put(assessment(days=36500))
    web = Web()
    async with web.server() as server, Gateway(tmp_path, documents(server.url), environ=ENVIRON) as gateway:
        await gateway.logged(lambda line: "with other assessments" in str(line))
        seen = touched(tmp_path / "data" / "chroma")
        for _ in range(50):
            answers = await asyncio.gather(*(gateway.client.post("/v1/chat/completions", json=CHAT) for _ in range(20)))
            assert {answer.status_code for answer in answers} == {200}
        assert len(web.designations) == 1000
        assert all("Strong at vision." in prompt for prompt in web.designations)
        assert touched(tmp_path / "data" / "chroma") == seen
        assert not chroma_in(gateway)
    assert (await Command(tmp_path)("show"))[0] == 0
    assert touched(tmp_path / "data" / "chroma") != seen, "a look at the store would have been seen"


class Counting:
    """A way to a port that counts who takes it."""

    def __init__(self, port: int) -> None:
        self.connections = 0
        self._port = port

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer))

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()


@needs_chroma
async def test_requests_ask_nothing_of_a_server(tmp_path: Path) -> None:
    web, port = Web(), free_port()
    way = Counting(port)
    async with chroma(tmp_path / "server", port) as url, web.server() as server:
        await asyncio.to_thread(ChromaStore(Place(None, url)).put, assessment(days=36500))
        listener = await asyncio.start_server(way.take, "127.0.0.1", 0)
        environ = {**ENVIRON, "CHROMA_URL": f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"}
        environ["LLM_RELAY_INTELLIGENCE_POLL"] = "3600"
        async with listener, Gateway(tmp_path, documents(server.url), environ=environ) as gateway:
            await gateway.logged(lambda line: "with other assessments" in str(line))
            before = way.connections
            assert before > 0, "the way is the one to the store"
            for _ in range(50):
                await asyncio.gather(*(gateway.client.post("/v1/chat/completions", json=CHAT) for _ in range(20)))
            assert len(web.designations) == 1000
            assert all("Strong at vision." in prompt for prompt in web.designations)
            assert way.connections == before


@needs_chroma
async def test_a_provider_that_fails_for_one_candidate(tmp_path: Path) -> None:
    """It is skipped with the reason, the rest is stored; a redirect leads nowhere, least of all inwards."""
    async with FaultServer(respond=lambda request: [answer("{}")]) as inside:

        def search(request: Request) -> Script | None:
            away = [answer("", 302, [("Location", f"{inside.url}/latest/meta-data")])]
            return away if "mini%22+LLM+benchmarks" in request.target else None

        web = Web(search=search)
        async with web.server() as server:
            command = Command(tmp_path)
            write(command.config, documents(server.url))
            status, out = await command("refresh")
            assert (status, "1 written, 1 failed" in out) == (1, True), out
            assert "searxng: it redirects (302), which is never followed" in out
            shown = (await command("show"))[1]
            assert f"smart  {FULL}" in shown
            assert SMALL not in shown
        assert inside.requests == []


@needs_chroma
async def test_a_server_that_is_down_and_comes_back(tmp_path: Path) -> None:
    web, port = Web(), free_port()
    environ = {"CHROMA_URL": f"http://127.0.0.1:{port}"}
    command = Command(tmp_path, environ)
    async with web.server() as server:
        async with Gateway(tmp_path, documents(server.url), environ={**QUICK, **environ}) as gateway:
            await gateway.logged(lambda line: "cannot be read now, routing goes on" in str(line))
            assert (await gateway.client.post("/v1/chat/completions", json=CHAT)).status_code == 200
            assert "; assessment: " not in web.designations[-1]
            async with chroma(tmp_path / "server", port):
                assert (await command("refresh"))[0] == 0
                await gateway.logged(lambda line: "with other assessments" in str(line))
                assert "GPT-4o mini is cheap" in (await command("show"))[1]
            await gateway.client.post("/v1/chat/completions", json=CHAT)
            assert "; assessment: " in web.designations[-1], "what was known goes on being used"
        assert not (tmp_path / "data" / "chroma").exists()


@needs_chroma
async def test_export_review_apply_is_the_same_to_the_byte(tmp_path: Path) -> None:
    command = Command(tmp_path)
    write(command.config, documents("http://127.0.0.1:1"))
    store = ChromaStore(Place(tmp_path / "data" / "chroma"))
    for each in (assessment(), assessment(SMALL, "Cheap.")):
        store.put(each)
    assert (await command("export"))[0] == 0
    file = command.config / "intelligence" / "smart.yaml"
    exported = file.read_bytes()
    assert (await command("apply"))[1] == "smart: 0 stored, 0 removed, 2 unchanged\n"
    command.data.rename(tmp_path / "elsewhere")
    assert (await command("apply"))[1] == "smart: 2 stored, 0 removed, 0 unchanged\n"
    file.unlink()
    assert (await command("export"))[0] == 0
    assert file.read_bytes() == exported
    file.write_text(file.read_text().replace("Cheap.", "Reviewed."))
    assert (await command("apply"))[1] == "smart: 1 stored, 0 removed, 1 unchanged\n"
    assert "Reviewed. [1]" in (await command("show"))[1]


@needs_chroma
async def test_prune_forgets_what_nobody_can_use(tmp_path: Path) -> None:
    command = Command(tmp_path)
    write(command.config, documents("http://127.0.0.1:1"))
    store = ChromaStore(Place(tmp_path / "data" / "chroma"))
    for each in (assessment(days=36500), assessment(SMALL, made=1e9), assessment(router="gone", days=36500)):
        store.put(each)
    said = f"gone  {FULL}  no router has it\nsmart  {SMALL}  it has expired\n"
    assert await command("prune", "--dry-run") == (0, f"{said}2 would be removed\n")
    assert await command("prune") == (0, f"{said}2 removed\n")
    assert await command("prune") == (0, "0 removed\n")


@needs_chroma
async def test_a_refresh_that_is_killed_leaves_whole_assessments(tmp_path: Path) -> None:
    """At twenty points, in four folders at a time; a reader finds the old or the new, and the next run completes."""
    numbers = itertools.count()
    dice = random.Random(20)
    ends: list[int | None] = []
    states: list[int] = []

    def summarise(asked: dict[str, object]) -> str:
        part = f'{{"text": "run {next(numbers)}", "sources": [0]}}'
        return f'{{"assessment": {part}, "strengths": [{part}], "best_for": [{part}], "confidence": "low"}}'

    async def killed(folder: Path, points: int) -> None:
        web = Web(summarise=summarise)
        async with web.server() as server:
            command = Command(folder)
            write(command.config, documents(server.url))
            assert (await command("refresh"))[0] == 0
            seen = {whole(folder)}
            for point in range(points):
                process = await command.start("refresh", "--force")
                searches, summaries = len(web.queries), len(web.summaries)
                if point % 2:
                    await server.until(lambda seen=searches: len(web.queries) > seen)  # type: ignore[misc]
                else:
                    await server.until(lambda seen=summaries: len(web.summaries) > seen)  # type: ignore[misc]
                await asyncio.sleep(dice.uniform(0, 0.1))
                if process.returncode is None:
                    process.kill()
                await process.communicate()
                ends.append(process.returncode)
                seen.add(whole(folder))
            last = next(numbers)
            status, out = await command("refresh", "--force")
            assert status == 0, out
            assert all(int(text.removeprefix("run ")) > last for text in whole(folder))
            states.append(len(seen))

    def whole(folder: Path) -> tuple[str, str]:
        """What is stored of both, which is there and of one run each: a torn record would not be found at all."""
        found = ChromaStore(Place(folder / "data" / "chroma")).get("smart", [FULL, SMALL])
        for each in found.values():
            assert {each.strengths[0].text, each.best_for[0].text} == {each.assessment.text}
        return found["smart", FULL].assessment.text, found["smart", SMALL].assessment.text

    await asyncio.gather(*(killed(tmp_path / str(number), 5) for number in range(4)))
    assert ends.count(-signal.SIGKILL) > 10, "most were killed before they were done"
    assert sum(states) > 4, "some were killed after they had written"


async def test_a_candidate_that_fails_is_the_exit_status(tmp_path: Path) -> None:
    command = Command(tmp_path)
    write(command.config, documents("http://127.0.0.1:1"))
    status, out = await command("refresh")
    assert status == 1
    assert "it cannot be reached" in out or "pip install 'llm-relay[intelligence]'" in out


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("show", "--router", "smrt"), 2, "did you mean"),
        (("refresh", "--max-age", "x"), 2, "is no age"),
        (("refresh", "--router", "smart", "--dry-run"), 0, "2 would ask"),
    ],
)
async def test_usage(tmp_path: Path, arguments: tuple[str, ...], status: int, words: str) -> None:
    command = Command(tmp_path)
    write(command.config, documents("http://127.0.0.1:1", source="file"))
    found, out = await command(*arguments)
    if "pip install" not in out:
        assert (found, words in out) == (status, True), out


async def test_a_file_reaches_the_designator_without_the_extra(tmp_path: Path) -> None:
    from gateway.intelligence import lockfile

    web = Web()
    async with web.server() as server:
        config = write(tmp_path / "routers.d", documents(server.url, source="file"))
        lockfile.write(config, "smart", [assessment(days=36500)])
        async with Gateway(tmp_path, {}, environ=ENVIRON) as gateway:
            await gateway.client.post("/v1/chat/completions", json=CHAT)
            assert 'assessment: "Strong at vision. Best for: charts."' in web.designations[-1]
            full, small = (await gateway.status())["routers"][0]["candidates"]
        assert full["assessment"]["text"] == "Strong at vision. Best for: charts."
        assert full["assessment"]["sources"][0]["url"] == "https://a.example/?a=1&b=2"
        assert full["assessment"]["used"] is True
        assert "assessment" not in small


#: Runs before anything else in a Python that has it on its path: ChromaDB is not found, installed or not.
WITHOUT_CHROMADB = """\
import sys
from importlib.machinery import PathFinder


class Blind(PathFinder):
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        return None if fullname == "chromadb" else super().find_spec(fullname, path, target)


sys.meta_path[:] = [Blind if finder is PathFinder else finder for finder in sys.meta_path]
"""


async def test_without_the_extra_the_gateway_serves_and_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(WITHOUT_CHROMADB)
    environ = {**ENVIRON, "PYTHONPATH": str(tmp_path / "path")}
    web = Web()
    async with web.server() as server, Gateway(tmp_path, documents(server.url), environ=environ) as gateway:
        await gateway.logged(lambda line: "pip install 'llm-relay[intelligence]'" in str(line))
        assert (await gateway.client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        problems = (await gateway.status())["desired"]["problems"]
    assert [problem["remedy"] for problem in problems if problem["code"] == "W424"] == [
        "pip install 'llm-relay[intelligence]', or read them from files: 'source: file'"
    ]
    for verb in ("refresh", "show", "export"):
        status, out = await Command(tmp_path, environ)(verb)
        assert (status, "ChromaDB is not installed: pip install 'llm-relay[intelligence]'" in out) == (1, True), out
