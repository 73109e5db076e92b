/** Times as people read them. */

/** A span as kubectl writes ages: `45s`, `3m20s`, `2h5m`, `4d3h`, `2y40d`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86_400)];
  const pair = (big: number, unit: string, small: number, smaller: string): string => `${big}${unit}${small ? `${small}${smaller}` : ''}`;
  if (seconds < 120) return `${seconds}s`;
  if (minutes < 10) return pair(minutes, 'm', seconds % 60, 's');
  if (hours < 3) return `${minutes}m`;
  if (hours < 8) return pair(hours, 'h', minutes % 60, 'm');
  if (days < 2) return `${hours}h`;
  if (days < 8) return pair(days, 'd', hours % 24, 'h');
  if (days < 730) return `${days}d`;
  return pair(Math.floor(days / 365), 'y', days % 365, 'd');
}

/** What is left of a time, in whole minutes: a text that is read out should seldom change. */
export function minutes(ms: number): string {
  const left = Math.floor(ms / 60_000);
  return left < 1 ? 'less than a minute' : `${left} minute${left === 1 ? '' : 's'}`;
}

/** The age of what came to be at an RFC 3339 time. */
export function age(since: string | undefined, now: number): string {
  const at = since ? Date.parse(since) : NaN;
  return Number.isNaN(at) ? '–' : span(now - at);
}

const STAMP = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

/** A whole date and time in the reader's own zone. */
export function stamp(at: string | number | undefined): string {
  const date = new Date(at ?? NaN);
  return Number.isNaN(date.getTime()) ? '–' : STAMP.format(date);
}

/** How often one may show `span` anew without missing a change. */
export const AGE_TICK_MS = 10_000;
