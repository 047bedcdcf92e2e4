import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { bitString, boolean, element, integer, objectIdentifier, octetString, sequence, set, tagged, utcTime, utf8String } from './der.ts';

/** A key and its certificate, both PEM; the key is PKCS#8, ECDSA P-256. */
interface KeyPair {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** The subject of a certificate and the DNS names and IPv4 addresses that it serves. Every certificate is good for servers and clients. */
interface Subject {
  readonly commonName: string;
  readonly organization?: string;
  readonly hosts?: readonly string[];
}

export interface Authority {
  readonly certificatePem: string;
  issue(subject: Subject): KeyPair;
}

const ecdsaWithSha256 = sequence(objectIdentifier('1.2.840.10045.4.3.2'));
const lifetimeMs = 365 * 24 * 3_600_000;

/** A certificate authority (RFC 5280) that lives as long as the process: its key is never written. */
export function createAuthority(commonName: string): Authority {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer: Issuer = { name: name({ commonName }), key: privateKey, keyId: keyId(publicKey) };
  const extensions = [
    extension('2.5.29.19', sequence(boolean(true)), true),
    extension('2.5.29.15', bitString(Buffer.of(0b0000_0110), 1), true), // keyCertSign, cRLSign
    extension('2.5.29.14', octetString(issuer.keyId)),
  ];
  return {
    certificatePem: certificate(issuer, issuer.name, publicKey, extensions),
    issue: (subject) => issue(issuer, subject),
  };
}

/** The key pair that signs service account tokens, both halves PEM. */
export function createSigningKey(): { readonly privatePem: string; readonly publicPem: string } {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { privatePem: privatePem(privateKey), publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString() };
}

interface Issuer {
  readonly name: Buffer;
  readonly key: KeyObject;
  readonly keyId: Buffer;
}

function issue(issuer: Issuer, subject: Subject): KeyPair {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const hosts = (subject.hosts ?? []).map(generalName);
  const extensions = [
    extension('2.5.29.15', bitString(Buffer.of(0b1000_0000), 7), true), // digitalSignature
    extension('2.5.29.37', sequence(objectIdentifier('1.3.6.1.5.5.7.3.1'), objectIdentifier('1.3.6.1.5.5.7.3.2'))), // server, client
    extension('2.5.29.35', sequence(element(0x80, issuer.keyId))),
    ...(hosts.length === 0 ? [] : [extension('2.5.29.17', sequence(...hosts))]),
  ];
  return { certificatePem: certificate(issuer, name(subject), publicKey, extensions), keyPem: privatePem(privateKey) };
}

function certificate(issuer: Issuer, subject: Buffer, publicKey: KeyObject, extensions: readonly Buffer[]): string {
  // The start lies in the past, so that a clock that is set back a little does not refuse the certificate.
  const validity = sequence(utcTime(new Date(Date.now() - 300_000)), utcTime(new Date(Date.now() + lifetimeMs)));
  const content = sequence(
    tagged(0, integer(Buffer.of(2))), // version 3
    integer(Buffer.concat([Buffer.of(1), randomBytes(15)])),
    ecdsaWithSha256,
    issuer.name,
    validity,
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(3, sequence(...extensions)),
  );
  const der = sequence(content, ecdsaWithSha256, bitString(sign('sha256', content, issuer.key)));
  return `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}(?=.)/gu, '$&\n')}\n-----END CERTIFICATE-----\n`;
}

function name(subject: Subject): Buffer {
  const attribute = (oid: string, value: string): Buffer => set(sequence(objectIdentifier(oid), utf8String(value)));
  const organization = subject.organization === undefined ? [] : [attribute('2.5.4.10', subject.organization)];
  return sequence(...organization, attribute('2.5.4.3', subject.commonName));
}

function generalName(host: string): Buffer {
  return isIPv4(host) ? element(0x87, Buffer.from(host.split('.').map(Number))) : element(0x82, Buffer.from(host));
}

function extension(oid: string, value: Buffer, critical = false): Buffer {
  return sequence(objectIdentifier(oid), ...(critical ? [boolean(true)] : []), octetString(value));
}

function keyId(publicKey: KeyObject): Buffer {
  return createHash('sha1').update(publicKey.export({ type: 'spki', format: 'der' })).digest();
}

function privatePem(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}
