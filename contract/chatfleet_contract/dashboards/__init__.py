"""The Grafana dashboards of the chart; pods do not import this.

parts     what a dashboard is made of
tables    the dashboards, as tables of graphs: data without code
operator_table   the same of the operator
grafana   the same as JSON documents
"""
