/** The kinds that the section lists, each with an address of its own. */

import { DAEMON_SETS, DEPLOYMENTS, JOBS, STATEFUL_SETS, type Resource } from '../../api/kube';

export interface Kind {
  id: string;
  title: string;
  of: Resource;
  /** `restart` makes new pods from the same template; `scale` sets how many. */
  can: ('restart' | 'scale')[];
}

export const KINDS: Kind[] = [
  { id: 'deployments', title: 'Deployments', of: DEPLOYMENTS, can: ['restart', 'scale'] },
  { id: 'statefulsets', title: 'StatefulSets', of: STATEFUL_SETS, can: ['restart', 'scale'] },
  { id: 'daemonsets', title: 'DaemonSets', of: DAEMON_SETS, can: ['restart'] },
  { id: 'jobs', title: 'Jobs', of: JOBS, can: [] },
];
