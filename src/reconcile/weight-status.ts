import type { WeightStatus } from '../api/microservice.ts';
import { deploymentOf, type Observed } from '../desired/observed.ts';
import { ports, provider, type Version } from '../desired/version.ts';

/** The receipt of one version: what was asked for, what the proxies were told, what all of them hold. Undefined for a worker without ports. */
export function weightStatus(version: Version, observed: Observed, versions: readonly Version[]): WeightStatus | undefined {
  const { spec, status } = observed.microservice;
  if (ports(spec).length === 0) return undefined;
  if (provider(spec) === 'Service') return { desired: version.weight, applied: approximateShare(version, observed, versions) };
  const before = status?.versions?.find((candidate) => candidate.name === version.name)?.weight ?? { desired: 0, applied: 0 };
  const applied = observed.traffic.applied.get(version.name) ?? 0;
  return { desired: version.weight, applied, ...receipt(applied, before, observed) };
}

type Receipt = Pick<WeightStatus, 'acknowledged' | 'delayMs' | 'acknowledgedTime'>;

function receipt(applied: number, before: WeightStatus, { traffic }: Observed): Receipt {
  if (!traffic.isAcknowledged) return receiptFields(before);
  // A restarted operator hears the same hash again: the receipt of then still holds, and 500 statuses need no rewrite.
  const isHeardAgain = traffic.delayMs === undefined && before.acknowledgedTime !== undefined && before.acknowledged === applied && before.applied === applied;
  return isHeardAgain ? receiptFields(before) : receiptFields({ ...traffic, acknowledged: applied });
}

const receiptFields = ({ acknowledged, delayMs, acknowledgedTime }: Receipt): Receipt => ({
  ...(acknowledged === undefined ? {} : { acknowledged }),
  ...(delayMs === undefined ? {} : { delayMs }),
  ...(acknowledgedTime === undefined ? {} : { acknowledgedTime }),
});

/** Without a proxy each Ready pod gets the same share, so the split is the ratio of Ready pods: in percent. */
function approximateShare(version: Version, observed: Observed, versions: readonly Version[]): number {
  const ready = (candidate: Version): number => deploymentOf(observed, candidate.name)?.status?.readyReplicas ?? 0;
  const total = sum(versions.map(ready));
  return total === 0 ? 0 : Math.round((100 * ready(version)) / total);
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
