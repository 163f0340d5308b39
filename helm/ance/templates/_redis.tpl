{{/* Where Redis is: own or external. */}}
{{- define "ance.redisUrl" -}}
{{- $external := .Values.externalRedis -}}
{{- if .Values.redis.enabled -}}
{{- $scheme := ternary "rediss" "redis" .Values.redis.tls.enabled -}}
{{- printf "%s://%s-redis:6379/0" $scheme (include "ance.fullname" .) -}}
{{- else -}}
{{- $scheme := ternary "rediss" "redis" $external.tls.enabled -}}
{{- if eq $external.mode "sentinel" -}}
{{- printf "%s+sentinel://%s/%s/%d" $scheme (join "," $external.sentinel.nodes) $external.sentinel.master (int $external.database) -}}
{{- else -}}
{{- printf "%s://%s:%d/%d" $scheme $external.host (int $external.port) (int $external.database) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Secret that holds the password of Redis, empty where there is none. */}}
{{- define "ance.redisSecret" -}}
{{- if not .Values.redis.enabled -}}
{{- .Values.externalRedis.existingSecret -}}
{{- else if .Values.redis.auth.enabled -}}
{{- default (printf "%s-redis" (include "ance.fullname" .)) .Values.redis.auth.existingSecret -}}
{{- end -}}
{{- end }}

{{- define "ance.redisSecretKey" -}}
{{- ternary .Values.redis.auth.existingSecretKey .Values.externalRedis.existingSecretKey .Values.redis.enabled -}}
{{- end }}

{{/* TLS of Redis as its clients see it: YAML of enabled, existingSecret, clientCertificate. */}}
{{- define "ance.redisTls" -}}
{{- ternary .Values.redis.tls .Values.externalRedis.tls .Values.redis.enabled | toYaml -}}
{{- end }}

{{/* Environment of a client of Redis: credentials stay out of the URL. */}}
{{- define "ance.redisEnv" -}}
{{- $tls := include "ance.redisTls" . | fromYaml }}
- name: ANCE_REDIS_URL
  value: {{ include "ance.redisUrl" . | quote }}
{{- if and (not .Values.redis.enabled) .Values.externalRedis.username }}
- name: ANCE_REDIS_USERNAME
  value: {{ .Values.externalRedis.username | quote }}
{{- end }}
{{- with include "ance.redisSecret" . }}
- name: ANCE_REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ include "ance.redisSecretKey" $ }}
{{- end }}
{{- if and $tls.enabled $tls.existingSecret }}
- name: ANCE_REDIS_CA_FILE
  value: /etc/ance/redis-tls/ca.crt
{{- if $tls.clientCertificate }}
- name: ANCE_REDIS_CERT_FILE
  value: /etc/ance/redis-tls/tls.crt
- name: ANCE_REDIS_KEY_FILE
  value: /etc/ance/redis-tls/tls.key
{{- end }}
{{- end }}
{{- end }}

{{- define "ance.redisVolumes" -}}
{{- $tls := include "ance.redisTls" . | fromYaml -}}
{{- if and $tls.enabled $tls.existingSecret }}
- name: redis-tls
  secret:
    secretName: {{ $tls.existingSecret }}
    {{- if not $tls.clientCertificate }}
    items:
      - key: ca.crt
        path: ca.crt
    {{- end }}
{{- end }}
{{- end }}

{{- define "ance.redisMounts" -}}
{{- $tls := include "ance.redisTls" . | fromYaml -}}
{{- if and $tls.enabled $tls.existingSecret }}
- name: redis-tls
  mountPath: /etc/ance/redis-tls
  readOnly: true
{{- end }}
{{- end }}
