import { load, loadAll } from 'js-yaml';
import { readFileSync, writeFileSync } from 'node:fs';
import type { Lab } from '../lab/lab.ts';
import { mustRun } from '../lab/run-command.ts';
import type { AuditedRequest } from './audit-log.ts';

interface Role {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly rules?: readonly { readonly apiGroups: readonly string[]; readonly resources: readonly string[]; readonly verbs: readonly string[] }[];
}

const RIGHTS: ReadonlySet<string> = new Set(['CustomResourceDefinition', 'ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding']);

/** The operator's account in a cluster where it runs as a process outside of it. */
export interface OperatorRights {
  readonly kubeconfigPath: string;
  /** "verb group/resource", each once. */
  readonly granted: readonly string[];
}

/** Installs the chart's CRD, ServiceAccount and roles, and writes a kubeconfig with a token of that account. */
export async function installOperatorRights(lab: Lab, namespace: string): Promise<OperatorRights> {
  const text = await mustRun(['out/bin/kubernetes', 'helm', 'template', 'release', 'charts/microservice-operator', `--namespace=${namespace}`]);
  const rendered: (Role | null)[] = JSON.parse(JSON.stringify(loadAll(text)));
  const items = rendered.filter((manifest) => manifest !== null && RIGHTS.has(manifest.kind));
  await must(lab, ['create', 'namespace', namespace]);
  await must(lab, ['apply', '--server-side', '--filename=-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  await must(lab, ['wait', '--for=condition=Established', 'crd/microservices.microservice-operator.io']);
  const token = (await must(lab, ['create', 'token', 'microservice-operator', `--namespace=${namespace}`])).trim();
  const admin = JSON.parse(JSON.stringify(load(readFileSync(lab.kubeconfigPath, 'utf8'))));
  const kubeconfigPath = `${lab.stateDir}/kubeconfig-operator`;
  writeFileSync(kubeconfigPath, JSON.stringify({ ...admin, users: [{ name: 'lab', user: { token } }] }));
  return { kubeconfigPath, granted: [...new Set(items.flatMap((role) => permissions(role)))].toSorted() };
}

async function must(lab: Lab, args: readonly string[], stdin?: string): Promise<string> {
  const { code, stdout, stderr } = await lab.kubectl(args, stdin);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
  return stdout;
}

const permissions = (role: Role | null): readonly string[] =>
  (role?.rules ?? []).flatMap(({ apiGroups, resources, verbs }) => apiGroups.flatMap((group) => resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`))));

/** The permissions that a request needed; to create by server-side apply takes two. */
export function usedPermissions({ verb, objectRef, responseStatus }: AuditedRequest): readonly string[] {
  if (!objectRef) return [];
  const { apiGroup = '', resource, subresource } = objectRef;
  const target = `${apiGroup}/${resource}${subresource === undefined ? '' : `/${subresource}`}`;
  return verb === 'patch' && responseStatus?.code === 201 ? [`patch ${target}`, `create ${target}`] : [`${verb} ${target}`];
}

/** Refused by RBAC; a quota and an admission plugin answer 403 too. */
export const isForbidden = ({ annotations }: AuditedRequest): boolean => annotations?.['authorization.k8s.io/decision'] === 'forbid';
