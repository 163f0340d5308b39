{{/* Environment of a client of Milvus, which keeps the indexes where milvus.uri is set. */}}
{{- define "ance.milvusEnv" -}}
{{- with .Values.milvus -}}
{{- if .uri }}
- name: ANCE_MILVUS_URI
  value: {{ .uri | quote }}
{{- if .database }}
- name: ANCE_MILVUS_DATABASE
  value: {{ .database | quote }}
{{- end }}
{{- if .existingSecret }}
- name: ANCE_MILVUS_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret }}
      key: {{ .existingSecretKey }}
{{- end }}
{{- if .tls.existingSecret }}
- name: ANCE_MILVUS_CA_FILE
  value: /etc/ance/milvus-tls/ca.crt
{{- end }}
- name: ANCE_MILVUS_TIMEOUT_SECONDS
  value: {{ .timeoutSeconds | quote }}
- name: ANCE_MILVUS_BUILD_SECONDS
  value: {{ .buildSeconds | quote }}
- name: ANCE_MILVUS_STALENESS_SECONDS
  value: {{ .stalenessSeconds | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ance.milvusVolumes" -}}
{{- with .Values.milvus.tls.existingSecret }}
- name: milvus-tls
  secret:
    secretName: {{ . }}
    items:
      - key: ca.crt
        path: ca.crt
{{- end }}
{{- end }}

{{- define "ance.milvusMounts" -}}
{{- if .Values.milvus.tls.existingSecret }}
- name: milvus-tls
  mountPath: /etc/ance/milvus-tls
  readOnly: true
{{- end }}
{{- end }}

{{/* The way to Milvus. */}}
{{- define "ance.milvusEgress" -}}
{{- if .Values.milvus.uri -}}
{{- include "ance.toAddresses" .Values.networkPolicy.milvus -}}
{{- end -}}
{{- end }}
