"""OpenAI's chat completions, Azure's and those of imitations: `request` (differences), `stream`, `whole` (parsers)."""
