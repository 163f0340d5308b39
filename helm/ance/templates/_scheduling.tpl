{{/* Where a pod may run and what it yields to. Takes the dict of ance.podTemplate. */}}
{{- define "ance.scheduling" -}}
{{- $values := .values -}}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "ance.tolerations" $values | trim }}
tolerations:
  {{- . | nindent 2 }}
{{- end }}
{{- with include "ance.affinity" . }}
affinity:
  {{- . | nindent 2 }}
{{- end }}
{{- with include "ance.topologySpread" . | trim }}
topologySpreadConstraints:
  {{- . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with $values.schedulerName }}
schedulerName: {{ . }}
{{- end }}
{{- with $values.resourceClaims }}
resourceClaims:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* GPU nodes are commonly tainted with the name of their resource. Takes the values of the component. */}}
{{- define "ance.tolerations" -}}
{{- with .tolerations }}
{{ toYaml . }}
{{- end }}
{{- if eq (include "ance.device" .) "cuda" }}
- key: nvidia.com/gpu
  operator: Exists
  effect: NoSchedule
{{- end }}
{{- end }}

{{/* The component's own affinity, else the one that keeps everybody beside a volume of a single node. */}}
{{- define "ance.affinity" -}}
{{- $persistence := .root.Values.artifactStore.persistence -}}
{{- if .values.affinity -}}
{{- toYaml .values.affinity -}}
{{- else if and $persistence.enabled $persistence.singleNode (not (has .component (list "redis" "test"))) -}}
podAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    - topologyKey: kubernetes.io/hostname
      labelSelector:
        matchExpressions:
          - {key: app.kubernetes.io/instance, operator: In, values: [{{ .root.Release.Name | quote }}]}
          - {key: app.kubernetes.io/name, operator: In, values: [{{ include "ance.name" .root | quote }}]}
          - {key: app.kubernetes.io/component, operator: NotIn, values: [redis]}
{{- end -}}
{{- end }}

{{/* The component's own constraints, else softly over zones and nodes where `spread` asks for it. */}}
{{- define "ance.topologySpread" -}}
{{- if .values.topologySpreadConstraints -}}
{{- toYaml .values.topologySpreadConstraints -}}
{{- else if .spread -}}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "ance.selectorLabels" (list $.root $.component) | nindent 6 }}
{{- end }}
{{- end -}}
{{- end }}

{{/*
A rollout that can't deadlock: on a full GPU pool a surge pod would wait for ever for the GPU of the pod it replaces.
Takes the values of the component.
*/}}
{{- define "ance.strategy" -}}
{{- if .strategy -}}
{{- toYaml .strategy -}}
{{- else if eq (include "ance.device" .) "cuda" -}}
type: RollingUpdate
rollingUpdate: {maxSurge: 0, maxUnavailable: 1}
{{- else -}}
type: RollingUpdate
rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
{{- end -}}
{{- end }}

{{/* Label that hands a workload to Kueue. Takes the values of the component. */}}
{{- define "ance.queueLabel" -}}
{{- with .queueName -}}
kueue.x-k8s.io/queue-name: {{ . }}
{{- end -}}
{{- end }}

{{/*
What makes a Job tell apart a mistake, a disruption and a crash. The schema of Kubernetes 1.28 asks for
onPodConditions in every rule.
*/}}
{{- define "ance.podFailurePolicy" -}}
rules:
  - action: FailJob  # exit code 2 is a mistake in the configuration: no retry mends it
    onExitCodes: {operator: In, values: [2]}
    onPodConditions: []
  - action: Ignore  # a drained node or a preempted pod is no failure
    onPodConditions:
      - {type: DisruptionTarget, status: "True"}
  - action: Ignore  # 143: interrupted with its work saved
    onExitCodes: {operator: In, values: [143]}
    onPodConditions: []
{{- end }}
