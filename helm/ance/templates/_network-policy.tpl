{{/*
A NetworkPolicy for the pods of a component. Takes a dict: root, component, ingress and egress (YAML lists of rules).
*/}}
{{- define "ance.networkPolicy" -}}
{{- $root := .root -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "ance.metadata" (dict "root" $root "component" .component) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "ance.selectorLabels" (list $root .component) | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- with include "ance.concat" .ingress }}
  ingress:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with include "ance.concat" .egress }}
  egress:
    {{- . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Lets the pods of components in by a port. Takes a dict: root, components, port. */}}
{{- define "ance.from" -}}
- from:
    {{- range .components }}
    - podSelector:
        matchLabels:
          {{- include "ance.selectorLabels" (list $.root .) | nindent 10 }}
    {{- end }}
  ports:
    - port: {{ .port }}
{{- end }}

{{/* Lets a component out to another by a port. Takes a dict: root, component, port. */}}
{{- define "ance.to" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "ance.selectorLabels" (list .root .component) | nindent 10 }}
  ports:
    - port: {{ .port }}
{{- end }}

{{/* Lets pods out to addresses. Takes a dict with cidrs and ports. */}}
{{- define "ance.toAddresses" -}}
- to:
    {{- range .cidrs }}
    - ipBlock:
        cidr: {{ . | quote }}
    {{- end }}
  ports:
    {{- range .ports }}
    - port: {{ . | int }}
    {{- end }}
{{- end }}

{{/* Lets scrapers in. */}}
{{- define "ance.fromScrapers" -}}
{{- with .Values.networkPolicy.metricsFrom -}}
- from:
    {{- toYaml . | nindent 4 }}
  ports:
    - port: metrics
{{- end -}}
{{- end }}

{{/* The way to names. */}}
{{- define "ance.dnsEgress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end }}

{{/* What every service may reach: DNS, the object store, and what the user adds. */}}
{{- define "ance.commonEgress" -}}
{{ include "ance.dnsEgress" . }}
{{ include "ance.toAddresses" .Values.networkPolicy.store }}
{{- if .Values.otel.endpoint }}
{{ include "ance.toAddresses" .Values.networkPolicy.collector }}
{{- end }}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The way to Redis, own or external. */}}
{{- define "ance.redisEgress" -}}
{{- if .Values.redis.enabled -}}
{{- include "ance.to" (dict "root" . "component" "redis" "port" "redis") -}}
{{- else -}}
{{- include "ance.toAddresses" .Values.networkPolicy.externalRedis -}}
{{- end -}}
{{- end }}

{{/* The way to the trainer's checkpoint feed. */}}
{{- define "ance.feedEgress" -}}
{{- if .Values.trainer.enabled -}}
{{- include "ance.to" (dict "root" . "component" "trainer" "port" "feed") -}}
{{- end -}}
{{- end }}

{{/* The way to the API server, where it is called. */}}
{{- define "ance.kubernetesEgress" -}}
{{- if .Values.kubernetes.enabled -}}
{{- include "ance.toAddresses" .Values.networkPolicy.kubernetesApi -}}
{{- end -}}
{{- end }}
