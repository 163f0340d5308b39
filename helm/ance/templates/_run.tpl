{{/* The run's configuration, run.yaml: the user's settings with the ids that the chart knows. */}}
{{- define "ance.runConfig" -}}
{{- merge (dict "run" .Values.run.id "dataset" .Values.run.dataset.name) .Values.run.config | toYaml -}}
{{- end }}

{{/* The model that is trained, whose tokenizer the data set is prepared with. */}}
{{- define "ance.modelName" -}}
{{- with .Values.run.config.model }}{{ .name_or_path }}{{ end -}}
{{- end }}
