"""Serves TensorZero's gateway by a configuration file until it is ended, and writes the port, which it chooses itself.

Run by a Python that has `tensorzero`.
"""

import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import tensorzero  # type: ignore[import-not-found]  # it has an environment of its own

gateway = tensorzero._start_http_gateway(  # noqa: SLF001  # its package offers no other way
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
Path(sys.argv[2]).write_text(str(urlsplit(gateway.base_url).port))
signal.pause()
