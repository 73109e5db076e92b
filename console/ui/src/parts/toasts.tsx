/** Short messages about what was done; read out by screen readers. */

import { Cell, useCell } from '../cell';

const STAY_MS = 5000;
/** What went wrong takes longer to be read. */
const FAILURE_MS = 20_000;
const shown = new Cell<{ id: number; text: string }[]>([]);
let next = 0;

export const complain = (text: string): void => say(text, FAILURE_MS);

export function say(text: string, stay = STAY_MS): void {
  const id = next++;
  shown.set([...shown.value.slice(-2), { id, text }]);
  setTimeout(() => shown.set(shown.value.filter((one) => one.id !== id)), stay);
}

export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {useCell(shown).map((one) => (
        <p key={one.id}>{one.text}</p>
      ))}
    </div>
  );
}
