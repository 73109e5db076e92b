// Drives the console in a real browser against a real minicloud. Started by tests/tests/console.rs inside the cluster's network:
// `node console.mjs SETTINGS`, a JSON file with `origin`, `embedder`, `kubectl`, `shots` and the tokens by name.
// A line that begins with `>` asks the one who started it for something, and is answered by a line.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { closeAll, load, open, PATIENCE_MS } from './browser.mjs';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { origin, embedder, tokens } = settings;
const base = `${origin}/console/`;
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
if (settings.shots) mkdirSync(settings.shots, { recursive: true });

const kubectl = (...words) => execFileSync(settings.kubectl, words, { encoding: 'utf8' });
const apply = (object) => execFileSync(settings.kubectl, ['create', '-f', '-'], { encoding: 'utf8', input: JSON.stringify(object) });

async function please(what) {
  console.log(`>${what}`);
  const { value } = await answers.next();
  assert.equal(value, 'done', `${what}: ${value}`);
}

async function until(what, condition) {
  const deadline = Date.now() + PATIENCE_MS;
  let last;
  for (;;) {
    try {
      last = await condition();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`${what}: not in time; last: ${last}`);
    await new Promise((wake) => setTimeout(wake, 100));
  }
}

async function shot(page, name) {
  if (settings.shots) await page.screenshot({ path: join(settings.shots, `${name}.png`), fullPage: true });
}

async function signIn(page, token) {
  await load(page, base);
  await page.fill('#token', token);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.shell');
}

/** Goes to a screen as a link would. */
async function visit(page, path, ready) {
  await page.evaluate((address) => {
    window.history.pushState(null, '', address);
    window.dispatchEvent(new PopStateEvent('popstate'));
  }, base + path);
  await page.waitForSelector(ready);
}

const SCREENS = [
  ['overview', '', '.figures'],
  ['nodes', 'nodes', 'tr[data-row]'],
  ['node', 'nodes/edge-1', '.facts'],
  ['pods', 'workloads/pods', 'tr[data-row]'],
  ['deployments', 'workloads/deployments', 'tr[data-row]'],
  ['deployment', 'workloads/deployments/shop/web', 'tr[data-row]'],
  ['events', 'workloads/events', '.events li'],
  ['charts', 'charts', '.plot canvas'],
  ['node-charts', 'nodes/edge-1/charts', '.plot canvas'],
  ['query', 'charts/query?q=node_load1', '.plot canvas'],
  ['alerts', 'alerts', '.panel'],
  ['impact', 'impact', '.empty, .impact'],
];

