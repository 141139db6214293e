"""Our own API: conversations that the server keeps. Every path that no vendor's dialect owns answers in this one."""

from typing import Final

from chatfleet_api.web.dialect import Dialect
from chatfleet_api.web.dialects.native import bodies
from chatfleet_api.web.dialects.native.errors import dialect_code, error_body, error_frame, parse_error
from chatfleet_api.web.dialects.native.export import ConversationExport, ExportedMessage, export_routes
from chatfleet_api.web.dialects.native.feedback import FeedbackBody, FeedbackList, NewFeedbackBody, feedback_routes
from chatfleet_api.web.dialects.native.imports import import_routes
from chatfleet_api.web.dialects.native.listing import listing_routes
from chatfleet_api.web.dialects.native.patch import PatchConversationBody, patch_routes
from chatfleet_api.web.dialects.native.request import (
    ApprovalsBody,
    NewConversationBody,
    RegenerateBody,
    SendMessageBody,
    wants_stream,
)
from chatfleet_api.web.dialects.native.routes import PREFIX, conversation_routes, hot_routes
from chatfleet_api.web.dialects.native.usage import PATH, ConversationUsage, UsageReport, usage_routes
from chatfleet_api.web.dialects.native.webhook import CreatedWebhookBody, NewWebhookBody, WebhookBody, webhook_routes
from chatfleet_api.web.error_format import ErrorFormat

NATIVE: Final = Dialect(
    prefix="",
    errors=ErrorFormat(error_body, error_frame, parse_error, dialect_code),
    wants_stream=wants_stream,
    hot_routes=hot_routes,
    routers=lambda services: (
        conversation_routes(services.conversations),
        listing_routes(services.conversations),
        patch_routes(services.conversations),
        export_routes(services.conversations),
        import_routes(services.conversations),
        feedback_routes(services.feedback),
        usage_routes(services.usage),
        webhook_routes(services.user_webhooks),
    ),
    links=(("conversations", PREFIX), ("usage", PATH)),
    bodies=(
        NewConversationBody,
        SendMessageBody,
        RegenerateBody,
        ApprovalsBody,
        PatchConversationBody,
        NewFeedbackBody,
        FeedbackBody,
        FeedbackList,
        ConversationExport,
        ExportedMessage,
        bodies.ConversationBody,
        bodies.ConversationWithMessages,
        bodies.ConversationList,
        bodies.MessageList,
        bodies.MessageReply,
        bodies.CancelBody,
        bodies.ErrorBody,
        UsageReport,
        ConversationUsage,
        NewWebhookBody,
        WebhookBody,
        CreatedWebhookBody,
    ),
)
