/** The pure part of tables: which rows are drawn, and in which order. */

/** Fewer rows are drawn whole. */
export const VIRTUAL_FROM = 120;
/** Rows drawn beyond the screen on either side. */
const MARGIN = 20;

/** Which of `count` rows of a height are in sight. Pure. */
export function inSight(count: number, height: number, top: number, screen: number): [number, number] {
  if (count < VIRTUAL_FROM) return [0, count];
  const first = Math.max(0, Math.floor(-top / height) - MARGIN);
  const last = Math.min(count, Math.ceil((screen - top) / height) + MARGIN);
  return [Math.min(first, Math.max(0, count - MARGIN)), Math.max(last, Math.min(count, MARGIN))];
}

export function compare(a: string | number, b: string | number): number {
  if (typeof a === 'number' && typeof b === 'number') return (Number.isNaN(a) ? -1 : a) - (Number.isNaN(b) ? -1 : b);
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}
