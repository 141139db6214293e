"""`knowledge`: the documents from which a model answers."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from chatfleet_contract.parts import Json, Part, rule
from chatfleet_contract.spec.model_name import ModelName
from chatfleet_contract.spec.secrets import Subdomain

MAX_SOURCES = 16


class Mode(StrEnum):
    """How documents get into a prompt."""

    RAG = "rag"
    CAG = "cag"
    HYBRID = "hybrid"


class DocumentsRef(Part):
    """A ConfigMap of which every key is a document."""

    name: Subdomain = Field(description="Name of the ConfigMap, in the namespace of the ChatDeployment.")


class Source(Part):
    """Where documents are."""

    config_map_ref: DocumentsRef = Field(
        description="A ConfigMap of which every key is a document, as text or, with the ending .md, as Markdown. Pods"
        " follow its changes without a restart."
    )


Sources = Annotated[
    list[Source], Field(min_length=1, max_length=MAX_SOURCES, json_schema_extra={"x-kubernetes-list-type": "atomic"})
]


class Embedding(Part):
    """A model by which chunks are found by meaning, beside their words."""

    model: ModelName = Field(
        description="Name of a model in spec.models that makes embeddings. Pods have the chunks of documents embedded"
        " once, share the vectors through Redis, and have each question embedded."
    )


class Knowledge(Part):
    """Documents that go to a model with the question, as data, with citations in the answer."""

    mode: Mode = Field(
        Mode.RAG,
        description="What goes to the model: the chunks that fit the question best (rag), all documents as a prefix"
        " that stays the same for the prompt caches of vendors (cag), or the first documents as that prefix, and chunks"
        " of the others (hybrid).",
    )
    top_k: int = Field(4, ge=1, le=50, description="Maximum of chunks that are retrieved for a question.")
    context_tokens: int = Field(
        8000,
        ge=500,
        le=2_000_000,
        description="Maximum of tokens of documents in a prompt, estimated at four bytes a token. With cag, requests"
        " are refused while the documents have more.",
    )
    sources: Annotated[
        list[Source],
        Field(min_length=1, max_length=MAX_SOURCES, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = Field(description="The documents, in the order in which cag and hybrid take them. A change restarts the pods.")
    embedding: Embedding | None = Field(
        None, description="Also find chunks by meaning; with cag, for citations alone. Unset: by their words."
    )

    @property
    def config_maps(self) -> tuple[str, ...]:
        """Names of the ConfigMaps, in their order, each once."""
        return tuple(dict.fromkeys(source.config_map_ref.name for source in self.sources))


def embedding_rule(holders: str, field: str, optional: str = "") -> Json:
    """Return the rule that the `knowledge` of all `holders` names a model of the catalogue, under `field`."""
    return rule(
        f"{optional}{holders}.all(k, !has(k.knowledge) || !has(k.knowledge.embedding) ||"
        " self.models.exists(m, m.name == k.knowledge.embedding.model))",
        f"{field}[].knowledge.embedding.model must be the name of a model in spec.models; add the model or correct the"
        " name",
        f".{field}",
    )
