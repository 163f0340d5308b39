{{- define "ance.searchApi.container" -}}
{{- $values := .Values.searchApi -}}
{{- $context := dict "root" . "values" $values "component" "search-api" }}
command: ["python", "-m", "services.search_api"]
env:
  {{- include "ance.concat" (list
    (include "ance.env" $context)
    (include "ance.serviceEnv" $context)
    (include "ance.searchApi.redis" (list . "ance.redisEnv"))
    (include "ance.eventsEnv" (list . (printf "Deployment/%s-search-api" (include "ance.fullname" .))))
    (include "ance.milvusEnv" .)
    (include "ance.searchApi.env" $values)
    (toYaml $values.extraEnv)
  ) | nindent 2 }}
ports:
  - name: http
    containerPort: 8080
  - name: metrics
    containerPort: 9090
{{- include "ance.probes" (dict "values" $values "readinessPort" "http") }}
{{- include "ance.preStop" (list . $values.preStopSeconds) }}
{{- end }}

{{/* A part of the pod that only those need who ask Redis. Takes a list: root, name of the template. */}}
{{- define "ance.searchApi.redis" -}}
{{- if eq (index . 0).Values.searchApi.discovery "redis" }}
{{- include (index . 1) (index . 0) }}
{{- end }}
{{- end }}

{{- define "ance.searchApi.volumes" -}}
{{- include "ance.searchApi.redis" (list . "ance.redisVolumes") }}
{{- include "ance.milvusVolumes" . }}
{{- with .Values.searchApi.auth.existingSecret }}
- name: api-keys
  secret:
    secretName: {{ . }}
{{- end }}
{{- end }}

{{- define "ance.searchApi.mounts" -}}
{{- include "ance.searchApi.redis" (list . "ance.redisMounts") }}
{{- include "ance.milvusMounts" . }}
{{- if .Values.searchApi.auth.existingSecret }}
- name: api-keys
  mountPath: /etc/ance/api-keys
  readOnly: true
{{- end }}
{{- end }}

{{/* Takes the values of the search API. */}}
{{- define "ance.searchApi.env" -}}
- name: ANCE_PORT
  value: "8080"
- name: ANCE_DRAIN_SECONDS
  value: {{ .drainSeconds | quote }}
- name: ANCE_SHUTDOWN_SECONDS
  value: {{ .shutdownSeconds | int | quote }}
- name: ANCE_POLL_SECONDS
  value: {{ .pollSeconds | quote }}
- name: ANCE_SWAP_POLICY
  value: {{ .swapPolicy }}
- name: ANCE_SWAP_JITTER_SECONDS
  value: {{ .swapJitterSeconds | quote }}
- name: ANCE_BM25
  value: {{ .bm25 | quote }}
{{- if .auth.existingSecret }}
- name: ANCE_API_KEYS_FILE
  value: /etc/ance/api-keys/{{ .auth.existingSecretKey }}
{{- end }}
{{- end }}

{{/* Who may search: the peers that the user names and the test of the release, or anybody. */}}
{{- define "ance.searchApi.ingress" -}}
- ports:
    - port: http
  {{- with .Values.networkPolicy.searchFrom }}
  from:
    {{- toYaml . | nindent 4 }}
    - podSelector:
        matchLabels:
          {{- include "ance.selectorLabels" (list $ "test") | nindent 10 }}
  {{- end }}
{{- end }}
