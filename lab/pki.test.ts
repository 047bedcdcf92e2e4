import { X509Certificate, createPrivateKey, createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer } from 'node:tls';
import { expect, test } from '@jest/globals';
import { portOf } from './free-ports.ts';
import { createAuthority, createSigningKey } from './pki.ts';

const authority = createAuthority('test');

test('an issued certificate names its subject, its hosts and its authority', () => {
  const issued = new X509Certificate(authority.issue({ commonName: 'hello', organization: 'system:nodes', hosts: ['hello.example', '10.0.0.1'] }).certificatePem);
  expect(issued.subject).toBe('O=system:nodes\nCN=hello');
  expect(issued.subjectAltName).toBe('DNS:hello.example, IP Address:10.0.0.1');
  expect(issued.checkIssued(new X509Certificate(authority.certificatePem))).toBe(true);
  expect(issued.verify(new X509Certificate(authority.certificatePem).publicKey)).toBe(true);
  expect(issued.verify(new X509Certificate(createAuthority('test').certificatePem).publicKey)).toBe(false);
  expect(Date.parse(issued.validFrom)).toBeLessThan(Date.now());
  expect(Date.parse(issued.validTo)).toBeGreaterThan(Date.now() + 300 * 24 * 3_600_000);
});

test('client and server with certificates of one authority trust each other', async () => {
  const [server, client] = [authority.issue({ commonName: 'server', hosts: ['127.0.0.1'] }), authority.issue({ commonName: 'client' })];
  const listener = createServer({ ca: authority.certificatePem, cert: server.certificatePem, key: server.keyPem, requestCert: true }, (socket) => {
    socket.end(socket.getPeerX509Certificate()?.subject ?? 'nobody');
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const socket = connect({ host: '127.0.0.1', port: portOf(listener), ca: authority.certificatePem, cert: client.certificatePem, key: client.keyPem });
  const [received] = await once(socket, 'data');
  expect(String(received)).toBe('CN=client');
  listener.close();
});

test('the two halves of a signing key belong together', () => {
  const { privatePem, publicPem } = createSigningKey();
  const derived = createPublicKey(createPrivateKey(privatePem).export({ type: 'pkcs8', format: 'pem' }));
  expect(derived.export({ type: 'spki', format: 'pem' })).toBe(publicPem);
});
