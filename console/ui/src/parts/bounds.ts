/** The scale starts at zero, unless there is less; and it has a height even when nothing moves. */
export function bounds(low: number | null, high: number | null, top: number | undefined): [number, number] {
  const most = Math.max(high ?? 0, top ?? 0);
  const least = Math.min(0, low ?? 0);
  return [least, most > least ? most * (top !== undefined && most <= top ? 1 : 1.08) : least + 1];
}
