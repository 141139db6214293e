"""When models shut down, by the tables of the vendors' SDKs, and by the words in one of them."""

import inspect
import re
from datetime import date, datetime

from anthropic.resources.messages.messages import DEPRECATED_MODELS
from openai.types.shared import chat_model

_ENTRY = re.compile(r'- ((?:"[^"]+",? ?)+): Announced shutdown date: (\d{4}-\d\d-\d\d)')


def of_openai() -> dict[str, date]:
    """Return the models of OpenAI that end, each with its day."""
    words = " ".join(inspect.getsource(chat_model).split())
    return {
        name: date.fromisoformat(day) for names, day in _ENTRY.findall(words) for name in re.findall('"([^"]+)"', names)
    }


def of_anthropic() -> dict[str, date]:
    """Return the models of Anthropic that end, each with its day."""
    return {
        name: datetime.strptime(re.sub(r"(?<=\d)(?:st|nd|rd|th)", "", day), "%B %d, %Y").date()  # noqa: DTZ007  # a day
        for name, day in DEPRECATED_MODELS.items()
    }
