import { catalog } from '../api/catalog';
import { useCell } from '../cell';
import { href } from '../router';

/** Leads to the problems of a node, or to those that touch a pod. */
export function ImpactOf({ of }: { of: { node: string } | { pod: string } }) {
  const served = useCell(catalog)?.serves('/v1/impact') ?? false;
  return served ? <a href={href(['impact'], of)}>Impact</a> : null;
}
