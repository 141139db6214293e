"""Anthropic's Messages API: `request` (translation), `stream` and `whole` (parsers), `sdk_types` (shapes to check)."""