const tests = {
  async 'signing in'() {
    const browser = await open(origin, { expected: [401] });
    const { page } = browser;
    await load(page, origin);
    await page.waitForURL(base);
    await page.waitForSelector('#token');
    const says = (text) => page.waitForFunction((wanted) => document.querySelector('#token-error')?.textContent.includes(wanted), text);
    await page.click('button[type=submit]');
    await says('Paste a token');
    await page.fill('#token', 'nonsense');
    await page.click('button[type=submit]');
    await says('not valid here');
    await page.fill('#token', `x.${btoa('{"exp":1}')}.y`);
    await page.click('button[type=submit]');
    await says('has expired');
    await shot(page, 'signin');
    await page.fill('#token', `Bearer ${tokens.admin}`);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.figures');
    const kept = await page.evaluate(() => [sessionStorage.length, JSON.stringify(localStorage), document.cookie]);
    assert.ok(kept[0] > 0 && !kept[1].includes('eyJ') && kept[2] === '', JSON.stringify(kept));
    await page.reload();
    await page.waitForSelector('.figures');
    await page.click('button[aria-label^="Sign out"]');
    await page.waitForSelector('#token');
    assert.ok(!(await page.evaluate(() => JSON.stringify(sessionStorage))).includes('eyJ'));
    return browser;
  },

  async 'the site at a glance'() {
    const browser = await open(origin);
    const { page } = browser;
    await signIn(page, tokens.admin);
    await until('one node and a pod that fails', async () => {
      const text = await page.innerText('.figures');
      return /Nodes\s+1\/1/.test(text) && /failing/.test(text);
    });
    await page.waitForSelector('.matters >> text=shop/broken');
    await page.waitForSelector('.events >> text=BackOff');
    await visit(page, 'nodes/edge-1', 'text=Architecture');
    const facts = await page.innerText('main');
    for (const word of ['MemoryPressure', 'Kernel', 'containerd', 'UUID']) assert.ok(facts.includes(word), word);
    // The machine is measured while one looks.
    await page.waitForSelector('.meters >> text=cores');
    await until('the load of now', async () => /Load\s+\d/.test(await page.innerText('main')));
    await visit(page, 'nodes/edge-1/yaml', 'pre');
    assert.match(await page.innerText('pre'), /kind: Node\n/);
    return browser;
  },

  async 'a list is live'() {
    const browser = await open(origin);
    const { page } = browser;
    await signIn(page, tokens.admin);
    await visit(page, 'workloads/pods?ns=shop', 'tr[data-row]');
    kubectl('-n', 'shop', 'run', 'visitor', '--image=minicloud.local/busybox:1', '--restart=Never', '--', 'sleep', '1000');
    const row = page.locator('tr[data-row]', { hasText: 'visitor' });
    await row.waitFor();
    await row.locator('text=Running').waitFor();
    kubectl('-n', 'shop', 'delete', 'pod', 'visitor', '--grace-period=1', '--wait=false');
    await row.waitFor({ state: 'detached' });
    await page.fill('[data-search]', 'brok crash');
    await until('one row is left', async () => (await page.locator('tr[data-row]').count()) === 1);
    return browser;
  },

  async 'logs are followed'() {
    const browser = await open(origin);
    const { page } = browser;
    await signIn(page, tokens.admin);
    const name = kubectl('-n', 'shop', 'get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[0].metadata.name}');
    await visit(page, `workloads/pods/shop/${name}/logs`, '.lines >> text=request');
    const last = async () => Number(/request (\d+) /.exec((await page.innerText('.lines')).trim().split('\n').at(-1))?.[1]);
    const before = await last();
    await until('more lines', async () => (await last()) > before + 2);
    await page.fill('[data-search]', `REQUEST ${await last()} SERVED`);
    await until('the search leaves one', async () => (await page.locator('.lines mark').count()) === 1);
    await page.check('text=Times');
    await page.waitForSelector('.lines time');
    const broken = kubectl('-n', 'shop', 'get', 'pods', '-l', 'app=broken', '-o', 'jsonpath={.items[0].metadata.name}');
    await visit(page, `workloads/pods/shop/${broken}/logs`, '.logs');
    await page.check('text=Before the last restart');
    await page.waitForSelector('.lines >> text=cannot open the database');
    await shot(page, 'logs');
    // A container that has not begun, and one that dies and begins anew: what it said stays.
    const said = 'echo life begins; sleep 4; echo life ends; sleep 1; exit 1';
    apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'starter', namespace: 'shop' },
      spec: {
        terminationGracePeriodSeconds: 1,
        initContainers: [{ name: 'prepare', image: 'minicloud.local/busybox:1', command: ['sh', '-c', 'echo preparing; sleep 6'] }],
        containers: [{ name: 'main', image: 'minicloud.local/busybox:1', command: ['sh', '-c', said] }],
      },
    });
    browser.expected.push(400);
    await visit(page, 'workloads/pods/shop/starter/logs', 'text=The container has not begun');
    await shot(page, 'logs-waiting');
    await page.waitForSelector('.lines >> text=life begins');
    await page.waitForSelector('.lines >> text=has begun anew');
    const lines = (await page.innerText('.lines')).split('\n').filter(Boolean);
    assert.deepEqual(lines.slice(0, 4), ['life begins', 'life ends', 'The container has begun anew.', 'life begins'], lines.join());
    await page.selectOption('.logs select', 'prepare');
    await page.waitForSelector('.lines >> text=preparing');
    kubectl('-n', 'shop', 'delete', 'pod', 'starter', '--wait=false');
    return browser;
  },

  async 'what one may do is offered, and works'() {
    const browser = await open(origin);
    const { page } = browser;
    await signIn(page, tokens.admin);
    await visit(page, 'workloads/deployments/shop/spare', 'text=Up to date');
    await page.click('text=Scale …');
    await page.fill('dialog input[type=number]', '2');
    await page.click('dialog button[type=submit]');
    await page.waitForSelector('text=2 of 2');
    await page.click('text=Restart …');
    await page.click('dialog button[type=submit]');
    await until('the template is new', () => kubectl('-n', 'shop', 'get', 'deployment', 'spare', '-o', 'jsonpath={.spec.template.metadata.annotations}').includes('restartedAt'));
    await page.click('text=Delete …');
    assert.ok(await page.isDisabled('dialog button[type=submit]'), 'nothing is deleted by a slip');
    await shot(page, 'delete');
    await page.fill('dialog input', 'spare');
    await page.click('dialog button[type=submit]');
    await until('it is gone', () => !kubectl('-n', 'shop', 'get', 'deployments', '-o', 'name').includes('spare'));
    await page.waitForURL('**/workloads/deployments');
    return browser;
  },

  async 'charts over time'() {
    const browser = await open(origin);
    const { page } = browser;
    await signIn(page, tokens.reader);
    await visit(page, 'nodes/edge-1/charts?range=15m', '.plot canvas');
    const words = (title) => page.getAttribute(`section[aria-label="${title}"] .plot`, 'aria-label');
    const drawn = (title, what) => until(`${title} is drawn`, async () => assert.match(await words(title), what) ?? true);
    await drawn('CPU', /user: now \d/);
    await drawn('Memory', /total: now [\d.]+ [GM]iB/);
    // What is not in sight is not asked for.
    assert.equal(await page.locator('section[aria-label=Network] .plot').count(), 0);
    await page.locator('section[aria-label="Disk throughput"]').scrollIntoViewIfNeeded();
    await drawn('Disk throughput', /(read|written): now/);
    // The legend switches lines off, the crosshair gives the values of one time, dragging zooms in, a double click goes back.
    await page.locator('section[aria-label=CPU]').scrollIntoViewIfNeeded();
    const user = page.locator('section[aria-label=CPU] .legend button', { hasText: 'user' });
    await user.click();
    assert.equal(await user.getAttribute('aria-pressed'), 'false');
    const box = await page.locator('section[aria-label=CPU] .u-over').boundingBox();
    const y = box.y + box.height / 2;
    await page.mouse.move(box.x + box.width * 0.9, y);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.97, y, { steps: 5 });
    await page.mouse.up();
    await page.waitForURL(/range=\d+-\d+/);
    await page.goBack();
    await page.waitForURL(/range=15m/);
    await visit(page, 'workloads/pods?ns=shop', 'tr[data-row]');
    await until('pods have usage', async () => /[KM]iB/.test(await page.innerText('tbody')));
    await visit(page, 'charts/query', 'input[data-search]');
    await page.fill('input[data-search]', 'sum(up');
    browser.expected.push(400);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.chart >> text=parse error');
    await page.fill('input[data-search]', 'sum(up)');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.plot canvas');
    await shot(page, 'query');
    return browser;
  },

  async 'who may only look is offered nothing else'() {
    const browser = await open(origin);
    const { page } = browser;
    await signIn(page, tokens.reader);
    const reviews = [];
    page.on('response', (response) => response.url().endsWith('selfsubjectaccessreviews') && reviews.push(response.finished()));
    await visit(page, 'workloads/deployments/shop/web', 'tr[data-row]');
    await until('what one may do is known', () => reviews.length === 3);
    await Promise.all(reviews);
    assert.equal(await page.locator('.actions button').count(), 0);
    return browser;
  },

  async 'who may see one namespace sees that'() {
    const browser = await open(origin, { expected: [403] });
    const { page } = browser;
    await signIn(page, tokens.guest);
    await page.waitForSelector('text=You may not see nodes');
    await visit(page, 'workloads/pods', 'text=You may not see pods of all namespaces');
    await shot(page, 'forbidden');
    await page.fill('input[name=ns]', 'shop');
    await page.keyboard.press('Enter');
    await page.waitForSelector('tr[data-row]');
    return browser;
  },

  async 'the keyboard does all of it'() {
    const browser = await open(origin);
    const { page } = browser;
    await signIn(page, tokens.admin);
    await page.waitForSelector('.figures');
    await page.keyboard.press('g');
    await page.keyboard.press('w');
    await page.waitForURL('**/workloads');
    await page.waitForSelector('tr[data-row]');
    await page.keyboard.press('/');
    await page.keyboard.type('web');
    await until('the search narrows', async () => !(await page.innerText('tbody')).includes('broken'));
    await page.keyboard.press('Escape');
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await page.keyboard.press('k');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/workloads/pods/shop/web-*');
    await page.keyboard.press('u');
    await page.waitForURL('**/workloads/pods');
    await page.keyboard.press('?');
    await page.waitForSelector('dialog[open] >> text=Keys');
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog[open]', { state: 'detached' });
    await page.keyboard.press('Control+k');
    await page.waitForSelector('dialog[open] input');
    await page.keyboard.type('edge');
    await page.waitForSelector('[role=option][aria-selected=true] >> text=edge-1');
    await page.keyboard.press('Enter');
    await page.waitForURL('**/nodes/edge-1');
    // Single keys can be switched off, and stay so.
    await page.keyboard.press('?');
    await page.uncheck('dialog[open] input[type=checkbox]');
    await page.keyboard.press('Escape');
    await page.reload();
    await page.waitForSelector('.facts');
    await page.keyboard.press('u');
    await page.keyboard.press('?');
    assert.ok(page.url().endsWith('/nodes/edge-1') && (await page.locator('dialog[open]').count()) === 0, page.url());
    await page.keyboard.press('Control+k');
    await page.keyboard.type('keys');
    await page.keyboard.press('Enter');
    await page.check('dialog[open] input[type=checkbox]');
    await shot(page, 'keys');
    await page.keyboard.press('Escape');
    // The focus comes back to where it was, and a click on a dialog's edge closes nothing.
    await page.focus('.find');
    await page.keyboard.press('?');
    const edge = await page.locator('dialog[open]').boundingBox();
    await page.mouse.click(edge.x + 2, edge.y + 2);
    assert.equal(await page.locator('dialog[open]').count(), 1);
    await page.mouse.click(edge.x - 20, edge.y + 2);
    await page.waitForSelector('dialog[open]', { state: 'detached' });
    assert.ok(await page.evaluate(() => document.activeElement.matches('.find')));
    // Where the keyboard is can be seen.
    await page.keyboard.press('Tab');
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, 'none');
    return browser;
  },

  async 'every screen is whole on a phone, light and dark, and has names for everything'() {
    const all = [];
    for (const [mode, width, height, scheme] of [
      ['desktop', 1280, 860, 'light'],
      ['dark', 1280, 860, 'dark'],
      ['phone', 360, 740, 'light'],
    ]) {
      const browser = await open(origin, { width, height, scheme });
      const { page } = browser;
      await signIn(page, tokens.admin);
      for (const [name, path, ready] of SCREENS) {
        await visit(page, path, ready);
        const seen = await page.evaluate(look);
        assert.ok(seen.width <= width, `${name} is ${seen.width} wide on a ${mode}`);
        assert.deepEqual([seen.headings, seen.mains], [1, 1], `${name}: one heading, one main part`);
        assert.deepEqual(seen.nameless, [], `${name}: what has no name`);
        assert.deepEqual(seen.faint, [], `${name} (${mode}): what is hard to read`);
        assert.equal(seen.dark, scheme === 'dark', `${name} (${mode})`);
        await shot(page, `${mode}-${name}`);
      }
      if (mode === 'dark') {
        await page.keyboard.press('t');
        await page.keyboard.press('t');
        await until('it is light', async () => !(await page.evaluate(look)).dark);
        await page.reload();
        await page.waitForSelector('.shell');
        assert.ok(!(await page.evaluate(look)).dark, 'the choice is kept');
      }
      await page.click('.find');
      await page.waitForSelector('dialog[open] input');
      await page.keyboard.press('Escape');
      all.push(...browser.faults);
      await browser.close();
    }
    return { faults: all, close: async () => undefined };
  },

  async 'hundreds of pods are a list like any other'() {
    kubectl('create', 'namespace', 'crowd');
    await until('its service account', () => kubectl('-n', 'crowd', 'get', 'serviceaccounts', '-o', 'name').includes('default'));
    const labels = { app: 'crowd' };
    // More than a page of a list, and nobody schedules them.
    apply({
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: { name: 'crowd', namespace: 'crowd' },
      spec: {
        replicas: 520,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { schedulerName: 'nobody', containers: [{ name: 'main', image: 'minicloud.local/busybox:1' }] } },
      },
    });
    const browser = await open(origin);
    const { page } = browser;
    await signIn(page, tokens.admin);
    await visit(page, 'workloads/pods?ns=crowd', 'tr[data-row]');
    await page.waitForSelector('text=520 of 520 pods', { timeout: 3 * PATIENCE_MS });
    assert.ok((await page.locator('tr[data-row]').count()) < 200, 'only rows in sight are drawn');
    await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
    await page.waitForSelector('tr[aria-rowindex="521"]');
    kubectl('delete', 'namespace', 'crowd', '--wait=false');
    await until('they go', async () => !(await page.innerText('main')).includes('520 of'));
    return browser;
  },

  async 'only pages that were named may show it in a frame'() {
    const page = (port) => `<!doctype html><title>portal ${port}</title><iframe src="${base}nodes?bare=1" width="1000" height="600"></iframe>`;
    const portals = [embedder, embedder + 1].map((port) => createServer((_, response) => response.setHeader('Content-Type', 'text/html').end(page(port))).listen(port, '127.0.0.1'));
    const browser = await open(`http://127.0.0.1:${embedder}`);
    try {
      await load(browser.page, `http://127.0.0.1:${embedder}/`);
      const frame = browser.page.frameLocator('iframe');
      await frame.locator('#token').fill(tokens.reader);
      await frame.locator('button[type=submit]').click();
      await frame.locator('tr[data-row]').waitFor();
      await frame.locator('tr[data-row] a').first().click();
      await frame.locator('.facts').first().waitFor();
      const { pathname, search } = new URL(browser.page.frames()[1].url());
      assert.deepEqual([pathname, search], ['/console/nodes/edge-1', '?bare=1'], 'what it leads to is bare too');
      assert.equal(await frame.locator('header.top').count(), 0, 'a bare screen has nothing around it');
      await load(browser.page, `http://127.0.0.1:${embedder + 1}/`);
      await until('it is refused', () => browser.faults.some((fault) => fault.includes('frame-ancestors')));
      assert.equal(await frame.locator('#token').count(), 0);
    } finally {
      portals.forEach((portal) => portal.close());
    }
    // The other origin and the refusal are what this is about.
    browser.faults.length = 0;
    return browser;
  },

  async 'it is there at once'() {
    const browser = await open(origin);
    const { page } = browser;
    await signIn(page, tokens.admin);
    await page.waitForSelector('.figures');
    const paints = [];
    const overviews = [];
    for (let n = 0; n < 5; n += 1) {
      const began = Date.now();
      await page.reload();
      await page.waitForSelector('.matters li');
      overviews.push(Date.now() - began);
      paints.push(await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN));
    }
    const middle = (all) => Math.round(all.sort((a, b) => a - b)[2]);
    console.log(`first contentful paint ${middle(paints)} ms, overview complete ${middle(overviews)} ms (median of 5, warm)`);
    return browser;
  },

  async 'it lives through a restart of the server'() {
    const browser = await open(origin, { expected: [500, 502, 503] });
    const { page } = browser;
    await signIn(page, tokens.admin);
    await visit(page, 'workloads/pods?ns=shop', 'tr[data-row]');
    // Somebody else has the overview open all the while.
    const other = await page.context().newPage();
    await signIn(other, tokens.admin);
    await until('alerts are known', async () => /Alerts\s+\d/.test(await other.innerText('.figures')));
    await please('stop the server');
    await page.waitForSelector('text=Reconnecting');
    assert.ok((await page.locator('tr[data-row]').count()) > 0, 'what was known stays');
    await please('start the server without Prometheus');
    await page.waitForSelector('text=Reconnecting', { state: 'detached' });
    kubectl('-n', 'shop', 'run', 'late', '--image=minicloud.local/busybox:1', '--restart=Never', '--', 'sleep', '1000');
    await page.locator('tr[data-row]', { hasText: 'late' }).waitFor();
    await visit(page, 'nodes/edge-1/charts', 'text=Prometheus does not answer');
    await visit(page, 'alerts', 'text=cannot be shown');
    await shot(page, 'away');
    await visit(page, '', '.figures');
    for (const one of [page, other]) {
      await until('nothing is said of alerts', async () => /Alerts\s+–\s+not known/.test(await one.innerText('.figures')));
      assert.match(await one.innerText('main'), /Whether alerts fire is not known/);
    }
    await shot(other, 'overview-away');
    await page.waitForSelector('.matters li');
    return browser;
  },
};

