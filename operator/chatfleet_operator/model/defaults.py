"""What the operator's settings decide where the spec does not."""

from dataclasses import dataclass

from chatfleet_operator.model.metrics_api import MetricsAPIServer
from chatfleet_operator.model.named_secrets import UNRESTRICTED, Restrictions


@dataclass(frozen=True, slots=True)
class Defaults:
    """The settings that a reconciliation needs."""

    api_image: str
    """Image of the API pods where `template.image` is not set."""
    redis_image: str
    """Image of a managed Redis."""
    restrictions: Restrictions = UNRESTRICTED
    """What a ChatDeployment may not use."""
    metrics_apiserver: MetricsAPIServer | None = None
    """Our metrics API server, if it runs on demand; None: it always runs, or never."""
