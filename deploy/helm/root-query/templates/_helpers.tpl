{{/*
What several objects have in common. The objects are those that `root-query cluster create` makes of the same description;
a test compares them.
*/}}

{{- define "root-query.name" -}}
{{- $name := .Values.name | default .Release.Name -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$" $name) -}}
{{- fail (printf "'%s' is no name of a cluster: it has a to z, 0 to 9 and -, begins with a letter and has 63 characters at most; set `name`" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "root-query.namespace" -}}
{{- .Values.namespace | default .Release.Namespace -}}
{{- end -}}

{{/* The name of an object, of `list . PART`. What is too long for Kubernetes ends in a hash of the whole. */}}
{{- define "root-query.object" -}}
{{- $name := printf "%s-%s" (include "root-query.name" (first .)) (last .) -}}
{{- if gt (len $name) 63 -}}
{{- printf "%s-%s" ($name | trunc 54 | trimAll "-") ($name | sha256sum | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{/* The labels by which objects are found, of `list . COMPONENT`, which may be empty. */}}
{{- define "root-query.selector" -}}
app.kubernetes.io/name: root-query
app.kubernetes.io/instance: {{ include "root-query.name" (first .) | quote }}
{{- with last . }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{/* Helm writes itself into `managed-by` when it installs; `root-query cluster list` finds both. */}}
{{- define "root-query.labels" -}}
{{ include "root-query.selector" . }}
app.kubernetes.io/managed-by: root-query
app.kubernetes.io/version: {{ (first .).Chart.AppVersion | quote }}
{{- end -}}

{{/* The metadata of an object, of `list . PART COMPONENT`. */}}
{{- define "root-query.metadata" -}}
name: {{ include "root-query.object" (list (first .) (index . 1)) | quote }}
namespace: {{ include "root-query.namespace" (first .) | quote }}
labels:
  {{- include "root-query.labels" (list (first .) (last .)) | nindent 2 }}
{{- end -}}

{{/* A selector of pods, of `list . COMPONENT`. */}}
{{- define "root-query.pods" -}}
matchLabels:
  {{- include "root-query.selector" . | nindent 2 }}
{{- end -}}

{{/* The ports of storage in their order, each once, as JSON. */}}
{{- define "root-query.ports" -}}
{{- $texts := list -}}
{{- range .Values.storage_ports -}}
{{- $texts = append $texts (printf "%05d" (int .)) -}}
{{- end -}}
{{- $ports := list -}}
{{- range $texts | sortAlpha | uniq -}}
{{- $ports = append $ports (atoi .) -}}
{{- end -}}
{{- $ports | toJson -}}
{{- end -}}

{{- define "root-query.place" -}}
{{- $place := . | default dict -}}
{{- $volumes := list -}}
{{- range $place.volumes -}}
{{- $volumes = append $volumes .name -}}
{{- end -}}
{{- range $place.volume_mounts -}}
{{- if not (has .name $volumes) -}}
{{- fail (printf "'%s' is no name of a volume that there is" .name) -}}
{{- end -}}
{{- end -}}
{"node_selector":{{ $place.node_selector | default dict | toRawJson -}}
,"tolerations":{{ $place.tolerations | default list | toRawJson -}}
,"volumes":{{ $place.volumes | default list | toRawJson -}}
,"volume_mounts":{{ $place.volume_mounts | default list | toRawJson }}}
{{- end -}}

{{/* A text that may have been written as a number, as JSON; nothing stays nothing. */}}
{{- define "root-query.text" -}}
{{- if or (kindIs "string" .) (kindIs "invalid" .) -}}
{{- toRawJson . -}}
{{- else -}}
{{- int64 . | toString | toRawJson -}}
{{- end -}}
{{- end -}}

{{- define "root-query.resources" -}}
{{- $cpu := toString .cpu -}}
{{- $share := ternary (divf (float64 (trimSuffix "m" $cpu)) 1000) (float64 $cpu) (hasSuffix "m" $cpu) -}}
{{- if and (ne .cpu nil) (or (le $share 0.0) (gt $share (float64 .cores))) -}}
{{- fail (printf "'%s' is no share of the %d cores: %d, 0.5 and 500m may be" $cpu (int64 .cores) (int64 .cores)) -}}
{{- end -}}
{"cores":{{ int64 .cores -}}
{{- if ne .cpu nil }},"cpu":{{ toString .cpu | toRawJson }}{{ end -}}
,"memory":{{ include "root-query.text" .memory }}}
{{- end -}}

{{/*
The description of the cluster: with all fields, in their order and without blanks, as the scheduler writes it. What tells one
configuration from another is made of it.
*/}}
{{- define "root-query.description" -}}
{{- $values := .Values -}}
{{- $executors := $values.executors -}}
{{- $range := splitList ".." (toString $executors.count) -}}
{{- if gt (atoi (first $range)) (atoi (last $range)) -}}
{{- fail (printf "'%s' is no number of executors: a number above 0 is, and a range such as 0..8" $executors.count) -}}
{{- end -}}
{"name":{{ include "root-query.name" . | toRawJson -}}
,"namespace":{{ include "root-query.namespace" . | toRawJson -}}
,"image":{{ $values.image | toRawJson -}}
,"pull_policy":{{ $values.pull_policy | toRawJson -}}
,"pull_secrets":{{ $values.pull_secrets | default list | toRawJson -}}
,"user":{{ $values.user | toRawJson -}}
,"scheduler":{"resources":{{ include "root-query.resources" $values.scheduler.resources -}}
,"place":{{ include "root-query.place" $values.scheduler.place -}}
,"arguments":{{ $values.scheduler.arguments | default list | toRawJson -}}
},"executors":{"count":{{ include "root-query.text" $executors.count -}}
,"resources":{{ include "root-query.resources" $executors.resources -}}
,"most_memory":{{ include "root-query.text" $executors.most_memory -}}
,"idle_seconds":{{ int64 $executors.idle_seconds -}}
,"start_seconds":{{ int64 $executors.start_seconds -}}
,"drain_seconds":{{ int64 $executors.drain_seconds -}}
,"place":{{ include "root-query.place" $executors.place -}}
,"scratch":{{ include "root-query.text" $executors.scratch -}}
,"arguments":{{ $executors.arguments | default list | toRawJson -}}
},"tokens":{{ $values.tokens | default false | toRawJson -}}
,"tls":{{ $values.tls | default false | toRawJson -}}
,"stores":{{ $values.stores | default "" | toRawJson -}}
,"storage_ports":{{ include "root-query.ports" . -}}
,"environment":{{ $values.environment | default dict | toRawJson -}}
,"secret_files":{{ $values.secret_files | default list | sortAlpha | uniq | toRawJson }}}
{{- end -}}

{{/* A volume with files of the secret, of `list . VOLUME FILES`. The group may read them: that of the process. */}}
{{- define "root-query.secret-volume" -}}
- name: {{ index . 1 }}
  secret:
    secretName: {{ include "root-query.object" (list (first .) "secret") | quote }}
    defaultMode: 288 # 0440
    items:
      {{- range last . }}
      - key: {{ . | quote }}
        path: {{ . | quote }}
      {{- end }}
{{- end -}}

{{/* Asks whether the scheduler answers. */}}
{{- define "root-query.probe" -}}
httpGet:
  path: /healthz
  port: users
  scheme: {{ ternary "HTTPS" "HTTP" (.Values.tls | default false) }}
timeoutSeconds: 5
{{- end -}}

{{/* What executors and jobs reach besides their cluster: the names of hosts, and storage. */}}
{{- define "root-query.outward" -}}
- ports:
    - {port: 53, protocol: TCP}
    - {port: 53, protocol: UDP}
{{- /* A rule without ports would be one for all. */}}
{{- with include "root-query.ports" . | fromJsonArray }}
- to:
    # All pods, and all addresses but those of the link, where clouds hand out the keys of their machines.
    - namespaceSelector: {}
    - ipBlock: {cidr: 0.0.0.0/0, except: [169.254.0.0/16]}
    - ipBlock: {cidr: "::/0", except: ["fe80::/10"]}
  ports:
    {{- range . }}
    - {port: {{ int . }}, protocol: TCP}
    {{- end }}
    {{- range . }}
    {{- if eq (int .) 88 }}
    - {port: 88, protocol: UDP}
    {{- end }}
    {{- end }}
{{- end }}
{{- end -}}
