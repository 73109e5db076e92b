/** What pods use, from Prometheus; asked again as often as it is measured while somebody looks. */

import { useEffect, useState } from 'preact/hooks';
import { useCell } from '../cell';
import { catalog } from './catalog';
import { query, type Sample } from './prometheus';

export interface Usage {
  cpu?: number;
  memory?: number;
}

/** As often as Prometheus scrapes. */
const REFRESH_MS = 15_000;

const CPU = 'sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{container!="", pod!=""}[2m]))';
const MEMORY = 'sum by (namespace, pod) (container_memory_working_set_bytes{container!="", pod!=""})';

/** Usage by `namespace/pod`. Pure. */
export function byPod(cpu: Sample[], memory: Sample[]): Map<string, Usage> {
  const all = new Map<string, Usage>();
  const at = ({ labels }: Sample): Usage => {
    const key = `${labels.namespace}/${labels.pod}`;
    const usage = all.get(key) ?? {};
    all.set(key, usage);
    return usage;
  };
  for (const sample of cpu) at(sample).cpu = sample.value;
  for (const sample of memory) at(sample).memory = sample.value;
  return all;
}

/** Runs `load` now and every `ms` while the page is looked at; `key` says when it is another question. */
export function useRefreshed<T>(load: ((signal: AbortSignal) => Promise<T>) | null, ms: number, key: string): { value: T | null; error: unknown } {
  const [known, setKnown] = useState<{ key: string; value: T | null; error: unknown }>({ key: '', value: null, error: null });
  useEffect(() => {
    if (!load) return;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const turn = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          const value = await load(stop.signal);
          if (!stop.signal.aborted) setKnown({ key, value, error: null });
        } catch (error) {
          if (!stop.signal.aborted) setKnown((now) => ({ key, value: now.key === key ? now.value : null, error }));
        }
      }
      if (!stop.signal.aborted && ms > 0) timer = setTimeout(turn, ms);
    };
    void turn();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [key, ms, load === null]);
  return known.key === key ? known : { value: null, error: null };
}

export function usePodUsage(): ReadonlyMap<string, Usage> {
  const served = useCell(catalog)?.serves('/prometheus') ?? false;
  const load = async (signal: AbortSignal) => {
    const [cpu, memory] = await Promise.all([query(CPU, signal), query(MEMORY, signal)]);
    return byPod(cpu, memory);
  };
  return useRefreshed(served ? load : null, REFRESH_MS, 'pods').value ?? NONE;
}

const NONE: ReadonlyMap<string, Usage> = new Map();
