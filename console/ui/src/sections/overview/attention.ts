/** What at this site needs somebody, most urgent first. Pure. */

import type { Rule } from '../../api/prometheus';
import { summarizeNode } from '../../model/nodes';
import { summarize } from '../../model/pods';
import type { Node, Pod } from '../../model/types';
import { href } from '../../router';

export interface Matter {
  what: string;
  where: string;
  why: string;
  href: string;
  since: string | undefined;
}

/** A pod that is still on its way is nobody's matter this long. */
const PATIENCE_MS = 120_000;
export const MOST = 50;

export function matters(nodes: Node[], pods: Pod[], rules: Rule[], now: number): Matter[] {
  const found: Matter[] = [];
  for (const node of nodes) {
    const { tone, status, message, troubles } = summarizeNode(node);
    if (tone !== 'bad') continue;
    const condition = node.status?.conditions?.find((c) => c.type === (troubles[0] ?? 'Ready'));
    const { name } = node.metadata;
    found.push({ what: status, where: `node ${name}`, why: message || (condition?.message ?? ''), href: href(['nodes', name]), since: condition?.lastTransitionTime });
  }
  for (const rule of rules) {
    for (const alert of rule.alerts ?? []) {
      if (alert.state !== 'firing') continue;
      found.push({
        what: rule.name,
        where: whereIs(alert.labels),
        why: alert.annotations.summary ?? alert.annotations.description ?? '',
        href: href(['alerts'], { open: rule.name }),
        since: alert.activeAt,
      });
    }
  }
  for (const pod of pods) {
    const { tone, status, message } = summarize(pod);
    const { name, namespace, creationTimestamp } = pod.metadata;
    const late = tone === 'busy' && now - Date.parse(pod.metadata.deletionTimestamp ?? creationTimestamp ?? '') > PATIENCE_MS;
    if (tone !== 'bad' && !late) continue;
    found.push({ what: status, where: `pod ${namespace}/${name}`, why: message, href: href(['workloads', 'pods', namespace, name]), since: creationTimestamp });
  }
  return found;
}

function whereIs(labels: Record<string, string>): string {
  if (labels.namespace && labels.pod) return `pod ${labels.namespace}/${labels.pod}`;
  if (labels.node) return `node ${labels.node}`;
  return [labels.namespace, labels.instance].filter(Boolean).join(' ');
}

export interface Counts {
  running: number;
  pending: number;
  failed: number;
  done: number;
}

export function countPods(pods: Pod[]): Counts {
  const counts: Counts = { running: 0, pending: 0, failed: 0, done: 0 };
  for (const pod of pods) {
    const { tone } = summarize(pod);
    counts[tone === 'good' ? 'running' : tone === 'busy' ? 'pending' : tone === 'bad' ? 'failed' : 'done'] += 1;
  }
  return counts;
}
