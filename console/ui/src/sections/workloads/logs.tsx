/** A container's log as it is written. */

import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { asApiError, ask, isAbort, type ApiError } from '../../api/http';
import { path, PODS } from '../../api/kube';
import { eachLines } from '../../api/lines';
import { useCell } from '../../cell';
import type { Pod } from '../../model/types';
import { Choice, Empty, Failure, Search } from '../../parts/basics';
import { place, setQuery } from '../../router';
import { plain, readLog, split, type LogLine } from './lines';

/** Lines kept; older ones go. */
const KEPT = 5000;
/** Lines drawn at a time. */
const DRAWN = 1500;
/** Lines of the past to begin with. */
const TAIL = 1000;
const GATHER_MS = 100;
/** Closer to the end than this counts as at the end. */
const NEAR_PX = 40;

type Streamed = { lines: LogLine[]; state: 'loading' | 'following' | 'ended' | 'failed'; error: ApiError | null; dropped: boolean };

/** Follows the log, and goes on where it broke off when the container starts anew. */
function useLog(pod: Pod, container: string, previous: boolean, follow: boolean): Streamed {
  const [log, setLog] = useState<Streamed>({ lines: [], state: 'loading', error: null, dropped: false });
  const { namespace, name, uid } = pod.metadata;
  const restarts = pod.status?.containerStatuses?.find((one) => one.name === container)?.restartCount ?? 0;
  useEffect(() => {
    const stop = new AbortController();
    let lines: LogLine[] = [];
    let [next, dropped] = [0, false];
    let due: ReturnType<typeof setTimeout> | undefined;
    const show = (state: Streamed['state'], error: ApiError | null = null): void => {
      clearTimeout(due);
      due = undefined;
      if (!stop.signal.aborted) setLog({ lines, state, error, dropped });
    };
    const query = new URLSearchParams({ container, timestamps: 'true', tailLines: String(TAIL), ...(previous ? { previous: 'true' } : follow ? { follow: 'true' } : {}) });
    show('loading');
    ask(`${path(PODS, namespace, name, 'log')}?${query}`, { signal: stop.signal })
      .then(async (response) => {
        show('following');
        await eachLines(response, (more) => {
          lines = [...lines, ...more.map((line) => readLog(line, next++))];
          if (lines.length > KEPT) {
            lines = lines.slice(-KEPT);
            dropped = true;
          }
          due ??= setTimeout(() => show('following'), GATHER_MS);
        });
        show('ended');
      })
      .catch((error: unknown) => {
        if (!isAbort(error)) show('failed', asApiError(error));
      });
    return () => {
      stop.abort();
      clearTimeout(due);
    };
  }, [uid, container, previous, follow, restarts]);
  return log;
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
  const status = pod.status?.containerStatuses?.find((one) => one.name === container);

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
          {wanted ? `${found.length} of ${log.lines.length} lines` : `${log.lines.length} lines`}
          {log.state === 'ended' && ', ended'}
        </span>
      </div>
      {log.error && <Failure error={log.error} what="the log" />}
      {!log.error && log.lines.length === 0 && <Empty title={log.state === 'loading' ? 'Loading …' : 'Nothing has been logged'} />}
      {log.lines.length > 0 && (
        <div class={wrap ? 'lines wrap' : 'lines'} ref={box} onScroll={scrolled} tabIndex={0} role="log" aria-label={`Log of ${container}`} aria-live="off">
          {(log.dropped || found.length > DRAWN) && <p class="muted">Older lines are not shown; kubectl logs has them all.</p>}
          {found.slice(-DRAWN).map((line) => (
            <div key={line.id}>
              {times && line.time && <time>{line.time.slice(0, 23)}</time>}
              {split(plain(line.text), wanted).map((piece, n) => (n % 2 === 1 ? <mark key={n}>{piece}</mark> : piece))}
            </div>
          ))}
        </div>
      )}
    </div>
  );
}
