/** The browser's storage, or memory where it is refused (a frame in another site's page). */

const memory = new Map<string, string>();

function reach<T>(use: () => T, otherwise: () => T): T {
  try {
    return use();
  } catch {
    return otherwise();
  }
}

/** `session` ends with the tab, `local` stays. */
export type Place = 'session' | 'local';

const place = (where: Place): Storage => (where === 'session' ? sessionStorage : localStorage);

export function recall(where: Place, key: string): string | null {
  return reach(
    () => place(where).getItem(`minicloud.${key}`),
    () => memory.get(key) ?? null,
  );
}

export function remember(where: Place, key: string, value: string | null): void {
  const full = `minicloud.${key}`;
  reach(
    () => (value === null ? place(where).removeItem(full) : place(where).setItem(full, value)),
    () => void (value === null ? memory.delete(key) : memory.set(key, value)),
  );
}
