"""Documents that models are to answer from, and that pods cannot get."""

from collections.abc import Mapping
from typing import Any, Final

from chatfleet_contract.status import ConditionType, Reason
from chatfleet_lab.faults.fault import Fault, Needs
from chatfleet_lab.faults.rows.manifests import secret
from chatfleet_lab.faults.steps import apply, spec, start

TOKEN: Final = {"tokenSecretRef": {"name": "chroma", "key": "token"}}


def model(**knowledge: Any) -> Mapping[str, Any]:  # noqa: ANN401  # JSON
    """Return a spec whose model has `knowledge`."""
    named = {"name": "default", "provider": "scripted", "model": "echo"}
    return {"models": [{**named, "knowledge": knowledge} if knowledge else named]}


def collection(**more: Any) -> Mapping[str, Any]:  # noqa: ANN401  # JSON
    """Return a spec whose model answers from a server that does not exist."""
    chroma = {"url": "http://chroma.nowhere.svc:8000", "collection": "docs", **more}
    return model(store={"type": "chroma", "chroma": chroma}, embedding={"model": "default"})


ROWS: Final = (
    Fault(
        "Secret with a token for ChromaDB that does not exist",
        spec(**collection(**TOKEN)),
        apply(secret("chroma", token="hidden")),
        ConditionType.CONFIGURATION_VALID,
        Reason.SECRET_MISSING,
        ("Secret chroma", "key token"),
    ),
    Fault(
        "volume claim with documents that does not exist",
        start,
        spec(**model()),
        ConditionType.PROGRESSING,
        Reason.UNSCHEDULABLE,
        ('persistentvolumeclaim "handbook" not found',),
        in_ready=True,
        spec=model(sources=[{"volumeClaimRef": {"name": "handbook"}}]),
        starts=True,
        needs=Needs.PODS,
    ),
    Fault(
        "ChromaDB that cannot be reached",
        spec(**collection()),
        spec(**model()),
        ConditionType.KNOWLEDGE_AVAILABLE,
        Reason.UNAVAILABLE,
        ("cannot use ChromaDB", "docs"),
        needs=Needs.SERVING,
    ),
)
