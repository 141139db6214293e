"""Approvals: a decision about the calls of an answer starts the one answer that goes on from it, on any pod.

The answer that has paused is stored again with the decision, in the step that stores the new one, if nothing else has
come meanwhile. So a decision that is sent twice, also at once and to two pods, starts one run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from chatfleet_api.chat.decisions import (
    Decision,
    Resumption,
    answer_after,
    paused_answer,
    resumption_of,
    unknown_approval,
)
from chatfleet_api.chat.ownership import require_visible
from chatfleet_api.chat.placing import Place, Turn
from chatfleet_api.chat.queueing import BUSY_RETRY_SECONDS
from chatfleet_api.chat.replay import Replay
from chatfleet_api.chat.room import Adding
from chatfleet_api.chat.sending import MessageSender
from chatfleet_api.domain.errors import ChatError, Code, ConversationChangedError
from chatfleet_api.domain.principal import Principal
from chatfleet_api.domain.request import ChatRequest
from chatfleet_api.runs.run import Run
from chatfleet_api.sessions.store import IdempotencyRecord, SessionStore, StoredMessage
from chatfleet_api.sessions.tree import current_head, path_to
from chatfleet_contract.spec.agents import AGENT, MEMBER_PREFIX

ATTEMPTS: Final = 3
"""How often a decision is tried while others change the same conversation."""

MakeTurn = Callable[[Resumption], Turn]
"""Returns the turn that goes on, without its model: that is the one that has paused."""


@dataclass(frozen=True, kw_only=True)
class Approvals:
    """Decisions of callers about calls that wait."""

    sender: MessageSender
    sessions: SessionStore

    async def approve(self, principal: Principal, conversation: str, decisions: Sequence[Decision]) -> Run | Replay:
        """Do as `decide` does, for an answer that goes on as its model is configured."""
        made = await self.decide(principal, conversation, decisions, partial(self._turn, decisions))
        return made if isinstance(made, Run) else Replay(self.sender.pool, principal.tenant, conversation, made)

    def _turn(self, decisions: Sequence[Decision], resumption: Resumption) -> Turn:
        now, new_id = self.sender.stamp(), self.sender.new_id
        questions = tuple(decision.item().stored(new_id(), now) for decision in decisions)
        request = ChatRequest(resumption.answer.model or "", resumption.messages, decided=resumption.step)
        return Turn(questions, request, resumes=resumption)

    async def decide(
        self,
        principal: Principal,
        conversation: str,
        decisions: Sequence[Decision],
        make: MakeTurn,
        *,
        idempotency: IdempotencyRecord | None = None,
    ) -> Run | StoredMessage:
        """Start the run that goes on from `decisions`, or return its answer if they have come before.

        Raises `ChatError` as `MessageSender.begin` does, and NOT_FOUND for an id under which no call of the
        conversation waits, INVALID_REQUEST for decisions that are not complete, or differ from those before.
        """
        await require_visible(self.sessions, principal, conversation)
        for _ in range(ATTEMPTS):
            known = await self.sessions.get(principal.tenant, conversation)
            stored = await self.sessions.messages(principal.tenant, conversation)
            paused = paused_answer(stored, decisions)
            if paused.decided:
                return answer_after(stored, paused, decisions)
            path = path_to(stored, current_head(known, stored))
            if not path or path[-1].id != paused.id:
                raise unknown_approval()  # another branch was chosen
            resumption = resumption_of(path, decisions)
            self.sender.room().require(stored, Adding(len(decisions) + 1))
            place = Place(conversation, known.version, path, (), None, known.user_id, stored, known.summary)
            turn = make(resumption)
            require_model(principal, turn.request.model)
            try:
                with self.sender.pool.admit() as start:
                    return await self.sender.begin(start, principal, place, turn, idempotency=idempotency)
            except ConversationChangedError:
                continue
        raise ChatError(Code.CONVERSATION_BUSY, retry_after=BUSY_RETRY_SECONDS)


def require_model(principal: Principal, model: str) -> None:
    """Raise `ChatError(MODEL_NOT_FOUND)` unless the caller may use the model, or the supervisor of the agent it is."""
    if not (model.startswith(MEMBER_PREFIX) and principal.may_use(AGENT)):
        principal.require_model(model)
