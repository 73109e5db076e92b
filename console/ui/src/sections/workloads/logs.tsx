/** A container's log, to be followed, searched and saved. */

import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { useCell } from '../../cell';
import type { Pod } from '../../model/types';
import { Choice, Empty, Failure, Search } from '../../parts/basics';
import { place, setQuery } from '../../router';
import { plain, split } from './lines';
import { statusOf, useLog, type Streamed } from './log';

/** Lines drawn at a time. */
const DRAWN = 1500;
/** Closer to the end than this counts as at the end. */
const NEAR_PX = 40;

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
          {`${(status?.state?.waiting?.message ?? log.error?.message ?? '').replace(/\.$/, '')}. Its log comes when it does.`}
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
