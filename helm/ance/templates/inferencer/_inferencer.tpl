{{- define "ance.inferencer.container" -}}
{{- $values := .Values.inferencer -}}
{{- $context := dict "root" . "values" $values "component" "inferencer" }}
command: ["python", "-m", "services.inferencer"]
env:
  {{- include "ance.concat" (list
    (include "ance.env" $context)
    (include "ance.serviceEnv" $context)
    (include "ance.redisEnv" .)
    (include "ance.feedEnv" .)
    (include "ance.taskLeaseEnv" .)
    (include "ance.deletionCostEnv" .)
    (toYaml $values.extraEnv)
  ) | nindent 2 }}
ports:
  - name: metrics
    containerPort: 9090
{{- include "ance.probes" (dict "values" $values "readinessPort" "metrics") }}
{{- end }}

{{- define "ance.inferencer.volumes" -}}
{{- include "ance.redisVolumes" . }}
{{- include "ance.feedVolumes" (list . false) }}
{{- end }}

{{- define "ance.inferencer.mounts" -}}
{{- include "ance.redisMounts" . }}
{{- include "ance.feedMounts" . }}
{{- end }}

{{- define "ance.deletionCostEnv" -}}
{{- if eq (include "ance.deletionCost" .) "true" -}}
- name: ANCE_KUBERNETES
  value: "true"
{{- end -}}
{{- end }}
