/** The answer of `GET /v1/impact`, and how it is written for people. Pure. */

import { bytes, count, percent } from '../../model/quantity';
import { placeOf } from '../../parts/events';

export interface Evidence {
  metric: string;
  value: number;
  threshold?: number;
  unit?: string;
  /** PromQL that gives the value. */
  query?: string;
}

export interface Touched {
  kind: string;
  namespace: string;
  name: string;
  pods: string[];
  certainty: 'certain' | 'likely';
  why: string;
  evidence?: Evidence[];
}

export interface Problem {
  node: string;
  kind: string;
  severity: 'critical' | 'warning';
  resource: string;
  subject?: string;
  summary: string;
  detail: string;
  hint: string;
  since?: string;
  evidence: Evidence[];
  affected: Touched[];
}

export interface Answer {
  problems: Problem[];
  missing: string[];
}

function measured(value: number, unit: string | undefined): string {
  if (unit === 'ratio') return percent(value);
  if (unit === 'bytes') return bytes(value);
  return [count(value), unit].filter(Boolean).join(' ');
}

/** `memory waiting 45 %, where 20 % counts`. */
export function sentence({ metric, value, threshold, unit }: Evidence): string {
  const counts = threshold === undefined ? '' : `, where ${measured(threshold, unit)} counts`;
  return `${metric.replaceAll('_', ' ')} ${measured(value, unit)}${counts}`;
}

/** The problems of which a namespace has its part; all of them for `''`. */
export function within(problems: Problem[], namespace: string): Problem[] {
  return problems.filter((problem) => !namespace || problem.affected.some((one) => one.namespace === namespace));
}

/** The screens of a workload and its pods. */
export function places({ kind, namespace, name, pods }: Touched): { title: string; href: string | undefined }[] {
  const workload = { title: `${kind} ${namespace}/${name}`, href: placeOf(kind, namespace, name) };
  const others = pods.filter((pod) => pod !== name).map((pod) => ({ title: pod, href: placeOf('Pod', namespace, pod) }));
  return [workload, ...others];
}
