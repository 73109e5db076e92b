/** The keyboard: single keys that never get in the way of typing. */

import { Cell } from '../cell';
import { recall, remember } from '../storage';

/** What is open over the screen. */
export const overlay = new Cell<'' | 'palette' | 'help'>('');

/** Whether single letters do something. They can be switched off: who speaks to the machine says letters by the dozen. */
export const letters = new Cell(recall('local', 'letters') !== 'off');
letters.subscribe(() => remember('local', 'letters', letters.value ? null : 'off'));

const PATIENCE_MS = 1200;

function typing(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  return Boolean(element?.closest?.('input, textarea, select, [contenteditable]'));
}

/** Moves the focus by a row in the table where it is, or in the first one. */
function moveRow(step: number): void {
  const active = document.activeElement;
  const table = active?.closest('table') ?? document.querySelector('main table');
  const links = [...(table?.querySelectorAll<HTMLElement>('tr[data-row] td:first-child a') ?? [])];
  const row = active?.closest('tr');
  const now = links.findIndex((link) => link.closest('tr') === row);
  const next = links[now < 0 ? 0 : Math.max(0, Math.min(links.length - 1, now + step))];
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
}

function search(): void {
  const field = document.querySelector<HTMLInputElement>('main [data-search]');
  if (field) {
    field.focus();
    field.select();
  } else {
    overlay.set('palette');
  }
}

/** Listens until the returned function is called. `jump` gets the key after `g`. */
export function listen(jump: (key: string) => void, others: Record<string, () => void>): () => void {
  let waiting = 0;
  const keys: Record<string, () => void> = {
    '/': search,
    '?': () => overlay.set('help'),
    j: () => moveRow(1),
    k: () => moveRow(-1),
    ...others,
  };
  const pressed = (event: KeyboardEvent): void => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      overlay.set(overlay.value === 'palette' ? '' : 'palette');
      return;
    }
    if (!letters.value || event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || overlay.value || document.querySelector('dialog[open]')) return;
    if (Date.now() < waiting) {
      waiting = 0;
      event.preventDefault();
      jump(event.key);
    } else if (event.key === 'g') {
      waiting = Date.now() + PATIENCE_MS;
    } else if (keys[event.key]) {
      event.preventDefault();
      keys[event.key]?.();
    }
  };
  document.addEventListener('keydown', pressed);
  return () => document.removeEventListener('keydown', pressed);
}
