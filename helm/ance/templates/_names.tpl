{{/* Name of the chart, as label. */}}
{{- define "ance.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{/*
Prefix of every object's name, 40 characters at most, so that `-trainer-<hash>` and what controllers add still fit 63.
A longer one is cut and gets a hash of the whole: two long releases never share a name.
*/}}
{{- define "ance.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := printf "%s-%s" .Release.Name $name -}}
{{- if .Values.fullnameOverride -}}
{{- $full = .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- $full = .Release.Name -}}
{{- end -}}
{{- if gt (len $full) 40 -}}
{{- $full = printf "%s-%s" ($full | trunc 31 | trimSuffix "-") (sha256sum $full | trunc 8) -}}
{{- end -}}
{{- $full | trimSuffix "-" -}}
{{- end }}

{{/* What selects the pods of a component; never changes. Takes a list: root, component. */}}
{{- define "ance.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "ance.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- with index . 1 }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{/* Labels of an object. Takes a list: root, component ("" for what belongs to no component). */}}
{{- define "ance.labels" -}}
{{- $root := index . 0 -}}
{{- include "ance.selectorLabels" . }}
app.kubernetes.io/part-of: ance
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
Metadata of an object. Takes a dict: root, component, and optionally name (else fullname-component), labels,
annotations (maps).
*/}}
{{- define "ance.metadata" -}}
{{- $default := include "ance.fullname" .root -}}
{{- if .component -}}
{{- $default = printf "%s-%s" $default .component -}}
{{- end -}}
{{- $annotations := merge (dict) (default dict .annotations) .root.Values.commonAnnotations -}}
name: {{ default $default .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "ance.labels" (list .root .component) | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Name of a component's ServiceAccount. Takes a list: root, values key, component. */}}
{{- define "ance.serviceAccountName" -}}
{{- $root := index . 0 -}}
{{- $account := (index $root.Values (index . 1)).serviceAccount -}}
{{- if $account.create -}}
{{- default (printf "%s-%s" (include "ance.fullname" $root) (index . 2)) $account.name -}}
{{- else -}}
{{- default "default" $account.name -}}
{{- end -}}
{{- end }}

{{/* A component's ServiceAccount. Takes a list: root, values key, component. */}}
{{- define "ance.serviceAccount" -}}
{{- $root := index . 0 -}}
{{- $account := (index $root.Values (index . 1)).serviceAccount -}}
{{- if $account.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "ance.metadata" (dict "root" $root "component" (index . 2) "name" (include "ance.serviceAccountName" .) "annotations" $account.annotations) | nindent 2 }}
automountServiceAccountToken: false
{{- end }}
{{- end }}

{{/* Binds the role fullname-component to the component's ServiceAccount. Takes a list: root, values key, component. */}}
{{- define "ance.roleBinding" -}}
{{- $root := index . 0 -}}
{{- $component := index . 2 -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  {{- include "ance.metadata" (dict "root" $root "component" $component) | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ include "ance.fullname" $root }}-{{ $component }}
subjects:
  - kind: ServiceAccount
    name: {{ include "ance.serviceAccountName" . }}
    namespace: {{ $root.Release.Namespace }}
{{- end }}

{{/* Bytes of a quantity such as 512Mi, 8Gi or 2G. */}}
{{- define "ance.bytes" -}}
{{- $quantity := toString . -}}
{{- $factors := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $unit := regexFind "[A-Za-z]*$" $quantity -}}
{{- if not (hasKey $factors $unit) -}}
{{- fail (printf "'%s' is not a quantity such as 512Mi or 8Gi" $quantity) -}}
{{- end -}}
{{- mulf (trimSuffix $unit $quantity | float64) (get $factors $unit | float64) | int64 -}}
{{- end }}

{{/* YAML lists as one list, without blank lines. Takes a list of texts; empty ones add nothing. */}}
{{- define "ance.concat" -}}
{{- $parts := list -}}
{{- range . -}}
{{- $text := trim . -}}
{{- if and $text (ne $text "[]") -}}
{{- $parts = append $parts $text -}}
{{- end -}}
{{- end -}}
{{- join "\n" $parts -}}
{{- end }}

{{/*
A Secret with a value of its own, which upgrades never rotate: what the cluster has already stays. Takes a dict: root,
component, name, key.
*/}}
{{- define "ance.generatedSecret" -}}
{{- $existing := lookup "v1" "Secret" .root.Release.Namespace .name -}}
apiVersion: v1
kind: Secret
metadata:
  {{- include "ance.metadata" (dict "root" .root "component" .component "name" .name "annotations" (dict "helm.sh/resource-policy" "keep")) | nindent 2 }}
type: Opaque
data:
  {{ .key }}: {{ dig "data" .key (randAlphaNum 32 | b64enc) $existing }}
{{- end }}
