{{/*
One endpoint to scrape. Targets get the labels that alerts and dashboards select by, release and component; the processes
themselves say their run. Takes a list: root, values of the monitor.
*/}}
{{- define "ance.scrape" -}}
{{- $root := index . 0 -}}
{{- with index . 1 -}}
port: metrics
interval: {{ .interval }}
relabelings:
  {{- with .relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  - targetLabel: release
    replacement: {{ $root.Release.Name }}
  - sourceLabels: [__meta_kubernetes_pod_label_app_kubernetes_io_component]
    targetLabel: component
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
