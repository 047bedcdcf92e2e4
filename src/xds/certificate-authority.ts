import { X509Certificate as NodeCertificate, webcrypto } from 'node:crypto';
import type { ExtendedKeyUsage, JsonGeneralName, X509Certificate } from '@peculiar/x509';
import { loadX509 } from './load-x509.ts';
import { fleetUri } from './proxy-identity.ts';

/** Both PEM, the key as PKCS #8. */
export interface CertificateAndKey {
  readonly certificate: string;
  readonly privateKey: string;
}

const dayMs = 86_400_000;
const authorityLifetimeMs = 3650 * dayMs;
const leafLifetimeMs = 365 * dayMs;
/** Clocks of other machines may be behind. */
const backdateMs = 300_000;

const keyAlgorithm = { name: 'ECDSA', namedCurve: 'P-256' };
const signingAlgorithm = { name: 'ECDSA', hash: 'SHA-256' };

/** A self-signed authority, ECDSA P-256, valid for 10 years, that can sign leaves only. */
export async function createCertificateAuthority(nowMs: number): Promise<CertificateAndKey> {
  const { BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension, SubjectKeyIdentifierExtension, X509CertificateGenerator } = await loadX509();
  const keys = await webcrypto.subtle.generateKey(keyAlgorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      name: 'CN=microservice-operator',
      ...validity(nowMs, authorityLifetimeMs),
      keys,
      signingAlgorithm,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return toPem(certificate, keys.privateKey);
}

/** For the ADS server, valid for a year; proxies verify the DNS name that they were told to connect to. */
export async function issueServerCertificate(authority: CertificateAndKey, dnsNames: readonly string[], nowMs: number): Promise<CertificateAndKey> {
  const { ExtendedKeyUsage } = await loadX509();
  const names = dnsNames.map((value): JsonGeneralName => ({ type: 'dns', value }));
  return issue(authority, { names, usage: ExtendedKeyUsage.serverAuth, nowMs });
}

/** For the proxies of one namespace, valid for a year. Throws when `namespace` is not a namespace name. */
export async function issueFleetCertificate(authority: CertificateAndKey, namespace: string, nowMs: number): Promise<CertificateAndKey> {
  const { ExtendedKeyUsage } = await loadX509();
  return issue(authority, { names: [{ type: 'url', value: fleetUri(namespace) }], usage: ExtendedKeyUsage.clientAuth, nowMs });
}

/** Whether two thirds of the life of a certificate (PEM) are over, so that it should be issued anew. */
export function isDue(certificate: string, nowMs: number): boolean {
  const { validFrom, validTo } = new NodeCertificate(certificate);
  const fromMs = Date.parse(validFrom);
  return nowMs >= fromMs + ((Date.parse(validTo) - fromMs) * 2) / 3;
}

/** Whether the authority has signed the certificate (both PEM); not so after the authority was created anew. */
export function isIssuedBy(certificate: string, authorityCertificate: string): boolean {
  const leaf = new NodeCertificate(certificate);
  const authority = new NodeCertificate(authorityCertificate);
  return leaf.checkIssued(authority) && leaf.verify(authority.publicKey);
}

interface Leaf {
  readonly names: JsonGeneralName[];
  readonly usage: ExtendedKeyUsage;
  readonly nowMs: number;
}

async function issue(authority: CertificateAndKey, { names, usage, nowMs }: Leaf): Promise<CertificateAndKey> {
  const x509 = await loadX509();
  const issuer = new x509.X509Certificate(authority.certificate);
  const signingKey = await webcrypto.subtle.importKey('pkcs8', x509.PemConverter.decodeFirst(authority.privateKey), keyAlgorithm, false, ['sign']);
  const keys = await webcrypto.subtle.generateKey(keyAlgorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.create(
    {
      // No subject: the alternative name is the identity (RFC 5280 4.2.1.6), and so it must be critical.
      issuer: issuer.subject,
      ...validity(nowMs, leafLifetimeMs),
      publicKey: keys.publicKey,
      signingKey,
      signingAlgorithm,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([usage]),
        new x509.SubjectAlternativeNameExtension(names, true),
        await x509.AuthorityKeyIdentifierExtension.create(issuer, false, webcrypto),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  return toPem(certificate, keys.privateKey);
}

function validity(nowMs: number, lifetimeMs: number): { readonly notBefore: Date; readonly notAfter: Date } {
  return { notBefore: new Date(nowMs - backdateMs), notAfter: new Date(nowMs + lifetimeMs) };
}

async function toPem(certificate: X509Certificate, privateKey: webcrypto.CryptoKey): Promise<CertificateAndKey> {
  const { PemConverter } = await loadX509();
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', privateKey);
  return { certificate: `${certificate.toString('pem')}\n`, privateKey: `${PemConverter.encode(pkcs8, PemConverter.PrivateKeyTag)}\n` };
}
