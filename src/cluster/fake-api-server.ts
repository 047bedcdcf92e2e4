/**
 * An API server for tests that can be told to fail: versioned objects, bounded history, lists by pages, watches with
 * bookmarks, over real HTTP. It knows no schemas, and its apply merges without field ownership.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type { KubernetesObject, ObjectMeta } from '../api/kubernetes-object.ts';
import type { CredentialSource } from './connection.ts';
import { keyOf, resourceKinds, type ObjectRef, type ResourceKind } from './resource-kind.ts';

/** An object as tests write it. */
export interface FakeObject extends KubernetesObject {
  readonly [field: string]: unknown;
}

/** An object, or the options of a DELETE. */
export interface Body extends FakeObject {
  readonly preconditions?: { readonly uid?: string };
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: Body | undefined;
  /** Whether it asks for a stream. */
  readonly watch: boolean;
}

/** What a request meets instead of an answer. */
export type Fault =
  | { readonly kind: 'status'; readonly code: number; readonly reason?: string; readonly retryAfterSeconds?: number; readonly causes?: readonly { readonly reason: string }[]; readonly text?: string }
  | { readonly kind: 'reset' }
  /** Accepts the request and never answers. */
  | { readonly kind: 'blackHole' };

/** How all open watches end or go wrong. */
export type StreamFault = 'end' | 'reset' | 'status500' | 'status410' | 'halfLine' | 'garbage' | 'unknownType' | 'wrongKind';

export interface Switches {
  /** `refused`: 422, feature gate off. `ignored`: an older server that does not know the parameter. */
  watchList: 'supported' | 'refused' | 'ignored';
  /** Keeps back every bookmark, the one that ends the initial events included. */
  holdBookmarks: boolean;
  /** Sends each watch line in pieces of this many bytes. */
  pieceBytes: number;
  /** Watches are accepted and then stay silent. */
  deaf: boolean;
}

interface HistoryEntry {
  readonly version: number;
  readonly kind: ResourceKind;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: FakeObject;
}

interface Stream {
  readonly target: Target;
  readonly response: ServerResponse;
}

interface Target {
  readonly kind: ResourceKind;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
  readonly labels: readonly (readonly [string, string])[];
}

interface Waiting {
  readonly matches: (request: SeenRequest) => boolean;
  readonly fault: Fault;
  times: number;
}

class Refusal extends Error {
  readonly fault: Fault & { kind: 'status' };

  constructor(code: number, reason: string, text = reason) {
    super(text);
    this.fault = { kind: 'status', code, reason, text };
  }
}

