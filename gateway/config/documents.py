"""The documents as written: one class per mapping, every field described.

These classes are the only statement of the format: ``schemas/`` is generated from them (:mod:`gateway.config.schema`),
and what passes them is typed. What a single document cannot know of itself, such as whether a model is declared, is
checked when the documents are compiled. A field that is not written is ``UNSET``, never ``None``: an empty value
(``fallback:`` with nothing behind it) is a mistake that deserves a message.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from gateway.config.fields import (
    Count,
    Duration,
    Host,
    ModelId,
    Name,
    SchemaVersion,
    SecretReference,
    Share,
    Size,
    Tags,
    Text,
    Tokens,
    Url,
    Usd,
    default,
)
from gateway.config.model import AssessmentSource, Capability, SearchProvider, Strategy, WireName
from gateway.config.testing import RouterTest


class _Document(Struct, forbid_unknown_fields=True, frozen=True):
    pass


# --- a router ---------------------------------------------------------------------------------------------------------


class Designator(_Document, frozen=True):
    """The small, fast model that reads a request and names the best candidate."""

    model: Annotated[ModelId, Meta(description="The model that decides, as provider/model.")]
    timeout: Annotated[
        Duration, Meta(description="Wall clock for the whole decision; when it is over, the fallback answers.")
    ] = "1500ms"


class Candidate(_Document, frozen=True):
    """A model that the designator may choose."""

    model: Annotated[ModelId, Meta(description="The model, as provider/model.")]
    purpose: Annotated[
        Text, Meta(description="What the model is best for, in a few words; the designator chooses by it.")
    ] = ""


class Session(_Document, frozen=True):
    """How long a conversation stays with its candidate."""

    ttl: Annotated[Duration, Meta(description="A session ends when nothing was asked for this long.")] = "1h"


class Intelligence(_Document, frozen=True):
    """Web assessments of the candidates, which designators read; `llm-relay intelligence refresh` makes them."""

    search: Annotated[SearchProvider, Meta(description="The search provider of the gateway document to ask.")]
    summarizer: Annotated[ModelId, Meta(description="The model that sums up what was found, as provider/model.")]
    source: Annotated[
        AssessmentSource,
        Meta(
            description="Where they are read: in ChromaDB, or in reviewed files, in intelligence/ beside the routers."
        ),
    ] = "chroma"


class Record(_Document, frozen=True):
    """Samples of requests, kept beside the ledger, so that `llm-relay plan --replay` can decide them again."""

    sample: Annotated[
        Share, Meta(description="The share of the decided requests of which is kept what the designator reads.")
    ]
    days: Annotated[int, Meta(description="For how many days a sample is kept.", ge=1, le=90)] = 7


class RouterDocument(_Document, frozen=True):
    """A smart router: a name that clients ask for, and the models that may answer."""

    name: Annotated[Name, Meta(description="The model name that clients ask for.", examples=["smart"])]
    designator: Annotated[Designator, Meta(description="The model that decides.")]
    candidates: Annotated[
        list[Candidate],
        Meta(description="The models to choose from, in order of preference.", min_length=1, max_length=200),
    ]
    kind: Annotated[Literal["router"], Meta(description="What the document is; a router unless it says otherwise.")] = (
        "router"
    )
    schema_version: (
        Annotated[SchemaVersion, Meta(description="The version of this format; may be left out.")] | UnsetType
    ) = UNSET
    description: Annotated[Text, Meta(description="What the router is, for people; shown in model lists.")] = ""
    purpose: Annotated[Text, Meta(description="What the router is for; the designator reads it.")] = ""
    fallback: (
        Annotated[
            ModelId,
            Meta(description="The candidate that answers where the designator does not decide; default: the first."),
        ]
        | UnsetType
    ) = UNSET
    strategy: Annotated[
        Strategy,
        Meta(description="Whether every request is decided anew, or a conversation stays with its first candidate."),
    ] = "per_request"
    session: Annotated[Session, Meta(description="The session's lifetime, with the session strategy.")] | UnsetType = (
        UNSET
    )
    tags: Annotated[
        Tags, Meta(description="Marks for cost reports; they become metric labels.", examples=[["platform"]])
    ] = []
    intelligence: Annotated[Intelligence, Meta(description="Web assessments of the candidates.")] | UnsetType = UNSET
    record: (
        Annotated[Record, Meta(description="Samples of requests to keep; without it nothing of any request is kept.")]
        | UnsetType
    ) = UNSET
    tests: Annotated[
        list[RouterTest], Meta(description="Examples of requests and whom they should go to.", max_length=1000)
    ] = []


# --- the gateway ------------------------------------------------------------------------------------------------------


class Provider(_Document, frozen=True):
    """A place that answers chats, or changes to a built-in one."""

    wire: (
        Annotated[
            WireName,
            Meta(description="The protocol it speaks. Required unless the provider is built in."),
        ]
        | UnsetType
    ) = UNSET
    base_url: (
        Annotated[
            Url,
            Meta(
                description="Where it is: with the version for wire openai (https://api.openai.com/v1), the host's "
                "root for anthropic and ollama. Required unless the provider is built in.",
            ),
        ]
        | UnsetType
    ) = UNSET
    api_key: (
        Annotated[
            SecretReference,
            Meta(description="Where its key is; default for a built-in provider: its usual environment variable."),
        ]
        | UnsetType
    ) = UNSET
    connect: Annotated[Duration, Meta(description="The most time to connect; default: that of limits.")] | UnsetType = (
        UNSET
    )
    first_byte: (
        Annotated[Duration, Meta(description="The most time until the answer begins; default: that of limits.")]
        | UnsetType
    ) = UNSET
    idle: (
        Annotated[Duration, Meta(description="The most time between two pieces; default: that of limits.")] | UnsetType
    ) = UNSET
    total: (
        Annotated[Duration, Meta(description="The most time for the whole answer; default: that of limits.")]
        | UnsetType
    ) = UNSET
    proxy: (
        Annotated[
            str,
            Meta(
                description="An HTTP proxy to reach it through: a URL, or env:NAME where the URL has a password.",
                max_length=2000,
                examples=["http://proxy.internal:3128"],
            ),
        ]
        | UnsetType
    ) = UNSET
    allow_private: Annotated[
        bool,
        Meta(description="Accept a base_url in a reserved address range, and plain http to any host name."),
    ] = False
    stream_usage: (
        Annotated[bool, Meta(description="Whether it takes OpenAI's stream_options.include_usage.")] | UnsetType
    ) = UNSET
    structured: (
        Annotated[
            Literal["json_schema", "json", "none"],
            Meta(description="How strictly it can hold a designator to an enum of names."),
        ]
        | UnsetType
    ) = UNSET


class Price(_Document, frozen=True):
    """Prices in USD per million tokens."""

    input: Annotated[Usd, Meta(description="Tokens read.")] | UnsetType = UNSET
    output: Annotated[Usd, Meta(description="Tokens written.")] | UnsetType = UNSET
    cache_read: Annotated[Usd, Meta(description="Tokens read from the provider's cache.")] | UnsetType = UNSET
    cache_write: Annotated[Usd, Meta(description="Tokens written to the provider's cache.")] | UnsetType = UNSET


class Model(_Document, frozen=True):
    """What is known of a model; a field that is not written keeps the built-in catalogue's value."""

    context: (
        Annotated[Tokens, Meta(description="The context window in tokens, prompt and answer together.")] | UnsetType
    ) = UNSET
    max_output: Annotated[Tokens, Meta(description="The most tokens of one answer.")] | UnsetType = UNSET
    capabilities: (
        Annotated[
            list[Capability],
            Meta(
                description="All that it can do; a model without this field is eligible for everything.",
                max_length=20,
            ),
        ]
        | UnsetType
    ) = UNSET
    price: Annotated[Price, Meta(description="What it costs, in USD per million tokens.")] | UnsetType = UNSET


