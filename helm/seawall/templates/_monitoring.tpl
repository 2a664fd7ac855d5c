{{/* Whether the Prometheus operator's objects are known to the cluster, and wanted. */}}
{{- define "seawall.operator" -}}
{{- if and .Values.monitoring.operator.enabled (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") -}}
true
{{- end -}}
{{- end }}

{{/* Whether dashboards are wanted by anybody. */}}
{{- define "seawall.dashboards" -}}
{{- if and .Values.monitoring.dashboards.enabled (or (include "seawall.operator" .) .Values.monitoring.bundled.grafana.enabled) -}}
true
{{- end -}}
{{- end }}

{{/* Where Grafana finds its data. */}}
{{- define "seawall.dataSource" -}}
{{- $bundled := .Values.monitoring.bundled -}}
{{- if $bundled.grafana.dataSource -}}
{{- $bundled.grafana.dataSource -}}
{{- else if $bundled.prometheus.enabled -}}
http://{{ include "seawall.fullname" . }}-prometheus:9090
{{- else -}}
{{- fail "monitoring.bundled.grafana.dataSource: name a Prometheus, or enable monitoring.bundled.prometheus" -}}
{{- end -}}
{{- end }}

{{/* Labels of what a scrape finds, as rules and dashboards go by them: new name, then what it is
made of. The network is NAMESPACE/RELEASE, a site POOL-NUMBER. */}}
{{- define "seawall.targetLabels" -}}
- {label: network, separator: /, from: [__meta_kubernetes_namespace, __meta_kubernetes_pod_label_app_kubernetes_io_instance]}
- {label: site, separator: "-", from: [__meta_kubernetes_pod_label_seawall_dev_pool, __meta_kubernetes_pod_label_apps_kubernetes_io_pod_index]}
- {label: role, separator: "", from: [__meta_kubernetes_pod_label_app_kubernetes_io_component]}
- {label: namespace, separator: "", from: [__meta_kubernetes_namespace]}
- {label: pod, separator: "", from: [__meta_kubernetes_pod_name]}
{{- end }}

{{/* What the bundled Prometheus scrapes: the metrics ports of the release's pods. */}}
{{- define "seawall.prometheusConfiguration" -}}
global:
  scrape_interval: {{ .Values.monitoring.bundled.prometheus.interval }}
  evaluation_interval: 15s
rule_files: [rules.yml]
scrape_configs:
  - job_name: seawall
    kubernetes_sd_configs:
      - role: pod
        namespaces: {names: [{{ .Release.Namespace }}]}
        selectors:
          - role: pod
            label: app.kubernetes.io/instance={{ .Release.Name }},seawall.dev/site=true
    relabel_configs:
      - source_labels: [__meta_kubernetes_pod_container_port_name]
        # Workers of a pod beyond the first have metrics-1 and so on.
        regex: metrics(-[0-9]+)?
        action: keep
      {{- range include "seawall.targetLabels" . | fromYamlArray }}
      - source_labels: [{{ join ", " .from }}]
        separator: {{ .separator | quote }}
        target_label: {{ .label }}
      {{- end }}
{{- end }}
