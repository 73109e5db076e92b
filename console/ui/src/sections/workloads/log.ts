/** A container's log as it is written, through its restarts and the server's. */

import { useEffect, useRef, useState } from 'preact/hooks';
import { asApiError, ask, type ApiError } from '../../api/http';
import { path, PODS } from '../../api/kube';
import { eachLines } from '../../api/lines';
import { aborted, sleep } from '../../api/wait';
import { serverNow } from '../../clock';
import type { ContainerStatus, Pod } from '../../model/types';
import { afterwards, newer, readLog, type LogLine } from './lines';

/** Lines kept; older ones go. */
const KEPT = 5000;
/** Lines of the past to begin with. */
const TAIL = 1000;
const GATHER_MS = 100;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
/** A container that has ended is told of by its pod's watch; whoever asks sooner has the next one's lines for its own. */
const TOLD_MS = 5000;
const BEGUN_ANEW = 'The container has begun anew.';

export interface Streamed {
  lines: LogLine[];
  /** `waiting` for a container that has not begun, `away` while the server does not answer. */
  state: 'loading' | 'following' | 'waiting' | 'away' | 'ended' | 'failed';
  error: ApiError | null;
  /** True when there are older lines. */
  partial: boolean;
}

/** Follows the log, and goes on where it broke off: when the container begins, begins anew, or the server comes back. */
export function useLog(pod: Pod, container: string, previous: boolean, follow: boolean): Streamed {
  const [log, setLog] = useState<Streamed>({ lines: [], state: 'loading', error: null, partial: false });
  const { namespace, name, uid } = pod.metadata;
  const status = statusOf(pod, container);
  const latest = useRef(status);
  latest.current = status;
  const wake = useRef<() => void>(() => undefined);
  useEffect(() => {
    const stop = new AbortController();
    const { signal } = stop;
    const asked = previous ? 'previous' : follow ? 'follow' : 'now';
    let lines: LogLine[] = [];
    let [next, last, partial, restarts] = [0, '', false, latest.current?.restartCount ?? 0];
    let due: ReturnType<typeof setTimeout> | undefined;
    const show = (state: Streamed['state'], error: ApiError | null = null): void => {
      clearTimeout(due);
      due = undefined;
      if (!signal.aborted) setLog({ lines, state, error, partial });
    };
    const add = (more: LogLine[]): void => {
      lines = [...lines, ...more];
      if (lines.length > KEPT) {
        lines = lines.slice(-KEPT);
        partial = true;
      }
      due ??= setTimeout(() => show('following'), GATHER_MS);
    };
    const once = async (): Promise<void> => {
      const began = serverNow();
      const first = last === '';
      const how = { ...(first ? { tailLines: String(TAIL) } : { sinceTime: last }), ...(previous ? { previous: 'true' } : follow ? { follow: 'true' } : {}) };
      const query = new URLSearchParams({ container, timestamps: 'true', ...how });
      const response = await ask(`${path(PODS, namespace, name, 'log')}?${query}`, { signal });
      show('following');
      // Times of the API are in whole seconds: what was had of that second comes once more.
      const from = last;
      let past = 0;
      await eachLines(response, (more) => {
        const read = newer(more.map((line) => readLog(line, next++)), from);
        if (read.length === 0) return;
        past += read.filter(({ time }) => Date.parse(time) <= began).length;
        if (first && past >= TAIL) partial = true;
        const count = latest.current?.restartCount ?? 0;
        if (count > restarts && lines.length > 0 && !previous) add([{ id: next++, time: '', text: BEGUN_ANEW, note: true }]);
        restarts = count;
        last = read.findLast(({ time }) => time)?.time ?? last;
        add(read);
      });
    };
    const runs = (): boolean => {
      const { state } = latest.current ?? {};
      return !state || state.running !== undefined;
    };
    const run = async (): Promise<void> => {
      show('loading');
      let pause = FIRST_PAUSE_MS;
      while (!signal.aborted) {
        const had = last;
        let error: ApiError | null = null;
        try {
          await once();
        } catch (failed) {
          if (signal.aborted) return;
          error = asApiError(failed);
        }
        const then = afterwards(error && error.status, asked, runs());
        if (then === 'stop') return show(error ? 'failed' : 'ended', error);
        const waits = error?.status === 400;
        show(waits ? 'waiting' : error ? 'away' : then === 'rest' ? 'ended' : 'following', error);
        if (last !== had) pause = FIRST_PAUSE_MS;
        const turn = new AbortController();
        wake.current = () => {
          if (runs()) turn.abort();
        };
        // That a container moves is heard by its pod's watch.
        const moved = AbortSignal.any([signal, turn.signal]);
        await (then === 'again' ? sleep(error ? pause : Math.max(pause, TOLD_MS), moved) : aborted(moved));
        if (turn.signal.aborted) pause = FIRST_PAUSE_MS;
        else pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      }
    };
    void run();
    return () => {
      stop.abort();
      clearTimeout(due);
    };
    // The last life is another one after each restart.
  }, [uid, container, previous, follow, previous && status?.restartCount]);
  // Whoever waits for the container hears when it moves.
  const state = status?.state ?? {};
  useEffect(() => wake.current(), [status?.restartCount, state.running?.startedAt, state.waiting?.reason, state.terminated?.finishedAt]);
  return log;
}

/** The status of a container, an init container's too. */
export function statusOf(pod: Pod, container: string): ContainerStatus | undefined {
  const { initContainerStatuses = [], containerStatuses = [] } = pod.status ?? {};
  return [...initContainerStatuses, ...containerStatuses].find((one) => one.name === container);
}
