/** A table that sorts, and that draws only the rows in sight when there are many. */

import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { openRow } from './basics';
import { compare, inSight, VIRTUAL_FROM } from './sight';

export interface Column<T> {
  id: string;
  title: string;
  cell: (row: T) => ComponentChildren;
  /** What the column sorts by; it does not sort without. */
  sort?: (row: T) => string | number;
  /** As CSS writes it. Columns without share what is left. */
  width?: string;
  /** Numbers stand at the end. */
  end?: boolean;
  /** Left out where the screen is narrow. */
  wide?: boolean;
}

interface Props<T> {
  label: string;
  columns: Column<T>[];
  rows: T[];
  id: (row: T) => string;
  /** Where a row leads; the first column is the link. */
  href?: (row: T) => string;
  /** The column sorted by at first; `-` before it turns the order. */
  sort?: string;
  empty: ComponentChildren;
}

export function Table<T>({ label, columns, rows, id, href, sort, empty }: Props<T>) {
  const [order, setOrder] = useState(sort ?? '');
  const down = order.startsWith('-');
  const by = columns.find((column) => column.id === (down ? order.slice(1) : order));
  const sorted = useMemo(() => {
    const key = by?.sort;
    if (!key) return rows;
    const keyed = rows.map((row) => ({ row, key: key(row), id: id(row) }));
    keyed.sort((a, b) => (compare(a.key, b.key) || compare(a.id, b.id)) * (down ? -1 : 1));
    return keyed.map((one) => one.row);
  }, [rows, order]);

  const body = useRef<HTMLTableSectionElement>(null);
  const height = useRef(33);
  const [sight, setSight] = useState<[number, number]>([0, VIRTUAL_FROM]);
  const count = sorted.length;
  useLayoutEffect(() => {
    const look = (): void => {
      const table = body.current;
      if (!table) return;
      height.current = table.querySelector<HTMLElement>('tr[data-row]')?.offsetHeight || height.current;
      const next = inSight(count, height.current, table.getBoundingClientRect().top, window.innerHeight);
      setSight((now) => (now[0] === next[0] && now[1] === next[1] ? now : next));
    };
    look();
    if (count < VIRTUAL_FROM) return;
    window.addEventListener('scroll', look, { passive: true });
    window.addEventListener('resize', look);
    return () => {
      window.removeEventListener('scroll', look);
      window.removeEventListener('resize', look);
    };
  }, [count]);

  if (count === 0) return <>{empty}</>;
  const [first, last] = count < VIRTUAL_FROM ? [0, count] : [sight[0], Math.min(sight[1], count)];
  const gap = (rowsLeftOut: number) =>
    rowsLeftOut > 0 && (
      <tr aria-hidden="true">
        <td class="gap" colSpan={columns.length} style={{ height: `${rowsLeftOut * height.current}px` }} />
      </tr>
    );
  return (
    <div class="table">
      <table aria-label={label} aria-rowcount={count + 1}>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((column) => (
              <th
                key={column.id}
                scope="col"
                class={classes(column)}
                style={column.width ? { width: column.width } : undefined}
                aria-sort={column === by ? (down ? 'descending' : 'ascending') : undefined}
              >
                {column.sort ? (
                  <button type="button" onClick={() => setOrder(column === by && !down ? `-${column.id}` : column.id)}>
                    {column.title}
                    <span class="order" aria-hidden="true">
                      {column === by ? (down ? '▾' : '▴') : ''}
                    </span>
                  </button>
                ) : (
                  column.title
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body}>
          {gap(first)}
          {sorted.slice(first, last).map((row, n) => {
            const address = href?.(row);
            return (
              <tr
                key={id(row)}
                data-row
                aria-rowindex={first + n + 2}
                class={address ? 'leads' : undefined}
                onClick={address ? (event) => openRow(event, address) : undefined}
              >
                {columns.map((column, c) => (
                  <td key={column.id} class={classes(column)}>
                    {c === 0 && address ? <a href={address}>{column.cell(row)}</a> : column.cell(row)}
                  </td>
                ))}
              </tr>
            );
          })}
          {gap(count - last)}
        </tbody>
      </table>
    </div>
  );
}

function classes<T>(column: Column<T>): string | undefined {
  return [column.end && 'end', column.wide && 'wide'].filter(Boolean).join(' ') || undefined;
}
