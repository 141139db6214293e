"""Anthropic's Messages API: `request` (translation), `stream` (parser), `sdk_types` (shapes for the type checker)."""
