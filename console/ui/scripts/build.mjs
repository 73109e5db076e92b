// Checks types, builds, compresses, and holds the result to its budgets. Run by `cargo xtask console`.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build } from 'vite';

/** What a browser fetches before the first screen, in bytes of gzip. */
const FIRST_BUDGET = 60 * 1024;
/** All of the console. */
const WHOLE_BUDGET = 160 * 1024;

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');

execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '--noEmit'], { cwd: root, stdio: 'inherit' });
for (const name of readdirSync(dist)) {
  if (!name.startsWith('.')) rmSync(join(dist, name), { recursive: true });
}
await build({ root, logLevel: 'warn' });

const files = readdirSync(dist, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
  .map((entry) => join(entry.parentPath, entry.name));
const sizes = new Map();
for (const file of files) {
  const content = readFileSync(file);
  const gzip = gzipSync(content, { level: 9 });
  const brotli = brotliCompressSync(content, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: content.length },
  });
  sizes.set(relative(dist, file), gzip.length);
  if (gzip.length < content.length) writeFileSync(`${file}.gz`, gzip);
  if (brotli.length < content.length) writeFileSync(`${file}.br`, brotli);
}

const page = readFileSync(join(dist, 'index.html'), 'utf8');
const first = [...page.matchAll(/(?:src|href)="\/console\/([^"]+)"/g)].map((match) => match[1]);
const sum = (names) => names.reduce((total, name) => total + (sizes.get(name) ?? 0), 0);
const firstSize = sum(first) + sizes.get('index.html');
const wholeSize = sum([...sizes.keys()]);
const kib = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`;
console.log(`console: first load ${kib(firstSize)} gzip of ${kib(FIRST_BUDGET)}, all of it ${kib(wholeSize)} of ${kib(WHOLE_BUDGET)}`);
if (firstSize > FIRST_BUDGET || wholeSize > WHOLE_BUDGET) {
  console.error('console: larger than its budget; load what a screen needs when it is opened, or raise the budget in scripts/build.mjs');
  process.exit(1);
}
if (/<script(?![^>]*\bsrc=)|<style|\son\w+=/.test(page)) {
  console.error('console: the page has inline script or style, which its own Content-Security-Policy refuses');
  process.exit(1);
}
if (statSync(dist).isDirectory() && !first.some((name) => name.endsWith('.js'))) {
  console.error('console: the page loads no script');
  process.exit(1);
}
