{{/* Everything that is wrong with the values, as a YAML list of messages that say what to do. */}}
{{- define "ance.problems" -}}
{{- $checks := list "run" "store" "redis" "feed" "milvus" "trainer" "autoscaling" "searchApi" "indexer" "workloads" "apis" -}}
{{- range $checks }}
{{- range regexSplit "\n" (include (printf "ance.problems.%s" .) $ | trim) -1 }}
{{- with trim . }}
- {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ance.problems.run" }}
{{- with .Values.run }}
{{- if not .id }}
run.id is empty: name the run, e.g. --set run.id=demo
{{- end }}
{{- range $key, $instead := dict "run" "run.id" "dataset" "run.dataset.name" }}
{{- if hasKey $.Values.run.config $key }}
run.config.{{ $key }} is set: leave it out and set {{ $instead }}
{{- end }}
{{- end }}
{{- if $.Values.prepare.enabled }}
{{- if not (and .dataset.source .dataset.name) }}
run.dataset needs source and name: say what to train on, or set prepare.enabled to false if the run exists already
{{- end }}
{{- if not (include "ance.modelName" $) }}
run.config has no model.name_or_path: give the run's configuration, values-cpu.yaml has one
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ance.problems.store" }}
{{- with .Values.artifactStore }}
{{- if and (not .url) (not .persistence.enabled) }}
no artifact store: set artifactStore.url to an object store, e.g. s3://bucket/prefix, or artifactStore.persistence.enabled to true
{{- end }}
{{- if and .url .persistence.enabled }}
artifactStore.url and artifactStore.persistence.enabled exclude each other: choose one
{{- end }}
{{- if and .persistence.enabled (not .persistence.existingClaim) (not (has "ReadWriteMany" .persistence.accessModes)) }}
{{- if has "ReadWriteOncePod" .persistence.accessModes }}
artifactStore.persistence.accessModes is ReadWriteOncePod, but many pods share the store: use ReadWriteMany or an object store
{{- else if not .persistence.singleNode }}
artifactStore.persistence.accessModes has no ReadWriteMany, but several replicas share the store: use ReadWriteMany, an object store (artifactStore.url), or set artifactStore.persistence.singleNode to true, which places all pods on one node
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ance.problems.redis" }}
{{- $external := .Values.externalRedis }}
{{- $named := or $external.host $external.sentinel.nodes }}
{{- if and .Values.redis.enabled $named }}
redis.enabled and externalRedis exclude each other: set redis.enabled to false to use the external one
{{- end }}
{{- if and .Values.redis.enabled .Values.redis.tls.enabled (not .Values.redis.tls.existingSecret) }}
redis.tls.enabled needs redis.tls.existingSecret, a Secret with tls.crt, tls.key and ca.crt
{{- end }}
{{- if not .Values.redis.enabled }}
{{- if and (eq $external.mode "standalone") (not $external.host) }}
no Redis: set redis.enabled to true, or externalRedis.host
{{- end }}
{{- if and (eq $external.mode "sentinel") (not (and $external.sentinel.nodes $external.sentinel.master)) }}
externalRedis.mode is sentinel: set externalRedis.sentinel.master and externalRedis.sentinel.nodes
{{- end }}
{{- if and $external.username (not $external.existingSecret) }}
externalRedis.username needs externalRedis.existingSecret, a Secret with its password
{{- end }}
{{- with $external.tls }}
{{- if and .clientCertificate (not .existingSecret) }}
externalRedis.tls.clientCertificate needs externalRedis.tls.existingSecret, a Secret with tls.crt, tls.key and ca.crt
{{- end }}
{{- if and .existingSecret (not .enabled) }}
externalRedis.tls.existingSecret is set and externalRedis.tls.enabled is not: set it to true
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ance.problems.feed" }}
{{- with .Values.feed.tls }}
{{- if and .enabled (not .existingSecret) }}
feed.tls.enabled needs feed.tls.existingSecret, a Secret with tls.crt, tls.key and ca.crt, whose certificate is for {{ include "ance.fullname" $ }}-trainer
{{- end }}
{{- if and (not .enabled) (or .existingSecret .clientCertificate) }}
feed.tls.existingSecret or feed.tls.clientCertificate is set and feed.tls.enabled is not: set it to true
{{- end }}
{{- end }}
{{- if and .Values.feed.auth.existingSecret (not .Values.feed.auth.enabled) }}
feed.auth.existingSecret is set and feed.auth.enabled is not: set it to true, or leave the Secret out
{{- end }}
{{- end }}

{{- define "ance.problems.milvus" }}
{{- $backend := dig "index" "backend" "faiss" .Values.run.config }}
{{- with .Values.milvus }}
{{- if and (eq $backend "milvus") (not .uri) }}
run.config.index.backend is milvus: set milvus.uri, e.g. http://milvus:19530
{{- end }}
{{- if and .uri $.Values.prepare.enabled (ne $backend "milvus") }}
milvus.uri is set, but run.config.index.backend is {{ $backend }}, so nobody would use it: set the backend to milvus, or leave the uri out
{{- end }}
{{- if and .uri (not (regexMatch "^https?://[^/@]+$" .uri)) }}
milvus.uri is not http://HOST:PORT or https://HOST:PORT: write it so, and give user and password by milvus.existingSecret
{{- end }}
{{- if and .existingSecret (not .uri) }}
milvus.existingSecret needs milvus.uri, the address of the Milvus that asks for the token
{{- end }}
{{- if and .tls.existingSecret (not (hasPrefix "https://" .uri)) }}
milvus.tls.existingSecret is set and milvus.uri does not begin with https://: make it so
{{- end }}
{{- end }}
{{- end }}

{{- define "ance.problems.trainer" }}
{{- with .Values.trainer }}
{{- if .enabled }}
{{- $processes := mul (include "ance.trainer.processes" . | int) (int .nodes) }}
{{- $batch := dig "training" "batch_size" 8 $.Values.run.config | int }}
{{- if and (gt $processes 1) (ne (mod $batch $processes) 0) }}
trainer.nodes x trainer.gpu.count are {{ $processes }} processes, which can't share run.config.training.batch_size {{ $batch }} equally: it is the batch of all together, so make it a multiple
{{- end }}
{{- $memory := dig "limits" "memory" "" .resources }}
{{- if and .shm.enabled $memory }}
{{- if ge (include "ance.bytes" .shm.size | int64) (include "ance.bytes" $memory | int64) }}
trainer.shm.size {{ .shm.size }} does not fit trainer.resources.limits.memory {{ $memory }}, of which it is a part: lower the one or raise the other
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ance.problems.autoscaling" }}
{{- with .Values.inferencer.autoscaling }}
{{- if and (ne .mode "hpa") .hpa.metrics }}
inferencer.autoscaling.mode is {{ .mode }} and inferencer.autoscaling.hpa.metrics is set: two scalers would fight over one Deployment, so set mode to hpa or leave the metrics out
{{- end }}
{{- if and (eq .mode "hpa") (not .hpa.metrics) }}
inferencer.autoscaling.mode is hpa: set inferencer.autoscaling.hpa.metrics, as in a HorizontalPodAutoscaler
{{- end }}
{{- if and (eq .mode "hpa") (lt (int .min) 1) (semverCompare "<1.37.0-0" $.Capabilities.KubeVersion.Version) }}
inferencer.autoscaling.min is 0 and mode is hpa, which can't scale to 0 before Kubernetes 1.37: set min to 1
{{- end }}
{{- if and (ne .mode "none") (gt (int .min) (int .max)) }}
inferencer.autoscaling.min {{ .min }} is more than max {{ .max }}: exchange them
{{- end }}
{{- if and (eq .mode "builtin") (not $.Values.kubernetes.enabled) }}
inferencer.autoscaling.mode is builtin, which calls the Kubernetes API: set kubernetes.enabled to true
{{- end }}
{{- if and (eq .mode "builtin") (not $.Values.indexer.enabled) }}
inferencer.autoscaling.mode is builtin, and the indexer is what scales: set indexer.enabled to true
{{- end }}
{{- end }}
{{- end }}

{{- define "ance.problems.searchApi" }}
{{- with .Values.searchApi }}
{{- if .enabled }}
{{- $needs := addf .preStopSeconds .drainSeconds .shutdownSeconds }}
{{- if ge $needs (float64 .terminationGracePeriodSeconds) }}
searchApi.terminationGracePeriodSeconds {{ .terminationGracePeriodSeconds }} is too short for preStopSeconds + drainSeconds + shutdownSeconds = {{ $needs }}: raise it above
{{- end }}
{{- if and .ingress.enabled (not .ingress.host) }}
searchApi.ingress.enabled needs searchApi.ingress.host
{{- end }}
{{- if and .httpRoute.enabled (not .httpRoute.parentRefs) }}
searchApi.httpRoute.enabled needs searchApi.httpRoute.parentRefs, the Gateways to attach to
{{- end }}
{{- if and .autoscaling.enabled (gt (int .autoscaling.min) (int .autoscaling.max)) }}
searchApi.autoscaling.min {{ .autoscaling.min }} is more than max {{ .autoscaling.max }}: exchange them
{{- end }}
{{- if and $.Values.tests.enabled .auth.existingSecret (not $.Values.tests.apiKey.existingSecret) }}
searchApi.auth asks for API keys, and `helm test` has none: set tests.apiKey.existingSecret, or tests.enabled to false
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ance.problems.indexer" }}
{{- with .Values.indexer }}
{{- if and .enabled (gt (.ranges | int) (.replicas | int)) }}
indexer.ranges {{ .ranges }} is more than indexer.replicas {{ .replicas }}: some would mine several ranges one after the other, so set replicas to at least as many
{{- end }}
{{- if and .enabled (gt (.ranges | int) 1) (dig "negatives" "lookahead" 0 $.Values.run.config) }}
indexer.ranges {{ .ranges }} and run.config.negatives.lookahead exclude each other: look-ahead asks the whole index, so set ranges to 1
{{- end }}
{{- if and .enabled (gt (.ranges | int) 1) (eq (dig "index" "backend" "faiss" $.Values.run.config) "milvus") }}
indexer.ranges {{ .ranges }} and run.config.index.backend milvus exclude each other: Milvus spreads its index itself, so set ranges to 1
{{- end }}
{{- end }}
{{- end }}

{{- define "ance.problems.workloads" }}
{{- range $key := list "trainer" "inferencer" "indexer" "searchApi" "prepare" }}
{{- $values := get $.Values $key }}
{{- if $values.enabled }}
{{- $disk := dig "limits" "ephemeral-storage" "" $values.resources }}
{{- if and $disk (not $values.cache.storageClassName) (gt (include "ance.bytes" $values.cache.sizeLimit | int64) (include "ance.bytes" $disk | int64)) }}
{{ $key }}.cache.sizeLimit {{ $values.cache.sizeLimit }} does not fit {{ $key }}.resources.limits.ephemeral-storage {{ $disk }}: the pod would be evicted, so lower the one or raise the other
{{- end }}
{{- with dig "rollingUpdate" dict (default dict $values.strategy) }}
{{- if and (has (toString .maxSurge) (list "0" "0%")) (has (toString .maxUnavailable) (list "0" "0%")) }}
{{ $key }}.strategy.rollingUpdate has maxSurge 0 and maxUnavailable 0, so that no rollout could ever begin: set one of them to 1
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ance.problems.apis" }}
{{- if not .Values.assumeApis }}
{{- $wanted := dict }}
{{- if eq .Values.inferencer.autoscaling.mode "keda" }}
{{- $_ := set $wanted "inferencer.autoscaling.mode keda" "keda.sh/v1alpha1" }}
{{- end }}
{{- range $key := list "serviceMonitor" "podMonitor" "prometheusRule" }}
{{- if (get $.Values.monitoring $key).enabled }}
{{- $_ := set $wanted (printf "monitoring.%s.enabled" $key) "monitoring.coreos.com/v1" }}
{{- end }}
{{- end }}
{{- if .Values.searchApi.httpRoute.enabled }}
{{- $_ := set $wanted "searchApi.httpRoute.enabled" "gateway.networking.k8s.io/v1" }}
{{- end }}
{{- range $value, $api := $wanted }}
{{- if not ($.Capabilities.APIVersions.Has $api) }}
{{ $value }} needs {{ $api }}, which this cluster does not have: install its CRDs, or set assumeApis to true where no cluster can be asked, as in `helm template`
{{- end }}
{{- end }}
{{- end }}
{{- end }}
