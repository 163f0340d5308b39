{{/*
The pod template of a component. Takes a dict:
  root, component (its label and main container), values (its block of values.yaml), key (of that block)
  spread      whether to spread its pods over zones and nodes (optional)
  container   YAML: command, args, env, ports, probes, lifecycle of the main container
  containers  YAML: containers before the main one, as init containers (optional)
  volumes, mounts   YAML lists beside cache, tmp, store (optional)
  annotations (optional map), restartPolicy and subdomain (optional), token: "true" where the API server is called
*/}}
{{- define "ance.podTemplate" -}}
{{- $root := .root -}}
{{- $values := .values -}}
metadata:
  labels:
    {{- include "ance.selectorLabels" (list $root .component) | nindent 4 }}
    {{- with merge (dict) (default dict $values.podLabels) $root.Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: {{ .component }}
    {{- with merge (dict) (default dict $values.podAnnotations) (default dict .annotations) $root.Values.commonAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "ance.serviceAccountName" (list $root .key .component) }}
  automountServiceAccountToken: {{ eq (default "" .token) "true" }}
  enableServiceLinks: false
  {{- with include "ance.imagePullSecrets" $root | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  securityContext:
    {{- toYaml $root.Values.podSecurityContext | nindent 4 }}
  {{- with .restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- with .subdomain }}
  subdomain: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ $values.terminationGracePeriodSeconds | int }}
  {{- with include "ance.scheduling" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- if or .before $values.initContainers }}
  initContainers:
    {{- with $values.initContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with .before }}
    {{- . | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    - name: {{ .component }}
      {{- include "ance.containerBase" . | nindent 6 }}
      {{- .container | trim | nindent 6 }}
    {{- with $values.sidecars }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: {{ $root.Values.tmp.sizeLimit }}
    - name: cache
      {{- include "ance.cacheVolume" . | nindent 6 }}
    {{- with include "ance.concat" (list (include "ance.storeVolumes" $root) (default "" .volumes) (toYaml $values.extraVolumes)) }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* What every container of ours has: image, security, resources, mounts. Takes the dict of ance.podTemplate. */}}
{{- define "ance.containerBase" -}}
{{- $root := .root -}}
image: {{ include "ance.image" (list $root .values) }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
securityContext:
  {{- toYaml $root.Values.securityContext | nindent 2 }}
resources:
  {{- include "ance.resources" .values | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  - name: cache
    mountPath: /cache
  {{- with include "ance.concat" (list (include "ance.storeMounts" $root) (default "" .mounts) (toYaml .values.extraVolumeMounts)) }}
  {{- . | nindent 2 }}
  {{- end }}
{{- with include "ance.concat" (list (include "ance.storeEnvFrom" $root) (toYaml .values.extraEnvFrom)) }}
envFrom:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Resources with the GPUs as a limit. Takes the values of the component. */}}
{{- define "ance.resources" -}}
{{- $resources := deepCopy .resources -}}
{{- if eq (include "ance.device" .) "cuda" -}}
{{- $gpus := dict "limits" (dict .gpu.resourceName (int .gpu.count)) -}}
{{- $resources = merge $resources $gpus -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end }}

{{/* Local copies of artifacts: on the node's disk, or on a volume of the pod's own. */}}
{{- define "ance.cacheVolume" -}}
{{- with .values.cache -}}
{{- if .storageClassName -}}
ephemeral:
  volumeClaimTemplate:
    spec:
      accessModes: [ReadWriteOnce]
      storageClassName: {{ .storageClassName }}
      resources:
        requests:
          storage: {{ .sizeLimit }}
{{- else -}}
emptyDir:
  sizeLimit: {{ .sizeLimit }}
{{- end -}}
{{- end -}}
{{- end }}

{{/*
Probes of the main container. Takes a dict: values, readinessPort. Start and life are asked on the metrics port, which is
open while a service still waits for its run.
*/}}
{{- define "ance.probes" -}}
{{- range $name, $path := dict "startup" "/startupz" "readiness" "/readyz" "liveness" "/livez" }}
{{ $name }}Probe:
  httpGet:
    path: {{ $path }}
    port: {{ ternary $.readinessPort "metrics" (eq $name "readiness") }}
  {{- toYaml (get $.values (printf "%sProbe" $name)) | nindent 2 }}
{{- end }}
{{- end }}

{{/* A pause between leaving the Service's endpoints and SIGTERM. Takes a list: root, seconds. */}}
{{- define "ance.preStop" -}}
{{- $seconds := int (index . 1) -}}
{{- if gt $seconds 0 }}
lifecycle:
  preStop:
    {{- if semverCompare ">=1.30.0-0" (index . 0).Capabilities.KubeVersion.Version }}
    sleep:
      seconds: {{ $seconds }}
    {{- else }}
    exec:
      command: ["sleep", "{{ $seconds }}"]
    {{- end }}
{{- end }}
{{- end }}
