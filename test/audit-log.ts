import { readFileSync } from 'node:fs';

/** The parts of an audit.k8s.io/v1 Event at level Metadata that tests look at. */
export interface AuditedRequest {
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username: string };
  readonly objectRef?: { readonly apiGroup?: string; readonly resource: string; readonly namespace?: string; readonly name?: string; readonly subresource?: string };
  readonly responseStatus?: { readonly code: number };
  readonly requestReceivedTimestamp: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Every request of the operator in the API server's audit log, finished or (a watch) begun. */
export function auditedRequests(auditLogPath: string): readonly AuditedRequest[] {
  return readFileSync(auditLogPath, 'utf8')
    .split('\n')
    .filter((line) => line.endsWith('}') && line.includes('"userAgent":"microservice-operator/'))
    .map((line) => JSON.parse(line));
}

const WRITES: ReadonlySet<string> = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);

/** The requests that change something, but for the Lease, since a moment of `Date.now()`. */
export const auditedWrites = (auditLogPath: string, sinceMs = 0): readonly AuditedRequest[] =>
  auditedRequests(auditLogPath).filter(({ verb, objectRef, requestReceivedTimestamp }) => WRITES.has(verb) && objectRef?.resource !== 'leases' && Date.parse(requestReceivedTimestamp) >= sinceMs);
