/** test/golden/<case>: a Microservice, what is there (existing.yaml), and what plan() makes of it. The expectations are written by hand. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { load } from 'js-yaml';
import type { KubernetesObject } from '../api/kubernetes-object.ts';
import type { Microservice } from '../api/microservice.ts';
import { ANNOTATION } from './names.ts';
import { type Application, id, plan } from './plan.ts';
import { observed, settings, trafficObserved } from '../../test/observed-world.ts';

const ROOT = 'test/golden';

interface Existing {
  readonly children?: readonly KubernetesObject[];
  readonly configMaps?: Readonly<Record<string, string>>;
  readonly listenerPorts?: Readonly<Record<string, number>>;
  readonly isListening?: boolean;
  readonly drained?: readonly string[];
}

/** One step: the whole manifest; or, where another case proves the rest, its name alone or with the part that `holds`. */
interface ExpectedStep {
  readonly by?: string;
  readonly manifest?: KubernetesObject;
  readonly object?: string;
  readonly holds?: object;
}

interface Expected {
  readonly apply?: readonly ExpectedStep[];
  readonly remove?: readonly string[];
  readonly waitsFor?: readonly string[];
  readonly conflicts?: readonly string[];
}

test.each(readdirSync(ROOT))('%s', (name) => {
  const expected = read<Expected>(name, 'expected.yaml');
  const { apply, remove, waitsFor, conflicts } = plan(world(name), settings);

  expect(apply.map(({ manifest }) => id(manifest))).toEqual((expected.apply ?? []).map(stepId));
  for (const [index, step] of (expected.apply ?? []).entries()) expectStep(apply[index], step);
  expect(remove.map(id).toSorted()).toEqual((expected.remove ?? []).toSorted());
  expect(waitsFor.map((wait) => wait.what)).toEqual(expected.waitsFor ?? []);
  expect(conflicts.map(id)).toEqual(expected.conflicts ?? []);
});

function world(name: string) {
  const existing: Existing = existsSync(`${ROOT}/${name}/existing.yaml`) ? read<Existing>(name, 'existing.yaml') : {};
  return observed(read<Microservice>(name, 'microservice.yaml'), {
    children: existing.children ?? [],
    configMaps: new Map(Object.entries(existing.configMaps ?? {})),
    traffic: trafficObserved({
      listenerPorts: new Map(Object.entries(existing.listenerPorts ?? {})),
      isListening: existing.isListening ?? false,
      drained: new Set(existing.drained ?? []),
    }),
  });
}

const stepId = ({ manifest, object }: ExpectedStep): string | undefined => (manifest ? id(manifest) : object);

function expectStep(applied: Application | undefined, { by = 'microservice-operator', manifest, holds = {} }: ExpectedStep): void {
  expect(applied?.fieldManager).toBe(by);
  const sent = withoutHash(applied?.manifest);
  expect(sent).toEqual(manifest ?? sent);
  expect(sent).toMatchObject(holds);
}

/** Which hash it is does not matter here: matches.test.ts looks at it. */
function withoutHash(manifest: KubernetesObject | undefined): object {
  const { metadata, ...rest } = manifest ?? { metadata: undefined };
  const { annotations, ...others } = metadata ?? {};
  const kept = Object.fromEntries(Object.entries(annotations ?? {}).filter(([key]) => key !== ANNOTATION.appliedHash));
  return { ...rest, metadata: { ...others, ...(Object.keys(kept).length === 0 ? {} : { annotations: kept }) } };
}

const read = <T>(name: string, file: string): T => load(readFileSync(`${ROOT}/${name}/${file}`, 'utf8')) as T;