export class FakeApiServer {
  readonly switches: Switches = { watchList: 'supported', holdBookmarks: false, pieceBytes: 0, deaf: false };
  readonly requests: SeenRequest[] = [];
  /** TCP connections accepted so far. */
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #streams = new Set<Stream>();
  readonly #objects = new Map<string, Map<string, FakeObject>>();
  readonly #pages = new Map<string, { readonly version: number; readonly rest: readonly FakeObject[] }>();
  #history: HistoryEntry[] = [];
  #compacted = 0;
  #version = 100;
  #faults: Waiting[] = [];

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
    this.#server.on('connection', (socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(): Promise<FakeApiServer> {
    const fake = new FakeApiServer();
    await new Promise<void>((resolve) => {
      fake.#server.listen(0, '127.0.0.1', resolve);
    });
    return fake;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  get url(): string {
    const { port }: AddressInfo = Object.assign({ port: 0, address: '', family: '' }, this.#server.address());
    return `http://127.0.0.1:${port}`;
  }

  get credentials(): CredentialSource {
    return { read: async () => ({ server: this.url, headers: { Authorization: 'Bearer fake' }, tls: {} }) };
  }

  get version(): string {
    return String(this.#version);
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  /** How often the path was listed and watched. */
  count(kind: ResourceKind, what: 'list' | 'watch'): number {
    const isInitial = (query: URLSearchParams): boolean => query.get('sendInitialEvents') === 'true';
    const ofKind = this.requests.filter(({ method, path }) => method === 'GET' && path.endsWith(`/${kind.plural}`));
    return ofKind.filter(({ watch, query }) => (what === 'watch' ? watch && !isInitial(query) : !watch || isInitial(query))).length;
  }

  /** The next `times` matching requests fail. */
  fail(fault: Fault, matches: (request: SeenRequest) => boolean = () => true, times = 1): void {
    this.#faults.push({ fault, matches, times });
  }

  heal(): void {
    this.#faults = [];
  }

  /** All stored objects of a kind. */
  stored(kind: ResourceKind): FakeObject[] {
    return [...this.#of(kind).values()];
  }

  /** Creates or changes an object, as somebody else would. */
  put(object: FakeObject): FakeObject {
    const kind = kindOf(object);
    const old = this.#of(kind).get(keyOf(object.metadata));
    const metadata: ObjectMeta = { ...object.metadata, uid: old?.metadata.uid ?? randomUUID(), resourceVersion: String(this.#next()) };
    const stored = { ...object, metadata };
    this.#of(kind).set(keyOf(metadata), stored);
    this.#happened(kind, old ? 'MODIFIED' : 'ADDED', stored);
    return stored;
  }

  delete(kind: ResourceKind, ref: ObjectRef): void {
    const old = this.#of(kind).get(keyOf(ref));
    if (!old) return;
    this.#of(kind).delete(keyOf(ref));
    this.#happened(kind, 'DELETED', { ...old, metadata: { ...old.metadata, resourceVersion: String(this.#next()) } });
  }

  /** Forgets all history: watches from before get 410, and so do continue tokens. */
  compact(): void {
    this.#history = [];
    this.#compacted = this.#version;
    this.#pages.clear();
  }

  /** Tells every watch how far it is. */
  bookmark(): void {
    if (this.switches.holdBookmarks) return;
    for (const stream of this.#streams) this.#send(stream, bookmarkLine(stream.target.kind, this.version, false));
  }

  /** Lets the versions of other kinds run ahead. */
  jump(by: number): void {
    this.#version += by;
  }

  strike(fault: StreamFault): void {
    for (const stream of this.#streams) this.#strike(stream, fault);
    this.#streams.clear();
  }

  #strike({ response, target: { kind } }: Stream, fault: StreamFault): void {
    const object = { apiVersion: kind.apiVersion, kind: kind.kind, metadata: { name: 'odd', namespace: 'odd', resourceVersion: this.version } };
    const lines: Record<StreamFault, string> = {
      end: '',
      reset: '',
      status500: errorLine(500, 'InternalError'),
      status410: errorLine(410, 'Expired'),
      halfLine: JSON.stringify({ type: 'ADDED', object }).slice(0, 40),
      garbage: '{"type":"ADDED","obj\n',
      unknownType: `${JSON.stringify({ type: 'RENAMED', object })}\n`,
      wrongKind: `${JSON.stringify({ type: 'ADDED', object: { ...object, kind: 'Elephant' } })}\n`,
    };
    if (fault === 'reset') response.destroy();
    else response.end(lines[fault]);
  }

  async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(message.url ?? '/', this.url);
    const text = await readAll(message);
    const body: Body | undefined = text === '' ? undefined : JSON.parse(text);
    const query = url.searchParams;
    const request = { method: message.method ?? '', path: url.pathname, query, headers: message.headers, body, watch: query.get('watch') === 'true' };
    this.requests.push(request);
    const fault = this.#takeFault(request);
    if (fault) return fail(response, fault);
    try {
      this.#serve(request, targetOf(request), response);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      fail(response, error.fault);
    }
  }

  #takeFault(request: SeenRequest): Fault | undefined {
    const found = this.#faults.find(({ matches }) => matches(request));
    if (!found) return undefined;
    found.times -= 1;
    if (found.times === 0) this.#faults = this.#faults.filter((waiting) => waiting !== found);
    return found.fault;
  }

  #serve(request: SeenRequest, target: Target, response: ServerResponse): void {
    if (request.watch) return this.#watch(request, target, response);
    const answers: Record<string, () => unknown> = {
      GET: () => (target.name === undefined ? this.#list(request, target) : this.#existing(target)),
      POST: () => this.#create(target, request.body),
      PUT: () => this.#update(target, request.body),
      PATCH: () => this.#patch(request, target),
      DELETE: () => this.#remove(target, request.body),
    };
    json(response, 200, answers[request.method]?.());
  }

  #existing({ kind, namespace, name = '' }: Target): FakeObject {
    const found = this.#of(kind).get(keyOf({ namespace, name }));
    if (!found) throw new Refusal(404, 'NotFound', `${kind.plural} "${name}" not found`);
    return found;
  }

  #create(target: Target, body: FakeObject | undefined): FakeObject {
    if (!body) throw new Refusal(400, 'BadRequest');
    if (this.#of(target.kind).has(keyOf(body.metadata))) throw new Refusal(409, 'AlreadyExists');
    return this.put(body);
  }

  #update(target: Target, body: FakeObject | undefined): FakeObject {
    const old = this.#existing(target);
    if (!body || body.metadata.resourceVersion !== old.metadata.resourceVersion) throw new Refusal(409, 'Conflict');
    return this.put(body);
  }

  #patch({ body, headers }: SeenRequest, target: Target): FakeObject {
    if (!body) throw new Refusal(400, 'BadRequest');
    const isApply = headers['content-type'] === 'application/apply-patch+yaml' && target.subresource === undefined;
    if (isApply && !this.#of(target.kind).has(keyOf(body.metadata))) return this.put(body);
    const old = this.#existing(target);
    const { uid = old.metadata.uid } = body.metadata ?? {};
    if (uid !== old.metadata.uid) throw new Refusal(409, 'Conflict');
    const merged = { ...old, ...body, metadata: { ...old.metadata, ...body.metadata } };
    return isDeepStrictEqual(merged, old) ? old : this.put(merged);
  }

  #remove(target: Target, body: Body | undefined): unknown {
    const old = this.#existing(target);
    // Stricter than the real one: without a precondition nothing is deleted.
    if (body?.preconditions?.uid !== old.metadata.uid) throw new Refusal(409, 'Conflict');
    this.delete(target.kind, old.metadata);
    return { kind: 'Status', apiVersion: 'v1', status: 'Success' };
  }

  #list({ query }: SeenRequest, target: Target): unknown {
    const token = query.get('continue');
    const page = token === null ? { version: this.#version, rest: this.#visible(target) } : this.#pages.get(token);
    if (!page) throw new Refusal(410, 'Expired');
    const limit = Number(query.get('limit') ?? Infinity);
    const next = page.rest.length > limit ? randomUUID() : undefined;
    if (next) this.#pages.set(next, { version: page.version, rest: page.rest.slice(limit) });
    const items = page.rest.slice(0, limit).map((object) => ({ ...object, apiVersion: undefined, kind: undefined }));
    return { apiVersion: target.kind.apiVersion, kind: `${target.kind.kind}List`, metadata: { resourceVersion: String(page.version), continue: next }, items };
  }

  #watch({ query }: SeenRequest, target: Target, response: ServerResponse): void {
    const initial = query.get('sendInitialEvents') === 'true' && this.switches.watchList !== 'ignored';
    if (initial && this.switches.watchList === 'refused') throw new Refusal(422, 'Invalid', 'sendInitialEvents is forbidden');
    const from = Number(query.get('resourceVersion') ?? 0);
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    if (!initial && from > 0 && from < this.#compacted) return void response.end(errorLine(410, 'Expired'));
    const stream = this.#open(target, response, Number(query.get('timeoutSeconds') ?? 3600));
    if (initial) this.#sendInitial(stream);
    else this.#sendSince(stream, from);
  }

  #open(target: Target, response: ServerResponse, seconds: number): Stream {
    const stream = { target, response };
    const timer = setTimeout(() => response.end(), seconds * 1000);
    this.#streams.add(stream);
    response.on('close', () => {
      clearTimeout(timer);
      this.#streams.delete(stream);
    });
    return stream;
  }

  #sendSince(stream: Stream, from: number): void {
    const { target } = stream;
    const past = from > 0 ? this.#history.filter(({ version }) => version > from) : this.#visible(target).map((object) => ({ kind: target.kind, type: 'ADDED', object }));
    for (const { kind, type, object } of past) if (isVisible(target, kind, object)) this.#send(stream, eventLine(type, object));
  }

