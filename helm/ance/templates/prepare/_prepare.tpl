{{/* Pod template of the prepare Job: the data set first, then the run, which its services wait for. */}}
{{- define "ance.prepare.pod" -}}
{{- $values := .Values.prepare -}}
{{- $context := dict "root" . "key" "prepare" "component" "prepare" "values" $values "restartPolicy" "Never" -}}
{{- $_ := set $context "annotations" (dict "checksum/run" (include "ance.runConfig" . | sha256sum)) -}}
{{- $_ := set $context "volumes" (include "ance.prepare.volumes" .) -}}
{{- $_ := set $context "mounts" (include "ance.prepare.mounts" .) -}}
{{- $_ := set $context "before" (include "ance.prepare.dataset" $context) -}}
{{- $_ := set $context "container" (include "ance.prepare.container" .) -}}
{{- include "ance.podTemplate" $context -}}
{{- end }}

{{/* Takes the dict of ance.podTemplate. */}}
{{- define "ance.prepare.dataset" -}}
{{- $run := .root.Values.run -}}
- name: dataset
  {{- include "ance.containerBase" . | nindent 2 }}
  command: ["ance", "prepare"]
  args:
    - --dataset={{ $run.dataset.source }}
    - --name={{ $run.dataset.name }}
    - --store={{ include "ance.storeUrl" .root }}
    - --model={{ include "ance.modelName" .root }}
    - --max-tokens={{ $run.dataset.maxTokens | int }}
    - --if-missing
    {{- if $run.dataset.skipInvalid }}
    - --skip-invalid
    {{- end }}
  env:
    {{- include "ance.prepare.env" .root | nindent 4 }}
{{- end }}

{{- define "ance.prepare.container" }}
command: ["ance", "runs", "create"]
args:
  - --config=/etc/ance/run/run.yaml
  - --store={{ include "ance.storeUrl" . }}
env:
  {{- include "ance.prepare.env" . | nindent 2 }}
{{- end }}

{{- define "ance.prepare.env" -}}
{{- $context := dict "root" . "values" .Values.prepare "component" "prepare" -}}
{{- include "ance.concat" (list (include "ance.env" $context) (toYaml .Values.prepare.extraEnv)) -}}
{{- end }}

{{- define "ance.prepare.volumes" }}
- name: run
  configMap:
    name: {{ include "ance.fullname" . }}-run
{{- end }}

{{- define "ance.prepare.mounts" }}
- name: run
  mountPath: /etc/ance/run
  readOnly: true
{{- end }}

{{/* Name of the prepare Job: another one where anything about its pods differs, as a Job can't be changed. */}}
{{- define "ance.prepare.jobName" -}}
{{- $hash := printf "%s%s" (include "ance.prepare.pod" .) (include "ance.podFailurePolicy" .) | sha256sum | trunc 8 -}}
{{- printf "%s-prepare-%s" (include "ance.fullname" .) $hash -}}
{{- end }}
