/** Whether anything that is followed is away from its source. */

import { Cell } from '../cell';

const gone = new Set<object>();

export const away = new Cell(false);

export function mark(source: object, isAway: boolean): void {
  if (isAway) gone.add(source);
  else gone.delete(source);
  away.set(gone.size > 0);
}
