{{/* Rules for the lease of a leader and for events. Takes the list of ance.eventRules. */}}
{{- define "ance.leaderRules" -}}
{{- if (index . 0).Values.kubernetes.leases }}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, update]
{{- end }}
{{- include "ance.eventRules" . }}
{{- end }}

{{/*
Rules for events, whose object is looked up for its uid. Takes a list: root, API group, resource and name of that
object.
*/}}
{{- define "ance.eventRules" }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
- apiGroups: [{{ index . 1 }}]
  resources: [{{ index . 2 }}]
  resourceNames: [{{ index . 3 }}]
  verbs: [get]
{{- end }}

{{/* Whether busy inferencers tell the cluster not to remove them first. */}}
{{- define "ance.deletionCost" -}}
{{- and .Values.kubernetes.enabled .Values.inferencer.enabled .Values.inferencer.autoscaling.podDeletionCost (ne .Values.inferencer.autoscaling.mode "none") -}}
{{- end }}
