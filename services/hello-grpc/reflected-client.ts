import { createRequire } from 'node:module';
import { Client, credentials, type CallOptions, type StatusObject, type status } from '@grpc/grpc-js';
import { loadFileDescriptorSetFromBuffer, loadSync, type AnyDefinition, type MethodDefinition, type ServiceDefinition } from '@grpc/proto-loader';

type Method = MethodDefinition<object, object>;

export interface Outcome {
  readonly reply: unknown;
  readonly code: status;
  readonly details: string;
  /** Trailing metadata. */
  readonly trailers: Readonly<Record<string, unknown>>;
}

/** For tests: a client that knows nothing of the server but its address and learns the rest by server reflection. */
export class ReflectedClient implements Disposable {
  readonly #client: Client;

  constructor(port: number) {
    // Each client has a connection of its own.
    this.#client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 });
  }

  async services(version: 'v1' | 'v1alpha' = 'v1'): Promise<readonly string[]> {
    const { listServicesResponse } = await this.#reflect(version, { listServices: '*' });
    return listServicesResponse.service.map(({ name }: { name: string }) => name);
  }

  async method(service: string, name: string): Promise<Method> {
    const { fileDescriptorResponse } = await this.#reflect('v1', { fileContainingSymbol: service });
    const definitions = loadFileDescriptorSetFromBuffer(fileDescriptorSet(fileDescriptorResponse.fileDescriptorProto), { enums: String, keepCase: true, defaults: true });
    return methodOf(definitions[service], name);
  }

  call(method: Method, request: object, options: CallOptions = {}): Promise<Outcome> {
    return new Promise((resolve) => {
      let answer: unknown;
      const call = this.#client.makeUnaryRequest(method.path, method.requestSerialize, method.responseDeserialize, request, options, (_error, reply) => (answer = reply));
      call.on('status', ({ code, details, metadata }: StatusObject) =>
        // After the callback, which grpc-js calls just before or just after.
        setImmediate(() => resolve({ reply: answer, code, details, trailers: metadata.getMap() })),
      );
    });
  }

  /** What a server-streaming call sends, until its status ends it. */
  async *stream(method: Method, request: object): AsyncGenerator {
    yield* this.#client.makeServerStreamRequest(method.path, method.requestSerialize, method.responseDeserialize, request);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  // oxlint-disable-next-line typescript/no-explicit-any -- the shape comes from the .proto file at run time
  async #reflect(version: 'v1' | 'v1alpha', request: object): Promise<any> {
    const proto = createRequire(import.meta.url).resolve(`@grpc/reflection/build/proto/grpc/reflection/${version}/reflection.proto`);
    const method = methodOf(loadSync(proto)[`grpc.reflection.${version}.ServerReflection`], 'ServerReflectionInfo');
    const call = this.#client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize);
    call.end(request);
    for await (const response of call) return response;
    throw new Error('reflection ended without an answer');
  }
}

function methodOf(definition: AnyDefinition | undefined, name: string): Method {
  if (!definition || !isService(definition)) throw new Error('not a service');
  const method = definition[name];
  if (!method) throw new Error(`no method ${name}`);
  return method;
}

function isService(definition: AnyDefinition): definition is ServiceDefinition {
  return !('format' in definition);
}

/** The wire form of `FileDescriptorSet`: field 1, repeated. */
function fileDescriptorSet(files: readonly Uint8Array[]): Buffer {
  return Buffer.concat(files.flatMap((file) => [Buffer.from([0x0a, ...varint(file.length)]), file]));
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}
