/** What this minicloud serves, so that a section can tell whether there is anything for it to show. */

import { Cell } from '../cell';
import { session } from '../session';
import { away } from './away';
import { ApiError, askJson } from './http';
import type { Resource } from './kube';
import { looked, sleep } from './wait';

export class Catalog {
  constructor(
    readonly paths: ReadonlySet<string>,
    /** Kinds of objects as `group/plural`. */
    readonly resources: ReadonlySet<string>,
  ) {}

  /** True when port 3000 serves this path, or one below it. */
  serves(path: string): boolean {
    return [...this.paths].some((known) => known === path || known.startsWith(`${path}/`));
  }

  /** True when the Kubernetes API serves these objects. */
  has(of: Resource): boolean {
    return this.resources.has(`${of.group}/${of.plural}`);
  }
}

/** Kubernetes' aggregated discovery: all groups in one answer. */
interface Discovery {
  items?: { metadata?: { name?: string }; versions?: { resources?: { resource: string }[] }[] }[];
}

export function resourcesOf(discovery: Discovery | null): Set<string> {
  const found = new Set<string>();
  for (const group of discovery?.items ?? []) {
    for (const version of group.versions ?? []) {
      for (const { resource } of version.resources ?? []) found.add(`${group.metadata?.name ?? ''}/${resource}`);
    }
  }
  return found;
}

export const catalog = new Cell<Catalog | null>(null);

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

/** What is refused is not served to the caller; any other failure tells nothing. */
export function unserved(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 403 || error.status === 404);
}

const FIRST_PAUSE_MS = 2000;
const LONGEST_PAUSE_MS = 60_000;
let asking = new AbortController();

/** Asks anew, until there is an answer; what is known holds until then. */
export async function refresh(): Promise<void> {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  if (!session.value) return catalog.set(null);
  for (let pause = FIRST_PAUSE_MS; !signal.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    const found = await look(signal).catch(() => null);
    if (signal.aborted) return;
    if (found) return catalog.set(found);
    await sleep(pause, signal);
    await looked(signal);
  }
}

async function look(signal: AbortSignal): Promise<Catalog> {
  const ask = <T>(path: string, headers: HeadersInit = {}): Promise<T | null> =>
    askJson<T>(path, { headers, signal }).catch((error: unknown) => {
      if (unserved(error)) return null;
      throw error;
    });
  const [api, core, groups] = await Promise.all([
    ask<{ paths?: Record<string, unknown> }>('/openapi.json'),
    ask<Discovery>('/kubernetes/api', { Accept: AGGREGATED }),
    ask<Discovery>('/kubernetes/apis', { Accept: AGGREGATED }),
  ]);
  return new Catalog(new Set(Object.keys(api?.paths ?? {})), new Set([...resourcesOf(core), ...resourcesOf(groups)]));
}

// A server that comes back may be another version of it, with other settings.
away.subscribe(() => {
  if (!away.value && session.value) void refresh();
});
session.subscribe(() => {
  asking.abort();
  catalog.set(null);
});
