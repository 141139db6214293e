"""The models of the configuration with agents beside them: `agent`, the supervisor, and `agent:NAME` for each member.

`agent:supervisor` is the supervisor's own answer, without a choice. It is not listed.
"""

from collections.abc import Callable, Mapping

from typing_extensions import override

from chatfleet_api.agents.answering import Answering, Profile, Supervising
from chatfleet_api.domain.request import ChatRequest, in_common_terms
from chatfleet_api.providers.catalogue import Catalogue, SharedUpstream
from chatfleet_api.providers.provider import Provider
from chatfleet_api.providers.refusals import no_embeddings
from chatfleet_api.providers.vectors import EmbeddingModel
from chatfleet_contract.runtime import RuntimeAgents, RuntimeMember
from chatfleet_contract.spec.agents import AGENT, MEMBER_PREFIX, SUPERVISOR
from chatfleet_contract.spec.provider_types import Continuation
from chatfleet_contract.spec.providers import Model


class AgentCatalogue(Catalogue):
    """A `Catalogue` that has agents, too."""

    def __init__(  # noqa: PLR0913  # those of every catalogue, and two
        self,
        models: Mapping[str, Provider],
        upstreams: Mapping[str, SharedUpstream],
        entries: Mapping[str, Model],
        embedding: Mapping[str, EmbeddingModel],
        *,
        agents: RuntimeAgents,
        ground: Callable[[Provider, RuntimeMember], Provider] = lambda provider, _: provider,
    ) -> None:
        """Raise `ValueError` for an agent whose model is not one of `models`.

        `ground` returns the provider of a member's model as it answers from the documents of the member.
        """
        super().__init__(models, upstreams, entries, embedding)
        own = Profile(SUPERVISOR, agents.supervisor.model, agents.supervisor.instructions)
        profiles = [
            own,
            *map(_profile, agents.members),
        ]
        for profile in profiles:
            if profile.model not in models:
                raise ValueError(
                    f"agent {profile.name}: model {profile.model} is not in models; add it or correct the name"
                )
        grounded = {each.name: ground(models[each.model], each) for each in agents.members}
        answering: dict[str, Answering] = {}
        for profile in profiles:
            inner = grounded.get(profile.name, models[profile.model])
            answering[profile.name] = Answering(profile, inner, agents.supervisor, answering)
        named = {MEMBER_PREFIX + name: agent for name, agent in answering.items()}
        self._profiles = {AGENT: own, **{name: agent.profile for name, agent in named.items()}}
        self._agents: Mapping[str, Provider] = {
            AGENT: Supervising(agents, answering, models[agents.supervisor.model]),
            **named,
        }

    @override
    def provider(self, model: str) -> Provider:
        return self._agents.get(model) or super().provider(model)

    @override
    def embedding(self, model: str) -> EmbeddingModel:
        if model in self._agents:
            raise no_embeddings(model)
        return super().embedding(model)

    @override
    def continuation(self, model: str) -> Continuation:
        return super().continuation(self._model(model))

    @override
    def max_tokens(self, model: str) -> int | None:
        """Return the default of an agent; of the supervisor, the largest one of those that it may choose."""
        if model == AGENT:
            limits = [self.max_tokens(each) for each in self._profiles if each != AGENT]
            known = [limit for limit in limits if limit is not None]
            return max(known) if len(known) == len(limits) else None
        own = self._profiles[model].parameters.max_tokens if model in self._profiles else None
        return own or super().max_tokens(self._model(model))

    @override
    async def count_tokens(self, request: ChatRequest) -> int | None:
        return await super().count_tokens(self._request(request))

    @override
    def require_supported(self, request: ChatRequest) -> None:
        profile = self._profiles.get(request.model)
        if profile is not None and profile.handoffs:
            request = in_common_terms(request)
        super().require_supported(self._request(request))

    @override
    def models(self) -> tuple[str, ...]:
        listed = (name for name in self._agents if name != MEMBER_PREFIX + SUPERVISOR)
        return (*listed, *super().models())

    @override
    def shutdown_date(self, model: str) -> str | None:
        return super().shutdown_date(self._model(model))

    def _model(self, model: str) -> str:
        """Return the model of the catalogue behind an agent."""
        return self._profiles[model].model if model in self._profiles else model

    def _request(self, request: ChatRequest) -> ChatRequest:
        """Return what the model behind an agent would get."""
        profile = self._profiles.get(request.model)
        return request if profile is None else profile.request(request)


def _profile(member: RuntimeMember) -> Profile:
    described = member.description, member.handoffs
    return Profile(member.name, member.model, member.instructions, member.parameters, *described)
