/** Where one is: the address below /console/, and links that do not load the page anew. */

import { Cell } from './cell';
import { recall, remember } from './storage';

export const BASE = '/console/';

export interface Place {
  /** The path below the base, in parts: `['nodes', 'edge-1']`. */
  path: string[];
  query: URLSearchParams;
}

/** The place that an address names. Pure. */
export function parse(pathname: string, search: string): Place {
  const below = pathname.startsWith(BASE) ? pathname.slice(BASE.length) : '';
  const path = below.split('/').filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return { path, query: new URLSearchParams(search) };
}

/** `?bare=1`: a single screen inside another page, without what is around it. */
export const BARE = typeof window !== 'undefined' && new URLSearchParams(window.location.search).has('bare');

/** The address of a place. It keeps the namespace and the bareness of this one, unless `query` says otherwise. */
export function href(path: (string | undefined)[], query: Record<string, string | undefined> = {}): string {
  const kept = { ns: namespace.value, bare: BARE ? '1' : undefined };
  const said = Object.entries({ ...kept, ...query }).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const search = new URLSearchParams(said).toString();
  const parts = path.filter((part): part is string => part !== undefined && part !== '').map(encodeURIComponent);
  return `${BASE}${parts.join('/')}${search && `?${search}`}`;
}

const here = (): Place => parse(window.location.pathname, window.location.search);

export const place = new Cell<Place>(typeof window === 'undefined' ? parse(BASE, '') : here());

/** The namespace that lists show; all of them for `''`. */
export const namespace = new Cell<string>(
  typeof window === 'undefined' ? '' : (place.value.query.get('ns') ?? recall('session', 'namespace') ?? ''),
);
namespace.subscribe(() => remember('session', 'namespace', namespace.value || null));

export function go(address: string, replace = false): void {
  const now = window.location.pathname + window.location.search;
  if (address === now) return;
  window.history[replace ? 'replaceState' : 'pushState'](null, '', address);
  const before = place.value.path.join('/');
  arrive();
  if (!replace && place.value.path.join('/') !== before) window.scrollTo(0, 0);
}

/** Changes the query of this place; what is undefined goes. */
export function setQuery(change: Record<string, string | undefined>, replace = true): void {
  const { path, query } = place.value;
  const now = Object.fromEntries(query.entries());
  go(href(path, { ...now, ...change }), replace);
}

function arrive(): void {
  const next = here();
  const named = next.query.get('ns');
  if (named !== null) namespace.set(named);
  place.set(next);
}

/** Follows the browser's buttons and ordinary links. Called once. */
export function listen(): void {
  window.addEventListener('popstate', arrive);
  document.addEventListener('click', (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.('a');
    const address = link?.getAttribute('href');
    if (!link || link.target || link.hasAttribute('download') || !address?.startsWith(BASE)) return;
    event.preventDefault();
    go(address);
  });
}
