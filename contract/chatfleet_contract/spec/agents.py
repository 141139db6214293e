"""`spec.agents`: a supervisor that has each request answered by the member it fits, or answers itself."""

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Part, keyed, rule, rules, worded
from chatfleet_contract.spec.knowledge import Knowledge, embedding_rule
from chatfleet_contract.spec.model_name import ModelName
from chatfleet_contract.spec.providers import Parameters
from chatfleet_contract.spec.secrets import ConfigMapKeyRef
from chatfleet_contract.spec.tool_servers import ATOMIC

AGENT: Final = "agent"
"""The name of the supervisor among the models of the API."""
MEMBER_PREFIX: Final = "agent:"
"""What the name of a member begins with there."""
SUPERVISOR: Final = "supervisor"
"""The name of the supervisor among the agents: no member has it."""

MAX_MEMBERS: Final = 16
MAX_HANDOFFS: Final = 8
"""Members to which one may hand over."""

AgentName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        json_schema_extra=worded(
            "the name of a member has lower-case letters, digits and dashes between them; write it like billing"
        ),
    ),
]
Words = Annotated[str, Field(min_length=1, max_length=100)]
Instructions = Annotated[str, Field(min_length=1, max_length=16_384)]


class InstructionsFrom(Part):
    """Where instructions are."""

    config_map_key_ref: ConfigMapKeyRef = Field(
        description="Key of a ConfigMap with the text. Pods follow its changes within 10 s, without a restart."
    )


class Route(Part):
    """When a member is chosen without asking a model."""

    when_contains: Annotated[
        list[Words], Field(min_length=1, max_length=32, json_schema_extra={"x-kubernetes-list-type": "atomic"})
    ] = Field(
        description="Words or phrases. The first member of the list of which one is in the last message of the user, in"
        " upper or lower case, answers."
    )


class Member(Part):
    """An agent that answers what its description covers."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.instructions) != has(self.instructionsFrom)",
                "a member must have exactly one of instructions and instructionsFrom; set one and remove the other",
            ),
            rule(
                "!has(self.handoffs) || self.handoffs.all(h, h != self.name)",
                "a member must not hand over to itself; remove its own name",
                ".handoffs",
            ),
        )
    )

    name: AgentName = Field(description="Name of the member. Clients send agent:NAME as `model` to reach it directly.")
    description: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="What the member answers, as the model of the supervisor reads it."
    )
    model: ModelName = Field(description="Name of a model in spec.models that answers.")
    instructions: Instructions | None = Field(None, description="System instructions, before those of the request.")
    instructions_from: InstructionsFrom | None = Field(None, description="System instructions in a ConfigMap.")
    parameters: Parameters = Field(
        Parameters(), description="Defaults for requests that do not set these parameters, before those of the model."
    )
    knowledge: Knowledge | None = Field(
        None, description="Documents that the member answers from. Unset: those of its model, if that has some."
    )
    route: Route | None = Field(None, description="Unset: the model of the supervisor alone chooses this member.")
    handoffs: Annotated[list[AgentName], Field(max_length=MAX_HANDOFFS, json_schema_extra=ATOMIC)] = Field(
        default_factory=list,
        description="Names of members to which this one may hand the conversation over. Its model is offered a function"
        " for each: transfer_to_NAME.",
    )


class Supervisor(Part):
    """Chooses the member that answers, or answers itself."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.instructions) || !has(self.instructionsFrom)",
                "agents.supervisor must not have both instructions and instructionsFrom; remove one of the two",
            )
        )
    )

    model: ModelName = Field(
        description="Name of a model in spec.models that chooses among the members, by their names and descriptions,"
        " and that answers what no member fits."
    )
    instructions: Instructions | None = Field(
        None, description="System instructions for what the supervisor answers itself."
    )
    instructions_from: InstructionsFrom | None = Field(None, description="The same in a ConfigMap.")
    max_steps: int = Field(
        12,
        ge=2,
        le=32,
        description="Maximum of steps for one answer: the choice of a member, then requests to models, with their calls"
        " of tools and hand-overs. In the last one the model may call nothing, so that it answers.",
    )
    max_handoffs: int = Field(
        3, ge=1, le=16, description="Maximum of hand-overs between members for one answer. They are steps, too."
    )


class Agents(Part):
    """A supervisor and the members among which it chooses."""

    supervisor: Supervisor = Field(
        description="The model `agent` of the API: it has each request answered by the member that it fits."
    )
    members: Annotated[list[Member], Field(min_length=1, max_length=MAX_MEMBERS, json_schema_extra=keyed("name"))] = (
        Field(description="The members: the models `agent:NAME` of the API.")
    )

    def instructed(self) -> "tuple[tuple[str, ConfigMapKeyRef], ...]":
        """Return the agents with instructions in ConfigMaps, by name."""
        named: list[tuple[str, Supervisor | Member]] = [(SUPERVISOR, self.supervisor)]
        named += [(member.name, member) for member in self.members]
        return tuple(
            (name, agent.instructions_from.config_map_key_ref) for name, agent in named if agent.instructions_from
        )


AGENT_RULES: Final = (
    rule(
        "!has(self.agents) || self.models.exists(m, m.name == self.agents.supervisor.model)",
        "agents.supervisor.model must be the name of a model in spec.models; add the model or correct the name",
        ".agents.supervisor.model",
    ),
    rule(
        "!has(self.agents) || self.agents.members.all(a, self.models.exists(m, m.name == a.model))",
        "agents.members[].model must be the name of a model in spec.models; add the model or correct the name",
        ".agents.members",
    ),
    embedding_rule("self.agents.members", "agents.members", "!has(self.agents) || "),
    rule(
        f"!has(self.agents) || self.agents.members.all(a, a.name != '{SUPERVISOR}')",
        f"agents.members[].name must not be {SUPERVISOR}, which is the supervisor itself; rename the member",
        ".agents.members",
    ),
    rule(
        "!has(self.agents) || self.agents.members.all(a, !has(a.handoffs) ||"
        " a.handoffs.all(h, self.agents.members.exists(b, b.name == h)))",
        "agents.members[].handoffs must have names of agents.members; add the member, correct the name or remove it",
        ".agents.members",
    ),
    rule(
        f"!has(self.agents) || self.models.all(m, m.name != '{AGENT}' && !m.name.startsWith('{MEMBER_PREFIX}'))",
        f"models[].name must not be {AGENT} or begin with {MEMBER_PREFIX} beside spec.agents, whose models have these"
        " names; rename the model",
        ".models",
    ),
)
"""For the object that holds agents and models."""
