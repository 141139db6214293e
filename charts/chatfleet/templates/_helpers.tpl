{{/* Name of the release's objects. */}}
{{- define "chatfleet.name" -}}
{{- $name := contains "chatfleet" .Release.Name | ternary .Release.Name (printf "%s-chatfleet" .Release.Name) -}}
{{- $name | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{/* Labels that never change: the selectors of the operator's Deployment and Service. */}}
{{- define "chatfleet.selector" -}}
app.kubernetes.io/name: chatfleet-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "chatfleet.labels" -}}
{{ include "chatfleet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: chatfleet
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The rights that the operator's code needs; `make crds` writes the file. */}}
{{- define "chatfleet.rules" -}}
{{ .Files.Get "files/operator-rules.yaml" | trimSuffix "\n" }}
{{- end }}

{{/* Its cluster-wide rights, when it watches all namespaces. */}}
{{- define "chatfleet.clusterRules" -}}
- apiGroups: [apiregistration.k8s.io]
  resources: [apiservices]
  resourceNames: [v1beta2.custom.metrics.k8s.io, v1beta1.custom.metrics.k8s.io]
  verbs: [get]
{{- end }}

{{/* Scheduling and image pull of the pods of the operator and of the metrics API server. */}}
{{- define "chatfleet.placement" -}}
{{- $operator := .Values.operator -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with $operator.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $operator.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $operator.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $operator.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $operator.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* "true" if the metrics API server is deployed: it needs cluster-wide rights. */}}
{{- define "chatfleet.metricsAPIServer.enabled" -}}
{{- if and .Values.metricsAPIServer.enabled (not .Values.watchNamespaces) }}true{{ end -}}
{{- end }}

{{/* "true" if it runs only while a ChatDeployment needs it. */}}
{{- define "chatfleet.metricsAPIServer.onDemand" -}}
{{- if and (eq (toString .Values.metricsAPIServer.enabled) "auto") (not .Values.watchNamespaces) }}true{{ end -}}
{{- end }}

{{- define "chatfleet.metricsAPIServer.name" -}}
{{- printf "%s-metrics-apiserver" (include "chatfleet.name" . | trunc 45 | trimSuffix "-") -}}
{{- end }}

{{- define "chatfleet.metricsAPIServer.selector" -}}
app.kubernetes.io/name: chatfleet-metrics-apiserver
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "chatfleet.metricsAPIServer.labels" -}}
{{- merge (include "chatfleet.metricsAPIServer.selector" . | fromYaml) (include "chatfleet.labels" . | fromYaml) | toYaml -}}
{{- end }}
