"""The base of the contract's models, and the notation of schema extensions."""

from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, JsonValue
from pydantic.alias_generators import to_camel

Json: TypeAlias = dict[str, JsonValue]
"""A JSON object whose schema is not ours, mostly a Kubernetes object."""

PRESERVE: Json = {"x-kubernetes-preserve-unknown-fields": True}
"""Schema extension of an object that is copied without validation."""


class Part(BaseModel):
    """A frozen part of a document. Names are camelCase on the wire and snake_case in Python.

    Unknown fields are ignored, so that an older process reads what a newer one wrote.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        defer_build=True,  # validators of what is read, not of all there is: a sixth of a pod's start
    )

    def document(self) -> Json:
        """Return this part as a JSON object in wire names, without unset fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rule(expression: str, message: str, field: str | None = None) -> Json:
    """Return a CEL rule: when `expression` is false, the API server rejects the object with `message`.

    `field` (such as `.baseURL`) is the path in the error, relative to the object.
    """
    return {"rule": expression, "message": message, **({"fieldPath": field} if field else {})}


def rules(*all_of: Json) -> Json:
    """Return the schema extension with these CEL rules."""
    return {"x-kubernetes-validations": list(all_of)}


def worded(message: str) -> Json:
    """Return the schema extension with which the API server rejects what does not match the pattern with `message`."""
    return {"patternMessage": message}


def keyed(*keys: str) -> Json:
    """Return the schema extension of a list whose items are identified, and merged, by `keys`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}
