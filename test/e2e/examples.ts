/** Every file in examples/, applied on a real node and asked by a real client. Prints what it found as `figures:`. */
import { status } from '@grpc/grpc-js';
import { readdirSync, readFileSync } from 'node:fs';
import type { Microservice } from '../../src/api/microservice.ts';
import { resourceKinds } from '../../src/cluster/resource-kind.ts';
import type { Pod, Service } from '../../src/desired/observed.ts';
import { ReflectedClient } from '../../services/hello-grpc/reflected-client.ts';
import { report, type Figures } from './figures.ts';
import { helloHttpClient } from './hello-client.ts';
import { sendAll } from './load.ts';
import { mustSucceed, NAMESPACE, startNodeCluster, step, untilReady } from './node-cluster.ts';
import { until } from './until.ts';

const FOLDER = 'examples';

const figures: Figures = { examples: 0, examples_applied: 0 };
await using cluster = await startNodeCluster();
const { client, lab } = cluster;

/** What is asked of each example, by file. An example without a question fails the run. */
const questions: Readonly<Record<string, (name: string) => Promise<void>>> = {
  'hello-http.yaml': async (name) => {
    await using http = helloHttpClient(await published(name));
    await until('it greets', 10_000, http.request);
  },
  'hello-grpc.yaml': askGrpc,
  'two-versions.yaml': async (name) => {
    await using http = helloHttpClient(await published(name));
    await until('it answers', 10_000, http.request);
    const answered = new Set((await sendAll(http.request, 400, 4)).map(({ version }) => version));
    if (!answered.has('v1') || !answered.has('v2')) throw new Error(`answered: ${[...answered].join(', ')}`);
  },
  'autoscaling.yaml': async (name) => {
    await until('the autoscaler reads its metrics', 60_000, async () => {
      const active = (await microservice(name))?.status?.conditions?.find(({ type }) => type === 'AutoscalingActive');
      if (active?.status !== 'True') throw new Error(active?.message ?? 'no condition');
    });
  },
  'load-balancer.yaml': async (name) => {
    const url = await until('the cloud gave it an address', 30_000, async () => {
      const service = await client.get<Service>(resourceKinds.service, { namespace: NAMESPACE, name });
      const address = service?.status?.loadBalancer?.ingress?.[0]?.ip;
      if (!address) throw new Error('none yet');
      const shown = (await microservice(name))?.status?.url;
      if (shown !== `http://${address}`) throw new Error(`status.url is ${shown}, not http://${address}`);
      return shown;
    });
    // The address exists inside of the lab only, so one of its own pods asks there.
    await until('it greets at its address', 10_000, async () => {
      const program = `fetch('${url}/lab').then((answer) => answer.text()).then(console.log)`;
      const { stdout, stderr } = await lab.kubectl(['exec', `deployment/${name}--main`, `--namespace=${NAMESPACE}`, '--', 'node', '--eval', program]);
      if (stdout.trim() !== 'Hello, lab!') throw new Error(stdout + stderr);
    });
  },
  'register.yaml': askRegister,
};

for (const file of readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'))) {
  figures['examples'] = Number(figures['examples']) + 1;
  const question = questions[file];
  if (!question) throw new Error(`${FOLDER}/${file} is asked nothing: add a question here`);
  const text = readFileSync(`${FOLDER}/${file}`, 'utf8');
  const name = /^ {2}name: (\S+)/m.exec(text)?.[1] ?? '';
  await step(file, async () => {
    await apply(text);
    await untilReady(cluster, name);
    await question(name);
    figures['examples_applied'] = Number(figures['examples_applied']) + 1;
  }).catch((error: unknown) => process.stdout.write(`  ${file}: ${String(error)}\n`));
}
report('examples', figures, {
  examples: (value) => value >= 6,
  examples_applied: (value) => value === figures['examples'],
  users_lost: (value) => value === 0,
});

async function apply(yaml: string): Promise<void> {
  mustSucceed(await lab.kubectl(['apply', `--namespace=${NAMESPACE}`, '--filename=-'], yaml));
}

function microservice(name: string): Promise<Microservice | undefined> {
  return client.get<Microservice>(resourceKinds.microservice, { namespace: NAMESPACE, name });
}

async function published(name: string): Promise<number> {
  const service = await client.get<Service>(resourceKinds.service, { namespace: NAMESPACE, name });
  return lab.publish({ namespace: NAMESPACE, name, port: service?.spec.ports?.[0]?.port ?? 80 });
}

/** With a client that knows only the address: reflection, a greeting, and the standard health service. */
async function askGrpc(name: string): Promise<void> {
  using grpc = new ReflectedClient(await published(name));
  await until('it tells its services', 10_000, async () => {
    const services = await grpc.services();
    if (!services.includes('helloworld.Greeter')) throw new Error(services.join(', '));
  });
  const hello = await grpc.call(await grpc.method('helloworld.Greeter', 'SayHello'), { name: 'world' });
  if (hello.code !== status.OK || JSON.stringify(hello.reply) !== '{"message":"Hello world"}') throw new Error(JSON.stringify(hello));
  const health = await grpc.call(await grpc.method('grpc.health.v1.Health', 'Check'), { service: '' });
  if (!JSON.stringify(health.reply).includes('SERVING')) throw new Error(JSON.stringify(health));
}

/** Users survive their pod, and their Microservice: the claim is kept, and one of the same name finds it again. */
async function askRegister(name: string): Promise<void> {
  const port = await published(name);
  await answersAda(port, 200);
  await answersAda(port, 409);

  for (const pod of await podsOf(name)) {
    await client.remove(pod);
    await until('the pod is gone', 90_000, async () => {
      if ((await podsOf(name)).some(({ metadata }) => metadata.uid === pod.metadata.uid)) throw new Error('still there');
    });
  }
  await answersAda(port, 409);

  const text = readFileSync(`${FOLDER}/register.yaml`, 'utf8');
  await lab.kubectl(['delete', 'microservice', name, `--namespace=${NAMESPACE}`, '--wait']);
  await until('its pods are gone', 90_000, async () => {
    const left = await podsOf(name);
    if (left.length > 0) throw new Error(`${left.length} left`);
  });
  await apply(text);
  await untilReady(cluster, name);
  await answersAda(await published(name), 409);
  figures['users_lost'] = 0;
}

async function podsOf(name: string): Promise<readonly Pod[]> {
  return (await client.list<Pod>(resourceKinds.pod, { namespace: NAMESPACE, labelSelector: `microservice-operator.io/microservice=${name}` })).items;
}

/** Registers the same user until the answer is the expected one; 200 where 409 is expected means that she was forgotten, and ends at once. */
async function answersAda(port: number, expected: 200 | 409): Promise<void> {
  const found = await until(`ada gets ${expected}`, 90_000, async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', connection: 'close' },
      body: JSON.stringify({ username: 'ada', password: 'correct horse battery staple' }),
    });
    await answer.text();
    if (answer.status !== 200 && answer.status !== 409) throw new Error(`HTTP ${answer.status}`);
    return answer.status;
  });
  if (found !== expected) throw new Error(`ada got ${found} instead of ${expected}`);
}
