"""A gateway to look at: routers that decide, fall back and fail over, prices, tags, a commit, and requests of every
kind.
"""

from __future__ import annotations

import time

from gateway.intelligence import lockfile
from gateway.intelligence.assessment import Assessment, Source, Statement, timestamp
from tests.faultserver import answer, hang
from tests.gatewayprocess import ROOT, Gateway
from tests.server.scene import JUDGE, Scene, ask, completion, router, turns

#: Where Prometheus has yesterday's figures of; the rest of the past is empty.
ROUTER, CANDIDATE = "demo", "sandbox/coder"

#: USD per million tokens of input; output costs four times as much.
_PRICES = (
    *(("alpha/m", 3), ("beta/m", 1), ("gamma/m", 2), ("judge/m", 0.05)),
    *(("sandbox/coder", 3), ("sandbox/generalist", 2), ("sandbox/quick", 0.5), ("sandbox/designator", 0.001)),
    *(("sandbox/billing", 1), ("sandbox/engineer", 3)),
)
_MODELS = "models:\n" + "".join(
    f"  {name}: {{price: {{input: {price}, output: {4 * price}}}}}\n" for name, price in _PRICES
)
_ASSESSED = "intelligence: {search: searxng, summarizer: sandbox/quick, source: file}\n"
_REFUSED = "name: bad\ncandidates: []\n"


def files(scene: Scene) -> dict[str, str]:
    """The configuration: two routers of the sandbox, and one whose providers ``scene`` plays."""
    shipped = ROOT / "routers.d"
    return {
        "REVISION": "8f3c2a1d\n",
        "gateway.yaml": scene.gateway(models=_MODELS),
        "demo.yaml": (shipped / "smart.yaml").read_text().replace("name: smart", f"name: {ROUTER}") + _ASSESSED,
        "support.yaml": (shipped / "support.yaml").read_text(),
        "smart.yaml": router(timeout="300ms") + "tags: [platform]\n",
    }


def assess(gateway: Gateway) -> None:
    """Put a reviewed assessment beside the routers."""
    now = time.time()
    known = Assessment(
        router=ROUTER,
        candidate=CANDIDATE,
        assessment=Statement("Strong at code.", (0,)),
        confidence="low",
        sources=(Source("https://a.example/", "A review"),),
        summarizer="sandbox/quick",
        generated_at=timestamp(now - 86_400),
        expires_at=timestamp(now + 86_400),
    )
    lockfile.write(gateway.config, ROUTER, [known])


async def visit(gateway: Gateway, scene: Scene) -> None:
    """One request of every kind."""
    client = gateway.client
    for text in ("Write a Python function to parse JSON", "Translate this e-mail into French", "Hi there!"):
        await ask(client, text, model=ROUTER)
        await ask(client, text, model=ROUTER, stream=True)
    for turn in (1, 2):
        await ask(client, turns("The installation stops with an error", turn), model="support")
    for choice in ("alpha/m", "beta/m"):
        scene.choice = choice
        await ask(client, "Good morning")
    await ask(client, "Directly", model="gamma/m")
    await ask(client, "Nobody", model="no/such")
    for judged in ([answer(completion("I would rather not."))], [answer("{}", 500)], [hang()]):
        scene.play(JUDGE, *judged)
        await ask(client, "Fall back")
    scene.play(JUDGE)
    scene.choice = "alpha/m"
    scene.play("alpha", answer("{}", 503))
    await ask(client, "Fail over")
    scene.play("beta", answer("{}", 500))
    await ask(client, "Fail")
    scene.play("alpha")
    scene.play("beta")


async def refuse(gateway: Gateway) -> None:
    """A bad commit, taken back, and a good one."""
    gateway.write("bad.yaml", _REFUSED)
    await gateway.until(lambda status: not status["desired"]["ok"])
    (gateway.config / "bad.yaml").unlink()
    gateway.write("REVISION", "9a4d3b2e\n")
    await gateway.until(lambda status: status["desired"]["ok"] and status["commit"] == "9a4d3b2e")
