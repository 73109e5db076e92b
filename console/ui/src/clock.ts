/** The time as the server has it, and as all ages on the screen see it; the latter stands still while nobody looks. */

import { Cell } from './cell';
import { AGE_TICK_MS } from './model/time';

/** `Date` has whole seconds, and answers take time: less than this is no difference. */
const SAME_MS = 3000;

let ahead = 0;

/** How far the server's clock is ahead of ours, after an answer with this `Date`. Pure. */
export function aheadBy(date: string | null, now: number, known: number): number {
  const said = Date.parse(date ?? '');
  if (Number.isNaN(said)) return known;
  const found = said - now;
  return Math.abs(found - known) < SAME_MS ? known : found;
}

/** Takes the `Date` of an answer. */
export function heard(date: string | null): void {
  const next = aheadBy(date, Date.now(), ahead);
  if (next === ahead) return;
  ahead = next;
  clock.set(serverNow());
}

/** Milliseconds since 1970, by the server's clock: machines at the edge, and those of who looks at them, are often wrong. */
export const serverNow = (): number => Date.now() + ahead;

export const clock = new Cell(Date.now());

const tick = (): void => {
  if (!document.hidden) clock.set(serverNow());
};

export function start(): void {
  setInterval(tick, AGE_TICK_MS);
  document.addEventListener('visibilitychange', tick);
}
