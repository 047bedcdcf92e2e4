import type { PeerCertificate } from 'node:tls';

const namePattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const prefix = 'spiffe://microservice-operator/ns/';
const suffix = '/fleet';

/** The URI by which the certificate of a namespace's fleet is known. */
export function fleetUri(namespace: string): string {
  if (!namePattern.test(namespace)) throw new Error(`${JSON.stringify(namespace)} is not a namespace name`);
  return `${prefix}${namespace}${suffix}`;
}

/** The namespace that a verified client certificate stands for; undefined when it is not one of a fleet. Exactly one URI name is accepted. */
export function namespaceOf(certificate: Pick<PeerCertificate, 'subjectaltname'> | undefined): string | undefined {
  const uris = (certificate?.subjectaltname ?? '').split(', ').filter((name) => name.startsWith('URI:'));
  const uri = uris.length === 1 ? uris[0]?.slice('URI:'.length) : undefined;
  if (uri === undefined || !uri.startsWith(prefix) || !uri.endsWith(suffix)) return undefined;
  const namespace = uri.slice(prefix.length, -suffix.length);
  return namePattern.test(namespace) ? namespace : undefined;
}
