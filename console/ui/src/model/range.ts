/** The time that charts show: the last so many seconds, or a stretch that was dragged out. */

export interface Range {
  /** As the address has it: `1h`, or `from-to` in seconds since 1970. */
  id: string;
  title: string;
  start: (now: number) => number;
  end: (now: number) => number;
  /** False for a stretch that stands still. */
  moves: boolean;
}

const LASTS: [string, string, number][] = [
  ['15m', 'Last 15 minutes', 900],
  ['1h', 'Last hour', 3600],
  ['6h', 'Last 6 hours', 21_600],
  ['24h', 'Last 24 hours', 86_400],
  ['7d', 'Last 7 days', 604_800],
  ['30d', 'Last 30 days', 2_592_000],
];

const last = ([id, title, seconds]: [string, string, number]): Range => ({
  id,
  title,
  start: (now) => now - seconds,
  end: (now) => now,
  moves: true,
});

export const ranges: Range[] = LASTS.map(last);
const DEFAULT = ranges[1] as Range;

export function stretch(from: number, to: number): Range {
  const [start, end] = [Math.floor(Math.min(from, to)), Math.ceil(Math.max(from, to))];
  const title = (at: number): string => new Date(at * 1000).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
  return { id: `${start}-${end}`, title: `${title(start)} to ${title(end)}`, start: () => start, end: () => end, moves: false };
}

/** The range that an address names; an hour when it names none. */
export function readRange(id: string | null): Range {
  const known = ranges.find((range) => range.id === id);
  if (known) return known;
  const [from, to] = (id ?? '').split('-').map(Number);
  if (from && to && Number.isFinite(from) && Number.isFinite(to) && to - from >= 1 && to - from < 366 * 86_400) return stretch(from, to);
  return DEFAULT;
}

/** Seconds between points: some 240 of them, no closer than they are measured. */
export function stepOf(seconds: number): number {
  return Math.max(15, Math.ceil(seconds / 240 / 15) * 15);
}

/** Prometheus may be set to measure as seldom as this, in seconds. */
const SLOWEST = 30;

/** The window of a `rate`: four measurements at least, however often they are made. */
export const windowOf = (step: number): string => `${Math.max(4 * SLOWEST, step * 2)}s`;