class Client(_Document, frozen=True):
    """Someone who may use the gateway."""

    name: Annotated[Name, Meta(description="The client's name, in usage reports.", examples=["search-team"])]
    key: Annotated[SecretReference, Meta(description="Where the key is that the client sends.")]
    routers: (
        Annotated[list[str], Meta(description="The routers it may use; default: all routers and models.")] | UnsetType
    ) = UNSET
    tags: Annotated[Tags, Meta(description="Marks for cost reports; they become metric labels.")] = []


class Operator(_Document, frozen=True):
    """Someone who may read status and usage where clients are declared."""

    name: Annotated[Name, Meta(description="The operator's name.")]
    key: Annotated[SecretReference, Meta(description="Where the key is that the operator sends.")]


class Limits(_Document, frozen=True):
    """Bounds of the gateway, and the deadlines of providers that set none of their own."""

    connect: (
        Annotated[
            Duration,
            default("5s", "The most time to connect to a provider."),
        ]
        | UnsetType
    ) = UNSET
    first_byte: (
        Annotated[
            Duration,
            default("60s", "The most time until an answer begins."),
        ]
        | UnsetType
    ) = UNSET
    idle: (
        Annotated[
            Duration,
            default("60s", "The most time between two pieces of an answer."),
        ]
        | UnsetType
    ) = UNSET
    total: (
        Annotated[
            Duration,
            default("10m", "The most time for a whole answer."),
        ]
        | UnsetType
    ) = UNSET
    body: Annotated[Size, default("32MiB", "The most bytes of a request's body.")] | UnsetType = UNSET
    concurrency: Annotated[Count, default(1000, "Requests in flight, per worker.")] | UnsetType = UNSET
    sessions: Annotated[Count, default(100_000, "Sessions remembered.")] | UnsetType = UNSET
    ledger: Annotated[Duration, default("90d", "For how long the ledger keeps a request.")] | UnsetType = UNSET


