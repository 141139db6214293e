"""Answers from documents: the chunks that fit a question go to the model with it, as data.

documents   documents of folders, and the digest by which a change is seen
chunking    a document as chunks of bounded size, with their headings
query       a question as a full-text query that no text can break
index       the full-text index of a base: FTS5 of SQLite, ranked by BM25
contents    what a base has for prompts, by its mode
fence       chunks between fences that no text of theirs can end
"""
