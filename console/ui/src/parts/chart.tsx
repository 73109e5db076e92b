/** Charts of Prometheus queries over time. The drawing itself is loaded with the first chart. */

import { useEffect, useMemo, useState } from 'preact/hooks';
import type { ComponentType } from 'preact';
import { catalog } from '../api/catalog';
import { asApiError, type ApiError } from '../api/http';
import { aligned, highest, queryRange, whatFailed, type Labels } from '../api/prometheus';
import { useRefreshed } from '../api/usage';
import { Cell, useCell } from '../cell';
import { serverNow } from '../clock';
import { loaded } from '../load';
import { bytes, count, cpus, percent, UNKNOWN } from '../model/quantity';
import { ranges, readRange, stepOf, windowOf, type Range } from '../model/range';
import { place, setQuery } from '../router';
import { Choice, Empty, Failure, Panel } from './basics';
import type { PlotProps } from './plot';

export type Unit = 'ratio' | 'bytes' | 'bytes/s' | 'cpus' | 'celsius' | 'count' | 'count/s' | 'seconds';

export interface Line {
  /** PromQL; `$w` stands for the window of a rate. */
  promql: string;
  /** The line's name, from a series' labels. */
  name: (labels: Labels) => string;
}

export interface ChartOf {
  title: string;
  unit: Unit;
  lines: Line[];
  /** Left out where there is nothing of it: not every machine has sensors. */
  optional?: boolean;
  /** The scale ends here even when the lines do not, such as 1 for a ratio. */
  top?: number;
}

/** More lines than these can be told apart by nobody. */
const MOST_LINES = 12;
export const REFRESHES: [string, string][] = [
  ['15', 'Every 15 s'],
  ['60', 'Every minute'],
  ['0', 'Not by itself'],
];

/** How often charts are drawn anew, in seconds. */
export const refreshing = new Cell(15);
/** Rises when somebody asks for new values now. */
const asked = new Cell(0);

export function shown(unit: Unit): (value: number | null) => string {
  const spec: Record<Unit, (value: number | null) => string> = {
    ratio: percent,
    bytes,
    'bytes/s': (value) => (value === null ? UNKNOWN : `${bytes(value)}/s`),
    cpus,
    celsius: (value) => (value === null ? UNKNOWN : `${value.toFixed(1)} °C`),
    count,
    'count/s': (value) => (value === null ? UNKNOWN : `${count(value)}/s`),
    seconds: (value) => (value === null ? UNKNOWN : value < 1 ? `${(value * 1000).toFixed(1)} ms` : `${value.toFixed(2)} s`),
  };
  return spec[unit];
}

/** The range in the address, which all charts of a screen share. */
export function useRange(): Range {
  return readRange(useCell(place).query.get('range'));
}

export function RangePicker() {
  const range = useRange();
  const every = useCell(refreshing);
  const options = ranges.map((one): [string, string] => [one.id, one.title]);
  if (!range.moves) options.unshift([range.id, range.title]);
  return (
    <div class="ranges">
      <Choice label="Time" value={range.id} options={options} choose={(id) => setQuery({ range: id }, false)} />
      <Choice label="Refresh" value={String(every)} options={REFRESHES} choose={(value) => refreshing.set(Number(value))} />
      <button type="button" onClick={() => asked.set(asked.value + 1)}>
        Refresh
      </button>
    </div>
  );
}

let drawing: Promise<ComponentType<PlotProps>> | null = null;

type Drawing = { view: ComponentType<PlotProps> } | { error: ApiError };

function usePlot(): Drawing | null {
  const [plot, setPlot] = useState<Drawing | null>(null);
  useEffect(() => {
    let current = true;
    drawing ??= loaded(() => import('./plot')).then((module) => module.Plot);
    drawing.then(
      (view) => current && setPlot({ view }),
      (error: unknown) => {
        // The next chart tries again.
        drawing = null;
        if (current) setPlot({ error: asApiError(error) });
      },
    );
    return () => {
      current = false;
    };
  }, []);
  return plot;
}

interface Data {
  names: string[];
  times: number[];
  columns: (number | null)[][];
  left: number;
  start: number;
  end: number;
}

