/** The pure part of charts: where scales begin and end, and how times are written on them. */

const DAY = 86_400;

/** How a time is written below a chart of this stretch, all in seconds since 1970. */
export function times(start: number, end: number, zone?: string): (at: number) => string {
  const long = end - start;
  const clock: Intl.DateTimeFormatOptions = { hour: '2-digit', minute: '2-digit', hour12: false };
  const day: Intl.DateTimeFormatOptions = { day: 'numeric', month: 'short' };
  const wanted = long <= DAY * 1.01 ? clock : long <= DAY * 8 ? { ...day, ...clock } : day;
  const format = new Intl.DateTimeFormat('en-GB', { ...wanted, ...(zone && { timeZone: zone }) });
  return (at) => format.format(at * 1000);
}

/** The scale starts at zero, unless there is less; and it has a height even when nothing moves. */
export function bounds(low: number | null, high: number | null, top: number | undefined): [number, number] {
  const most = Math.max(high ?? 0, top ?? 0);
  const least = Math.min(0, low ?? 0);
  return [least, most > least ? most * (top !== undefined && most <= top ? 1 : 1.08) : least + 1];
}

/** Where values stand between gaps; null when there are none such. */
export function alone(column: ArrayLike<number | null | undefined>): number[] | null {
  const missing = (n: number): boolean => column[n] === null || column[n] === undefined;
  const found: number[] = [];
  for (let n = 0; n < column.length; n += 1) {
    if (!missing(n) && missing(n - 1) && missing(n + 1)) found.push(n);
  }
  return found.length > 0 ? found : null;
}
