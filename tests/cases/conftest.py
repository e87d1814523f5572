"""The command line, for the tests of `llm-relay test` and `llm-relay explain`."""

from __future__ import annotations

import pytest

from tests.cases.scene import Shell


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)
