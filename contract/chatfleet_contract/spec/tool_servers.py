"""`spec.toolServers`: MCP servers whose tools models may use."""

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Part, keyed, rule, rules, worded
from chatfleet_contract.spec.secrets import Subdomain
from chatfleet_contract.spec.urls import fetched_url_rules, port_rule

MAX_TOOL_SERVERS: Final = 16
MAX_TOOL_SERVERS_OF_A_MODEL: Final = 8
MAX_ALLOWED_TOOLS: Final = 64
ATOMIC: Final = {"x-kubernetes-list-type": "atomic"}

Approve: TypeAlias = Literal["never", "always"]

ToolServerName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=32,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        json_schema_extra=worded(
            "the name of a tool server has lower-case letters, digits and dashes between them; write it like tickets"
        ),
    ),
]
"""It is the beginning of the names of its tools, which vendors limit to 64 characters."""

ToolName = Annotated[str, Field(min_length=1, max_length=128)]


class HeadersSecretRef(Part):
    """A Secret in the ChatDeployment's own namespace, all of whose keys are names of headers."""

    name: Subdomain = Field(
        description="Name of the Secret, in the namespace of the ChatDeployment. An operator with secretsNeedLabel uses"
        " it only with the label chatfleet.io/allowed."
    )


class HeadersFrom(Part):
    """Where headers come from."""

    secret_ref: HeadersSecretRef = Field(
        description="Secret with headers: each key is a name, such as Authorization, and its value is sent with every"
        " request to the server. Pods follow changes within seconds."
    )


class MCP(Part):
    """A server of the Model Context Protocol, over streamable HTTP."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *fetched_url_rules("url", example="https://tools.example.com/mcp", inside="http://tickets.shop.svc/mcp"),
            port_rule("url"),
        )
    )

    url: Annotated[str, Field(max_length=512)] = Field(description="URL of its endpoint. Clients cannot change it.")
    headers_from: HeadersFrom | None = Field(None, description="Headers of every request, such as Authorization.")


class ToolServer(Part):
    """A server whose tools models may use."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.allow) || self.allow.all(t, self.allow.exists_one(u, u == t))",
                "toolServers[].allow must not name a tool twice; remove one of the two",
                ".allow",
            )
        )
    )

    name: ToolServerName = Field(description="Name that models refer to. Models see its tools as <name>__<tool>.")
    mcp: MCP = Field(description="The MCP server.")
    allow: Annotated[list[ToolName], Field(max_length=MAX_ALLOWED_TOOLS, json_schema_extra=ATOMIC)] = Field(
        default_factory=list, description="Names of the tools that may be called. Empty: all that the server lists."
    )
    timeout_seconds: int = Field(
        30, ge=1, le=600, description="Timeout of a call. The model gets a call that exceeds it as an error."
    )
    approve: Approve = Field(
        "never",
        description="Whether a person approves calls. never: pods make them at once. always: the answer pauses"
        " (requires_action) until a client approves or refuses its calls. In answers that are not stored, which cannot"
        " pause, they are refused.",
    )


ToolServers = Annotated[list[ToolServer], Field(max_length=MAX_TOOL_SERVERS, json_schema_extra=keyed("name"))]


TOOLS_RULE: Final = rule(
    "self.models.all(m, !has(m.tools) || m.tools.all(t, has(self.toolServers) && self.toolServers.exists(s, s.name =="
    " t)))",
    "models[].tools must be names of tool servers in spec.toolServers; add the tool server or correct the name",
    ".models",
)
"""Across models and tool servers, for the object that holds both."""
