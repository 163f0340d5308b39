{{/* Environment of every container of ours. Takes a dict: root, values (of the component), component. */}}
{{- define "ance.env" -}}
{{- $root := .root -}}
{{- $cache := "/cache" }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: POD_UID
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
- name: ANCE_STORE
  value: {{ include "ance.storeUrl" $root | quote }}
- name: ANCE_CACHE_DIR
  value: {{ $cache }}
- name: ANCE_LOG_FORMAT
  value: json
- name: ANCE_LOG_LEVEL
  value: {{ $root.Values.logLevel }}
- name: HOME
  value: {{ $cache }}
- name: HF_HOME
  value: {{ $cache }}/huggingface
- name: IR_DATASETS_HOME
  value: {{ $cache }}/ir_datasets
- name: TRITON_CACHE_DIR
  value: {{ $cache }}/triton
- name: TORCHINDUCTOR_CACHE_DIR
  value: {{ $cache }}/inductor
- name: MPLCONFIGDIR
  value: /tmp/matplotlib
{{- if $root.Values.huggingFace.offline }}
- name: HF_HUB_OFFLINE
  value: "1"
{{- end }}
{{- with $root.Values.huggingFace.existingSecret }}
- name: HF_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $root.Values.huggingFace.existingSecretKey }}
{{- end }}
{{- with include "ance.storeEnv" $root | trim }}
{{ . }}
{{- end }}
{{- with $root.Values.otel.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
- name: OTEL_SERVICE_NAME
  value: ance-{{ $.component }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name=$(POD_NAMESPACE),k8s.pod.name=$(POD_NAME),service.instance.id=$(POD_UID)
{{- if eq $.component "search-api" }}
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ $root.Values.otel.sampleRatio | quote }}
{{- end }}
{{- with $root.Values.otel.headersSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $root.Values.otel.headersSecretKey }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Environment of a long-running service, beside that of every container. Takes the same dict. Copies of artifacts may
fill 80 % of the cache's volume: models and compiled kernels are in it too, and a full one evicts the pod.
*/}}
{{- define "ance.serviceEnv" -}}
{{- $root := .root }}
- name: ANCE_RUN
  value: {{ $root.Values.run.id | quote }}
- name: ANCE_RUN_WAIT_SECONDS
  value: {{ $root.Values.run.waitSeconds | int | quote }}
- name: ANCE_METRICS_PORT
  value: "9090"
- name: ANCE_DEVICE
  value: {{ include "ance.device" .values }}
- name: ANCE_CACHE_BYTES
  value: {{ div (mul (include "ance.bytes" .values.cache.sizeLimit | int64) 8) 10 | quote }}
- name: ANCE_THREADS
{{- if .values.threads }}
  value: {{ .values.threads | int | quote }}
{{- else }}
  valueFrom:
    resourceFieldRef:
      containerName: {{ .component }}
      resource: limits.cpu
      divisor: "1"
{{- end }}
{{- end }}

{{/* Leases of encode tasks, the same for those who take them and for the one who hands them out. */}}
{{- define "ance.taskLeaseEnv" -}}
- name: ANCE_LEASE_SECONDS
  value: {{ .Values.inferencer.lease.ttlSeconds | quote }}
- name: ANCE_MAX_DELIVERIES
  value: {{ .Values.inferencer.lease.maxDeliveries | int | quote }}
{{- end }}

{{/* What a process needs to write events. Takes a list: root, events' object. */}}
{{- define "ance.eventsEnv" -}}
{{- if (index . 0).Values.kubernetes.enabled }}
- name: ANCE_KUBERNETES
  value: "true"
- name: ANCE_EVENT_OBJECT
  value: {{ index . 1 }}
{{- end }}
{{- end }}

{{/* What a leader-elected process needs to use Lease objects and to write events. Takes the same list. */}}
{{- define "ance.kubernetesEnv" -}}
{{- include "ance.eventsEnv" . }}
{{- with (index . 0).Values.kubernetes }}
{{- if .enabled }}
- name: ANCE_LEASE_BACKEND
  value: {{ ternary "kubernetes" "redis" .leases }}
{{- end }}
{{- end }}
{{- end }}
