"""All rows, in the order of the page."""

from typing import Final

from chatfleet_lab.faults.fault import Needs, Row
from chatfleet_lab.faults.rows import (
    agents,
    autoscaling,
    cluster,
    configuration,
    drift,
    knowledge,
    operators,
    pods_do_not_start,
    pods_not_created,
    providers,
    redis,
)

KINDS: Final = {
    "Pods and volumes that are not admitted": pods_not_created.ROWS,
    "Pods that do not start": pods_do_not_start.ROWS,
    "Providers": providers.ROWS,
    "Redis": redis.ROWS,
    "Secrets, names, rejections, rights": (*configuration.ROWS, *agents.ROWS),
    "Documents": knowledge.ROWS,
    "Autoscaling": autoscaling.ROWS,
    "Cluster and release": cluster.ROWS,
    "Operator and metrics API server": operators.ROWS,
    "Drift": drift.ROWS,
}
"""By the title of their table."""

ROWS: Final[tuple[Row, ...]] = tuple(row for rows in KINDS.values() for row in rows)
WITHOUT_PODS: Final = tuple(row for row in ROWS if row.needs is Needs.NOTHING)
WITH_PODS: Final = tuple(row for row in ROWS if row.needs is not Needs.NOTHING)
SHORT: Final = (*pods_not_created.ROWS, *configuration.REFUSED, *autoscaling.BY_AUTOSCALER, *operators.SHORT)
"""Those that the tests of the operator with an API server do not have in another form."""
_ON_NODE: Final = (
    *("image that cannot be pulled", "Secret of a variable that does not exist"),
    *("container that ends after each start", "memory limit that is too low", "node selector that no node has"),
    *("volume claim that is deleted under the managed Redis", "quota that is spent", "Redis that does not respond"),
)
SHORT_ON_NODE: Final = tuple(row for row in WITH_PODS if row.name in _ON_NODE)
