{{/* Pod template of the trainer. Takes a list: root, object that its events are about. */}}
{{- define "ance.trainer.pod" -}}
{{- $root := index . 0 -}}
{{- $values := $root.Values.trainer -}}
{{- $policy := ternary "Never" "Always" (eq $values.kind "Job") -}}
{{- $annotations := dict "checksum/run" (include "ance.runConfig" $root | sha256sum) -}}
{{- include "ance.podTemplate" (dict "root" $root "key" "trainer" "component" "trainer" "values" $values "restartPolicy" $policy "token" (toString $root.Values.kubernetes.enabled) "annotations" $annotations "container" (include "ance.trainer.container" .) "volumes" (include "ance.trainer.volumes" $root) "mounts" (include "ance.trainer.mounts" $root)) -}}
{{- end }}

{{- define "ance.trainer.container" -}}
{{- $root := index . 0 -}}
{{- $values := $root.Values.trainer -}}
{{- $context := dict "root" $root "values" $values "component" "trainer" }}
command: ["python", "-m", "services.trainer"]
env:
  {{- include "ance.concat" (list
    (include "ance.env" $context)
    (include "ance.serviceEnv" $context)
    (include "ance.redisEnv" $root)
    (include "ance.kubernetesEnv" .)
    (include "ance.trainer.env" $values)
    (toYaml $values.extraEnv)
  ) | nindent 2 }}
ports:
  - name: feed
    containerPort: 9100
  - name: metrics
    containerPort: 9090
{{- include "ance.probes" (dict "values" $values "readinessPort" "metrics") }}
{{- end }}

{{/* Takes the values of the trainer. */}}
{{- define "ance.trainer.env" -}}
- name: ANCE_FEED_PORT
  value: "9100"
- name: ANCE_LEADER_SECONDS
  value: {{ .leaderSeconds | quote }}
- name: ANCE_GRACE_SECONDS
  value: {{ .terminationGracePeriodSeconds | quote }}
- name: ANCE_ON_COMPLETE
  value: {{ ternary "exit" "wait" (eq .kind "Job") }}
{{- end }}

{{/* The 64 MiB that a container has by default are too few for data loaders and NCCL. */}}
{{- define "ance.trainer.volumes" -}}
{{- include "ance.redisVolumes" . }}
{{- with .Values.trainer.shm }}
{{- if .enabled }}
- name: shm
  emptyDir:
    medium: Memory
    sizeLimit: {{ .size }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ance.trainer.mounts" -}}
{{- include "ance.redisMounts" . }}
{{- if .Values.trainer.shm.enabled }}
- name: shm
  mountPath: /dev/shm
{{- end }}
{{- end }}

{{/*
Name of the trainer's Job. A Job can't be changed, so what changes its pods changes its name: the old Job goes, its
trainer saves a checkpoint, and the new one resumes from it.
*/}}
{{- define "ance.trainer.jobName" -}}
{{- $pod := include "ance.trainer.pod" (list . "Job") -}}
{{- $hash := printf "%s%s" $pod (include "ance.podFailurePolicy" .) | sha256sum | trunc 8 -}}
{{- printf "%s-trainer-%s" (include "ance.fullname" .) $hash -}}
{{- end }}
