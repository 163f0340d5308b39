{{- define "ance.indexer.container" -}}
{{- $values := .Values.indexer -}}
{{- $context := dict "root" . "values" $values "component" "indexer" }}
command: ["python", "-m", "services.indexer"]
env:
  {{- include "ance.concat" (list
    (include "ance.env" $context)
    (include "ance.serviceEnv" $context)
    (include "ance.redisEnv" .)
    (include "ance.milvusEnv" .)
    (include "ance.kubernetesEnv" (list . (printf "Deployment/%s-indexer" (include "ance.fullname" .))))
    (include "ance.feedEnv" .)
    (include "ance.taskLeaseEnv" .)
    (include "ance.indexer.env" $values)
    (include "ance.scalerEnv" .)
    (toYaml $values.extraEnv)
  ) | nindent 2 }}
ports:
  - name: metrics
    containerPort: 9090
{{- include "ance.probes" (dict "values" $values "readinessPort" "metrics") }}
{{- end }}

{{- define "ance.indexer.volumes" -}}
{{- include "ance.redisVolumes" . }}
{{- include "ance.feedVolumes" (list . false) }}
{{- include "ance.milvusVolumes" . }}
{{- end }}

{{- define "ance.indexer.mounts" -}}
{{- include "ance.redisMounts" . }}
{{- include "ance.feedMounts" . }}
{{- include "ance.milvusMounts" . }}
{{- end }}

{{/* A finished run ends the loop; `wait` keeps the pod, which its Deployment would only start again. Takes the values. */}}
{{- define "ance.indexer.env" -}}
- name: ANCE_LEADER_SECONDS
  value: {{ .leaderSeconds | quote }}
- name: ANCE_RECONCILE_SECONDS
  value: {{ .reconcileSeconds | quote }}
- name: ANCE_INDEXER_RANGES
  value: {{ .ranges | int | quote }}
- name: ANCE_ON_DEAD_LETTER
  value: {{ .onDeadLetter | quote }}
- name: ANCE_ON_COMPLETE
  value: wait
{{- end }}

{{/* The leader scales the inferencers where autoscaling.mode is builtin. */}}
{{- define "ance.scalerEnv" -}}
{{- $autoscaling := .Values.inferencer.autoscaling -}}
{{- if and .Values.inferencer.enabled (eq $autoscaling.mode "builtin") -}}
- name: ANCE_SCALER_DEPLOYMENT
  value: {{ include "ance.fullname" . }}-inferencer
- name: ANCE_SCALER_MIN
  value: {{ $autoscaling.min | int | quote }}
- name: ANCE_SCALER_MAX
  value: {{ $autoscaling.max | int | quote }}
- name: ANCE_SCALER_TARGET_REFRESH_SECONDS
  value: {{ $autoscaling.builtin.targetRefreshSeconds | quote }}
- name: ANCE_SCALER_STABILISATION_SECONDS
  value: {{ $autoscaling.stabilisationSeconds | quote }}
{{- end -}}
{{- end }}
