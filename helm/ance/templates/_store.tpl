{{/* URL of the artifact store, as every process sees it. */}}
{{- define "ance.storeUrl" -}}
{{- if .Values.artifactStore.persistence.enabled }}file:///store{{ else }}{{ .Values.artifactStore.url }}{{ end -}}
{{- end }}

{{/* Name of the claim that holds the store. */}}
{{- define "ance.storeClaim" -}}
{{- default (printf "%s-store" (include "ance.fullname" .)) .Values.artifactStore.persistence.existingClaim -}}
{{- end }}

{{/* Environment that an object store's client reads. */}}
{{- define "ance.storeEnv" -}}
{{- with .Values.artifactStore -}}
{{- if .endpointUrl }}
- name: AWS_ENDPOINT_URL
  value: {{ .endpointUrl | quote }}
{{- end }}
{{- if .region }}
- name: AWS_DEFAULT_REGION
  value: {{ .region | quote }}
{{- end }}
{{- if .ca.existingSecret }}
- name: AWS_CA_BUNDLE
  value: /etc/ance/store-ca/{{ .ca.key }}
- name: REQUESTS_CA_BUNDLE
  value: /etc/ance/store-ca/{{ .ca.key }}
{{- end }}
{{- end }}
{{- end }}

{{/* Credentials of an object store's client. */}}
{{- define "ance.storeEnvFrom" -}}
{{- with .Values.artifactStore.existingSecret -}}
- secretRef:
    name: {{ . }}
{{- end -}}
{{- end }}

{{/* Volumes of the store. */}}
{{- define "ance.storeVolumes" -}}
{{- if .Values.artifactStore.persistence.enabled }}
- name: store
  persistentVolumeClaim:
    claimName: {{ include "ance.storeClaim" . }}
{{- end }}
{{- with .Values.artifactStore.ca.existingSecret }}
- name: store-ca
  secret:
    secretName: {{ . }}
{{- end }}
{{- end }}

{{/* Mounts of the store. */}}
{{- define "ance.storeMounts" -}}
{{- if .Values.artifactStore.persistence.enabled }}
- name: store
  mountPath: /store
{{- end }}
{{- if .Values.artifactStore.ca.existingSecret }}
- name: store-ca
  mountPath: /etc/ance/store-ca
  readOnly: true
{{- end }}
{{- end }}
