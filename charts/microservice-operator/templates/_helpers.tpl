{{- define "microservice-operator.selector" -}}
app.kubernetes.io/name: microservice-operator
app.kubernetes.io/component: operator
{{- end }}

{{- define "microservice-operator.labels" -}}
app.kubernetes.io/name: microservice-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "microservice-operator.image" -}}
{{ .Values.image.prefix }}/operator:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "microservice-operator.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "microservice-operator.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The operator's name for itself and its namespace. */}}
{{- define "microservice-operator.environment" -}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- end }}

{{/* What the operator may do in every namespace that it watches. Claims are never deleted: they hold what users stored. */}}
{{- define "microservice-operator.rules" -}}
- apiGroups: [microservice-operator.io]
  resources: [microservices]
  verbs: [list, watch]
- apiGroups: [microservice-operator.io]
  resources: [microservices/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: &own [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: *own
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: *own
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: *own
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [pods, configmaps]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
# The certificate of the proxies; no other Secret of a user can be read. Creating by a name works because server-side apply names it.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [microservice-fleet-tls]
  verbs: [get, create, patch, delete]
{{- end }}
