"""The dialects (`openai responses messages ai_sdk ag_ui durable_streams sessions native`), and the table of them.

Each is a package:

request      reads what clients send
encode       writes what they get: responses, and the frames of streams
response     of a durable stream: responses that end, with the position of the reader
errors       the body of an HTTP error, and the frame that ends a stream
routes       its routes
echo, text   of a response: the parameters of its request, and the form of its text; ids, items: of what is stored
tools        of a response: those that models of all vendors have; output, calls: the items of its answer, and events
compact      the route that summarizes a conversation
citations    of a response: documents as annotations of its text
reasoning, include  of a response: how much of both it has
stored       the routes of responses that are not hot; conversations: those of conversations; input: their items
operations   their part of the OpenAPI document; bodies: the JSON of the native dialect; patch: its merge patches
feedback     the routes of feedback of users; listing: the list of conversations; webhook: the webhook of a user
export       a conversation as a document; markdown: one to read; imports: a conversation from an export
embeddings   the route of embeddings; usage: that of usage and costs
untranslated what only upstreams of the dialect get; in `messages`: blocks, parameters
references   of a response: items of the input that are stored
relay        of a response: what an upstream of the same API has written
body         the body of a request, as a schema; extras: what comes back beside the common terms
__init__     the registration: one `Dialect`

A new dialect is a package, and a row of `DIALECTS` (and its name above).
"""

from typing import Final

from chatfleet_api.web.dialect import Dialect, longest_match
from chatfleet_api.web.dialects.ag_ui import AG_UI
from chatfleet_api.web.dialects.ai_sdk import AI_SDK
from chatfleet_api.web.dialects.durable_streams import DURABLE_STREAMS
from chatfleet_api.web.dialects.messages import MESSAGES_DIALECT
from chatfleet_api.web.dialects.native import NATIVE
from chatfleet_api.web.dialects.openai import OPENAI
from chatfleet_api.web.dialects.responses import RESPONSES
from chatfleet_api.web.dialects.sessions import CHAT_STREAMS, SESSIONS

DIALECTS: Final[tuple[Dialect, ...]] = (
    *(OPENAI, RESPONSES, MESSAGES_DIALECT, AI_SDK, AG_UI, DURABLE_STREAMS, SESSIONS, CHAT_STREAMS),
    NATIVE,
)


def dialect_of(path: str) -> Dialect:
    """Return the dialect that owns `path`; what no other one owns is the native dialect's."""
    return longest_match(DIALECTS, path)
