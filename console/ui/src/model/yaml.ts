/** Objects as YAML, to be read. Written only: nothing here parses. */

/** What needs no quotes: words, and paths and images with colons inside. */
const PLAIN = /^[A-Za-z_/.](?:[A-Za-z0-9_./@%+=-]|:(?=[A-Za-z0-9_./]))*(?: [A-Za-z0-9_./@%+=()-]+)*$/;
/** Quantities begin with digits and are no numbers. */
const QUANTITY = /^\d+(?:\.\d+)?(?:m|k|M|G|T|Ki|Mi|Gi|Ti|n|u)$/;
const AMBIGUOUS = /^(?:true|false|yes|no|on|off|null|y|n|~|\.|\.\.|\.nan|\.inf)$/i;

function scalar(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (typeof value !== 'string') return String(value);
  return (PLAIN.test(value) && !AMBIGUOUS.test(value)) || QUANTITY.test(value) ? value : JSON.stringify(value);
}

function isEmpty(value: object): boolean {
  return Array.isArray(value) ? value.length === 0 : Object.keys(value).length === 0;
}

function write(value: unknown, indent: string, out: string[]): void {
  if (Array.isArray(value)) {
    for (const item of value) entry(`${indent}-`, item, `${indent}  `, out, true);
  } else {
    for (const [key, item] of Object.entries(value as object)) {
      if (item !== undefined) entry(`${indent}${scalar(key)}:`, item, indent, out, false);
    }
  }
}

function entry(head: string, value: unknown, indent: string, out: string[], inList: boolean): void {
  if (typeof value === 'object' && value !== null) {
    if (isEmpty(value)) return void out.push(`${head} ${Array.isArray(value) ? '[]' : '{}'}`);
    const inner: string[] = [];
    write(value, inList || Array.isArray(value) ? indent : `${indent}  `, inner);
    if (inList) {
      // The first line of an item stands beside its dash.
      out.push(`${head} ${(inner[0] ?? '').slice(indent.length)}`, ...inner.slice(1));
    } else {
      out.push(head, ...inner);
    }
    return;
  }
  if (typeof value === 'string' && value.includes('\n') && /^[^\s]/.test(value) && !/[\u0000-\u0008\u000b-\u001f\ufeff]/.test(value)) {
    const keep = value.endsWith('\n') ? (value.endsWith('\n\n') ? '+' : '') : '-';
    const text = value.replace(/\n$/, '');
    const deeper = inList ? indent : `${indent}  `;
    out.push(`${head} |${keep}`, ...text.split('\n').map((line) => (line === '' ? '' : `${deeper}${line}`)));
    return;
  }
  out.push(`${head} ${scalar(value)}`);
}

export function toYaml(value: object): string {
  const out: string[] = [];
  write(value, '', out);
  return `${out.join('\n')}\n`;
}

/** An object as a person wants to see it: without bookkeeping. */
export function presentable(object: { metadata: object }): object {
  const { managedFields: _, ...metadata } = object.metadata as Record<string, unknown>;
  return { ...object, metadata };
}
