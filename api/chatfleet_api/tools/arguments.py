"""Whether arguments are what a tool takes, by its JSON Schema. References to other documents are not followed."""

from collections.abc import Mapping
from typing import Any, Final

MAX_ERRORS: Final = 5


def wrong_arguments(arguments: Mapping[str, Any], schema: dict[str, Any]) -> str:
    """Return what is wrong with `arguments`, for a model that can correct them; empty: nothing is."""
    from jsonschema import SchemaError  # noqa: PLC0415  # with the first call of a tool
    from jsonschema.validators import Draft202012Validator, validator_for  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
        errors = [*_first(kind(schema, registry=Registry()).iter_errors(arguments))]
    except SchemaError as error:
        return f"The schema of the tool is not valid: {error.message[:200]}"
    except (Unresolvable, RecursionError):
        return "The schema of the tool refers to what it does not have."
    return "; ".join(f"{error.json_path}: {error.message[:200]}" for error in errors)


def _first(errors: Any) -> Any:  # noqa: ANN401  # of the library
    for number, error in enumerate(errors):
        if number == MAX_ERRORS:
            return
        yield error
