"""The built-in providers, and the providers of one generation: built in, changed, or declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from msgspec import UNSET, UnsetType

from gateway.config import documents, urls
from gateway.config.model import Provider, Secret, Timers, WireName
from gateway.config.problems import Marks, Place, Report, show
from gateway.config.secrets import Secrets, stands_in
from gateway.config.units import duration, spell_duration

MAX_DEADLINE = 24 * 3600.0
SANDBOX = "sandbox"


class Builtin(NamedTuple):
    """A provider that needs no entry. Sources: each provider's API reference."""

    base_url: str
    #: Where its key usually is, the first that is set; ``…_FILE`` works too. Empty: it needs none.
    variables: tuple[str, ...]
    wire: WireName = "openai"
    #: ``json_schema`` only where all current models take it: a provider that refuses it for some models would make
    #: every decision of such a designator fail. Groq and Cerebras document it for some, JSON mode for all.
    structured: Literal["json_schema", "json", "none"] = "none"
    #: Mistral and Cohere refuse ``stream_options`` (HTTP 422 and 400) and report usage unasked, as Perplexity does.
    stream_usage: bool = True


BUILTIN: Mapping[str, Builtin] = {
    "openai": Builtin("https://api.openai.com/v1", ("OPENAI_API_KEY",), structured="json_schema"),
    "anthropic": Builtin("https://api.anthropic.com", ("ANTHROPIC_API_KEY",), "anthropic"),
    "gemini": Builtin(
        "https://generativelanguage.googleapis.com/v1beta/openai",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        structured="json_schema",
    ),
    "groq": Builtin("https://api.groq.com/openai/v1", ("GROQ_API_KEY",), structured="json"),
    "mistral": Builtin("https://api.mistral.ai/v1", ("MISTRAL_API_KEY",), structured="json_schema", stream_usage=False),
    "deepseek": Builtin("https://api.deepseek.com/v1", ("DEEPSEEK_API_KEY",), structured="json"),
    "xai": Builtin("https://api.x.ai/v1", ("XAI_API_KEY",), structured="json_schema"),
    "openrouter": Builtin("https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",)),
    "perplexity": Builtin("https://api.perplexity.ai", ("PERPLEXITY_API_KEY",), stream_usage=False),
    "together": Builtin("https://api.together.xyz/v1", ("TOGETHER_API_KEY",)),
    "fireworks": Builtin("https://api.fireworks.ai/inference/v1", ("FIREWORKS_API_KEY",), structured="json_schema"),
    "cerebras": Builtin("https://api.cerebras.ai/v1", ("CEREBRAS_API_KEY",), structured="json"),
    "deepinfra": Builtin("https://api.deepinfra.com/v1/openai", ("DEEPINFRA_API_KEY",)),
    "sambanova": Builtin("https://api.sambanova.ai/v1", ("SAMBANOVA_API_KEY",)),
    "cohere": Builtin(
        "https://api.cohere.ai/compatibility/v1", ("COHERE_API_KEY",), structured="json_schema", stream_usage=False
    ),
    "ollama": Builtin("http://127.0.0.1:11434", (), "ollama", structured="json_schema"),
    SANDBOX: Builtin("sandbox:", ()),
}


class Providers:
    """Finds providers by name. A built-in one that nobody declares or uses needs no key.

    ``place`` is that of the declarations, ``timers`` are the deadlines of providers that set none of their own.
    """

    def __init__(
        self,
        declared: Mapping[str, documents.Provider],
        place: Place,
        timers: Timers,
        secrets: Secrets,
        report: Report,
    ) -> None:
        self._declared = declared
        self._builder = _Builder(timers, secrets, report)
        self._found = {name: self._builder.build(name, entry, place / name) for name, entry in declared.items()}

    def __contains__(self, name: object) -> bool:
        return name in BUILTIN or name in self._declared

    @property
    def names(self) -> list[str]:
        """Everything that may stand before a model's slash."""
        return [*BUILTIN, *(name for name in self._declared if name not in BUILTIN)]

    def use(self, name: str, place: Place) -> Provider | None:
        """The provider called ``name``, which must exist; what it lacks is reported at its first place of use."""
        if name not in self._found:
            self._found[name] = self._builder.build(name, _UNCHANGED, place)
        return self._found[name]

    def available(self) -> dict[str, Provider]:
        """Every provider that can be used: all that were declared or used, and the built-in ones with a key."""
        quiet = self._builder.quiet()
        found = dict(self._found)
        for name, builtin in BUILTIN.items():
            if name not in found:
                provider = quiet.build(name, _UNCHANGED, Place("", Marks()))
                if provider is not None and (provider.key is not None or not builtin.variables):
                    found[name] = provider
        return {name: provider for name, provider in sorted(found.items()) if provider is not None}


_UNCHANGED = documents.Provider()


