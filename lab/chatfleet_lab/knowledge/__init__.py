"""Retrieval, measured: how often it finds the document that answers a question, and how long it takes.

documents/       the documents of a support desk, written for this purpose
questions.json   questions about them in other words than theirs, each with the document that answers it
corpus           both, and many chunks made of the sentences of the documents
quality          recall and MRR, by mode
trigrams         vectors by a script, in the place of an embedding model
latency          the time of a search in 1,000 and in 50,000 chunks
routed           the time to the first token of an agent that is chosen by a model and answers from documents
page             docs/measurements/knowledge.md
"""
