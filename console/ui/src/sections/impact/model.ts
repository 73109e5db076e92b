/** The answer of `GET /v1/impact`, as the screen shows it. Pure. */

import { placeOf } from '../../parts/events';

export interface Problem {
  node: string;
  kind: string;
  title: string;
  what: string;
  detail: string;
  hint: string;
  severe: boolean;
  evidence: unknown[];
  workloads: unknown[];
}

export interface Affected {
  title: string;
  namespace: string;
  why: string;
  href: string | undefined;
}

type Said = Record<string, unknown>;
const text = (said: Said, ...keys: string[]): string => {
  const found = keys.map((key) => said[key]).find((value) => typeof value === 'string' || typeof value === 'number');
  return found === undefined ? '' : String(found);
};
const list = (said: Said, ...keys: string[]): unknown[] => keys.map((key) => said[key]).find(Array.isArray) ?? [];

export function readImpact(answer: unknown): Problem[] {
  const said = (answer ?? {}) as Said;
  return list(said, 'problems').map((one) => {
    const problem = one as Said;
    const kind = text(problem, 'kind', 'type', 'name');
    return {
      node: text(problem, 'node'),
      kind,
      title: text(problem, 'summary', 'title') || kind,
      what: text(problem, 'device', 'subject', 'object'),
      detail: text(problem, 'detail', 'message', 'description'),
      hint: text(problem, 'hint', 'action'),
      severe: ['critical', 'error', 'high'].includes(text(problem, 'severity')),
      evidence: list(problem, 'evidence'),
      workloads: list(problem, 'affected', 'workloads', 'pods'),
    };
  });
}

function sentence(one: unknown): string {
  if (typeof one === 'string') return one;
  const said = one as Said;
  const told = text(said, 'message', 'detail', 'summary');
  if (told) return told;
  return Object.entries(said)
    .filter(([, value]) => typeof value !== 'object')
    .map(([key, value]) => `${key.replaceAll('_', ' ')} ${String(value)}`)
    .join(', ');
}

export const evidence = (problem: Problem): string[] => problem.evidence.map(sentence);

export function affected(problem: Problem): Affected[] {
  return problem.workloads.map((one) => {
    const said = one as Said;
    const kind = text(said, 'kind') || 'Pod';
    const [name, namespace] = [text(said, 'name', 'pod'), text(said, 'namespace')];
    return { title: `${kind} ${namespace}/${name}`, namespace, why: text(said, 'why', 'reason', 'detail'), href: placeOf(kind, namespace, name) };
  });
}
