{{- define "gateway.name" -}}
{{- printf "%s" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "gateway.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "gateway.labels" -}}
{{ include "gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Values that would lose or open something are refused here as well as by the schema, which can be switched off. */}}
{{- define "gateway.refusals" -}}
{{- if and (eq .Values.store.kind "sqlite") (gt (int .Values.replicas) 1) -}}
{{- fail "replicas: one pod at most on SQLite: one process owns the file. Several pods need store.kind postgres" -}}
{{- end -}}
{{- if and (eq .Values.store.kind "postgres") (not .Values.store.postgres.url) -}}
{{- fail "store.postgres.url: the database's URL is needed" -}}
{{- end -}}
{{- if and (eq .Values.store.kind "postgres") (gt (int .Values.replicas) 1) (not .Values.cluster.nats) -}}
{{- fail "cluster.nats: several pods on one database are nodes, and call each other by NATS; without, the database lets in one gateway alone" -}}
{{- end -}}
{{- if and .Values.cluster.nats (ne .Values.store.kind "postgres") -}}
{{- fail "cluster.nats: nodes share a database on PostgreSQL: store.kind is sqlite" -}}
{{- end -}}
{{- if not .Values.listener.certificateSecrets -}}
{{- fail "listener.certificateSecrets: charge points connect by TLS alone: name a kubernetes.io/tls secret" -}}
{{- end -}}
{{- if and (has "3" (toStrings .Values.listener.securityProfiles)) (not .Values.listener.clientAuthoritySecret) -}}
{{- fail "listener.clientAuthoritySecret: security profile 3 needs the authority of charge points' certificates" -}}
{{- end -}}
{{- if and .Values.service.proxyProtocol.enabled (not .Values.service.proxyProtocol.from) -}}
{{- fail "service.proxyProtocol.from: the balancer's addresses are needed: anyone else could name a charge point's address" -}}
{{- end -}}
{{- if .Values.control.expose -}}
{{- if not (or .Values.control.tlsSecret .Values.control.allowInsecure) -}}
{{- fail "control.expose: needs control.tlsSecret, or control.allowInsecure where something else guards the port" -}}
{{- end -}}
{{- if not (or .Values.control.requireCallers .Values.control.clientAuthoritySecret .Values.control.allowInsecure) -}}
{{- fail "control.expose: anyone who reaches it would control the charge points: set requireCallers or clientAuthoritySecret" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.networkPolicy.enabled (not .Values.networkPolicy.metricsFrom) -}}
{{- fail "networkPolicy.metricsFrom: Prometheus is let in from nowhere: name where the one of metrics.serviceMonitor runs" -}}
{{- end -}}
{{- if and .Values.control.tlsSecret (not .Values.control.serverName) -}}
{{- fail "control.serverName: the name in the control interface's certificate is needed: the health check asks for it" -}}
{{- end -}}
{{- if and .Values.control.clientAuthoritySecret (not (and .Values.control.tlsSecret .Values.control.probeSecret)) -}}
{{- fail "control.clientAuthoritySecret: needs control.tlsSecret, and control.probeSecret for the health check" -}}
{{- end -}}
{{- end -}}

{{/* The image, by digest where there is one. */}}
{{- define "gateway.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* True where the pods are nodes: each writes its own slot into its copy of the settings. */}}
{{- define "gateway.nodes" -}}
{{- if .Values.cluster.nats -}}true{{- end -}}
{{- end -}}

{{/* The secrets that are mounted below /etc/gateway/secrets, each by the name of its folder; empty: it is not used. */}}
{{- define "gateway.secret.chargers" -}}{{ .Values.listener.clientAuthoritySecret }}{{- end -}}
{{- define "gateway.secret.control" -}}{{ .Values.control.tlsSecret }}{{- end -}}
{{- define "gateway.secret.clients" -}}{{ .Values.control.clientAuthoritySecret }}{{- end -}}
{{- define "gateway.secret.probe" -}}{{ .Values.control.probeSecret }}{{- end -}}
{{- define "gateway.secret.nats" -}}{{ .Values.cluster.natsTokenSecret.name }}{{- end -}}
{{- define "gateway.secret.nats-ca" -}}{{ .Values.cluster.natsCaSecret }}{{- end -}}
{{- define "gateway.secret.postgres" -}}
{{- if eq .Values.store.kind "postgres" }}{{ .Values.store.postgres.passwordSecret.name }}{{ end -}}
{{- end -}}