class _Builder:
    """Turns entries into providers; an entry of a built-in provider changes single fields of it."""

    def __init__(self, timers: Timers, secrets: Secrets, report: Report) -> None:
        self._timers = timers
        self._secrets = secrets
        self._report = report

    def quiet(self) -> _Builder:
        """One whose problems nobody hears of."""
        return _Builder(self._timers, self._secrets.unheard(), Report())

    def build(self, name: str, entry: documents.Provider, place: Place) -> Provider | None:
        """The provider; None, with problems at ``place``, where it cannot be used."""
        if name == SANDBOX and entry is not _UNCHANGED:
            self._report.add(place, "E302", "the sandbox cannot be changed", "choose another name", at_key=True)
            return None
        builtin = BUILTIN.get(name)
        wire = entry.wire or (builtin.wire if builtin is not None else None)
        if not wire:
            self._report.add(place, "E205", '"wire" is missing', "add it: the protocol that the provider speaks")
        url = self._url(entry, builtin, place)
        key = self._key(name, entry, builtin, url, place)
        if not wire or url is None:
            return None
        plain = builtin or Builtin("", ())
        return Provider(
            name=name,
            wire=wire,
            base_url=url.text,
            key=key,
            timers=timers(entry, self._timers, place, self._report),
            proxy=self._proxy(entry, place),
            stream_usage=plain.stream_usage if entry.stream_usage is UNSET else entry.stream_usage,
            structured=entry.structured or plain.structured,
        )

    def _url(self, entry: documents.Provider, builtin: Builtin | None, place: Place) -> urls.Url | None:
        if entry.base_url is not UNSET:
            return checked_url(entry.base_url, place / "base_url", self._report, allow_private=entry.allow_private)
        if builtin is None:
            self._report.add(place, "E205", '"base_url" is missing', "add it: where the provider is")
            return None
        host = self._secrets.environ.get("OLLAMA_HOST", "") if builtin.wire == "ollama" else ""
        if not host:
            return urls.Url(builtin.base_url, own=False)
        text = urls.ollama_host(host)
        if text is None:
            self._report.add(place, "E307", "OLLAMA_HOST is not a possible address", "set it to host:port")
            return None
        return urls.Url(text, own=True)

    def _key(
        self, name: str, entry: documents.Provider, builtin: Builtin | None, url: urls.Url | None, place: Place
    ) -> Secret | None:
        if entry.api_key is not UNSET:
            return self._secrets.resolve(entry.api_key, place / "api_key")
        variables = builtin.variables if builtin is not None else ()
        environ = self._secrets.environ
        for variable in variables:
            if environ.get(variable):
                return self._secrets.resolve(f"env:{variable}", place)
            if path := environ.get(f"{variable}_FILE"):
                return self._secrets.from_file(path, place, restricted=False)
        if not variables or url is None or url.own:
            return None
        usual = f"env:{variables[0]}"
        return self._secrets.missing(place, f"{name} has no key", f"set {' or '.join(variables)}", usual)

    def _proxy(self, entry: documents.Provider, place: Place) -> str | None:
        if entry.proxy is UNSET:
            return None
        place = place / "proxy"
        text = entry.proxy
        if text.startswith(("env:", "file:")):
            secret = self._secrets.resolve(text, place)
            if secret is None or stands_in(secret):
                return None
            # Without its credentials it is a URL like any other.
            scheme, separator, rest = secret.reveal().partition("://")
            plain = f"{scheme}{separator}{rest.rpartition('@')[2]}"
            known = checked_url(plain, place, self._report, allow_private=True, plain=True)
            return None if known is None else secret.reveal()
        if "@" in text:
            self._report.add(place, "E309", "a proxy's password must not stand in the file", "write env:NAME")
            return None
        url = checked_url(text, place, self._report, allow_private=True, plain=True)
        return None if url is None else url.text


def checked_url(
    text: str, place: Place, report: Report, *, allow_private: bool = False, plain: bool = False
) -> urls.Url | None:
    """The URL as :func:`gateway.config.urls.check` reads it; None, with a problem, where it cannot be used."""
    try:
        return urls.check(text, allow_private=allow_private, plain=plain)
    except urls.BadUrl as error:
        report.add(place, error.code, error.message, error.remedy)
        return None


def timers(entry: documents.Provider | documents.Limits, otherwise: Timers, place: Place, report: Report) -> Timers:
    """The deadlines that ``entry`` sets, and ``otherwise`` the rest."""

    def seconds(name: str, written: str | UnsetType, default: float) -> float:
        return default if written is UNSET else bounded(written, MAX_DEADLINE, place / name, report)

    first_byte = seconds("first_byte", entry.first_byte, otherwise.first_byte)
    return Timers(
        connect=seconds("connect", entry.connect, otherwise.connect),
        first_byte=first_byte,
        whole=otherwise.whole if entry.first_byte is UNSET else first_byte,
        idle=seconds("idle", entry.idle, otherwise.idle),
        total=seconds("total", entry.total, otherwise.total),
    )


def bounded(text: str, most: float, place: Place, report: Report) -> float:
    """A duration in seconds, with a problem where it is longer than ``most``."""
    seconds = duration(text)
    if seconds > most:
        report.add(place, "E203", f"{show(text)} is too long", f"at most {spell_duration(most)}")
    return seconds
