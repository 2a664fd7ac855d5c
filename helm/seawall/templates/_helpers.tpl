{{/* Roles in the order of a site's start. */}}
{{- define "seawall.roles" -}}ledger integrity consensus ingestion aggregation{{- end }}

{{/* Ports of every process, by name; the code's own table is seawall.config.PORT_NAMES. */}}
{{- define "seawall.ports" -}}
client: 7000
peer: 7001
health: 7002
metrics: 7003
frames: 7004
http: 7005
{{- end }}

{{/* Ports of one role's process, by name: frames are consensus's, HTTP is ingestion's. */}}
{{- define "seawall.portsOf" -}}
{{- $ports := include "seawall.ports" .root | fromYaml -}}
{{- if ne .role "consensus" }}{{ $ports = omit $ports "frames" }}{{ end -}}
{{- if not (and (eq .role "ingestion") .root.Values.http.enabled) }}{{ $ports = omit $ports "http" }}{{ end -}}
{{- $ports | toYaml }}
{{- end }}

{{/* Of the Redis that a site's ingestion workers share. */}}
{{- define "seawall.redisPort" -}}6379{{- end }}

{{/* From the ports of one worker of a pod to those of the next; SiteConfig.worker_ports. */}}
{{- define "seawall.workerPorts" -}}10{{- end }}

{{/* Processes of a role in each of its pods. */}}
{{- define "seawall.workers" -}}
{{- if eq .role "ingestion" }}{{ int .root.Values.roles.ingestion.workers }}{{ else }}1{{ end -}}
{{- end }}

{{/* Settings of the Redis of one site, as JSON. */}}
{{- define "seawall.redisSettings" -}}
{{- $full := include "seawall.fullname" .root -}}
{{- $external := .root.Values.redis.external -}}
{{- $settings := dict -}}
{{- if eq .root.Values.redis.mode "bundled" -}}
{{- $host := printf "%s-redis-%s-%d.%s-redis.%s.svc.%s" $full .pool (int .number) $full .root.Release.Namespace .root.Values.clusterDomain -}}
{{- $_ := set $settings "url" (printf "redis://%s:%s/0" $host (include "seawall.redisPort" .root)) -}}
{{- $_ := set $settings "password_file" "/etc/seawall/keys/redis.password" -}}
{{- else -}}
{{- $_ := set $settings "url" (printf "%s://%s:%d/%d" (ternary "rediss" "redis" $external.tls) $external.host (int $external.port) (int $external.database)) -}}
{{- if $external.secret }}{{ $_ := set $settings "password_file" "/etc/seawall/keys/redis.password" }}{{ end -}}
{{- if and $external.secret $external.caKey }}{{ $_ := set $settings "ca_file" "/etc/seawall/keys/redis.ca.crt" }}{{ end -}}
{{- end -}}
{{- toJson $settings -}}
{{- end }}

{{/* Which roles dial a role at its peer port. Links between validators also take frames. */}}
{{- define "seawall.callers" -}}
ledger: [aggregation, consensus, ingestion, integrity]
integrity: [ingestion]
consensus: [aggregation, consensus, ingestion]
ingestion: []
aggregation: []
{{- end }}

{{- define "seawall.fullname" -}}
{{- $name := .Release.Name -}}
{{- if not (contains .Chart.Name $name) }}{{ $name = printf "%s-%s" $name .Chart.Name }}{{ end -}}
{{- $name = default $name .Values.fullnameOverride -}}
{{- if gt (len $name) 24 -}}
{{- fail (printf "fullnameOverride: the release's name makes %q, longer than 24 characters" $name) -}}
{{- end -}}
{{- $name -}}
{{- end }}

{{- define "seawall.prefix" -}}
{{- default (include "seawall.fullname" .) .Values.keys.prefix -}}
{{- end }}

{{- define "seawall.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "seawall.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "seawall.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: seawall
{{- end }}

{{- define "seawall.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}

{{/* Number of sites, after refusing what no network can be. */}}
{{- define "seawall.sites" -}}
{{- $sites := 0 -}}
{{- $names := list -}}
{{- range .Values.pools -}}
{{- if has .name $names }}{{ fail (printf "pools: two pools are named %q" .name) }}{{ end -}}
{{- $names = append $names .name -}}
{{- $sites = add $sites (int .replicas) -}}
{{- end -}}
{{- if lt $sites 4 -}}
{{- fail (printf "pools: %d sites tolerate no faulty one: give the pools at least 4 replicas together" $sites) -}}
{{- end -}}
{{- $sites -}}
{{- end }}

{{/* Faulty sites that the network tolerates. */}}
{{- define "seawall.faulty" -}}
{{- div (sub (int (include "seawall.sites" .)) 1) 3 -}}
{{- end }}

{{/* The plan of `seawall pki`. */}}
{{- define "seawall.plan" -}}
{{- $root := . -}}
{{- $full := include "seawall.fullname" . -}}
{{- $ports := include "seawall.ports" . | fromYaml -}}
{{- $sites := list -}}
{{- range $pool := .Values.pools -}}
{{- range $number := until (int $pool.replicas) -}}
{{- $hosts := dict -}}
{{- range $role := splitList " " (include "seawall.roles" $root) -}}
{{- $host := printf "%s-%s-%s-%d.%s-%s.%s.svc.%s" $full $role $pool.name $number $full $role $root.Release.Namespace $root.Values.clusterDomain -}}
{{- $_ := set $hosts $role $host -}}
{{- end -}}
{{- $sites = append $sites (dict "pool" $pool.name "number" $number "zone" $pool.zone "hosts" $hosts) -}}
{{- end -}}
{{- end -}}
{{- dict
  "name" (include "seawall.prefix" .)
  "chain" (default (.Release.Name | trunc 40 | trimSuffix "-") .Values.network.chain)
  "port" (int $ports.client)
  "protocol" .Values.network.protocol
  "waveLength" (int .Values.network.waveLength)
  "contributors" (int .Values.network.contributors)
  "intervalMs" (int .Values.network.intervalMs)
  "runner" .Values.chaos.enabled
  "labels" (include "seawall.selectorLabels" . | fromYaml)
  "redis" (eq .Values.redis.mode "bundled")
  "sites" $sites | toPrettyJson -}}
{{- end }}

{{/* Restricted pod security, and nothing of the API server. */}}
{{- define "seawall.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "seawall.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "seawall.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* What libraries read when a process starts; the code's own is serve.PROCESS_ENVIRONMENT. */}}
{{- define "seawall.environment" -}}
MALLOC_MMAP_THRESHOLD_: "1073741824"
MALLOC_TRIM_THRESHOLD_: "1073741824"
MALLOC_TOP_PAD_: "67108864"
OPENBLAS_NUM_THREADS: "1"
OMP_NUM_THREADS: "1"
GRPC_VERBOSITY: ERROR
{{- end }}

{{/* Short pods run on any node that one of the pools may use. */}}
{{- define "seawall.anywhere" -}}
{{- $tolerations := list -}}
{{- range .Values.pools }}{{ $tolerations = concat $tolerations (default list .tolerations) }}{{ end -}}
{{- with uniq $tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
