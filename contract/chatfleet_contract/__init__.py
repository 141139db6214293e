"""The contract between operator, API pods, metrics API server, chart and dashboards: pure data.

- `spec/`                       `spec` of a ChatDeployment: fields, defaults, bounds and CEL rules
- `status`                      `status` of a ChatDeployment: conditions, and the names of reasons
- `reasons`                     what each reason means in each condition
- `runtime`                     the runtime configuration: operator -> ConfigMap -> pods
- `report`                      the report of a pod: `GET /health` -> operator
- `redis_url`                   the URL of Redis in a Secret, for every topology
- `names`                       labels, annotations, ports, paths, headers, names of child objects
- `metrics`                     all metrics: names, labels and descriptions
- `metric_row`                  what is known of a metric
- `cache_metrics`               metrics of the response cache
- `process_metrics`             metrics that every process has
- `metric_worries`              when to worry about each metric
- `dashboards/`                 the Grafana dashboards of the chart
- `logs`                        fields of a JSON log line
- `parts`                       base of the models, and the notation of CEL rules
- `pod_fields`                  Kubernetes' own schemas of parts of a pod
- `generated_files`             programs that write generated files, or report stale ones
- `crd`, `schema`, `reference`  generators of the CustomResourceDefinition and docs/reference
"""
