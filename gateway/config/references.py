"""From ``provider/model`` as written to the model that is meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

import msgspec
from msgspec import UNSET

from gateway.config import catalogue, documents
from gateway.config.model import Model, Price, Provider
from gateway.config.problems import Place, Report, did_you_mean, show
from gateway.config.providers import Providers

#: How near a name must be to one in the catalogue to be taken for a slip of the pen.
_NEAR = 0.86
_DIGITS = re.compile(r"\d+").findall


class Models:
    """Finds models by reference.

    ``overrides`` are the gateway document's, by id. ``routers`` maps the routers' names, in lower case, to the routers
    that they point to, so that a router in a model's place can be told. Not ``certain``, because the gateway document
    could not be read, undeclared providers are passed over in silence.
    """

    def __init__(
        self,
        overrides: Mapping[str, documents.Model],
        providers: Providers,
        routers: Mapping[str, frozenset[str]],
        report: Report,
        *,
        certain: bool = True,
    ) -> None:
        self._overrides = {id.lower(): entry for id, entry in overrides.items()}
        self._declared = list(overrides)
        self._providers = providers
        self._routers = routers
        self._report = report
        self._certain = certain
        self._found: dict[str, Model] = {}
        self._remedies: dict[str, str] = {}

    def resolve(self, reference: str, place: Place, *, router: str = "") -> Model | None:
        """The model that ``reference`` names; None, with a problem at ``place``, where it names none.

        ``router`` is the router that refers to it.
        """
        found = self._found.get(reference)
        if found is not None:
            return found
        provider = self._provider(reference, place, router)
        if provider is None:
            return None
        name = reference[len(provider.name) + 1 :]
        if not self._known(provider.name, name):
            self._warn_if_misspelt(provider.name, name, place)
        model = self._found[reference] = self._compile(provider, name)
        return model

    def declare(self, id: str, place: Place) -> None:
        """Check that a model of the gateway document has a provider."""
        provider, slash, name = id.partition("/")
        if not slash or not name or provider not in self._providers:
            self._report.add(place, "E303", f"the provider of {show(id)} is not declared", self._meant(id), at_key=True)

    def all(self, available: Mapping[str, Provider]) -> dict[str, Model]:
        """Every model that is used, declared, or in the catalogue of an available provider, by id."""
        models = {model.id: model for model in self._found.values() if model.provider.name in available}
        listed = [f"{provider}/{name}" for provider, names in catalogue.by_provider().items() for name in names]
        for id in (*self._declared, *listed):
            name, _, rest = id.partition("/")
            if name in available and id not in models:
                models[id] = self._compile(available[name], rest)
        return dict(sorted(models.items()))

    def _provider(self, reference: str, place: Place, router: str) -> Provider | None:
        prefix, slash, name = reference.partition("/")
        if reference.lower() in self._routers:
            chain = " → ".join(self._chain(router, reference.lower()))
            message = f"{show(reference)} is a router, and routers cannot be nested: {chain}"
            self._report.add(place, "E304", message, "name the models instead")
        elif slash and name and prefix in self._providers:
            return self._providers.use(prefix, place)
        elif self._certain or not slash:
            self._report.add(place, "E303", f"{show(reference)} is not declared", self._meant(reference))
        return None

    def _chain(self, router: str, nested: str) -> list[str]:
        """The way from ``router`` through ``nested``, back to ``router`` where there is one."""
        if router.lower() == nested:
            return [router, nested]
        way = {nested: [router, nested]}
        queue = [nested]
        for here in queue:
            for following in sorted(self._routers.get(here, ())):
                if following == router:
                    return [*way[here], router]
                if following not in way:
                    way[following] = [*way[here], following]
                    queue.append(following)
        return way[nested]

    def _meant(self, reference: str) -> str:
        """A remedy for a reference whose provider is missing or unknown."""
        remedy = self._remedies.get(reference)
        if remedy is None:
            remedy = self._remedies[reference] = self._guess(reference)
        return remedy

    def _guess(self, reference: str) -> str:
        prefix, _, rest = reference.partition("/")
        if prefix in self._providers and not rest:
            return "write provider/model"
        known = [id for id in self._declared if id.partition("/")[0] in self._providers and id.partition("/")[2]]
        known += (f"{p}/{name}" for p, names in catalogue.by_provider().items() for name in names)
        same_name = [id for id in known if id.partition("/")[2].lower() == reference.lower()]
        if same_name:
            return f"did you mean {show(same_name[0])}?"
        if rest and (close := difflib.get_close_matches(prefix.lower()[:64], self._providers.names, n=1)):
            return f"did you mean {show(f'{close[0]}/{rest}')}?"
        otherwise = f"declare the provider {show(prefix)}" if prefix and rest else "write provider/model"
        return did_you_mean(reference, known, otherwise)

    def _known(self, provider: str, name: str) -> bool:
        return f"{provider}/{name}".lower() in self._overrides or catalogue.facts(provider, name) is not None

    def _warn_if_misspelt(self, provider: str, name: str, place: Place) -> None:
        """Names that differ in their digits are versions of one another; others that are near are probably slips."""
        names = [known for known in catalogue.by_provider().get(provider, ()) if _DIGITS(known) == _DIGITS(name)]
        close = difflib.get_close_matches(name.lower()[:200], names, n=1, cutoff=_NEAR)
        if close:
            message = f"{show(f'{provider}/{name}')} is not in the catalogue"
            self._report.add(place, "W403", message, f"did you mean {show(f'{provider}/{close[0]}')}?")

    def _compile(self, provider: Provider, name: str) -> Model:
        known = catalogue.facts(provider.name, name) or catalogue.UNKNOWN
        id = f"{provider.name}/{name}"
        entry = self._overrides.get(id.lower(), documents.Model())
        return Model(
            id=id,
            name=name,
            provider=provider,
            context=known.context if entry.context is UNSET else entry.context,
            max_output=known.max_output if entry.max_output is UNSET else entry.max_output,
            capabilities=known.capabilities if entry.capabilities is UNSET else frozenset(entry.capabilities),
            price=_price(known.price, entry.price) if entry.price is not UNSET else known.price,
        )


def _price(known: Price | None, entry: documents.Price) -> Price:
    set_fields = {name: value for name, value in msgspec.structs.asdict(entry).items() if value is not UNSET}
    return msgspec.structs.replace(known or Price(), **set_fields)
