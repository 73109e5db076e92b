/** One chart, drawn by uPlot: crosshair shared by all charts of the screen, zoom by dragging, a legend that one can operate. */

import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { useCell } from '../cell';
import { shade } from '../theme';
import { alone, bounds, times } from './bounds';

export interface PlotProps {
  names: string[];
  times: number[];
  columns: (number | null)[][];
  start: number;
  end: number;
  show: (value: number | null) => string;
  /** Steps of the scale are powers of two. */
  bytes: boolean;
  top: number | undefined;
  /** The chart in words. */
  words: string;
  zoom: (from: number, to: number) => void;
  back: () => void;
}

const HEIGHT = 180;
const COLOURS = 12;
/** All charts of a page share the crosshair. */
const together = uPlot.sync('console');
const POWERS = Array.from({ length: 50 }, (_, n) => 2 ** n);

/** A colour of the styles as the canvas takes it: one that depends on nothing. */
function colour(name: string): string {
  const probe = document.createElement('i');
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

export function Plot(props: PlotProps) {
  const { names, times, columns, show } = props;
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const [at, setAt] = useState<number | null>(null);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const tint = useCell(shade);
  const shape = JSON.stringify(names);

  useEffect(() => {
    const target = box.current;
    if (!target) return;
    const made = new uPlot(options(latest, target.clientWidth, setAt), data(latest.current), target);
    chart.current = made;
    together.sub(made);
    const fit = new ResizeObserver(() => made.setSize({ width: target.clientWidth, height: HEIGHT }));
    fit.observe(target);
    return () => {
      fit.disconnect();
      together.unsub(made);
      made.destroy();
      chart.current = null;
    };
  }, [shape, tint]);

  useEffect(() => {
    chart.current?.setData(data(props), false);
    chart.current?.setScale('x', { min: props.start, max: props.end });
  }, [times, columns]);

  useEffect(() => {
    for (const [n, name] of names.entries()) {
      const wanted = !hidden.has(name);
      if (chart.current && chart.current.series[n + 1]?.show !== wanted) chart.current.setSeries(n + 1, { show: wanted });
    }
  }, [hidden, shape, tint]);

  const toggle = (name: string): void => {
    const next = new Set(hidden);
    if (!next.delete(name)) next.add(name);
    setHidden(next);
  };
  const value = (n: number): string => {
    const column = columns[n] ?? [];
    if (at !== null) return show(column[at] ?? null);
    return show(column.findLast((one) => one !== null) ?? null);
  };
  return (
    <>
      <div class="plot" ref={box} role="img" aria-label={props.words} onDblClick={props.back} />
      <ul class="legend">
        {names.map((name, n) => (
          <li key={`${n} ${name}`}>
            <button type="button" aria-pressed={!hidden.has(name)} onClick={() => toggle(name)} title="Show or hide">
              <i class={`line c${(n % COLOURS) + 1}`} aria-hidden="true" />
              <span class="name">{name}</span>
              <span class="value">{value(n)}</span>
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

function data({ times, columns }: PlotProps): uPlot.AlignedData {
  return [times, ...columns] as uPlot.AlignedData;
}

function options(latest: { current: PlotProps }, width: number, point: (at: number | null) => void): uPlot.Options {
  const { names, bytes, start, end } = latest.current;
  const axis: uPlot.Axis = {
    stroke: colour('--muted'),
    grid: { stroke: colour('--line'), width: 1 },
    ticks: { show: false },
    font: `11px ${getComputedStyle(document.body).fontFamily}`,
  };
  return {
    width,
    height: HEIGHT,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: 'console', setSeries: false },
      drag: { x: true, y: false, setScale: false },
      points: { size: 6 },
    },
    scales: {
      x: { time: true, min: start, max: end },
      y: { range: (_, low, high) => bounds(low, high, latest.current.top) },
    },
    axes: [
      { ...axis, size: 26, space: 86, values: (_, splits) => splits.map(times(start, end)) },
      {
        ...axis,
        size: 62,
        values: (_, splits) => splits.map((split) => latest.current.show(split)),
        ...(bytes ? { incrs: POWERS } : {}),
      },
    ],
    series: [
      {},
      ...names.map((label, n) => ({
        label,
        stroke: colour(`--c${(n % COLOURS) + 1}`),
        width: 1.5,
        // A line needs two points: one alone is a dot.
        points: { show: false, size: 5, filter: (plot: uPlot, line: number) => alone(plot.data[line] ?? []) },
      })),
    ],
    hooks: {
      setCursor: [(plot) => point(plot.cursor.idx ?? null)],
      setSelect: [
        (plot) => {
          const { left, width: wide } = plot.select;
          if (wide < 4) return;
          latest.current.zoom(plot.posToVal(left, 'x'), plot.posToVal(left + wide, 'x'));
          plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
        },
      ],
    },
  };
}
