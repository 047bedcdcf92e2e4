import { createPrivateKey, X509Certificate } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { createCertificateAuthority, isDue, isIssuedBy, issueFleetCertificate, issueServerCertificate } from './certificate-authority.ts';
import { namespaceOf } from './proxy-identity.ts';

const nowMs = Date.parse('2026-03-01T12:00:00Z');
const dayMs = 86_400_000;

test('the authority signs for ten years, and only leaves', async () => {
  const { certificate, privateKey } = await createCertificateAuthority(nowMs);
  const x509 = new X509Certificate(certificate);
  expect(x509.ca).toBe(true);
  expect(x509.verify(x509.publicKey)).toBe(true);
  expect(x509.checkPrivateKey(createPrivateKey(privateKey))).toBe(true);
  expect(Date.parse(x509.validTo)).toBe(nowMs + 3650 * dayMs);
});

test('a fleet certificate stands for its namespace', async () => {
  const authority = await createCertificateAuthority(nowMs);
  const { certificate, privateKey } = await issueFleetCertificate(authority, 'shop', nowMs);
  const x509 = new X509Certificate(certificate);
  expect(x509.subjectAltName).toBe('URI:spiffe://microservice-operator/ns/shop/fleet');
  expect(namespaceOf(x509.toLegacyObject())).toBe('shop');
  expect(x509.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']); // client authentication
  expect(x509.ca).toBe(false);
  expect(x509.checkPrivateKey(createPrivateKey(privateKey))).toBe(true);
  expect(isIssuedBy(certificate, authority.certificate)).toBe(true);
  expect(isIssuedBy(certificate, (await createCertificateAuthority(nowMs)).certificate)).toBe(false);
  await expect(issueFleetCertificate(authority, 'shop/../other', nowMs)).rejects.toThrow('is not a namespace name');
});

test('a server certificate stands for its DNS names', async () => {
  const authority = await createCertificateAuthority(nowMs);
  const { certificate } = await issueServerCertificate(authority, ['xds.operator.svc', 'localhost'], nowMs);
  const x509 = new X509Certificate(certificate);
  expect(x509.checkHost('xds.operator.svc')).toBe('xds.operator.svc');
  expect(x509.checkHost('other.operator.svc')).toBeUndefined();
  expect(x509.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
});

test('renewal is due after two thirds of a year', async () => {
  const authority = await createCertificateAuthority(nowMs);
  const { certificate } = await issueFleetCertificate(authority, 'shop', nowMs);
  expect(isDue(certificate, nowMs + 243 * dayMs)).toBe(false);
  expect(isDue(certificate, nowMs + 244 * dayMs)).toBe(true);
});

test.each([
  ['no name', ''],
  ['a DNS name', 'DNS:spiffe://microservice-operator/ns/shop/fleet'],
  ['another trust domain', 'URI:spiffe://other/ns/shop/fleet'],
  ['more path', 'URI:spiffe://microservice-operator/ns/shop/fleet/x'],
  ['a path as namespace', 'URI:spiffe://microservice-operator/ns/a/ns/shop/fleet'],
  ['an empty namespace', 'URI:spiffe://microservice-operator/ns//fleet'],
  ['two', 'URI:spiffe://microservice-operator/ns/shop/fleet, URI:spiffe://microservice-operator/ns/cart/fleet'],
])('no namespace comes from %s', (_what, subjectaltname) => {
  expect(namespaceOf({ subjectaltname })).toBeUndefined();
});
