type Labels = Readonly<Record<string, string>>;

/**
 * Spread over nodes and zones by default, while a small cluster still gets its pods. Two different means, because the scheduler
 * leaves a node that lacks the key of any one constraint out of the scoring of all: with a constraint on zones beside the other,
 * clusters without zone labels would not spread at all (https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/).
 */
export const spreadOverNodes = (pods: Labels): object => ({
  topologyKey: 'kubernetes.io/hostname',
  maxSkew: 1,
  whenUnsatisfiable: 'ScheduleAnyway',
  labelSelector: { matchLabels: pods },
  // Counted per revision, so that a rollout does not skew.
  matchLabelKeys: ['pod-template-hash'],
});

/** A podAntiAffinity. */
export const spreadOverZones = (pods: Labels): object => ({
  preferredDuringSchedulingIgnoredDuringExecution: [
    { weight: 100, podAffinityTerm: { topologyKey: 'topology.kubernetes.io/zone', labelSelector: { matchLabels: pods } } },
  ],
});
