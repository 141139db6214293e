"""All rows, in the order of the page."""

from typing import Final

from chatfleet_lab.faults.fault import Needs, Row
from chatfleet_lab.faults.rows import (
    autoscaling,
    configuration,
    drift,
    pods_do_not_start,
    pods_not_created,
)

KINDS: Final = {
    "Pods and volumes that are not admitted": pods_not_created.ROWS,
    "Pods that do not start": pods_do_not_start.ROWS,
    "Secrets, names, rejections, rights": configuration.ROWS,
    "Autoscaling": autoscaling.ROWS,
    "Drift": drift.ROWS,
}
"""By the title of their table."""

ROWS: Final[tuple[Row, ...]] = tuple(row for rows in KINDS.values() for row in rows)
WITHOUT_PODS: Final = tuple(row for row in ROWS if row.needs is Needs.NOTHING)
WITH_PODS: Final = tuple(row for row in ROWS if row.needs is not Needs.NOTHING)
SHORT: Final = (*pods_not_created.ROWS, *configuration.REFUSED, *autoscaling.BY_AUTOSCALER)
"""Those that the tests of the operator with an API server do not have in another form."""
