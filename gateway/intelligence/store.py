"""Assessments in ChromaDB: a folder of this machine, or a server.

``chromadb`` is an extra (``pip install 'llm-relay[intelligence]'``) and heavy: it is imported when a store is opened,
which the gateway itself never does. One record is one assessment, written by a single upsert, so that a reader sees
the old one or the new one; a digest tells a record that nobody but :meth:`ChromaStore.put` wrote.

Nothing here is found by its meaning: embeddings are derived from the id, since Chroma wants some, and would load a
model to make them itself. Readers ask by ``get``, which is safe beside a writer in another process; queries are not.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from gateway.intelligence.assessment import PARTS, Assessment, Assessments, Source, Statement, by_key

INSTALL = "pip install 'llm-relay[intelligence]'"
#: The folder below ``--data``, and the collection's name behind the prefix.
FOLDER, COLLECTION = "chroma", "assessments"
_PREFIX = "llm_relay_"
_STATEMENTS = ("assessment_sources", *PARTS, "sources")
_Statements = tuple[Statement, ...]
T = TypeVar("T")


class StoreError(Exception):
    """The store cannot be had; the message says why, without keys."""


class Place(msgspec.Struct, frozen=True):
    """Where the store is: a server where there is a ``url``, else the folder."""

    folder: Path | None
    url: str = ""
    headers: Mapping[str, str] = {}
    tenant: str = "default_tenant"
    database: str = "default_database"
    prefix: str = _PREFIX

    @property
    def mark(self) -> Path | None:
        """A file that every writer touches: opening a store, if only to read, changes Chroma's own files."""
        return None if self.folder is None or self.url else self.folder.with_name(f"{self.folder.name}.changed")

    @property
    def shown(self) -> str:
        """For people: without a password that somebody has put into the address."""
        scheme, slashes, rest = self.url.partition("://")
        return f"{scheme}{slashes}{rest.rpartition('@')[2]}" if self.url else str(self.folder)


def place(data: Path | None, environ: Mapping[str, str]) -> Place:
    """Where the environment says: CHROMA_URL with CHROMA_TOKEN, or CHROMA_USER and CHROMA_PASSWORD, CHROMA_TENANT,
    CHROMA_DATABASE and CHROMA_COLLECTION_PREFIX; else below the data folder.
    """
    headers = {}
    if token := environ.get("CHROMA_TOKEN"):
        # Servers and proxies read the one or the other.
        headers = {"Authorization": f"Bearer {token}", "X-Chroma-Token": token}
    elif user := environ.get("CHROMA_USER"):
        pair = f"{user}:{environ.get('CHROMA_PASSWORD', '')}"
        headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return Place(
        folder=None if data is None else data / FOLDER,
        url=environ.get("CHROMA_URL", "").rstrip("/"),
        headers=headers,
        tenant=environ.get("CHROMA_TENANT") or "default_tenant",
        database=environ.get("CHROMA_DATABASE") or "default_database",
        prefix=environ.get("CHROMA_COLLECTION_PREFIX") or _PREFIX,
    )


def installed() -> bool:
    """Whether the extra is there; imports nothing."""
    return importlib.util.find_spec("chromadb") is not None


