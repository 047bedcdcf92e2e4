import { loadSync, type PackageDefinition, type ServiceDefinition } from '@grpc/proto-loader';
import { protoPath as healthProto } from 'grpc-health-check';

/** All that server reflection tells clients of. The bundle inlines what `loadSync` reads here (build/bundle.ts). */
export const helloProtocol: PackageDefinition = {
  ...loadSync(`${import.meta.dirname}/helloworld.proto`),
  ...loadSync(`${import.meta.dirname}/hello.proto`),
  ...loadSync(healthProto, { keepCase: true }),
};

export const greeters = ['helloworld.Greeter', 'hello.Hello'] as const;

export function serviceDefinition(name: (typeof greeters)[number]): ServiceDefinition {
  const definition = helloProtocol[name];
  if (!definition || isMessage(definition)) throw new Error(`${name} is not a service in the .proto files`);
  return definition;
}

function isMessage(definition: PackageDefinition[string]): definition is Exclude<typeof definition, ServiceDefinition> {
  return 'format' in definition;
}
