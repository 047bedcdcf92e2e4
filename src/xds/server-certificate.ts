import { constants } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { ServerCredentials } from '@grpc/grpc-js';

/** All PEM. */
export interface ServerCertificate {
  readonly certificate: string;
  readonly privateKey: string;
  /** One or several: who may have signed a client's certificate. */
  readonly caCertificates: string;
}

/** mTLS for grpc-js whose certificate can be replaced: connections made from then on use the new one, others stay. */
export class ReplaceableCertificate extends ServerCredentials {
  constructor(certificate: ServerCertificate) {
    super({ requestCert: true, rejectUnauthorized: true }, contextOptions(certificate));
  }

  /** Throws, with the old certificate still in use, when certificate and key do not parse or match. */
  replace(certificate: ServerCertificate): void {
    const options = contextOptions(certificate);
    createSecureContext(options); // grpc-js would log the error and drop every new connection
    this.updateSecureContextOptions(options);
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

function contextOptions({ certificate, privateKey, caCertificates }: ServerCertificate): SecureContextOptions {
  // A resumed session would keep the identity, and the CA, of an earlier handshake.
  return { cert: certificate, key: privateKey, ca: caCertificates, minVersion: 'TLSv1.3', secureOptions: constants.SSL_OP_NO_TICKET };
}
