"""What the endpoints share whose runs belong to a conversation, and not to the request that began them."""

from chatfleet_api.chat.conversations import Conversations
from chatfleet_api.chat.replay import Replay
from chatfleet_api.domain.errors import Code
from chatfleet_api.runs.run import Run
from chatfleet_api.web.client import CLIENT_DISCONNECTED, Client
from chatfleet_api.web.hot_route import HotEndpoint
from chatfleet_api.web.services import Services
from chatfleet_api.web.sse import Encoder


class ConversationEndpoint(HotEndpoint):
    """Lets a run go on, or cancels it, when the client disconnects that began it."""

    def __init__(self, services: Services) -> None:
        self._conversations: Conversations = services.conversations
        self._streams = services.streams
        self._on_client_disconnect = services.on_client_disconnect

    async def stream(self, run: Run | Replay, encoder: Encoder, client: Client) -> None:
        """Stream the answer, with what is left to the caller as headers."""
        client.show(run.quota)
        self.ended(run, await self._streams.send(run.read, encoder, client))

    def ended(self, run: Run | Replay, reason: object) -> None:
        """Cancel the run if its response ended as the client left, and `conversations.onClientDisconnect` cancels."""
        if reason in (CLIENT_DISCONNECTED, Code.CREDENTIAL_REVOKED) and self._on_client_disconnect() == "cancel":
            run.cancel()
