from __future__ import annotations

from collections.abc import AsyncIterator

import anthropic
import ollama
import openai
import pytest
import pytest_asyncio

from tests.gatewayprocess import Gateway
from tests.matrix.stage import ENVIRON, KEY, Company, Stage


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    async with Company() as company, Gateway(folder, company.documents(), environ=ENVIRON) as gateway:
        yield Stage(company, gateway)


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def openai_sdk(stage: Stage) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{stage.gateway.url}/v1", api_key=KEY, max_retries=0) as sdk:
        yield sdk


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def anthropic_sdk(stage: Stage) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=stage.gateway.url, api_key=KEY, max_retries=0) as sdk:
        yield sdk


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def ollama_sdk(stage: Stage) -> AsyncIterator[ollama.AsyncClient]:
    async with ollama.AsyncClient(stage.gateway.url, headers={"authorization": f"Bearer {KEY}"}) as sdk:
        yield sdk
