import { describe, expect, test } from '@jest/globals';
import type { Resource } from '../traffic/resource.ts';
import { encodeResource } from './encode.ts';
import { messageType } from './envoy-message.ts';

const cluster = (body: Readonly<Record<string, unknown>>): Resource => ({ type: 'Cluster', name: 'a', body: { name: 'a', ...body } });
const protocolOptions = (http2: Readonly<Record<string, unknown>>): Resource =>
  cluster({
    typedExtensionProtocolOptions: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        typeUrl: 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        value: { explicitHttpConfig: { http2ProtocolOptions: http2 } },
      },
    },
  });

describe('an error names the path and the fix', () => {
  test.each<[string, Resource, string]>([
    ['unknown field', cluster({ edsClusterConfig: { foo: 1 } }), 'Cluster a.edsClusterConfig.foo: EdsClusterConfig has no such field'],
    ['unknown enum name', cluster({ type: 'EDX' }), 'Cluster a.type: must be one of STATIC, STRICT_DNS, LOGICAL_DNS, EDS, ORIGINAL_DST, is "EDX"'],
    ['not an object', cluster({ connectTimeout: '1s' }), 'Cluster a.connectTimeout: Duration must be an object, is "1s"'],
    ['not an integer', cluster({ connectTimeout: { seconds: 1.5 } }), 'Cluster a.connectTimeout.seconds: must be int64, is 1.5'],
    ['out of range', cluster({ perConnectionBufferLimitBytes: { value: 2 ** 32 } }), 'Cluster a.perConnectionBufferLimitBytes.value: must be uint32, is 4294967296'],
    ['not a list', cluster({ healthChecks: {} }), 'Cluster a.healthChecks: must be a list'],
    ['two of a oneof', cluster({ type: 'EDS', clusterType: {} }), 'Cluster a.clusterType: only one of type and clusterType may be set'],
    ['inside an Any', protocolOptions({ maxStreams: 1 }), '.value.explicitHttpConfig.http2ProtocolOptions.maxStreams: Http2ProtocolOptions has no such field'],
    ['an unknown message', cluster({ transportSocket: { typedConfig: { typeUrl: 'type.googleapis.com/envoy.x', value: {} } } }), 'envoy.x is not in the descriptor'],
    ['another name', { type: 'Cluster', name: 'a', body: { name: 'b' } }, 'Cluster a.name: must be the resource\'s name, is "b"'],
  ])('%s', (_what, resource, message) => {
    expect(() => encodeResource(resource)).toThrow(message);
  });
});

test('the bytes are a response with this resource, nested Any included', () => {
  const { entry, version, endpointsName } = encodeResource({ ...protocolOptions({ maxConcurrentStreams: { value: 7 } }), body: { ...protocolOptions({ maxConcurrentStreams: { value: 7 } }).body, edsClusterConfig: { serviceName: 'b' } } });
  expect(endpointsName).toBe('b');
  const response = decode('envoy.service.discovery.v3.DeltaDiscoveryResponse', entry);
  expect(response).toMatchObject({ resources: [{ name: 'a', version, resource: { type_url: 'type.googleapis.com/envoy.config.cluster.v3.Cluster' } }] });
  const decoded = decode('envoy.config.cluster.v3.Cluster', response.resources?.[0]?.resource.value);
  const [[key, any] = ['', undefined]] = Object.entries(decoded.typedExtensionProtocolOptions ?? {});
  expect(any?.type_url).toBe(`type.googleapis.com/${key}`);
  expect(decode(key, any?.value)).toEqual({ explicitHttpConfig: { http2ProtocolOptions: { maxConcurrentStreams: { value: 7 } } } });
});

test('equal data has equal versions, whatever the order of map keys; other data has others', () => {
  const labelled = (labels: Readonly<Record<string, string>>): string => encodeResource(cluster({ metadata: { filterMetadata: Object.fromEntries(Object.keys(labels).map((key) => [key, {}])) } })).version;
  expect(labelled({ a: '', b: '' })).toBe(labelled({ b: '', a: '' }));
  expect(labelled({ a: '' })).not.toBe(labelled({ b: '' }));
  // Pinned: a proxy that reconnects after an upgrade of the operator must not be sent everything anew.
  expect(encodeResource(cluster({ connectTimeout: { seconds: 1 } })).version).toBe('299d1056ab9605e5');
});

interface Any {
  readonly type_url: string;
  readonly value: Uint8Array;
}

interface Decoded {
  readonly resources?: readonly { readonly resource: Any }[];
  readonly typedExtensionProtocolOptions?: Readonly<Record<string, Any>>;
}

function decode(name: string, bytes: Uint8Array | undefined): Decoded {
  const type = messageType(name);
  return type.toObject(type.decode(bytes ?? new Uint8Array()));
}
