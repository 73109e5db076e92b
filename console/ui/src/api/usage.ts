/** What pods use, from Prometheus; asked again as often as it is measured while somebody looks. */

import { useEffect, useState } from 'preact/hooks';
import { useCell } from '../cell';
import { away } from './away';
import { catalog } from './catalog';
import { query, type Sample } from './prometheus';

export interface Usage {
  cpu?: number;
  memory?: number;
}

/** As often as Prometheus scrapes by itself; where it is set to half of that, rates over two minutes still see four measurements. */
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

export interface Refreshed<T> {
  /** The last answer; what it says may no longer hold when `error` is set. */
  value: T | null;
  error: unknown;
  /** How often it has failed since. */
  failures: number;
}

const NOTHING = { value: null, error: null, failures: 0 };

/** Runs `load` now and every `ms` while the page is looked at; `key` says when it is another question. */
export function useRefreshed<T>(load: ((signal: AbortSignal) => Promise<T>) | null, ms: number, key: string): Refreshed<T> {
  const [known, setKnown] = useState<Refreshed<T> & { key: string }>({ key: '', ...NOTHING });
  useEffect(() => {
    if (!load) return;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let [busy, asked] = [false, false];
    const turn = async (): Promise<void> => {
      clearTimeout(timer);
      if (busy || document.hidden) return;
      busy = asked = true;
      try {
        const value = await load(stop.signal);
        if (!stop.signal.aborted) setKnown({ key, value, error: null, failures: 0 });
      } catch (error) {
        if (!stop.signal.aborted) setKnown((now) => ({ key, ...(now.key === key ? { value: now.value, failures: now.failures + 1 } : { value: null, failures: 1 }), error }));
      }
      busy = false;
      if (!stop.signal.aborted && ms > 0) timer = setTimeout(turn, ms);
    };
    // Hidden pages ask nothing; one that is looked at again asks at once, and so does one whose server comes back.
    const seen = (): void => {
      if (!document.hidden && (ms > 0 || !asked)) void turn();
    };
    document.addEventListener('visibilitychange', seen);
    const back = away.subscribe(() => {
      if (!away.value) seen();
    });
    void turn();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', seen);
      back();
    };
  }, [key, ms, load === null]);
  return known.key === key ? known : NOTHING;
}

/** One turn may fail without that what is known is forgotten. */
const PATIENT_TURNS = 2;

/** What pods use; nothing while Prometheus does not say. */
export function usePodUsage(): ReadonlyMap<string, Usage> {
  const served = useCell(catalog)?.serves('/prometheus') ?? false;
  const load = async (signal: AbortSignal) => {
    const [cpu, memory] = await Promise.all([query(CPU, signal), query(MEMORY, signal)]);
    return byPod(cpu, memory);
  };
  const { value, failures } = useRefreshed(served ? load : null, REFRESH_MS, 'pods');
  return value && failures < PATIENT_TURNS ? value : NONE;
}

const NONE: ReadonlyMap<string, Usage> = new Map();
