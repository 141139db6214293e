"""Answers from documents: the chunks that fit a question go to the model with it, as data.

documents   documents of ConfigMaps, and the digest by which a change is seen
volumes     documents of mounted volumes, of which no link leads out
pdf         the text of a PDF, by a program of its own; pdf_texts: texts of all, each found once
sources     both, in the order of the configuration
chunking    a document as chunks of bounded size, with their headings
query       a question as a full-text query that no text can break
index       the full-text index of a base: FTS5 of SQLite, ranked by BM25
fusion      several rankings as one, by reciprocal rank
embedding   vectors of texts; those of documents are made once for all pods
vector_store  the vectors in Redis
vector_index  the vectors of a version, and which are nearest to that of a question
semantic    a base's vectors, and those of its questions
contents    what a base has for prompts, by its mode
fence       chunks between fences that no text of theirs can end
prompt      a request with what was retrieved for it; sent: the same in its client's own dialect
base        the newest version of the documents, followed and indexed in threads
chroma      a collection of a ChromaDB server, by its REST API
collection  documents in such a collection; collections: all of a pod
grounding   a provider that answers from a base
library     the bases of a pod
"""