/** Runs in the page: how wide it is, what has no name, what is hard to read. */
function look() {
  const shown = (element) => element.checkVisibility() && element.getClientRects().length > 0;
  const named = (element) =>
    element.getAttribute('aria-label') || element.innerText?.trim() || element.title || element.labels?.[0]?.innerText || element.querySelector?.('img[alt]')?.alt;
  const controls = [...document.querySelectorAll('button, a, input, select')].filter(shown);
  const probe = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colour) => {
    probe.clearRect(0, 0, 1, 1);
    probe.fillStyle = colour;
    probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const [r, g, b] = rgb(colour).map((part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (rgb(colour)[3] === 255) return colour;
    }
    return 'white';
  };
  const texts = [...document.querySelectorAll('body *')].filter(
    (element) => shown(element) && !element.closest(':disabled') && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()),
  );
  const faint = texts
    .map((element) => {
      const [a, b] = [light(getComputedStyle(element).color), light(behind(element))].sort((x, y) => y - x);
      return { text: element.innerText?.slice(0, 30), contrast: (a + 0.05) / (b + 0.05) };
    })
    .filter(({ contrast }) => contrast < 4.5)
    .map(({ text, contrast }) => `${text} ${contrast.toFixed(2)}`);
  return {
    width: document.scrollingElement.scrollWidth,
    headings: document.querySelectorAll('h1').length,
    mains: document.querySelectorAll('main').length,
    nameless: controls.filter((element) => !named(element)).map((element) => element.outerHTML.slice(0, 120)),
    faint,
    dark: light(getComputedStyle(document.body).backgroundColor) < 0.2,
  };
}

let [passed, failed] = [0, 0];
for (const [name, run] of Object.entries(tests)) {
  if (settings.only && !name.includes(settings.only)) continue;
  const began = Date.now();
  try {
    const browser = await run();
    const { faults } = browser;
    await browser.close();
    assert.deepEqual(faults, [], 'the page did what it should not');
    passed += 1;
    console.log(`ok ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED ${name}: ${error.stack ?? error}`);
  } finally {
    await closeAll();
  }
}
console.log(`console: ${passed} passed, ${failed} failed`);
process.exit(failed === 0 && passed > 0 ? 0 : 1);