class SearxngSearch(_Document, frozen=True):
    """A SearXNG instance."""

    url: Annotated[Url, Meta(description="Its address; default: SEARXNG_URL.", examples=["http://searxng:8080"])]


class PerplexitySearch(_Document, frozen=True):
    """Perplexity's search API."""

    base_url: Annotated[Url, Meta(description="Its address.")] | UnsetType = UNSET
    api_key: (
        Annotated[
            SecretReference,
            Meta(description="Where its key is; default: PERPLEXITY_API_KEY, or PERPLEXITY_API_KEY_FILE."),
        ]
        | UnsetType
    ) = UNSET


class JinaSearch(_Document, frozen=True):
    """Jina's search and reader APIs."""

    search_url: Annotated[Url, Meta(description="The search API's address.")] | UnsetType = UNSET
    reader_url: Annotated[Url, Meta(description="The reader API's address.")] | UnsetType = UNSET
    api_key: (
        Annotated[SecretReference, Meta(description="Where its key is; default: JINA_API_KEY, or JINA_API_KEY_FILE.")]
        | UnsetType
    ) = UNSET


class Search(_Document, frozen=True):
    """Where assessments are searched for."""

    provider: Annotated[SearchProvider, Meta(description="The search provider to use.")]
    searxng: Annotated[SearxngSearch, Meta(description="Settings of SearXNG.")] | UnsetType = UNSET
    perplexity: Annotated[PerplexitySearch, Meta(description="Settings of Perplexity.")] | UnsetType = UNSET
    jina: Annotated[JinaSearch, Meta(description="Settings of Jina.")] | UnsetType = UNSET


class GatewayDocument(_Document, frozen=True):
    """Everything that routers share: providers, models, clients, limits. At most one in a folder."""

    kind: Annotated[Literal["gateway"], Meta(description="Marks the gateway document.")]
    schema_version: (
        Annotated[SchemaVersion, Meta(description="The version of this format; may be left out.")] | UnsetType
    ) = UNSET
    providers: Annotated[
        dict[Name, Provider],
        Meta(description="Providers by name. The built-in ones need no entry; an entry changes single fields."),
    ] = {}
    models: Annotated[
        dict[ModelId, Model],
        Meta(description="Models by provider/model: what the built-in catalogue does not know, or has wrong."),
    ] = {}
    clients: Annotated[
        list[Client],
        Meta(description="Who may ask. None declared: anybody, and the gateway listens on loopback only."),
    ] = []
    operators: Annotated[
        list[Operator], Meta(description="Who may read status and usage where clients are declared.")
    ] = []
    allowed_hosts: Annotated[
        list[Host],
        Meta(description="Host names, beside the loopback ones, that requests may be addressed to.", max_length=100),
    ] = []
    limits: Annotated[Limits, Meta(description="Bounds and default deadlines.")] | UnsetType = UNSET
    search: Annotated[Search, Meta(description="Where assessments are searched for.")] | UnsetType = UNSET
    allow_empty: Annotated[bool, Meta(description="Accept a folder without any router.")] = False
