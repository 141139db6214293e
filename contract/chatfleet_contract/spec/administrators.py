"""`spec.access.admin`: who may use the admin port of the pods."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from chatfleet_contract.parts import Part

MAX_ADMINISTRATORS: Final = 16


class AdministratorKind(StrEnum):
    """The credential of an administrator."""

    API_KEY = "apiKey"
    SERVICE_ACCOUNT = "serviceAccount"
    USER = "user"


class Administrator(Part):
    """A caller of the admin port."""

    kind: AdministratorKind = Field(
        description="The administrator's credential: an apiKey, the token of a serviceAccount, or that of a user (JWT)."
    )
    source: Annotated[str, Field(min_length=1, max_length=512)] = Field(
        description="Of an apiKey: its Secret in access.apiKeys. Of a serviceAccount: its namespace. Of a user: the"
        " issuer in access.jwt."
    )
    name: Annotated[str, Field(min_length=1, max_length=256)] = Field(
        description="Of an apiKey: its key within the Secret. Of a serviceAccount: its name; access.serviceAccounts"
        " must allow it, too. Of a user: what the issuer's userClaim has."
    )
