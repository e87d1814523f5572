"""A generation as compiled: what requests are served from. Frozen, checked, all references resolved.

The documents as written are in :mod:`gateway.config.documents`; :func:`gateway.config.load.load` turns the one into
the other. Durations are seconds, sizes are bytes, prices are USD per million tokens. ``None`` means *unknown*.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Strategy = Literal["per_request", "session"]
WireName = Literal["openai", "anthropic", "ollama"]
Capability = Literal["vision", "tools", "json", "reasoning", "audio", "pdf"]
SearchProvider = Literal["searxng", "perplexity", "jina"]
AssessmentSource = Literal["chroma", "file"]
#: Why a candidate answers: the values of ``X-LLM-Relay-Decision``.
DecisionReason = Literal[
    "designated",
    "session",
    "tool_loop",
    "only_candidate",
    "failover",
    "fallback_timeout",
    "fallback_error",
    "fallback_invalid",
    "fallback_none",
    "fallback_open",
]


class Secret:
    """A key that never prints itself. ``reference`` is where it was found, as in ``env:NAME``; it is no secret."""

    __slots__ = ("_value", "reference")

    def __init__(self, value: str, reference: str = "") -> None:
        self._value = value
        self.reference = reference

    def reveal(self) -> str:
        """The value, for the one place that sends or compares it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class _Frozen(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Timers(_Frozen, frozen=True):
    """Wall-clock deadlines of one exchange with a provider."""

    connect: float = 5.0
    #: Until the first content of a streamed answer.
    first_byte: float = 60.0
    #: Until the head of an answer that is not streamed, which comes when all of it is written: as ``first_byte`` where
    #: the configuration sets that, else as long as the whole answer may take.
    whole: float = 600.0
    #: Between two pieces of content.
    idle: float = 60.0
    total: float = 600.0


class Limits(_Frozen, frozen=True):
    """Bounds of the gateway itself."""

    timers: Timers = Timers()
    #: Request body.
    body: int = 32 << 20
    #: Requests in flight, per worker.
    concurrency: int = 1000
    #: Sessions remembered.
    sessions: int = 100_000
    #: For how long the ledger keeps a request.
    ledger: float = 90 * 86400.0


class Price(_Frozen, frozen=True):
    """USD per million tokens."""

    input: float | None = None
    output: float | None = None
    cache_read: float | None = None
    cache_write: float | None = None


class Provider(_Frozen, frozen=True):
    """A place that answers chats."""

    name: str
    wire: WireName
    #: As its own clients take it: with the version for ``openai``, the host's root otherwise. No trailing slash.
    base_url: str
    key: Secret | None = None
    timers: Timers = Timers()
    #: An outbound HTTP proxy for this provider.
    proxy: str | None = None
    #: Whether it takes OpenAI's ``stream_options.include_usage``.
    stream_usage: bool = True
    #: How strictly it can hold a designator to an enum of names.
    structured: Literal["json_schema", "json", "none"] = "none"

    @property
    def sandbox(self) -> bool:
        """Whether it is the in-process provider, which dials nothing."""
        return self.base_url.startswith("sandbox:")


class Model(_Frozen, frozen=True):
    """One model of one provider; ``id`` is ``provider/name``."""

    id: str
    name: str
    provider: Provider
    #: The context window in tokens, prompt and output together.
    context: int | None = None
    #: The most tokens of one answer.
    max_output: int | None = None
    capabilities: frozenset[Capability] | None = None
    price: Price | None = None


class Candidate(_Frozen, frozen=True):
    """A model that a router may choose; the designator names it by ``model.id``."""

    model: Model
    purpose: str

    @property
    def id(self) -> str:
        """``provider/model``: unique within a router."""
        return self.model.id


class Designator(_Frozen, frozen=True):
    """The model that decides, and how long it may take."""

    model: Model
    timeout: float


class Turn(_Frozen, frozen=True):
    """One turn of a test's conversation, as in the OpenAI API; ``content`` is a text or content parts."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | tuple[Mapping[str, Any], ...] | None = None
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    #: Of a tool's turn, the call that it answers; empty means the latest one.
    tool_call_id: str = ""


class Step(_Frozen, frozen=True):
    """One request of a test, what happens meanwhile, and what is to come of it."""

    #: What the client adds to the conversation.
    messages: tuple[Turn, ...] = ()
    #: Declarations as in the OpenAI API.
    tools: tuple[Mapping[str, Any], ...] = ()
    max_tokens: int | None = None
    json: bool = False
    #: What the designator does instead of being asked: ``timeout``, ``error``, ``invalid``, ``none``, or the id that it
    #: names. Empty: it is asked.
    designator: str = ""
    #: Candidates that fail, by id: with an HTTP status, ``timeout`` or ``refused``.
    fails: Mapping[str, int | str] = {}
    #: Seconds that pass before.
    after: float = 0.0
    #: The tool that the candidate calls in its answer.
    calls: str = ""
    #: Ids of candidates, one of which is to answer; empty means any but the rejected.
    expect: tuple[str, ...] = ()
    reject: tuple[str, ...] = ()
    decision: DecisionReason | None = None
    #: The code of the error that is to be the answer.
    error: str = ""
    #: Whether the candidate of the step before is to answer again.
    stays: bool | None = None
    line: int = 1


class RouterTest(Step, frozen=True):
    """One request, or a conversation in ``steps``, of which ``messages`` then are the beginning."""

    name: str = ""
    reason: str = ""
    steps: tuple[Step, ...] = ()

    @property
    def requests(self) -> tuple[Step, ...]:
        """What is asked, one after the other."""
        return self.steps or (self,)


class Intelligence(_Frozen, frozen=True):
    """Who searches for and who sums up what the web says of a router's candidates."""

    search: SearchProvider
    summarizer: Model
    #: Where designators' assessments come from: ChromaDB, or the reviewed files beside the routers.
    source: AssessmentSource = "chroma"


class Record(_Frozen, frozen=True):
    """Samples of a router's requests, for trying a change on them."""

    #: The share of the decided requests of which one is kept, 0 to 1.
    sample: float
    #: For how long it is kept.
    days: int


class Router(_Frozen, frozen=True):
    """A smart router."""

    name: str
    designator: Designator
    candidates: tuple[Candidate, ...]
    fallback: Candidate
    strategy: Strategy = "per_request"
    session_ttl: float = 3600.0
    description: str = ""
    purpose: str = ""
    tags: tuple[str, ...] = ()
    #: Where it is written, relative to the configuration folder.
    file: str = ""
    line: int = 1
    tests: tuple[RouterTest, ...] = ()
    intelligence: Intelligence | None = None
    #: None: nothing of any request is kept.
    record: Record | None = None


class Client(_Frozen, frozen=True):
    """Someone who may ask; ``routers`` None means all routers and models."""

    name: str
    key: Secret
    routers: frozenset[str] | None = None
    tags: tuple[str, ...] = ()


class Operator(_Frozen, frozen=True):
    """Someone who may read status and usage where clients are declared."""

    name: str
    key: Secret


class Search(_Frozen, frozen=True):
    """Where assessments are searched for. An address that is None is the provider's own."""

    provider: SearchProvider
    searxng_url: str | None = None
    perplexity_url: str | None = None
    perplexity_key: Secret | None = None
    jina_search_url: str | None = None
    jina_reader_url: str | None = None
    jina_key: Secret | None = None


class Snapshot(_Frozen, frozen=True):
    """One generation of the whole configuration."""

    #: Content digest: 12 hex digits over every file's name and bytes. Equal content, equal revision.
    revision: str
    routers: Mapping[str, Router]
    #: Every model that is declared, in the catalogue of an available provider, or used by a router, by id.
    models: Mapping[str, Model]
    #: Every provider that can be used, by name.
    providers: Mapping[str, Provider]
    clients: tuple[Client, ...] = ()
    operators: tuple[Operator, ...] = ()
    #: Host names, beside the loopback ones, that requests may be addressed to; empty means any.
    allowed_hosts: frozenset[str] = frozenset()
    limits: Limits = Limits()
    #: The git commit, where it is known.
    commit: str | None = None
    search: Search | None = None

    def model(self, name: str) -> Model | None:
        """The model called ``provider/name``, in any letter case, declared or not; None without such a provider.

        A model that nobody declared is a model of which nothing is known.
        """
        found = self.models.get(name)
        if found is not None:
            return found
        folded = name.lower()
        found = self.models.get(folded)
        if found is not None:
            return found
        prefix, slash, rest = name.partition("/")
        provider = self.providers.get(prefix.lower())
        if not slash or not rest or provider is None:
            return None
        for model in self.models.values():
            if model.provider is provider and model.id.lower() == folded:
                return model
        return Model(id=f"{provider.name}/{rest}", name=rest, provider=provider)
