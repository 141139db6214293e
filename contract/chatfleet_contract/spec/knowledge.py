"""`knowledge`: the documents from which a model answers."""

from enum import StrEnum
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import ConfigDict, Field

from chatfleet_contract.parts import Json, Part, rule, rules, worded
from chatfleet_contract.spec.model_name import ModelName
from chatfleet_contract.spec.secrets import SecretKeyRef, Subdomain
from chatfleet_contract.spec.urls import fetched_url_rules, port_rule

MAX_SOURCES = 16


class Mode(StrEnum):
    """How documents get into a prompt."""

    RAG = "rag"
    CAG = "cag"
    HYBRID = "hybrid"


class DocumentsRef(Part):
    """A ConfigMap of which every key is a document."""

    name: Subdomain = Field(description="Name of the ConfigMap, in the namespace of the ChatDeployment.")


class VolumeClaimRef(Part):
    """A PersistentVolumeClaim with documents."""

    name: Subdomain = Field(
        description="Name of the PersistentVolumeClaim, in the namespace of the ChatDeployment. New pods do not start"
        " without it."
    )
    path: (
        Annotated[
            str,
            Field(
                min_length=1,
                max_length=512,
                pattern=r"^[^/.][^/]*(/[^/.][^/]*)*$",
                json_schema_extra=worded(
                    "path leads from the root of the volume to a folder within it, by names that do not begin with a"
                    " dot; write it like handbook/current"
                ),
            ),
        ]
        | None
    ) = Field(None, description="Folder of the volume. Unset: all of it.")


class Source(Part):
    """Where documents are."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.configMapRef) != has(self.volumeClaimRef)",
                "a source must have exactly one of configMapRef and volumeClaimRef; set one and remove the other",
            )
        )
    )

    config_map_ref: DocumentsRef | None = Field(
        None,
        description="A ConfigMap of which every key is a document, as text or, with the ending .md, as Markdown. Pods"
        " follow its changes without a restart.",
    )
    volume_claim_ref: VolumeClaimRef | None = Field(
        None,
        description="A volume, mounted read-only, of which every file with the ending .md, .markdown, .txt or .pdf is a"
        " document. Pods follow its changes without a restart.",
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


class StoreType(StrEnum):
    """What chunks are searched in."""

    EMBEDDED = "embedded"
    CHROMA = "chroma"


ChromaName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9_][-._A-Za-z0-9]*$",
        json_schema_extra=worded(
            "a name of ChromaDB has letters, digits, dots, dashes and underscores, and is no path; write it like"
            " billing-docs"
        ),
    ),
]


class Chroma(Part):
    """A collection of a ChromaDB server."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *fetched_url_rules(
                "url", example="https://api.trychroma.com", inside="http://chroma.shop.svc:8000", query=False
            ),
            port_rule("url"),
        )
    )

    url: Annotated[str, Field(max_length=512)] = Field(
        description="URL of the server, without /api/v2, which pods append. Clients cannot change it."
    )
    collection: ChromaName = Field(
        description="Name of the collection, which has documents and their vectors. Pods only read it."
    )
    tenant: ChromaName = Field("default_tenant", description="Tenant of the server.")
    database: ChromaName = Field("default_database", description="Database of the tenant.")
    token_secret_ref: SecretKeyRef | None = Field(
        None,
        description="Secret key with a token, sent as x-chroma-token and as Authorization: Bearer. Pods follow a change"
        " of the value; another key restarts them. Unset: none is sent.",
    )


class Store(Part):
    """Where chunks are searched."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "(self.type == 'chroma') == has(self.chroma)",
                "knowledge.store.chroma must be set with type chroma, and with no other; set it, remove it, or correct"
                " the type",
                ".chroma",
            )
        )
    )

    type: StoreType = Field(
        description="An index in each pod, of knowledge.sources (embedded), or a collection of a ChromaDB server, which"
        " you fill (chroma)."
    )
    chroma: Chroma | None = Field(None, description="The collection, with type chroma.")


OnUnavailable: TypeAlias = Literal["fail", "answer"]

_CHROMA: Final = "has(self.store) && self.store.type == 'chroma'"
_STORE_RULES: Final = (
    rule(
        f"({_CHROMA}) != has(self.sources)",
        "knowledge.sources must be set, except with store.type chroma, whose collection has the documents; add or"
        " remove it",
        ".sources",
    ),
    rule(
        f"!({_CHROMA}) || !has(self.mode) || self.mode == 'rag'",
        "knowledge.mode must be rag with store.type chroma, because pods do not read the whole collection; set it",
        ".mode",
    ),
    rule(
        f"!({_CHROMA}) || has(self.embedding)",
        "knowledge.embedding must be set with store.type chroma, and name the model that made the vectors of the"
        " collection; add it",
        ".embedding",
    ),
)


class Knowledge(Part):
    """Documents that go to a model with the question, as data, with citations in the answer."""

    model_config = ConfigDict(json_schema_extra=rules(*_STORE_RULES))

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
    sources: Sources | None = Field(
        None,
        description="The documents, in the order in which cag and hybrid take them. A change restarts the pods. Unset"
        " with store.type chroma.",
    )
    store: Store | None = Field(None, description="Where chunks are searched. Unset: embedded.")
    embedding: Embedding | None = Field(
        None, description="Also find chunks by meaning; with cag, for citations alone. Unset: by their words."
    )
    on_unavailable: OnUnavailable = Field(
        "fail",
        description="What happens to a request while the documents cannot be used. fail: 503, knowledge_unavailable."
        " answer: the model answers without them, is instructed to state that, and the end of the answer has retrieval:"
        " unavailable.",
    )

    @property
    def config_maps(self) -> tuple[str, ...]:
        """Names of the ConfigMaps, in their order, each once."""
        named = (source.config_map_ref.name for source in self.sources or () if source.config_map_ref)
        return tuple(dict.fromkeys(named))

    @property
    def volume_claims(self) -> tuple[str, ...]:
        """Names of the PersistentVolumeClaims, in their order, each once."""
        named = (source.volume_claim_ref.name for source in self.sources or () if source.volume_claim_ref)
        return tuple(dict.fromkeys(named))

    @property
    def source_names(self) -> tuple[str, ...]:
        """Names of both, in their order, each once."""
        refs = (source.config_map_ref or source.volume_claim_ref for source in self.sources or ())
        return tuple(dict.fromkeys(ref.name for ref in refs if ref))

    @property
    def collection(self) -> Chroma | None:
        """The collection of ChromaDB that has the documents; None: `sources` have them."""
        return self.store.chroma if self.store else None


def embedding_rule(holders: str, field: str, optional: str = "") -> Json:
    """Return the rule that the `knowledge` of all `holders` names a model of the catalogue, under `field`."""
    return rule(
        f"{optional}{holders}.all(k, !has(k.knowledge) || !has(k.knowledge.embedding) ||"
        " self.models.exists(m, m.name == k.knowledge.embedding.model))",
        f"{field}[].knowledge.embedding.model must be the name of a model in spec.models; add the model or correct the"
        " name",
        f".{field}",
    )
