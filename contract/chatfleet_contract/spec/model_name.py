"""Names of models, as clients and vendors write them."""

from typing import Annotated

from pydantic import Field

from chatfleet_contract.parts import worded

ModelName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]*$",
        json_schema_extra=worded(
            "the name of a model begins with a letter or digit and has no spaces, only letters, digits and . _ : / @ -;"
            " write it like org/model-1.5:latest"
        ),
    ),
]
