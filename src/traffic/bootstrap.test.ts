import { expect, test } from '@jest/globals';
import { envoyBootstrap, secretDiscoveryFiles } from './bootstrap.ts';

const text = JSON.stringify(envoyBootstrap({ xdsHost: 'xds.operator.svc', xdsPort: 18000, readyPort: 8002, adminPort: 8003, certificateDirectory: '/certs' }));

/** Whether Envoy takes it is tested in src/xds/envoy.test.ts, with a real one. */
test('the admin interface is on loopback only, and everything else needs the operator’s certificate', () => {
  const bootstrap: { admin: unknown; dynamicResources: { adsConfig: { apiType: string }; ldsConfig: unknown }; staticResources: { listeners: unknown[] } } = JSON.parse(text);
  expect(bootstrap.admin).toEqual({ address: { socketAddress: { address: '127.0.0.1', portValue: 8003 } } });
  expect(bootstrap.staticResources.listeners).toHaveLength(1);
  expect(bootstrap.dynamicResources.adsConfig.apiType).toBe('DELTA_GRPC');
  expect(bootstrap.dynamicResources.ldsConfig).toEqual({ ads: {}, resourceApiVersion: 'V3', initialFetchTimeout: '0s' });
  expect(text).toContain('"matchTypedSubjectAltNames":[{"sanType":"DNS","matcher":{"exact":"xds.operator.svc"}}]');
});

test('equal input gives equal text, or the fleet would roll', () => {
  expect(JSON.stringify(envoyBootstrap({ xdsHost: 'xds.operator.svc', xdsPort: 18000, readyPort: 8002, adminPort: 8003, certificateDirectory: '/certs' }))).toBe(text);
});

test('the files of the Secret are those that the bootstrap names', () => {
  const files = secretDiscoveryFiles('/certs');
  for (const name of Object.keys(files)) expect(text).toContain(`"/certs/${name}"`);
  expect(Object.values(files).join('')).toContain('"filename":"/certs/tls.key"');
});