  #sendInitial(stream: Stream): void {
    for (const object of this.#visible(stream.target)) this.#send(stream, eventLine('ADDED', object));
    if (!this.switches.holdBookmarks) this.#send(stream, bookmarkLine(stream.target.kind, this.version, true));
  }

  #visible(target: Target): FakeObject[] {
    return [...this.#of(target.kind).values()].filter((object) => isVisible(target, target.kind, object));
  }

  #happened(kind: ResourceKind, type: HistoryEntry['type'], object: FakeObject): void {
    this.#history.push({ version: this.#version, kind, type, object });
    for (const stream of this.#streams) if (isVisible(stream.target, kind, object)) this.#send(stream, eventLine(type, object));
  }

  #send({ response }: Stream, line: string): void {
    if (this.switches.deaf) return;
    const bytes = Buffer.from(line);
    const step = this.switches.pieceBytes || bytes.length;
    for (let start = 0; start < bytes.length; start += step) response.write(bytes.subarray(start, start + step));
  }

  #of(kind: ResourceKind): Map<string, FakeObject> {
    const name = `${kind.apiVersion}/${kind.plural}`;
    const objects = this.#objects.get(name) ?? new Map<string, FakeObject>();
    this.#objects.set(name, objects);
    return objects;
  }

  #next(): number {
    this.#version += 1;
    return this.#version;
  }
}

