/** The live stream: what the nodes measure, a line whenever it changes. One stream for all views, open while somebody looks. */

import { useEffect, useState } from 'preact/hooks';
import { session } from '../session';
import { mark } from './away';
import { catalog } from './catalog';
import { ApiError, ask, asApiError } from './http';
import { eachLines } from './lines';
import { looked, sleep, Watchdog } from './wait';

interface Stalls {
  waiting_ratio?: number;
  stalled_ratio?: number;
}

/** One machine at one time. Ratios are 0 to 1; what it does not tell is absent. */
export interface Measurements {
  cpu?: {
    cores?: number;
    used_cores?: number;
    used_ratio?: number;
    io_wait_ratio?: number;
    stolen_ratio?: number;
    throttles_per_second?: number;
    waiting_ratio?: number;
  };
  memory?: Stalls & { total_bytes?: number; available_bytes?: number; used_ratio?: number; swap_used_bytes?: number };
  load?: { load_1m: number; load_5m: number; load_15m: number };
  io?: Stalls;
  file_systems?: { mountpoint: string; device: string; fstype: string; size_bytes: number; available_bytes: number; used_ratio: number; read_only: boolean }[];
  disks?: { device: string; read_bytes_per_second: number; written_bytes_per_second: number; busy_ratio: number }[];
  networks?: { interface: string; up?: boolean; received_bytes_per_second: number; transmitted_bytes_per_second: number; lost_packets_per_second: number }[];
  temperatures?: { sensor: string; celsius: number }[];
  power_supplies?: { name: string; charge_ratio?: number; online?: boolean }[];
}

export interface LiveNode extends Measurements {
  time: string;
  node: string;
  /** `silent` when the node does not answer: since when, and why. `gone` when there is no such node any more. */
  health?: 'live' | 'silent' | 'gone';
  since?: string;
  reason?: string;
}

export interface Live {
  /** `off` where the stream is not served or not allowed. */
  state: 'loading' | 'live' | 'away' | 'off';
  nodes: ReadonlyMap<string, LiveNode>;
  error: ApiError | null;
}

const STREAM = '/v1/nodes?watch=true';
const PAUSE_MS = 2000;
const LONGEST_PAUSE_MS = 30_000;
const LINGER_MS = 10_000;
/** Each node is told of every ten seconds: a stream that is silent for longer than this is broken. */
const SILENCE_MS = 25_000;

/** A line, or null for a heartbeat and for what is no measurement. */
export function readLine(line: string): LiveNode | null {
  if (line.trim() === '') return null;
  const said = JSON.parse(line) as LiveNode & { measurements?: Measurements };
  return typeof said.node === 'string' ? { ...said.measurements, ...said } : null;
}

const NOTHING: Live = { state: 'loading', nodes: new Map(), error: null };
let now = NOTHING;
const listeners = new Set<() => void>();
let stop: AbortController | null = null;
let lingering: ReturnType<typeof setTimeout> | undefined;

function show(next: Live): void {
  now = next;
  mark(listeners, next.state === 'away');
  for (const listener of [...listeners]) listener();
}

/** Follows the stream until it ends, is silent for too long, or nobody looks at the page; true in the last case. */
async function follow(signal: AbortSignal): Promise<boolean> {
  const attempt = new AbortController();
  const both = AbortSignal.any([signal, attempt.signal]);
  const watchdog = new Watchdog(SILENCE_MS, () => attempt.abort(new ApiError(0, 'the live stream is silent', 'the server, or the way to it, is being asked again')));
  let hidden: ReturnType<typeof setTimeout> | undefined;
  let left = false;
  const seen = (): void => {
    clearTimeout(hidden);
    const leave = (): void => {
      left = true;
      attempt.abort();
    };
    if (document.hidden) hidden = setTimeout(leave, LINGER_MS);
  };
  document.addEventListener('visibilitychange', seen);
  // It begins with a line for each node: what is gone meanwhile goes.
  const nodes = new Map<string, LiveNode>();
  try {
    const response = await ask(STREAM, { signal: both });
    const take = (lines: string[]): void => {
      for (const line of lines) {
        const said = readLine(line);
        if (!said) continue;
        if (said.health === 'gone') nodes.delete(said.node);
        else nodes.set(said.node, said);
      }
      show({ state: 'live', nodes: new Map(nodes), error: null });
    };
    await eachLines(response, take, () => watchdog.feed());
    return false;
  } catch (error) {
    if (left) {
      show({ ...now, state: 'loading' });
      return true;
    }
    throw attempt.signal.aborted ? attempt.signal.reason : error;
  } finally {
    watchdog.end();
    clearTimeout(hidden);
    document.removeEventListener('visibilitychange', seen);
  }
}

async function run(signal: AbortSignal): Promise<void> {
  let pause = PAUSE_MS;
  while (!signal.aborted) {
    await looked(signal);
    const began = Date.now();
    try {
      if (await follow(signal)) continue;
    } catch (error) {
      if (signal.aborted) return;
      const problem = asApiError(error);
      const off = problem.status === 403 || problem.status === 404;
      show({ state: off ? 'off' : 'away', nodes: new Map(), error: problem });
      if (problem.status === 401 || off) return;
    }
    if (Date.now() - began > PAUSE_MS) pause = PAUSE_MS;
    await sleep(pause, signal);
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

function close(): void {
  stop?.abort();
  stop = null;
  show(NOTHING);
}

session.subscribe(close);

/** What the nodes measure now. */
export function useLive(): Live {
  const [seen, setSeen] = useState(now);
  const [known, setKnown] = useState(catalog.value);
  useEffect(() => catalog.subscribe(() => setKnown(catalog.value)), []);
  const served = known?.serves('/v1/nodes') ?? false;
  useEffect(() => {
    if (!served) return;
    clearTimeout(lingering);
    const tell = (): void => setSeen(now);
    listeners.add(tell);
    if (!stop) {
      stop = new AbortController();
      void run(stop.signal);
    }
    tell();
    return () => {
      listeners.delete(tell);
      if (listeners.size === 0) lingering = setTimeout(close, LINGER_MS);
    };
  }, [served]);
  return served ? seen : { ...NOTHING, state: known ? 'off' : 'loading' };
}
