/** Names alone, for the palette: an object's metadata is a tenth of the object. */

import { askJson } from './http';
import { path, type Meta, type Resource } from './kube';

/** As many as anybody looks through. */
const MOST = 5000;

export async function names(of: Resource, namespace = ''): Promise<Meta[]> {
  const query = new URLSearchParams({ limit: String(MOST) });
  const list = await askJson<{ items: { metadata: Meta }[] }>(`${path(of, namespace)}?${query}`, {
    headers: { Accept: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1, application/json' },
  });
  return list.items.map((item) => item.metadata);
}
