/**
 * Classifies photos on the built page in headless Chromium, as a person would.
 *
 *     node classify.mjs URL JOB.json CHROMIUM
 *
 * JOB has `models` and `photos`, lists of paths. Prints JSON: `answers` (model, photo, facts,
 * problem, classes with label, probability and text, values with their text) and `complaints` of
 * the browser.
 */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename } from 'node:path';

const require = createRequire(new URL('../../examples/web/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const [url, jobPath, chromiumPath] = process.argv.slice(2);
const { models, photos } = JSON.parse(readFileSync(jobPath, 'utf8'));

const browser = await chromium.launch({
  executablePath: chromiumPath,
  // Containers have no user namespaces, and little shared memory.
  args: ['--no-sandbox', '--disable-dev-shm-usage'],
});
const page = await browser.newPage();
const complaints = [];
page.on('pageerror', (error) => complaints.push(String(error)));
page.on('requestfailed', (request) => complaints.push(`${request.url()} failed`));
page.on('request', (request) => {
  if (!/^(data|blob):/.test(request.url()) && !request.url().startsWith(url)) {
    complaints.push(`${request.url()} is not from this server`);
  }
});
await page.goto(url);

/** @param {string} input @param {string} file */
async function give(input, file) {
  await page.setInputFiles(input, file);
  await page.locator('#answer[aria-busy=false]').waitFor();
}

async function answer() {
  const classes = await page.locator('#classes li:not([data-value])').evaluateAll((items) =>
    items.map((item) => ({
      label: item.firstElementChild.textContent,
      probability: Number(item.dataset.probability),
      text: item.lastElementChild.textContent,
    })),
  );
  const [facts, problem] = await Promise.all(
    ['#model-facts', '#problem'].map((id) => page.textContent(id)),
  );
  const values = await page
    .locator('#classes li[data-value]')
    .evaluateAll((items) => items.map((item) => [Number(item.dataset.value), item.textContent]));
  return { facts, problem, classes, values };
}

const answers = [];
for (const model of models) {
  await give('#model-file', model);
  for (const photo of photos) {
    await give('#image-file', photo);
    answers.push({ model: basename(model), photo: basename(photo), ...(await answer()) });
  }
}
await browser.close();
console.log(JSON.stringify({ answers, complaints }));
