/** How well `text` answers to `asked`, lower is better; null when it does not. Letters in order, best when they are together. */
export function rank(text: string, asked: string): number | null {
  const [hay, needle] = [text.toLowerCase(), asked.toLowerCase()];
  const at = hay.indexOf(needle);
  if (at >= 0) return at + hay.length / 1000;
  let [from, gaps] = [0, 0];
  for (const letter of needle) {
    const found = hay.indexOf(letter, from);
    if (found < 0) return null;
    gaps += found - from;
    from = found + 1;
  }
  return 100 + gaps + hay.length / 1000;
}
