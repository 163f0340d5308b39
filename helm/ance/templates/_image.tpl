{{/*
An image reference. Takes a dict: root, image (registry, repository, tag, digest; a digest wins over a tag).
The global registry replaces the image's own.
*/}}
{{- define "ance.imageReference" -}}
{{- $registry := default .image.registry .root.Values.global.imageRegistry -}}
{{- $repository := ternary (printf "%s/%s" $registry .image.repository) .image.repository (ne (toString (default "" $registry)) "") -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository .image.tag -}}
{{- end -}}
{{- end }}

{{/* Image of one of our services: the GPU image where it has a GPU. Takes a list: root, values of the component. */}}
{{- define "ance.image" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- $common := $root.Values.image -}}
{{- $image := pick $common "registry" "repository" -}}
{{- if eq (include "ance.device" $component) "cuda" -}}
{{- $image = merge $image (dict "tag" (default (printf "%s-gpu" $root.Chart.AppVersion) $common.gpuTag) "digest" $common.gpuDigest) -}}
{{- else -}}
{{- $image = merge $image (dict "tag" (default (printf "%s-cpu" $root.Chart.AppVersion) $common.tag) "digest" $common.digest) -}}
{{- end -}}
{{- $own := default dict $component.image -}}
{{- if and $own.tag (not $own.digest) -}}
{{- $image = omit $image "digest" -}}
{{- end -}}
{{- include "ance.imageReference" (dict "root" $root "image" (mergeOverwrite $image $own)) -}}
{{- end }}

{{/* imagePullSecrets of a pod, global ones first. */}}
{{- define "ance.imagePullSecrets" -}}
{{- with concat .Values.global.imagePullSecrets .Values.image.pullSecrets | uniq }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Torch device of a component: cuda where it has a GPU. Takes the values of the component. */}}
{{- define "ance.device" -}}
{{- if and .gpu (gt (int .gpu.count) 0) }}cuda{{ else }}cpu{{ end -}}
{{- end }}
