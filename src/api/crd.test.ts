/** What must hold of every field of the CRD, so that none is forgotten. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { load } from 'js-yaml';

interface Field {
  readonly type?: string;
  readonly description?: string;
  readonly format?: string;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Field>>;
  readonly items?: Field;
  readonly additionalProperties?: Field;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message?: string }[];
}

const text = readFileSync('crds/microservices.microservice-operator.io.yaml', 'utf8');
const crd = JSON.parse(JSON.stringify(load(text)));
const root: Field = crd.spec.versions[0].schema.openAPIV3Schema;
const spec = fields('spec', root.properties?.['spec']);
const status = fields('status', root.properties?.['status']);
const all = [...spec, ...status];

/** Every field below and including this one, with its path. */
function fields(path: string, field: Field | undefined): (readonly [string, Field])[] {
  if (field === undefined) return [];
  const children = Object.entries(field.properties ?? {}).flatMap(([name, child]) => fields(`${path}.${name}`, child));
  return [[path, field], ...children, ...fields(`${path}[]`, field.items), ...fields(`${path}.*`, field.additionalProperties)];
}

const pathsWhere = (among: typeof all, isWrong: (field: Field) => boolean): readonly string[] => among.filter(([, field]) => isWrong(field)).map(([path]) => path);

test('the schema has the fields that it is believed to have', () => {
  const paths = all.map(([path]) => path);
  expect(paths.length).toBeGreaterThan(200);
  expect(paths).toEqual(expect.arrayContaining(['spec.versions[].env[].valueFrom.secretKeyRef.key', 'spec.resources.limits.*', 'status.blockers[].message']));
});

test('every field has a description for kubectl explain', () => {
  expect(pathsWhere(all, (field) => !/^.{2,}\.$/.test(field.description ?? ''))).toEqual([]);
});

test('every list, map, text and number has a bound', () => {
  expect(pathsWhere(all, (field) => field.type === 'array' && field.maxItems === undefined)).toEqual([]);
  expect(pathsWhere(all, (field) => field.additionalProperties !== undefined && field.maxProperties === undefined)).toEqual([]);
  expect(pathsWhere(all, (field) => field.type === 'string' && field.maxLength === undefined && field.enum === undefined && field.format === undefined)).toEqual([]);
  expect(pathsWhere(all, (field) => field['x-kubernetes-int-or-string'] === true && field.maxLength === undefined)).toEqual([]);
  expect(pathsWhere(spec, (field) => field.type === 'integer' && (field.minimum === undefined || field.maximum === undefined))).toEqual([]);
});

test('every list says how it is merged, and nothing is left untyped', () => {
  expect(pathsWhere(all, (field) => field.type === 'array' && field['x-kubernetes-list-type'] === undefined)).toEqual([]);
  expect(pathsWhere(all, (field) => field['x-kubernetes-preserve-unknown-fields'] !== undefined)).toEqual([]);
  expect(pathsWhere(all, (field) => field.type === 'object' && field.properties === undefined && field.additionalProperties === undefined)).toEqual([]);
});

test('every rule has a message', () => {
  const rules = [root, ...all.map(([, field]) => field)].flatMap((field) => field['x-kubernetes-validations'] ?? []);
  expect(rules.length).toBeGreaterThan(40);
  expect(rules.filter(({ message }) => (message ?? '').length < 20)).toEqual([]);
});
