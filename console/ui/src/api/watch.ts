/**
 * Lists that stay current: one list and one watch per resource and namespace, shared by all views.
 *
 * What follows from an event is decided in {@link applyEvent}, which is pure; {@link Watch} does the asking: pages, bookmarks,
 * reconnecting with growing pauses, listing anew when the server has forgotten where we were (410).
 */

import { useEffect, useState } from 'preact/hooks';
import { session } from '../session';
import { mark } from './away';
import { ApiError, asApiError, ask, askJson, isAbort } from './http';
import { path, type ListOf, type Obj, type Resource } from './kube';
import { eachLines } from './lines';
import { looked, sleep } from './wait';

export interface WatchEvent {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: Obj & { code?: number; message?: string; reason?: string };
}

/** `loading` until the first list; `live`; `away` while the server does not answer; `refused` when the caller lacks the right. */
export type State = 'loading' | 'live' | 'away' | 'refused';

export interface Snapshot<T extends Obj> {
  state: State;
  items: T[];
  error: ApiError | null;
}

const PAGE = 500;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
/** Rights seldom change: what was refused is asked again after this while somebody looks, or when somebody comes back to it. */
const REFUSED_PAUSE_MS = 180_000;
/** Events that come close together are shown together. */
const GATHER_MS = 60;
/** A watch that nobody looks at goes on this long: whoever comes back sees it at once. */
const LINGER_MS = 30_000;

/** Applies an event; returns the version to go on from. */
export function applyEvent(objects: Map<string, Obj>, event: WatchEvent, version: string): string {
  const { type, object } = event;
  if (type === 'DELETED') objects.delete(object.metadata.uid);
  else if (type !== 'BOOKMARK') objects.set(object.metadata.uid, trimmed(object));
  return object.metadata.resourceVersion ?? version;
}

/** Without what no view shows and every object has much of. */
function trimmed<T extends Obj>(object: T): T {
  delete (object.metadata as unknown as Record<string, unknown>).managedFields;
  return object;
}

class Watch {
  snapshot: Snapshot<Obj> = { state: 'loading', items: [], error: null };
  listeners = new Set<() => void>();
  #objects = new Map<string, Obj>();
  #version = '';
  #stop = new AbortController();
  #due: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly url: string, readonly query: Record<string, string>) {
    void this.#run();
  }

  end(): void {
    this.#stop.abort();
    mark(this, false);
    clearTimeout(this.#due);
  }

  async #run(): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    while (!this.#stop.signal.aborted) {
      const began = Date.now();
      try {
        if (this.#version === '') await this.#list();
        await this.#follow();
        // The server ends a watch now and then.
        pause = FIRST_PAUSE_MS;
        if (Date.now() - began > FIRST_PAUSE_MS) continue;
      } catch (error) {
        if (isAbort(error) || this.#stop.signal.aborted) return;
        const problem = asApiError(error);
        if (problem.status === 410) {
          this.#version = '';
          continue;
        }
        if (problem.status === 401) return;
        const refused = problem.status === 403 || problem.status === 404;
        if (refused) {
          this.#version = '';
          this.#objects.clear();
          this.#show('refused', problem);
          await sleep(REFUSED_PAUSE_MS, this.#stop.signal);
          await looked(this.#stop.signal);
          continue;
        }
        this.#show('away', problem);
        if (Date.now() - began > LONGEST_PAUSE_MS) pause = FIRST_PAUSE_MS;
      }
      await sleep(pause * (0.75 + Math.random() / 2), this.#stop.signal);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }

  async #list(): Promise<void> {
    const objects = new Map<string, Obj>();
    let next = '';
    let version = '';
    do {
      const query = new URLSearchParams({ ...this.query, limit: String(PAGE), ...(next && { continue: next }) });
      const page = await askJson<ListOf<Obj>>(`${this.url}?${query}`, { signal: this.#stop.signal });
      for (const object of page.items) objects.set(object.metadata.uid, trimmed(object));
      version = page.metadata.resourceVersion ?? '';
      next = page.metadata.continue ?? '';
    } while (next !== '');
    this.#objects = objects;
    this.#version = version;
    this.#show('live', null);
  }

  async #follow(): Promise<void> {
    const query = new URLSearchParams({
      ...this.query,
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: this.#version,
    });
    const response = await ask(`${this.url}?${query}`, { signal: this.#stop.signal });
    this.#show('live', null);
    await eachLines(response, (lines) => {
      for (const line of lines) {
        const event = JSON.parse(line) as WatchEvent;
        if (event.type === 'ERROR') {
          throw new ApiError(event.object.code ?? 500, event.object.message ?? 'the watch broke off', '', event.object.reason);
        }
        this.#version = applyEvent(this.#objects, event, this.#version);
      }
      this.#due ??= setTimeout(() => {
        this.#due = undefined;
        this.#show('live', null);
      }, GATHER_MS);
    });
  }

  #show(state: State, error: ApiError | null): void {
    if (this.#stop.signal.aborted) return;
    this.snapshot = { state, items: [...this.#objects.values()], error };
    mark(this, state === 'away');
    for (const listener of [...this.listeners]) listener();
  }
}

const watches = new Map<string, { watch: Watch; users: number; lingering?: ReturnType<typeof setTimeout> }>();

session.subscribe(() => {
  for (const { watch, lingering } of watches.values()) {
    clearTimeout(lingering);
    watch.end();
  }
  watches.clear();
});

/** Follows a list until the returned function is called; `listener` hears each change. */
export function follow<T extends Obj>(
  of: Resource,
  namespace: string,
  query: Record<string, string>,
  listener: (snapshot: Snapshot<T>) => void,
): () => void {
  const url = path(of, namespace);
  const key = `${url}?${new URLSearchParams(query)}`;
  const known = watches.get(key);
  if (known?.users === 0 && known.watch.snapshot.state === 'refused') {
    // Whoever comes back may have got the right meanwhile.
    clearTimeout(known.lingering);
    known.watch.end();
    watches.delete(key);
  }
  const entry = watches.get(key) ?? { watch: new Watch(url, query), users: 0 };
  watches.set(key, entry);
  clearTimeout(entry.lingering);
  entry.users += 1;
  const { watch } = entry;
  const tell = (): void => listener(watch.snapshot as Snapshot<T>);
  watch.listeners.add(tell);
  tell();
  return () => {
    watch.listeners.delete(tell);
    entry.users -= 1;
    if (entry.users > 0) return;
    entry.lingering = setTimeout(() => {
      watch.end();
      if (watches.get(key) === entry) watches.delete(key);
    }, LINGER_MS);
  };
}

const NOTHING: Snapshot<never> = { state: 'loading', items: [], error: null };

/** The objects of a resource, all namespaces for `''`; nothing is asked for `null`. */
export function useWatch<T extends Obj>(of: Resource | null, namespace = '', query: Record<string, string> = {}): Snapshot<T> {
  const key = of && `${path(of, namespace)}?${new URLSearchParams(query)}`;
  const [known, setKnown] = useState<{ key: string | null; snapshot: Snapshot<T> }>({ key: null, snapshot: NOTHING });
  useEffect(() => {
    if (!of) return;
    return follow<T>(of, namespace, query, (snapshot) => setKnown({ key, snapshot }));
  }, [key]);
  return known.key === key ? known.snapshot : NOTHING;
}

/** One object of a resource, by name. */
export function useObject<T extends Obj>(of: Resource, namespace: string, name: string): Snapshot<T> & { object: T | undefined } {
  const snapshot = useWatch<T>(of, namespace, { fieldSelector: `metadata.name=${name}` });
  return { ...snapshot, object: snapshot.items[0] };
}
