{{/* noeviction: a queue that forgets tasks under memory pressure is worse than one that refuses new ones. */}}
{{- define "ance.redis.conf" -}}
{{- with .Values.redis -}}
dir /data
maxmemory {{ .maxMemory }}
maxmemory-policy noeviction
tcp-keepalive 60
{{- if .persistence.enabled }}
appendonly yes
appendfsync everysec
{{- else }}
save ""
appendonly no
{{- end }}
{{- if .tls.enabled }}
port 0
tls-port 6379
tls-cert-file /etc/redis/tls/tls.crt
tls-key-file /etc/redis/tls/tls.key
tls-ca-cert-file /etc/redis/tls/ca.crt
tls-auth-clients {{ ternary "yes" "no" .tls.clientCertificate }}
{{- else }}
port 6379
{{- end }}
{{- with .extraConfig }}
{{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Starts the server with its password in a file of its own: arguments are readable by others, and so are logs. */}}
{{- define "ance.redis.start" -}}
{{- with .Values.redis -}}
set -eu
umask 077
cat /etc/redis/config/redis.conf > /tmp/redis.conf
{{- if .auth.enabled }}
printf '\nrequirepass "%s"\n' "$(cat /etc/redis/auth/{{ .auth.existingSecretKey }})" >> /tmp/redis.conf
{{- end }}
exec {{ .commands.server }} /tmp/redis.conf
{{- end }}
{{- end }}

{{/* Asks the server with redis-cli, which takes the password from its environment. */}}
{{- define "ance.redis.ping" -}}
{{- with .Values.redis -}}
{{- if .auth.enabled }}REDISCLI_AUTH="$(cat /etc/redis/auth/{{ .auth.existingSecretKey }})" {{ end -}}
timeout 4 {{ .commands.cli }}{{ if .tls.enabled }} --tls --cacert /etc/redis/tls/ca.crt{{ if .tls.clientCertificate }} --cert /etc/redis/tls/tls.crt --key /etc/redis/tls/tls.key{{ end }}{{ end }} ping
{{- end }}
{{- end }}

{{/* KEDA's operator looks at the queue from a namespace of its own. */}}
{{- define "ance.redis.kedaIngress" -}}
{{- if and .Values.inferencer.enabled (eq .Values.inferencer.autoscaling.mode "keda") -}}
- from:
    {{- toYaml .Values.networkPolicy.kedaFrom | nindent 4 }}
  ports:
    - port: redis
{{- end -}}
{{- end }}
