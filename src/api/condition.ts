/** Condition types and reasons that a Microservice reports: kstatus' Ready, Reconciling and Stalled, then our own. */
export const CONDITION = {
  ready: 'Ready',
  /** Present only while true. */
  reconciling: 'Reconciling',
  /** Present only while true: a person has to act. */
  stalled: 'Stalled',
  accepted: 'Accepted',
  available: 'Available',
  trafficApplied: 'TrafficApplied',
  /** Present only with autoscaling. */
  autoscalingActive: 'AutoscalingActive',
} as const;
