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

/** The problems that a namespace has its part of, and those of which nobody knows whom they touch; all of them for `''`. */
export function within(problems: Problem[], namespace: string): Problem[] {
  return problems.filter(({ affected }) => !namespace || affected.length === 0 || affected.some((one) => one.namespace === namespace));
}

/** What to say when there is no problem to show. */
export function verdict(answer: Answer, namespace: string): { title: string; text: string } {
  const place = namespace && ` in namespace ${namespace}`;
  if (answer.missing.length > 0) return { title: `No problem is known${place}`, text: 'Not everything could be looked at, as it says above: there may be one all the same.' };
  const nothing = 'Pressure, throttling, failing disks, silent nodes: nothing of that is there now.';
  return { title: `No machine troubles a workload${place}`, text: answer.problems.length === 0 ? nothing : '' };
}

/** The screens of a workload and its pods. */
export function places({ kind, namespace, name, pods }: Touched): { title: string; href: string | undefined }[] {
  const workload = { title: `${kind} ${namespace}/${name}`, href: placeOf(kind, namespace, name) };
  const others = pods.filter((pod) => pod !== name).map((pod) => ({ title: pod, href: placeOf('Pod', namespace, pod) }));
  return [workload, ...others];
}