async function fetchData(of: ChartOf, range: Range, signal: AbortSignal): Promise<Data> {
  const now = serverNow() / 1000;
  const step = stepOf(range.end(now) - range.start(now));
  // On whole steps, so that a new look at the same time gives the same points.
  const start = Math.floor(range.start(now) / step) * step;
  const end = range.moves ? Math.floor(range.end(now) / step) * step : Math.ceil(range.end(now) / step) * step;
  const answers = await Promise.all(
    of.lines.map((line) => queryRange(line.promql.replaceAll('$w', windowOf(step)), start, end, step, signal)),
  );
  const all = answers.flatMap((series, n) => series.map((one) => ({ ...one, name: of.lines[n]?.name(one.labels) ?? '' })));
  const kept = highest(all, MOST_LINES);
  return { names: kept.map((one) => one.name), ...aligned(kept, start, end, step), left: all.length - kept.length, start, end };
}

/** Lines that are told in words; a listener has no more patience. */
const WORDY = 4;

/** What a chart says, for those who do not see it: its highest lines. */
export function inWords(title: string, data: Pick<Data, 'names' | 'columns'>, show: (value: number | null) => string): string {
  const lines = data.names.map((name, n) => {
    const known = (data.columns[n] ?? []).filter((value): value is number => value !== null);
    return { name, now: known.at(-1) ?? null, most: known.reduce((a, b) => Math.max(a, b), -Infinity) };
  });
  lines.sort((a, b) => b.most - a.most || a.name.localeCompare(b.name, undefined, { numeric: true }));
  const told = lines.slice(0, WORDY).map(({ name, now, most }) => (now === null ? `${name}: nothing` : `${name}: now ${show(now)}, at most ${show(most)}`));
  return `${title}. ${told.join('; ')}`;
}

/** Whether an element is in sight, or about to be. */
function useSight(element: Element | null): boolean {
  const [sight, setSight] = useState(false);
  useEffect(() => {
    if (!element) return;
    const observer = new IntersectionObserver((entries) => setSight(entries.at(-1)?.isIntersecting ?? false), { rootMargin: '200px' });
    observer.observe(element);
    return () => observer.disconnect();
  }, [element]);
  return sight;
}

export function Chart({ of }: { of: ChartOf }) {
  const range = useRange();
  const every = useCell(refreshing);
  const again = useCell(asked);
  const key = `${range.id} ${again} ${of.lines.map((line) => line.promql).join(' ')}`;
  const load = useMemo(() => (signal: AbortSignal) => fetchData(of, range, signal), [key]);
  const [box, setBox] = useState<Element | null>(null);
  const sight = useSight(box);
  // A point is new after a step.
  const pause = range.moves && every > 0 ? Math.max(every, stepOf(range.end(0) - range.start(0))) : 0;
  const { value, error } = useRefreshed(sight ? load : null, pause * 1000, key);
  const plot = usePlot();
  const Plot = plot && 'view' in plot ? plot.view : null;
  const show = shown(of.unit);
  const problem = error ? asApiError(error) : null;
  if (of.optional && value && value.names.length === 0 && !problem) return null;
  return (
    <Panel title={of.title} aside={value && value.left > 0 ? <span class="muted">{`the highest ${MOST_LINES} of ${MOST_LINES + value.left}`}</span> : undefined}>
      <div class="chart" ref={setBox}>
        {plot && 'error' in plot && <Failure error={plot.error} what="the chart" />}
        {problem && <Away error={problem} />}
        {value && value.names.length === 0 && !problem && <p class="note">Nothing was measured in this time.</p>}
        {value && value.names.length > 0 && Plot && (
          <Plot
            names={value.names}
            times={value.times}
            columns={value.columns}
            start={value.start}
            end={value.end}
            show={show}
            bytes={of.unit.startsWith('bytes')}
            top={of.top}
            words={inWords(of.title, value, show)}
            zoom={(from, to) => setQuery({ range: `${Math.floor(from)}-${Math.ceil(to)}` }, false)}
            back={() => !range.moves && window.history.back()}
          />
        )}
        {!value && !problem && <p class="note">Loading …</p>}
      </div>
    </Panel>
  );
}

function Away({ error }: { error: ApiError }) {
  return (
    <p class="note" role="status">
      {whatFailed(error.status)} <span class="muted">{[error.message, error.hint].filter(Boolean).join('. ')}</span>
    </p>
  );
}

export function ChartGrid({ charts }: { charts: ChartOf[] }) {
  const served = useCell(catalog)?.serves('/prometheus') ?? true;
  if (!served) return <Empty title="There are no charts here">This minicloud serves no Prometheus, so nothing is known over time.</Empty>;
  return (
    <>
      <RangePicker />
      <div class="charts">
        {charts.map((chart) => (
          <Chart key={chart.title} of={chart} />
        ))}
      </div>
    </>
  );
}
