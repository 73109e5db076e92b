/** Prometheus' query API, by way of our own server. */

import { askJson } from './http';

export type Labels = Record<string, string>;

export interface Sample {
  labels: Labels;
  value: number;
}

export interface Series {
  labels: Labels;
  /** Seconds since 1970 and values; a missing one is null. */
  points: [number, number | null][];
}

interface Answer {
  data: { result: { metric: Labels; value?: [number, string]; values?: [number, string][] }[] };
}

/** Prometheus writes numbers as text, `NaN` and `+Inf` among them. */
export function number(text: string): number | null {
  const value = Number(text.replace('Inf', 'Infinity'));
  return Number.isFinite(value) ? value : null;
}

const api = '/prometheus/api/v1';

export async function query(promql: string, signal?: AbortSignal): Promise<Sample[]> {
  const answer = await askJson<Answer>(`${api}/query?${new URLSearchParams({ query: promql })}`, { signal: signal ?? null });
  return answer.data.result.map((one) => ({ labels: one.metric, value: number(one.value?.[1] ?? '') ?? NaN }));
}

export async function queryRange(promql: string, start: number, end: number, step: number, signal?: AbortSignal): Promise<Series[]> {
  const asked = { query: promql, start: String(start), end: String(end), step: String(step) };
  const answer = await askJson<Answer>(`${api}/query_range?${new URLSearchParams(asked)}`, { signal: signal ?? null });
  return answer.data.result.map((one) => ({
    labels: one.metric,
    points: (one.values ?? []).map(([at, text]): [number, number | null] => [at, number(text)]),
  }));
}

export interface Alert {
  labels: Labels;
  annotations: Labels;
  state: 'pending' | 'firing';
  activeAt: string;
  value: string;
}

export interface Rule {
  type: 'alerting' | 'recording';
  name: string;
  query: string;
  duration?: number;
  labels: Labels;
  annotations?: Labels;
  state?: 'inactive' | 'pending' | 'firing';
  health: string;
  lastError?: string;
  alerts?: Alert[];
}

export async function rules(signal?: AbortSignal): Promise<Rule[]> {
  const answer = await askJson<{ data: { groups: { name: string; rules: Rule[] }[] } }>(`${api}/rules?type=alert`, { signal: signal ?? null });
  return answer.data.groups.flatMap((group) => group.rules);
}

/** Times and columns as a chart wants them: all series on the same times, gaps as null. */
export function aligned(all: Series[], start: number, end: number, step: number): { times: number[]; columns: (number | null)[][] } {
  const count = Math.max(1, Math.floor((end - start) / step) + 1);
  const times = Array.from({ length: count }, (_, n) => start + n * step);
  const columns = all.map((series) => {
    const column = new Array<number | null>(count).fill(null);
    for (const [at, value] of series.points) {
      const n = Math.round((at - start) / step);
      if (n >= 0 && n < count) column[n] = value;
    }
    return column;
  });
  return { times, columns };
}

/** The `most` series that reach highest, by name: what eats a CPU is among them. */
export function highest<T extends Series & { name: string }>(all: T[], most: number): T[] {
  const top = ({ points }: Series): number => points.reduce((high, [, value]) => Math.max(high, value ?? -Infinity), -Infinity);
  const ranked = all.map((one) => ({ one, top: top(one) })).sort((a, b) => (a.top === b.top ? 0 : b.top - a.top));
  return ranked
    .slice(0, most)
    .map(({ one }) => one)
    .sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

/** What an error's status says of Prometheus: refusing is an answer. */
export function whatFailed(status: number): string {
  if (status === 403) return 'You may not read metrics.';
  if ([0, 502, 503, 504].includes(status)) return 'Prometheus does not answer.';
  return status < 500 ? 'Prometheus refuses the question.' : 'Prometheus failed.';
}

/** A text inside a PromQL label matcher. */
export const quoted = (text: string): string => JSON.stringify(text);
