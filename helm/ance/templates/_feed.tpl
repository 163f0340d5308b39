{{/* The trainer's checkpoint feed (gRPC), which inferencers and indexers watch. */}}

{{/* Secret that holds the token of the feed, empty where none is asked for. */}}
{{- define "ance.feedSecret" -}}
{{- with .Values.feed.auth -}}
{{- if .enabled -}}
{{- default (printf "%s-feed" (include "ance.fullname" $)) .existingSecret -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Environment of those who watch it; without a trainer here, the store's pointer is polled instead. */}}
{{- define "ance.feedEnv" -}}
{{- if .Values.trainer.enabled }}
- name: ANCE_FEED
  value: {{ include "ance.fullname" . }}-trainer:9100
{{- include "ance.feedTokenEnv" . }}
{{- with .Values.feed.tls }}
{{- if .enabled }}
- name: ANCE_FEED_CA_FILE
  value: /etc/ance/feed-tls/ca.crt
{{- if .clientCertificate }}
{{- include "ance.feedCertificateEnv" $ }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Environment of the trainer, who serves it: the authority is whose certificates it asks watchers for. */}}
{{- define "ance.feedServerEnv" -}}
- name: ANCE_FEED_PORT
  value: "9100"
{{- include "ance.feedTokenEnv" . }}
{{- with .Values.feed.tls }}
{{- if .enabled }}
{{- include "ance.feedCertificateEnv" $ }}
{{- if .clientCertificate }}
- name: ANCE_FEED_CA_FILE
  value: /etc/ance/feed-tls/ca.crt
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ance.feedTokenEnv" -}}
{{- with include "ance.feedSecret" . }}
- name: ANCE_FEED_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.Values.feed.auth.existingSecretKey }}
{{- end }}
{{- end }}

{{- define "ance.feedCertificateEnv" }}
- name: ANCE_FEED_CERT_FILE
  value: /etc/ance/feed-tls/tls.crt
- name: ANCE_FEED_KEY_FILE
  value: /etc/ance/feed-tls/tls.key
{{- end }}

{{/* Files of TLS. Takes a list: root, whether the pod shows a certificate. */}}
{{- define "ance.feedVolumes" -}}
{{- $root := index . 0 -}}
{{- with $root.Values.feed.tls -}}
{{- if and .enabled $root.Values.trainer.enabled }}
- name: feed-tls
  secret:
    secretName: {{ .existingSecret }}
    {{- if not (or (index $ 1) .clientCertificate) }}
    items:
      - key: ca.crt
        path: ca.crt
    {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ance.feedMounts" -}}
{{- if and .Values.feed.tls.enabled .Values.trainer.enabled }}
- name: feed-tls
  mountPath: /etc/ance/feed-tls
  readOnly: true
{{- end }}
{{- end }}
