/**
 * Envoy's messages as a protobufjs JSON descriptor, made from the .proto files inside the npm package `@grpc/grpc-js-xds`.
 * Only what the roots below reach is kept. A message that src/traffic names in a `typeUrl` must be reachable from here.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';

const repository = fileURLToPath(new URL('..', import.meta.url));
const folderOf = (packageFile: string): string => path.dirname(fileURLToPath(packageFile));
const protoPackage = path.join(folderOf(import.meta.resolve('@grpc/grpc-js-xds/package.json')), 'deps');
const includeFolders = [
  ...['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((folder) => path.join(protoPackage, folder)),
  folderOf(import.meta.resolve('protobufjs/package.json')), // google/protobuf/descriptor.proto
];

const rootFiles = [
  'envoy/service/discovery/v3/ads.proto',
  'envoy/config/cluster/v3/cluster.proto',
  'envoy/config/endpoint/v3/endpoint.proto',
  'envoy/config/listener/v3/listener.proto',
  'envoy/config/route/v3/route.proto',
  'envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto',
  'envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.proto',
  'envoy/extensions/filters/http/router/v3/router.proto',
  'envoy/extensions/filters/http/health_check/v3/health_check.proto',
  'envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.proto',
  'envoy/extensions/filters/http/jwt_authn/v3/config.proto',
  'envoy/extensions/filters/http/cors/v3/cors.proto',
  'envoy/extensions/access_loggers/stream/v3/stream.proto',
  'envoy/extensions/transport_sockets/tls/v3/tls.proto',
  'envoy/extensions/upstreams/http/v3/http_protocol_options.proto',
  'envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.proto',
  'envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.proto',
  'envoy/extensions/load_balancing_policies/random/v3/random.proto',
  'envoy/extensions/load_balancing_policies/least_request/v3/least_request.proto',
  'envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.proto',
  'envoy/extensions/load_balancing_policies/maglev/v3/maglev.proto',
  'envoy/extensions/load_balancing_policies/client_side_weighted_round_robin/v3/client_side_weighted_round_robin.proto',
  'google/protobuf/any.proto',
  'google/protobuf/duration.proto',
  'google/protobuf/struct.proto',
  'google/protobuf/wrappers.proto',
];

/** Writes `generated/xds-descriptor.json`. */
export function generateXdsDescriptor(): void {
  const target = path.join(repository, 'generated/xds-descriptor.json');
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, JSON.stringify(loadRoot().toJSON(), withoutCustomOptions));
}

function loadRoot(): protobuf.Root {
  const root = new protobuf.Root();
  root.resolvePath = (_origin, file) => protoFile(file);
  root.loadSync(rootFiles).resolveAll();
  return root;
}

function protoFile(file: string): string | null {
  if (file in protobuf.common) return file;
  const found = includeFolders.map((folder) => path.join(folder, file)).find((candidate) => existsSync(candidate));
  if (found === undefined) throw new Error(`${file} is not in ${protoPackage}; has the layout of @grpc/grpc-js-xds changed?`);
  return found;
}

/** Validation rules and annotations, named `(like.this)`, make up most of the text and nothing reads them. */
function withoutCustomOptions(key: string, value: unknown): unknown {
  if (key !== 'options' || typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([name]) => !name.startsWith('('));
  return kept.length === 0 ? undefined : Object.fromEntries(kept);
}
