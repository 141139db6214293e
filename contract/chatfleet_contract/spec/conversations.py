"""`spec.conversations`: retention of conversations, and the life of their answers."""

from typing import Final, Literal, TypeAlias

from pydantic import Field

from chatfleet_contract.parts import Part, rule
from chatfleet_contract.spec.model_name import ModelName
from chatfleet_contract.spec.secrets import SecretKeyRef

OnClientDisconnect: TypeAlias = Literal["continue", "cancel"]
OnBusy: TypeAlias = Literal["reject", "enqueue", "interrupt"]
Overflow: TypeAlias = Literal["trim", "compact", "reject"]


TITLES_RULE: Final = rule(
    "!has(self.conversations.titles) || self.models.exists(m, m.name == self.conversations.titles.model)",
    "conversations.titles.model must be the name of a model in spec.models; add the model or correct the name",
    ".conversations.titles.model",
)
"""For the object that holds both."""


class Attachments(Part):
    """Bounds of the attachments of messages."""

    max_bytes: int = Field(
        3_000_000,
        ge=1_000,
        le=20_000_000,
        description="Most bytes of one attachment. What comes as a data URL is also bounded by the largest body of a"
        " request, 4 MiB: of it 3,000,000 bytes fit.",
    )
    max_count: int = Field(8, ge=1, le=64, description="Most attachments of one message.")
    max_bytes_per_conversation: int = Field(
        50_000_000,
        ge=1_000,
        le=1_000_000_000,
        description="Most bytes of all images and files of one conversation, or chain of responses. Pods have them in"
        " memory with each turn, and upstreams take about as much. A message beyond it gets 400, conversation_full.",
    )
    fetch: bool = Field(
        default=True,
        description="Whether pods fetch attachments that are at https addresses. false: they take data URLs alone.",
    )


class Titles(Part):
    """Titles of conversations that have none."""

    model: ModelName = Field(description="Model of spec.models that makes the titles.")


class Archive(Part):
    """A PostgreSQL that keeps conversations for good."""

    postgres_url_secret_ref: SecretKeyRef = Field(
        alias="postgresURLSecretRef",
        description="Secret key with the URL of the database, postgresql://user:password@host/name. The pods make the"
        " schema chatfleet in it. They follow a change of the value; another key restarts them.",
    )


class Conversations(Part):
    """Retention of conversations, and the life of their answers."""

    ttl_seconds: int = Field(
        2_592_000,
        ge=60,
        le=315_360_000,
        description="Seconds after its last change until a conversation is deleted. Default: 30 days.",
    )
    on_client_disconnect: OnClientDisconnect = Field(
        "continue",
        description="What happens to an answer when its client disconnects. continue: it runs to its end, and clients"
        " can join it again. cancel: it stops, and the text so far is stored.",
    )
    on_busy: OnBusy = Field(
        "reject",
        description="What happens to a message that arrives while the conversation has a running answer; a request can"
        " override it (on_busy). reject: 409. enqueue: the message waits in a queue. interrupt: the running answer"
        " stops, its text so far is stored, and the new message is answered.",
    )
    max_messages: int | None = Field(
        None,
        ge=2,
        le=1_000_000,
        description="Messages of a conversation, questions and answers. One with which it would have more gets 400,"
        " conversation_full; what is stored stays. Default: no limit.",
    )
    context_tokens: int | None = Field(
        None,
        ge=16,
        le=10_000_000,
        description="Tokens of a conversation that go to the model, as its provider has counted them, else estimated."
        " Instructions and the last message of the user always go. Default: no limit but the model's.",
    )
    overflow: Overflow = Field(
        "trim",
        description="What happens to a message when the conversation has more than contextTokens. trim: the oldest"
        " turns do not go to the model, and stay stored. compact: the same, and a summary of them by the model goes in"
        " their place; it is made in the background after an answer. reject: 400, context_too_long.",
    )
    titles: Titles | None = Field(
        None,
        description="Has a model make the title of a conversation that has none, once, after its first complete answer."
        " Default: such conversations have no title.",
    )
    attachments: Attachments = Field(
        Attachments(),
        description="Bounds of images and files of messages, in the native API and in sessions.",
    )
    user_webhooks: bool = Field(
        default=False,
        description="Whether users with a credential of their own may have a webhook (PUT /api/v1/users/me/webhook)"
        " that gets the ends of their answers, without content. It needs Redis. Pods then request public URLs.",
    )
    archive: Archive | None = Field(
        None,
        description="Also keeps conversations, messages, feedback and usage in PostgreSQL, for good: what is deleted by"
        " a client is deleted there, and what Redis lets expire is read from there. Default: no archive.",
    )
    save_interval_milliseconds: int = Field(
        50,
        ge=10,
        le=10_000,
        description="Upper bound, in milliseconds, of model output that is lost when a pod dies while Redis is"
        " reachable. Clients never receive output that is not stored; the pod stores it every 15 ms, or every half of"
        " this value if that is shorter.",
    )

    @property
    def title_model(self) -> str | None:
        """Return the model that makes titles; None: none are made."""
        return None if self.titles is None else self.titles.model
