"""The dashboards as Grafana imports them: pure."""

import json
from typing import Any, Final

from chatfleet_contract.dashboards.parts import Dashboard, Panel
from chatfleet_contract.dashboards.tables import DASHBOARDS

COLUMNS: Final = 3
WIDTH: Final = 24 // COLUMNS
HEIGHT: Final = 8
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def document(dashboard: Dashboard) -> dict[str, Any]:
    """Return a dashboard as Grafana imports it."""
    choice = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"}
    variables = [
        {"name": each.name, "type": "query", "datasource": SOURCE, "query": each.query, "refresh": 2, "sort": 1}
        for each in dashboard.variables
    ]
    return {
        "uid": f"chatfleet-{dashboard.name}",
        "title": dashboard.title,
        "tags": ["chatfleet"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [choice, *variables]},
        "panels": [_panel(number, each) for number, each in enumerate(dashboard.panels)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": query, "legendFormat": legend}
            for index, (legend, query) in enumerate(panel.queries.items())
        ],
    }


def dashboards() -> dict[str, str]:
    """Return the text of each file, by its name."""
    return {f"{each.name}.json": json.dumps(document(each), indent=1) + "\n" for each in DASHBOARDS}
