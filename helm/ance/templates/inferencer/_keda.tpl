{{/*
A KEDA trigger on one stream of the queue. An acknowledged task leaves its stream, so the stream's length is the tasks
outstanding, waiting and leased: lag alone would count none that a worker is busy with. Takes a list: root, stream.
*/}}
{{- define "ance.keda.trigger" -}}
{{- $root := index . 0 -}}
{{- $external := $root.Values.externalRedis -}}
{{- $sentinel := and (not $root.Values.redis.enabled) (eq $external.mode "sentinel") -}}
{{- $tls := include "ance.redisTls" $root | fromYaml -}}
- type: {{ ternary "redis-sentinel-streams" "redis-streams" $sentinel }}
  name: {{ index . 1 }}
  metadata:
    {{- if $sentinel }}
    addresses: {{ join "," $external.sentinel.nodes | quote }}
    sentinelMaster: {{ $external.sentinel.master | quote }}
    {{- else if $root.Values.redis.enabled }}
    address: {{ include "ance.fullname" $root }}-redis.{{ $root.Release.Namespace }}.svc.{{ $root.Values.clusterDomain }}:6379
    {{- else }}
    address: {{ printf "%s:%d" $external.host (int $external.port) | quote }}
    {{- end }}
    databaseIndex: {{ ternary 0 $external.database $root.Values.redis.enabled | int | quote }}
    stream: {{ printf "ance:{%s}:encode:%s" $root.Values.run.id (index . 1) | quote }}
    streamLength: {{ $root.Values.inferencer.autoscaling.keda.tasksPerReplica | int | quote }}
    {{- if $tls.enabled }}
    enableTLS: "true"
    {{- end }}
    {{- if and (not $root.Values.redis.enabled) $external.username }}
    usernameFromEnv: ANCE_REDIS_USERNAME
    {{- end }}
  {{- if include "ance.keda.authenticated" $root }}
  authenticationRef:
    name: {{ include "ance.fullname" $root }}-redis
  {{- end }}
{{- end }}

{{/* Whether KEDA needs credentials or certificates to read the queue. */}}
{{- define "ance.keda.authenticated" -}}
{{- $tls := include "ance.redisTls" . | fromYaml -}}
{{- if or (include "ance.redisSecret" .) (and $tls.enabled $tls.existingSecret) }}true{{ end -}}
{{- end }}
