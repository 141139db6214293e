"""Without a collector, tracing costs nothing: nothing of it is loaded, and no thread runs."""

import subprocess
import sys

PROGRAM = """
import sys, threading
import chatfleet_api.__main__
from chatfleet_api.domain.live import Live
from chatfleet_api.pod.configuration import local
from chatfleet_api.pod.tracing import Tracing
from chatfleet_contract.spec import Observability

def loaded():
    return sorted({name for name in ("opentelemetry.sdk", "google.protobuf") if name in sys.modules})

config = local()
tracing = Tracing(Live(lambda: config), pod="p", version="v")
tracing.follow()
print(loaded(), threading.active_count(), tracing.tracer() is None)
traced = config.observability.model_copy(update={"otlp_endpoint": "http://127.0.0.1:9"})
config = config.model_copy(update={"observability": traced})
tracing.follow()
print(loaded(), threading.active_count(), tracing.tracer() is None)
"""


def test_without_an_endpoint_nothing_is_imported_and_with_one_it_is() -> None:
    done = subprocess.run((sys.executable, "-c", PROGRAM), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[] 1 True", "['google.protobuf', 'opentelemetry.sdk'] 2 False"]
