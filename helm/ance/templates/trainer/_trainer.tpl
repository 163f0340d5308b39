{{/* Pod template of the trainer. Takes a list: root, object that its events are about. */}}
{{- define "ance.trainer.pod" -}}
{{- $root := index . 0 -}}
{{- $values := $root.Values.trainer -}}
{{- $policy := ternary "Never" "Always" (eq $values.kind "Job") -}}
{{- $annotations := dict "checksum/run" (include "ance.runConfig" $root | sha256sum) -}}
{{- include "ance.podTemplate" (dict "root" $root "key" "trainer" "component" "trainer" "values" $values "restartPolicy" $policy "token" (toString $root.Values.kubernetes.enabled) "annotations" $annotations "container" (include "ance.trainer.container" .) "volumes" (include "ance.trainer.volumes" $root) "mounts" (include "ance.trainer.mounts" $root) "subdomain" (ternary (include "ance.trainer.ranks" $root) "" (gt (int $values.nodes) 1))) -}}
{{- end }}

{{/* Trainer processes of a pod: one a GPU, or one on CPUs. Takes the values of the trainer. */}}
{{- define "ance.trainer.processes" -}}
{{- max 1 (int .gpu.count) -}}
{{- end }}

{{/* Name of the headless Service by which the pods of a trainer find each other. */}}
{{- define "ance.trainer.ranks" -}}
{{- include "ance.fullname" . }}-trainer-ranks
{{- end }}

{{/* What tells the pod with rank 0 from the others. Takes the values of the trainer. */}}
{{- define "ance.trainer.firstPod" -}}
{{- if gt (int .nodes) 1 -}}
{{ ternary "batch.kubernetes.io/job-completion-index" "apps.kubernetes.io/pod-index" (eq .kind "Job") }}: "0"
{{- end -}}
{{- end }}

{{- define "ance.trainer.container" -}}
{{- $root := index . 0 -}}
{{- $values := $root.Values.trainer -}}
{{- $context := dict "root" $root "values" $values "component" "trainer" }}
{{- $processes := include "ance.trainer.processes" $values | int }}
{{- if gt (mul $processes (int $values.nodes)) 1 }}
command: ["python", "-m", "services.trainer.launch"]
{{- else }}
command: ["python", "-m", "services.trainer"]
{{- end }}
env:
  {{- include "ance.concat" (list
    (include "ance.env" $context)
    (include "ance.serviceEnv" $context)
    (include "ance.redisEnv" $root)
    (include "ance.kubernetesEnv" .)
    (include "ance.feedServerEnv" $root)
    (include "ance.trainer.env" $values)
    (include "ance.trainer.ranksEnv" .)
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
- name: ANCE_LEADER_SECONDS
  value: {{ .leaderSeconds | quote }}
- name: ANCE_GRACE_SECONDS
  value: {{ .terminationGracePeriodSeconds | quote }}
- name: ANCE_ON_COMPLETE
  value: {{ ternary "exit" "wait" (eq .kind "Job") }}
{{- end }}

{{/*
How the processes find each other. Takes the list of ance.trainer.pod: the pods of a Job have its name, as those of a
StatefulSet have.
*/}}
{{- define "ance.trainer.ranksEnv" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.trainer -}}
{{- if gt (include "ance.trainer.processes" . | int) 1 }}
- name: ANCE_PROCESSES
  value: {{ include "ance.trainer.processes" . | quote }}
{{- end }}
{{- if gt (int .nodes) 1 }}
- name: ANCE_NODES
  value: {{ .nodes | int | quote }}
- name: ANCE_NODE_RANK
  valueFrom:
    fieldRef:
      fieldPath: {{ ternary "metadata.annotations['batch.kubernetes.io/job-completion-index']" "metadata.labels['apps.kubernetes.io/pod-index']" (eq .kind "Job") }}
- name: ANCE_MASTER_ADDR
  value: {{ last (splitList "/" (index $ 1)) }}-0.{{ include "ance.trainer.ranks" $root }}
{{- end }}
{{- end }}
{{- end }}

{{/* The trainer's pods among themselves: NCCL and Gloo choose their ports. Takes a list: root, from or to. */}}
{{- define "ance.trainer.peers" -}}
{{- $root := index . 0 -}}
{{- if gt (int $root.Values.trainer.nodes) 1 -}}
- {{ index . 1 }}:
    - podSelector:
        matchLabels:
          {{- include "ance.selectorLabels" (list $root "trainer") | nindent 10 }}
{{- end -}}
{{- end }}

{{/* The 64 MiB that a container has by default are too few for data loaders and NCCL. */}}
{{- define "ance.trainer.volumes" -}}
{{- include "ance.redisVolumes" . }}
{{- include "ance.feedVolumes" (list . true) }}
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
{{- include "ance.feedMounts" . }}
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
