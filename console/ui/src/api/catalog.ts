/** What this minicloud serves, so that a section can tell whether there is anything for it to show. */

import { Cell } from '../cell';
import { session } from '../session';
import { askJson } from './http';
import type { Resource } from './kube';

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

/** Asks anew; what cannot be found out counts as not served. */
export async function refresh(): Promise<void> {
  const asked = session.value;
  if (!asked) return catalog.set(null);
  const discover = (path: string) => askJson<Discovery>(path, { headers: { Accept: AGGREGATED } }).catch(() => null);
  const [api, core, groups] = await Promise.all([
    askJson<{ paths?: Record<string, unknown> }>('/openapi.json').catch(() => null),
    discover('/kubernetes/api'),
    discover('/kubernetes/apis'),
  ]);
  if (session.value !== asked) return;
  catalog.set(new Catalog(new Set(Object.keys(api?.paths ?? {})), new Set([...resourcesOf(core), ...resourcesOf(groups)])));
}
