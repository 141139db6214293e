"""`spec.webhooks`: servers that are notified of events, by Standard Webhooks."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Part, keyed, rule, rules
from chatfleet_contract.spec.providers import ObjectName
from chatfleet_contract.spec.secrets import Subdomain
from chatfleet_contract.spec.urls import fetched_url_rules, port_rule

MAX_WEBHOOKS: Final = 4
INACTIVE_AFTER_SECONDS: Final = 300
"""The default."""
LEAST_SECONDS: Final = 10
MOST_SECONDS: Final = 3600


class WebhookEvent(StrEnum):
    """What a webhook is notified of."""

    STREAM_COMPLETE = "stream_complete"
    RUN_INTERRUPTED = "run_interrupted"
    USER_INACTIVE = "user_inactive"
    FEEDBACK = "feedback"
    BUDGET_WARNING = "budget_warning"


class SigningSecretRef(Part):
    """A Secret in the ChatDeployment's own namespace, all of whose values are signing secrets."""

    name: Subdomain = Field(
        description="Name of the Secret, in the namespace of the ChatDeployment. An operator with secretsNeedLabel uses"
        " it only with the label chatfleet.io/allowed."
    )


class Webhook(Part):
    """A server that is notified of events."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *fetched_url_rules(
                "url", example="https://hooks.example.com/chat", inside="http://hooks.team.svc:8080/chat"
            ),
            port_rule("url"),
            rule(
                "!has(self.inactiveAfterSeconds) || 'user_inactive' in self.events",
                "inactiveAfterSeconds is for the event user_inactive; add it to events, or remove inactiveAfterSeconds",
                ".inactiveAfterSeconds",
            ),
        )
    )

    name: ObjectName = Field(
        description="Name of the webhook, in metrics and logs. Its queue has this name: a renamed webhook begins with"
        " an empty one."
    )
    url: Annotated[str, Field(max_length=512)] = Field(
        description="URL that gets a POST for each event. A redirect is a failure, and is not followed."
    )
    events: Annotated[list[WebhookEvent], Field(min_length=1, json_schema_extra={"x-kubernetes-list-type": "set"})] = (
        Field(
            description="Events that are sent. `stream_complete`: an answer that is kept is whole. `run_interrupted`:"
            " it ended with an error, and no client cancelled it. `feedback`: a user has given feedback."
            " `user_inactive`: it has ended, and its user is inactive. `budget_warning`: 80 % of a budget is used."
        )
    )
    secret_ref: SigningSecretRef = Field(
        description="Secret with signing secrets (whsec_ and base64 of 24 to 64 bytes). Each signs, so that a second"
        " one makes a rotation possible. Pods follow changes within seconds."
    )
    inactive_after_seconds: Annotated[int, Field(ge=LEAST_SECONDS, le=MOST_SECONDS)] | None = Field(
        default=None,
        description="How long the user of an answer must have no request and no open stream until `user_inactive` is"
        " sent. Default: 300.",
    )
    content: bool = Field(
        default=False,
        description="Send the text of answers, at most 16,384 characters, and the comments of feedback. Default: no"
        " content.",
    )


Webhooks = Annotated[list[Webhook], Field(max_length=MAX_WEBHOOKS, json_schema_extra=keyed("name"))]
