"""Without knowledge, a pod loads nothing of an index."""

import subprocess
import sys

PROGRAM = """
import sys
import chatfleet_api.__main__
from chatfleet_api.knowledge.library import Library
from chatfleet_contract.spec.knowledge import DocumentsRef, Embedding, Knowledge, Source

library = Library(None, None, None)
print("sqlite3" in sys.modules)
documents = [Source(config_map_ref=DocumentsRef(name="a"))]
library.grounded(None, "m", Knowledge(sources=documents), "/nowhere")
print("sqlite3" in sys.modules, "simsimd" in sys.modules, "chatfleet_api.knowledge.chroma" in sys.modules)
library.grounded(None, "m", Knowledge(sources=documents, embedding=Embedding(model="e")), "/nowhere")
print("simsimd" in sys.modules)
"""


def test_without_knowledge_no_index_is_imported() -> None:
    done = subprocess.run((sys.executable, "-c", PROGRAM), capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True", "False", "False", "True"]
