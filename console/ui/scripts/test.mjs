// Bundles the tests beside the code and runs them by Node's own runner.
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const root = fileURLToPath(new URL('..', import.meta.url));
const out = join(root, 'node_modules/.cache/tests');
const found = readdirSync(join(root, 'src'), { recursive: true })
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => join('src', name));
rmSync(out, { recursive: true, force: true });
await build({
  root,
  logLevel: 'warn',
  configFile: false,
  build: {
    ssr: true,
    outDir: out,
    target: 'node20',
    rollupOptions: { input: Object.fromEntries(found.map((file) => [basename(file, '.ts'), join(root, file)])) },
  },
});
const bundles = readdirSync(out).filter((name) => name.endsWith('.test.js')).map((name) => join(out, name));
execFileSync(process.execPath, ['--test', ...bundles], { stdio: 'inherit' });
