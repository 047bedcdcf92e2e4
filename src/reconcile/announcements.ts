import { CONDITION } from '../api/condition.ts';
import type { Condition, MicroserviceStatus } from '../api/microservice.ts';
import type { OperatorEvent } from './ports.ts';

/** The Kubernetes Events that a change of status is worth: becoming Ready, each new blocker, being stalled. */
export function announcements(before: MicroserviceStatus = {}, next: MicroserviceStatus): readonly OperatorEvent[] {
  const known = new Set((before.blockers ?? []).map(({ reason, version }) => `${reason}/${version}`));
  const fresh = (next.blockers ?? []).filter(({ reason, version }) => !known.has(`${reason}/${version}`));
  return [
    ...became(CONDITION.ready, before, next).map(({ message }) => event('Normal', 'Ready', message)),
    ...fresh.map(({ reason, object, message }) => event('Warning', reason, `${object}: ${message}`)),
    ...became(CONDITION.stalled, before, next).map(({ reason, message }) => event('Warning', reason, message)),
  ];
}

/** The condition, if it is true now and was not before. */
const became = (type: string, before: MicroserviceStatus, next: MicroserviceStatus): readonly Condition[] => (isTrue(type, before) ? [] : (next.conditions ?? []).filter(holds(type)));

const isTrue = (type: string, { conditions = [] }: MicroserviceStatus): boolean => conditions.some(holds(type));

const holds =
  (type: string) =>
  (condition: Condition): boolean =>
    condition.type === type && condition.status === 'True';

const event = (type: OperatorEvent['type'], reason: string, message: string): OperatorEvent => ({ type, reason, action: 'Report', message });
