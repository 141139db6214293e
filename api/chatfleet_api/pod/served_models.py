"""The models that a pod serves: those of its configuration, and its agents if it has some."""

from functools import partial

from chatfleet_api.providers.catalogue import Catalogue
from chatfleet_api.providers.registry import Ground, Registry
from chatfleet_contract.runtime import RuntimeConfig


def served_models(registry: Registry, config: RuntimeConfig, *, ground: Ground | None = None) -> Catalogue:
    """Return the catalogue of `config`; raise `ValueError` when parts of it do not fit together."""
    if config.agents is None:
        return registry.catalogue(config, ground)
    from chatfleet_api.agents.catalogue import AgentCatalogue  # noqa: PLC0415  # a pod without agents does not pay

    return registry.catalogue(config, ground, partial(AgentCatalogue, agents=config.agents))
