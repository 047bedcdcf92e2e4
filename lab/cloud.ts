import type { ApiClient } from './api-client.ts';
import { followObjects } from './follow-objects.ts';
import type { Change } from './follow-objects.ts';

interface Service {
  readonly metadata: { readonly namespace: string; readonly name: string; readonly uid: string };
  readonly spec: { readonly type?: string; readonly loadBalancerClass?: string };
  readonly status: { readonly loadBalancer: { readonly ingress?: readonly unknown[] } };
}

/** Gives every Service of type LoadBalancer without a class an address from 10.97.0.0/16; kube-proxy makes it work on the node and in pods. */
export async function balanceLoad(client: ApiClient): Promise<never> {
  const addresses = new Map<string, string>();
  return followObjects<Service>(client, '/api/v1/services', async ({ type, object }: Change<Service>) => {
    const { namespace, name, uid } = object.metadata;
    if (type === 'DELETED' || object.spec.type !== 'LoadBalancer' || object.spec.loadBalancerClass !== undefined) {
      addresses.delete(uid);
      return;
    }
    const address = addresses.get(uid) ?? freeAddress(new Set(addresses.values()));
    addresses.set(uid, address);
    if (object.status.loadBalancer.ingress !== undefined) return;
    const body = { status: { loadBalancer: { ingress: [{ ip: address, ipMode: 'VIP' }] } } };
    await client.json({ method: 'PATCH', path: `/api/v1/namespaces/${namespace}/services/${name}/status`, body });
  });
}

function freeAddress(taken: ReadonlySet<string>): string {
  for (let number = 1; number < 0xffff; number += 1) {
    const address = `10.97.${number >> 8}.${number & 0xff}`;
    if (!taken.has(address)) return address;
  }
  throw new Error('no load balancer address is free');
}
