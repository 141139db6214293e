"""What the operator, the API, the chart and the dashboards agree on: pure data."""
