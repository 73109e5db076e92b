/** The time, as all ages on the screen see it; it stands still while nobody looks. */

import { Cell } from './cell';
import { AGE_TICK_MS } from './model/time';

export const clock = new Cell(Date.now());

const tick = (): void => {
  if (!document.hidden) clock.set(Date.now());
};

export function start(): void {
  setInterval(tick, AGE_TICK_MS);
  document.addEventListener('visibilitychange', tick);
}
