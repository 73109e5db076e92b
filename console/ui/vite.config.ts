import { defineConfig } from 'vite';

/** `npm run dev` serves the pages itself and asks a running minicloud for the rest. */
const server = process.env.MINICLOUD_URL ?? 'https://127.0.0.1:3000';
const ours = ['/kubernetes', '/prometheus', '/v1', '/openapi.json'];

export default defineConfig({
  base: '/console/',
  build: {
    target: 'es2022',
    // The folder is watched by cargo, so it must stay; scripts/build.mjs empties it.
    emptyOutDir: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  server: {
    proxy: Object.fromEntries(ours.map((path) => [path, { target: server, secure: false }])),
  },
});
