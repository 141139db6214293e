"""The models that a pod serves: those of its configuration, and its agents if it has some."""

from functools import partial

from chatfleet_api.providers.catalogue import Catalogue
from chatfleet_api.providers.provider import Provider
from chatfleet_api.providers.registry import Ground, Registry
from chatfleet_contract.runtime import RuntimeConfig, RuntimeMember
from chatfleet_contract.spec.agents import MEMBER_PREFIX


def served_models(registry: Registry, config: RuntimeConfig, *, ground: Ground | None = None) -> Catalogue:
    """Return the catalogue of `config`; raise `ValueError` when parts of it do not fit together."""
    if config.agents is None:
        return registry.catalogue(config, ground)
    from chatfleet_api.agents.catalogue import AgentCatalogue  # noqa: PLC0415  # a pod without agents does not pay

    def own(provider: Provider, member: RuntimeMember) -> Provider:
        if member.knowledge is None or ground is None:
            return provider
        return ground(provider, MEMBER_PREFIX + member.name, member.knowledge, config.knowledge_folder)

    return registry.catalogue(config, ground, partial(AgentCatalogue, agents=config.agents, ground=own))
