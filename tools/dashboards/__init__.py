"""The Grafana dashboards of the chart, generated: `python -m tools.dashboards`."""
