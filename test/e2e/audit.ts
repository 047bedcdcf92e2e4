import { readFileSync } from 'node:fs';

/** audit.k8s.io/v1 Event at level Metadata, as far as we read it. */
export interface AuditEntry {
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username: string };
  readonly objectRef?: { readonly resource?: string; readonly subresource?: string; readonly namespace?: string; readonly name?: string };
  readonly responseStatus?: { readonly code?: number };
  readonly requestReceivedTimestamp: string;
}

const OPERATOR_USER = 'system:serviceaccount:microservice-operator:microservice-operator';
const WRITES: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);

/** What the operator has written from `sinceMs` on, its Lease and its Events apart. */
export function operatorWrites(auditLogPath: string, sinceMs: number): readonly AuditEntry[] {
  return entries(auditLogPath).filter(
    ({ verb, user, objectRef, requestReceivedTimestamp }) =>
      WRITES.has(verb) &&
      user.username === OPERATOR_USER &&
      objectRef?.resource !== 'leases' &&
      objectRef?.resource !== 'events' &&
      Date.parse(requestReceivedTimestamp) >= sinceMs,
  );
}

export const entries = (auditLogPath: string): readonly AuditEntry[] =>
  readFileSync(auditLogPath, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as AuditEntry);

export const written = ({ verb, objectRef, requestURI }: AuditEntry): string =>
  `${verb} ${objectRef?.resource}/${objectRef?.name}${objectRef?.subresource ? `/${objectRef.subresource}` : ''} ${new URL(requestURI, 'http://x').searchParams.get('fieldManager') ?? ''}`.trim();
