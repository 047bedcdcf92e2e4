import protobuf from 'protobufjs/light.js';
import descriptor from '../../generated/xds-descriptor.json' with { type: 'json' };
import { typeUrlPrefix } from './resource-type.ts';

/** Widened: the type inferred from the JSON text is not the one that protobufjs declares for the same text. */
const namespace: object = descriptor;
const root = protobuf.Root.fromJSON(namespace).resolveAll();

/** The descriptor of one Envoy message, by full name without a leading dot. */
export const messageType = (fullName: string): protobuf.Type => root.lookupType(fullName);

type Plain = Record<string, unknown>;

/**
 * Serialises a message given as plain data: lowerCamelCase keys, enums by name or number, bytes as Uint8Array, 64-bit integers as
 * safe numbers, `Any` as {typeUrl, value: message object} at any depth. Equal data gives equal bytes: map entries are sorted by key.
 * protobufjs would drop an unknown key or enum name in silence; here each is an error that names its path.
 */
export function encodeMessage(type: protobuf.Type, body: unknown, path: string): Uint8Array {
  return type.encode(prepareMessage(type, body, path)).finish();
}

/** A google.protobuf.Any. protobufjs has its own definition of it, in which the field is not in camel case. */
export const asAny = (typeUrl: string, value: Uint8Array): Plain => ({ type_url: typeUrl, value });

function prepareMessage(type: protobuf.Type, value: unknown, path: string): Plain {
  const fields = asObject(value, `${path}: ${type.name}`);
  if (type.fullName === '.google.protobuf.Any') return packAny(fields, path);
  const prepared: Plain = {};
  const chosen = new Map<protobuf.OneOf, string>();
  for (const [key, given] of Object.entries(fields)) {
    if (given === undefined) continue;
    const field = type.fields[key];
    if (field === undefined) throw new Error(`${path}.${key}: ${type.name} has no such field`);
    rejectSecondOfOneOf(chosen, field, path);
    prepared[key] = prepareField(field, given, `${path}.${key}`);
  }
  return prepared;
}

function rejectSecondOfOneOf(chosen: Map<protobuf.OneOf, string>, field: protobuf.Field, path: string): void {
  if (field.partOf === null) return;
  const other = chosen.get(field.partOf);
  if (other !== undefined) throw new Error(`${path}.${field.name}: only one of ${other} and ${field.name} may be set`);
  chosen.set(field.partOf, field.name);
}

function packAny(any: Plain, path: string): Plain {
  const { typeUrl, value, ...rest } = any;
  if (typeof typeUrl !== 'string' || !typeUrl.startsWith(typeUrlPrefix)) throw new Error(`${path}.typeUrl: must start with ${typeUrlPrefix}`);
  const extra = Object.keys(rest)[0];
  if (extra !== undefined) throw new Error(`${path}.${extra}: an Any has only typeUrl and value`);
  const name = typeUrl.slice(typeUrlPrefix.length);
  const type = root.lookup(name, protobuf.Type);
  if (!(type instanceof protobuf.Type)) throw new Error(`${path}.typeUrl: ${name} is not in the descriptor; add its .proto file to build/xds-descriptor.ts`);
  return asAny(typeUrl, encodeMessage(type, value ?? {}, `${path}.value`));
}

function prepareField(field: protobuf.Field, value: unknown, path: string): unknown {
  if (field instanceof protobuf.MapField) return prepareMap(field, value, path);
  if (!field.repeated) return prepareOne(field, value, path);
  if (!Array.isArray(value)) throw new Error(`${path}: must be a list`);
  return value.map((item, index) => prepareOne(field, item, `${path}[${index}]`));
}

function prepareMap(field: protobuf.Field, value: unknown, path: string): Plain {
  const entries = Object.entries(asObject(value, path)).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, prepareOne(field, item, `${path}[${key}]`)]));
}

function prepareOne(field: protobuf.Field, value: unknown, path: string): unknown {
  if (field.resolvedType instanceof protobuf.Type) return prepareMessage(field.resolvedType, value, path);
  if (field.resolvedType instanceof protobuf.Enum) return prepareEnum(field.resolvedType, value, path);
  if (!isScalar(field.type, value)) throw new Error(`${path}: must be ${field.type}, is ${JSON.stringify(value)}`);
  return value;
}

function prepareEnum(type: protobuf.Enum, value: unknown, path: string): number {
  const number = typeof value === 'string' ? type.values[value] : value;
  if (typeof number === 'number' && number in type.valuesById) return number;
  throw new Error(`${path}: must be one of ${Object.keys(type.values).join(', ')}, is ${JSON.stringify(value)}`);
}

function isScalar(type: string, value: unknown): boolean {
  if (type === 'bool') return typeof value === 'boolean';
  if (type === 'string') return typeof value === 'string';
  if (type === 'bytes') return value instanceof Uint8Array;
  if (type === 'double' || type === 'float') return typeof value === 'number';
  return isInteger(type, value);
}

function isInteger(type: string, value: unknown): boolean {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) return false;
  const unsigned = type.startsWith('u') || type.startsWith('fixed');
  if (unsigned && value < 0) return false;
  if (type.endsWith('64')) return true;
  return unsigned ? value <= 0xff_ff_ff_ff : value >= -0x80_00_00_00 && value <= 0x7f_ff_ff_ff;
}

function asObject(value: unknown, what: string): Plain {
  if (!isPlain(value)) throw new Error(`${what} must be an object, is ${JSON.stringify(value)}`);
  return value;
}

const isPlain = (value: unknown): value is Plain => typeof value === 'object' && value !== null && !Array.isArray(value);
