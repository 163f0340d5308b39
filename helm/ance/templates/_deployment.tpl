{{/*
A Deployment of a component. Takes the dict of ance.podTemplate, and scaled: whether something else sets its replicas.
*/}}
{{- define "ance.deployment" -}}
{{- $root := .root -}}
{{- $values := .values -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "ance.metadata" (dict "root" $root "component" .component "labels" (include "ance.queueLabel" $values | fromYaml) "annotations" $values.annotations) | nindent 2 }}
spec:
  {{- if not .scaled }}
  replicas: {{ $values.replicas | int }}
  {{- end }}
  strategy:
    {{- include "ance.strategy" $values | nindent 4 }}
  progressDeadlineSeconds: {{ $values.progressDeadlineSeconds | int }}
  revisionHistoryLimit: {{ $root.Values.revisionHistoryLimit | int }}
  selector:
    matchLabels:
      {{- include "ance.selectorLabels" (list $root .component) | nindent 6 }}
  template:
    {{- include "ance.podTemplate" . | nindent 4 }}
{{- end }}
