/** A value that views follow. The console's whole state management. */

import { useLayoutEffect, useState } from 'preact/hooks';

export class Cell<T> {
  #value: T;
  #listeners = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) listener();
  }

  /** Calls `listener` after each change; returns what ends that. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** The cell's value; the view is drawn anew when it changes. */
export function useCell<T>(cell: Cell<T>): T {
  const [, redraw] = useState(0);
  useLayoutEffect(() => {
    const seen = cell.value;
    const end = cell.subscribe(() => redraw((n) => n + 1));
    if (!Object.is(seen, cell.value)) redraw((n) => n + 1);
    return end;
  }, [cell]);
  return cell.value;
}
