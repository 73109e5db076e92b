/** How a node is doing. */

import { occupies, requested, type Tone } from './pods';
import { quantity } from './quantity';
import type { Node, Pod } from './types';

export interface NodeSummary {
  /** `Ready`, `NotReady`, `Unknown`, with `cordoned` and pressures added. */
  status: string;
  tone: Tone;
  roles: string;
  /** Conditions beside Ready that hold, such as MemoryPressure. */
  troubles: string[];
  message: string;
}

const ROLE = 'node-role.kubernetes.io/';

export function summarizeNode(node: Node): NodeSummary {
  const conditions = node.status?.conditions ?? [];
  const ready = conditions.find((c) => c.type === 'Ready');
  const troubles = conditions.filter((c) => c.type !== 'Ready' && c.status === 'True').map((c) => c.type);
  const isReady = ready?.status === 'True';
  const words = [isReady ? 'Ready' : ready?.status === 'False' ? 'NotReady' : 'Unknown'];
  if (node.spec?.unschedulable) words.push('cordoned');
  words.push(...troubles);
  const roles = Object.keys(node.metadata.labels ?? {})
    .filter((label) => label.startsWith(ROLE))
    .map((label) => label.slice(ROLE.length));
  const tone: Tone = !isReady || troubles.length > 0 ? 'bad' : node.spec?.unschedulable ? 'busy' : 'good';
  return { status: words.join(', '), tone, roles: roles.join(', '), troubles, message: isReady ? '' : (ready?.message ?? '') };
}

export interface Capacity {
  cpu: number;
  memory: number;
  pods: number;
}

const NONE: Capacity = { cpu: 0, memory: 0, pods: 0 };

/** What pods may take of a node. */
export function allocatable(node: Node): Capacity {
  const of = node.status?.allocatable ?? node.status?.capacity ?? {};
  const read = (name: string): number => quantity(of[name]) || 0;
  return { cpu: read('cpu'), memory: read('memory'), pods: read('pods') };
}

/** What the pods on each node have requested, by the node's name. */
export function requestedByNode(pods: Pod[]): Map<string, Capacity> {
  const sums = new Map<string, Capacity>();
  for (const pod of pods) {
    const node = pod.spec.nodeName;
    if (!node || !occupies(pod)) continue;
    const sum = sums.get(node) ?? { ...NONE };
    sum.cpu += requested(pod, 'cpu', quantity);
    sum.memory += requested(pod, 'memory', quantity);
    sum.pods += 1;
    sums.set(node, sum);
  }
  return sums;
}

/** The sum of what is known, and of how many that is. */
export function sumKnown(values: number[]): { sum: number; of: number } {
  const known = values.filter(Number.isFinite);
  return { sum: known.length === 0 ? NaN : known.reduce((sum, one) => sum + one, 0), of: known.length };
}

export function total(all: Iterable<Capacity>): Capacity {
  const sum = { ...NONE };
  for (const one of all) {
    sum.cpu += one.cpu;
    sum.memory += one.memory;
    sum.pods += one.pods;
  }
  return sum;
}
