// Chromium with a new profile, and an eye on everything that a page should not do.
import { rmSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

/** What Chromium would do by itself on the network, it does not. */
const QUIET = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
export const PATIENCE_MS = 20_000;

/** Browsers that nobody has closed yet. */
const left = new Set();

/** Closes what a test that failed left open, profiles and all. */
export async function closeAll() {
  for (const close of [...left]) await close();
}

/** Loads a page. Chromium drops a load when an interface comes or goes, as the pods' do: then it is asked again. */
export async function load(page, address) {
  for (let tries = 1; ; tries += 1) {
    try {
      return await page.goto(address);
    } catch (error) {
      if (tries === 5 || !error.message.includes('ERR_NETWORK_CHANGED')) throw error;
    }
  }
}

/** A browser of its own. `faults` fills with what went wrong on its pages; answers with these statuses are expected. */
export async function open(origin, { width = 1280, height = 860, scheme = 'light', expected: known = [] } = {}) {
  const profile = mkdtempSync(join(tmpdir(), 'mct-browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: QUIET,
    ignoreHTTPSErrors: true,
    viewport: { width, height },
    colorScheme: scheme,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const faults = [];
  const expected = [...known];
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  const watch = (page) => {
    page.on('pageerror', (error) => faults.push(`exception: ${error.message}`));
    page.on('console', (message) => {
      // The browser tells of every answer that is an error; those are looked at below.
      if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) faults.push(`console: ${message.text()}`);
    });
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol.startsWith('http') && url.origin !== origin) faults.push(`a request to ${url.origin}`);
      if (/eyJ[\w-]+\.eyJ/.test(request.url())) faults.push(`a token in the address ${url.pathname}`);
    });
    page.on('response', (response) => {
      if (response.status() >= 400 && !expected.includes(response.status())) faults.push(`${response.status()} ${response.url()}`);
    });
  };
  context.on('page', watch);
  const page = context.pages()[0] ?? (await context.newPage());
  watch(page);
  const close = async () => {
    left.delete(close);
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  };
  left.add(close);
  return { page, faults, expected, close };
}