const eventLine = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`;

const errorLine = (code: number, reason: string): string => eventLine('ERROR', { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message: `told to: ${reason}` });

function bookmarkLine({ apiVersion, kind }: ResourceKind, resourceVersion: string, endsInitialEvents: boolean): string {
  const annotations = endsInitialEvents ? { 'k8s.io/initial-events-end': 'true' } : undefined;
  return eventLine('BOOKMARK', { apiVersion, kind, metadata: { resourceVersion, annotations } });
}

const isVisible = (target: Target, kind: ResourceKind, { metadata }: FakeObject): boolean =>
  kind === target.kind && (target.namespace === undefined || metadata.namespace === target.namespace) && target.labels.every(([name, value]) => metadata.labels?.[name] === value);

function kindOf({ apiVersion, kind }: FakeObject): ResourceKind {
  const found = Object.values(resourceKinds).find((known) => known.apiVersion === apiVersion && known.kind === kind);
  if (!found) throw new Refusal(404, 'NotFound', `no kind ${apiVersion} ${kind}`);
  return found;
}

function targetOf({ path, query }: SeenRequest): Target {
  const [, root, ...parts] = path.split('/').map(decodeURIComponent);
  const apiVersion = root === 'api' ? parts.shift() : parts.splice(0, 2).join('/');
  const namespace = parts[0] === 'namespaces' && parts.length > 2 ? parts.splice(0, 2)[1] : undefined;
  const [plural, name, subresource] = parts;
  const kind = Object.values(resourceKinds).find((known) => known.apiVersion === apiVersion && known.plural === plural);
  if (!kind) throw new Refusal(404, 'NotFound', 'the server could not find the requested resource');
  const labels = (query.get('labelSelector') ?? '').split(',').filter(Boolean).map((term): [string, string] => [term.split('=')[0] ?? '', term.split('=')[1] ?? '']);
  return { kind, namespace, name, subresource, labels };
}

function fail(response: ServerResponse, fault: Fault): void {
  if (fault.kind === 'reset') return void response.destroy();
  if (fault.kind === 'blackHole') return;
  const { code, reason, retryAfterSeconds, causes, text } = fault;
  if (retryAfterSeconds !== undefined) response.setHeader('retry-after', String(retryAfterSeconds));
  json(response, code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message: text ?? 'told to', details: { causes } });
}

function json(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

async function readAll(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}
