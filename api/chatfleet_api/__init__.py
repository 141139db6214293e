"""The chat API of a pod: streams answers of language models, remembers conversations, reports its health."""