class ChromaStore:
    """The open store. Raises StoreError at its making and from every method."""

    def __init__(self, where: Place) -> None:
        if not installed():
            raise StoreError(f"ChromaDB is not installed: {INSTALL}")
        if not where.url and where.folder is None:
            raise StoreError("there is no data folder: set --data, or CHROMA_URL")
        self._name = f"{where.prefix}{COLLECTION}"
        self._where = where
        self._client: Any = None
        self._collection: Any = None

    def get(self, router: str, candidates: Iterable[str]) -> Assessments:
        """The assessments of a router's candidates that there are."""
        ids = [_id(router, candidate) for candidate in candidates]
        return self._guard(lambda: self._read({"ids": ids})) if ids else {}

    def all(self) -> Assessments:
        """Every assessment."""
        return self._guard(lambda: self._read({}))

    def put(self, assessment: Assessment) -> None:
        """Keep one assessment in place of its older self."""
        id = _id(assessment.router, assessment.candidate)

        def work() -> None:
            self._existing(make=True).upsert(
                ids=[id],
                embeddings=[_embedding(id)],
                documents=[assessment.assessment.text],
                metadatas=[_metadata(assessment)],
            )
            self._mark()

        self._guard(work)

    def delete(self, keys: Iterable[tuple[str, str]]) -> None:
        """Forget some."""
        ids = [_id(*key) for key in keys]

        def work() -> None:
            collection = self._existing()
            if ids and collection is not None:
                collection.delete(ids=ids)
                self._mark()

        self._guard(work)

    def _mark(self) -> None:
        if self._where.mark is not None:
            self._where.mark.write_text(f"{time.time_ns()}\n")

    def _open(self) -> Any:
        import chromadb
        from chromadb.config import Settings

        quiet = Settings(anonymized_telemetry=False)
        where = self._where
        if not where.url:
            return chromadb.PersistentClient(
                path=str(where.folder), settings=quiet, tenant=where.tenant, database=where.database
            )
        parts = urlsplit(where.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("CHROMA_URL is no http address")
        return chromadb.HttpClient(
            host=parts.hostname,
            port=parts.port or (443 if parts.scheme == "https" else 80),
            ssl=parts.scheme == "https",
            headers=dict(where.headers),
            settings=quiet,
            tenant=where.tenant,
            database=where.database,
        )

    def _existing(self, *, make: bool = False) -> Any:
        """The collection; None where there is none and none is to be made."""
        where = self._where
        if not make and not where.url and where.folder is not None and not where.folder.exists():
            # Readers make no store.
            return None
        if self._client is None:
            self._client = self._open()
        if self._collection is None:
            from chromadb.errors import NotFoundError

            if make:
                self._collection = self._client.get_or_create_collection(self._name, embedding_function=None)
            else:
                try:
                    self._collection = self._client.get_collection(self._name, embedding_function=None)
                except NotFoundError:
                    return None
        return self._collection

    def _read(self, condition: dict[str, Any]) -> Assessments:
        collection = self._existing()
        if collection is None:
            return {}
        found = collection.get(**condition, include=["documents", "metadatas"])
        records = zip(found["documents"] or (), found["metadatas"] or (), strict=True)
        read = (_assessment(document, metadata) for document, metadata in records)
        return by_key(each for each in read if each is not None)

    def _guard(self, work: Callable[[], T]) -> T:
        """``work``, whose failures are StoreErrors."""
        try:
            import httpx
            from chromadb.errors import ChromaError
        except ImportError as error:
            raise StoreError(f"ChromaDB is not installed whole ({error}): {INSTALL}") from None
        try:
            return work()
        except (ChromaError, httpx.HTTPError, OSError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            for secret in self._where.headers.values():
                reason = reason.replace(secret, "[key]")
            raise StoreError(f"Chroma at {self._where.shown}: {reason}") from None


def _id(router: str, candidate: str) -> str:
    # A router's name has no space.
    return f"{router} {candidate}"


def _embedding(id: str) -> list[float]:
    """Eight numbers between -1 and 1 that stand for nothing."""
    return [(byte - 128) / 128 for byte in hashlib.sha256(id.encode()).digest()[:8]]


def _metadata(assessment: Assessment) -> dict[str, str]:
    lists: dict[str, object] = {part: getattr(assessment, part) for part in PARTS}
    lists |= {"sources": assessment.sources, "assessment_sources": assessment.assessment.sources}
    return {
        "router": assessment.router,
        "candidate": assessment.candidate,
        "confidence": assessment.confidence,
        "summarizer": assessment.summarizer,
        "generated_at": assessment.generated_at,
        "expires_at": assessment.expires_at,
        "digest": assessment.digest,
        **{name: msgspec.json.encode(value).decode() for name, value in lists.items()},
    }


def _assessment(document: str | None, metadata: Mapping[str, Any] | None) -> Assessment | None:
    """The record as it was put; None where it is anything else."""
    fields = {name: value for name, value in (metadata or {}).items() if isinstance(value, str)}
    digest = fields.pop("digest", "")
    try:
        text = {name: fields.pop(name) for name in _STATEMENTS}
        parts = {part: msgspec.json.decode(text[part], type=_Statements) for part in PARTS}
        whole = Statement(document or "", msgspec.json.decode(text["assessment_sources"], type=tuple[int, ...]))
        sources = msgspec.json.decode(text["sources"], type=tuple[Source, ...])
        assessment = msgspec.convert(
            {**fields, **parts, "assessment": whole, "sources": sources}, Assessment, from_attributes=True
        )
    except (KeyError, msgspec.MsgspecError):
        return None
    return assessment if assessment.digest == digest and not assessment.flaw else None
