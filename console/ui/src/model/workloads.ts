/** How Deployments and their like are doing, and which pods are theirs. */

import type { Obj } from '../api/kube';
import type { Tone } from './pods';
import type { Expression, KubeEvent, Workload } from './types';

export interface WorkloadSummary {
  wanted: number;
  ready: number;
  updated: number;
  status: string;
  tone: Tone;
  message: string;
}

export function summarizeWorkload(kind: string, object: Workload): WorkloadSummary {
  const { spec = {}, status = {} } = object;
  if (kind === 'Job') return summarizeJob(object);
  const daemon = kind === 'DaemonSet';
  const wanted = daemon ? (status.desiredNumberScheduled ?? 0) : (spec.replicas ?? 1);
  const ready = (daemon ? status.numberReady : status.readyReplicas) ?? 0;
  const updated = (daemon ? status.updatedNumberScheduled : status.updatedReplicas) ?? ready;
  const conditions = status.conditions ?? [];
  const stuck = conditions.find(
    (c) => (c.type === 'Progressing' && c.status === 'False') || (c.type === 'ReplicaFailure' && c.status === 'True'),
  );
  const seen = (status.observedGeneration ?? 0) >= (object.metadata.generation ?? 0);
  const base = { wanted, ready, updated, message: stuck?.message ?? '' };
  if (stuck) return { ...base, status: stuck.reason ?? 'Failing', tone: 'bad' };
  if (spec.paused) return { ...base, status: 'Paused', tone: 'busy' };
  if (!seen || updated < wanted || ready < wanted) return { ...base, status: ready === 0 && wanted > 0 ? 'Not available' : 'Progressing', tone: 'busy' };
  return { ...base, status: wanted === 0 ? 'Scaled to zero' : 'Available', tone: wanted === 0 ? 'done' : 'good' };
}

function summarizeJob({ spec = {}, status = {} }: Workload): WorkloadSummary {
  const holds = (type: string) => status.conditions?.find((c) => c.type === type && c.status === 'True');
  const wanted = spec.completions ?? spec.parallelism ?? 1;
  const base = { wanted, ready: status.succeeded ?? 0, updated: status.active ?? 0, message: holds('Failed')?.message ?? '' };
  if (holds('Failed')) return { ...base, status: 'Failed', tone: 'bad' };
  if (holds('Complete')) return { ...base, status: 'Complete', tone: 'done' };
  return { ...base, status: 'Running', tone: 'busy' };
}

/** A label selector against labels. */
export function matches(
  selector: { matchLabels?: Record<string, string>; matchExpressions?: Expression[] } | undefined,
  labels: Record<string, string> = {},
): boolean {
  if (!selector) return false;
  const equal = Object.entries(selector.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  const expressions = selector.matchExpressions ?? [];
  return (
    equal &&
    expressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      if (operator === 'In') return value !== undefined && values.includes(value);
      if (operator === 'NotIn') return value === undefined || !values.includes(value);
      return operator === 'Exists' ? value !== undefined : value === undefined;
    })
  );
}

/** When an event was last seen, in milliseconds. */
export function seenAt(event: KubeEvent): number {
  const at = event.series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime ?? event.firstTimestamp ?? event.metadata.creationTimestamp;
  return at ? Date.parse(at) : 0;
}

export const eventCount = (event: KubeEvent): number => event.series?.count ?? event.count ?? 1;

/** The latest first. */
export const byTime = (a: KubeEvent, b: KubeEvent): number => seenAt(b) - seenAt(a);

/** Keeps what has all words of `text` in its name, namespace or labels. */
export function searched<T extends Obj>(objects: T[], text: string, more: (object: T) => string = () => ''): T[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return objects;
  return objects.filter((object) => {
    const { name, namespace = '', labels = {} } = object.metadata;
    const hay = `${namespace}/${name} ${Object.entries(labels).map(([k, v]) => `${k}=${v}`).join(' ')} ${more(object)}`.toLowerCase();
    return words.every((word) => hay.includes(word));
  });
}
