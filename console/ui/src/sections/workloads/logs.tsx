/** A container's log as it is written. */

import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { asApiError, ask, type ApiError } from '../../api/http';
import { path, PODS } from '../../api/kube';
import { eachLines } from '../../api/lines';
import { sleep } from '../../api/wait';
import { useCell } from '../../cell';
import { serverNow } from '../../clock';
import type { ContainerStatus, Pod } from '../../model/types';
import { Choice, Empty, Failure, Search } from '../../parts/basics';
import { place, setQuery } from '../../router';
import { afterwards, newer, plain, readLog, split, type LogLine } from './lines';

/** Lines kept; older ones go. */
const KEPT = 5000;
/** Lines drawn at a time. */
const DRAWN = 1500;
/** Lines of the past to begin with. */
const TAIL = 1000;
const GATHER_MS = 100;
/** Closer to the end than this counts as at the end. */
const NEAR_PX = 40;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
/** A container that has ended or not begun is heard of by its pod's watch; this is for what nobody hears of. */
const REST_MS = 300_000;

export interface Streamed {
  lines: LogLine[];
  /** `waiting` for a container that has not begun, `away` while the server does not answer. */
  state: 'loading' | 'following' | 'waiting' | 'away' | 'ended' | 'failed';
  error: ApiError | null;
  /** True when there are older lines. */
  partial: boolean;
}

const BEGUN_ANEW = 'The container has begun anew.';

/** Follows the log, and goes on where it broke off: when the container begins, begins anew, or the server comes back. */
function useLog(pod: Pod, container: string, previous: boolean, follow: boolean): Streamed {
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
        const { state } = latest.current ?? {};
        const then = afterwards(error && error.status, asked, !state || state.running !== undefined);
        if (then === 'stop') return show(error ? 'failed' : 'ended', error);
        const waits = error?.status === 400;
        show(waits ? 'waiting' : error ? 'away' : then === 'rest' ? 'ended' : 'following', error);
        if (last !== had) pause = FIRST_PAUSE_MS;
        const turn = new AbortController();
        wake.current = () => turn.abort();
        await sleep(then === 'again' ? pause : REST_MS, AbortSignal.any([signal, turn.signal]));
        if (turn.signal.aborted) pause = FIRST_PAUSE_MS;
        else pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
      }
    };
    void run();
    return () => {
      stop.abort();
      clearTimeout(due);
    };
  }, [uid, container, previous, follow]);
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

/** How many lines there are, and what is with the log. */
function counted(log: Streamed, found: number | null): string {
  const many = log.partial ? `the last ${log.lines.length} lines` : `${log.lines.length} lines`;
  const words: Partial<Record<Streamed['state'], string>> = { ended: ', ended', away: ', reconnecting …', waiting: ', waiting' };
  return `${found === null ? many : `${found} of ${many}`}${words[log.state] ?? ''}`;
}

export function Logs({ pod }: { pod: Pod }) {
  const { query } = useCell(place);
  const names = [...(pod.spec.initContainers ?? []), ...pod.spec.containers].map((one) => one.name);
  const main = pod.spec.containers[0]?.name ?? '';
  const container = names.find((name) => name === query.get('container')) ?? main;
  const [previous, setPrevious] = useState(false);
  const [follow, setFollow] = useState(true);
  const [times, setTimes] = useState(false);
  const [wrap, setWrap] = useState(true);
  const [text, setText] = useState('');
  const log = useLog(pod, container, previous, follow);
  const wanted = text.trim();
  const found = wanted ? log.lines.filter((line) => line.text.toLowerCase().includes(wanted.toLowerCase())) : log.lines;
  const status = statusOf(pod, container);

  const box = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  useLayoutEffect(() => {
    if (atEnd.current && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [found]);
  const scrolled = (): void => {
    const { scrollTop, scrollHeight, clientHeight } = box.current as HTMLDivElement;
    atEnd.current = scrollHeight - scrollTop - clientHeight < NEAR_PX;
  };
  const save = (): void => {
    const whole = log.lines.map((line) => (line.time ? `${line.time} ${line.text}` : line.text)).join('\n');
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([`${whole}\n`], { type: 'text/plain' }));
    link.download = `${pod.metadata.name}-${container}.log`;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const box_ = (title: string, on: boolean, change: (on: boolean) => void, off = false) => (
    <label class="check">
      <input type="checkbox" checked={on} disabled={off} onChange={(event) => change(event.currentTarget.checked)} /> {title}
    </label>
  );
  return (
    <div class="logs">
      <div class="bar">
        {names.length > 1 && <Choice label="Container" value={container} options={names.map((name) => [name, name])} choose={(name) => setQuery({ container: name })} />}
        <Search value={text} change={setText} label="Search the log" />
        {box_('Follow', follow && !previous, setFollow, previous)}
        {box_('Before the last restart', previous, setPrevious, (status?.restartCount ?? 0) === 0 && !previous)}
        {box_('Times', times, setTimes)}
        {box_('Wrap', wrap, setWrap)}
        <button type="button" class="quiet" onClick={save} disabled={log.lines.length === 0}>
          Save
        </button>
        <span class="muted count" role="status">
          {counted(log, wanted ? found.length : null)}
        </span>
      </div>
      {log.error && (log.state === 'failed' || (log.state === 'away' && log.lines.length === 0)) && <Failure error={log.error} what="the log" />}
      {log.state === 'waiting' && log.lines.length === 0 && (
        <Empty title="The container has not begun">
          {status?.state?.waiting?.message ?? log.error?.message} Its log comes when it does.
        </Empty>
      )}
      {!log.error && log.lines.length === 0 && <Empty title={log.state === 'loading' ? 'Loading …' : 'Nothing has been logged'} />}
      {log.lines.length > 0 && (
        <div class={wrap ? 'lines wrap' : 'lines'} ref={box} onScroll={scrolled} tabIndex={0} role="log" aria-label={`Log of ${container}`} aria-live="off">
          {(log.partial || found.length > DRAWN) && <p class="muted">Older lines are not shown; kubectl logs has them all.</p>}
          {found.slice(-DRAWN).map((line) => (
            <div key={line.id} class={line.note ? 'muted' : undefined}>
              {times && line.time && <time>{line.time.slice(0, 23)}</time>}
              {split(plain(line.text), wanted).map((piece, n) => (n % 2 === 1 ? <mark key={n}>{piece}</mark> : piece))}
            </div>
          ))}
        </div>
      )}
    </div>
  );
}
