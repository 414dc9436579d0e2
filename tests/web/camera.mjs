/**
 * Uses the page with the camera, on a small phone: starts it, and takes a photo.
 *
 *     node camera.mjs URL CHROMIUM
 *
 * The page must offer a model. Prints JSON: what is seen while the camera runs, and afterwards.
 */

import { createRequire } from 'node:module';

const require = createRequire(new URL('../../examples/web/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const [url, executablePath] = process.argv.slice(2);
const camera = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-dev-shm-usage', ...camera],
});
const page = await browser.newPage({ viewport: { width: 320, height: 568 } });
await page.goto(url);

async function seen() {
  return {
    button: await page.textContent('#camera'),
    video: await page.isVisible('#video'),
    photo: await page.isVisible('#preview'),
    classes: await page.locator('#classes li').count(),
    overflow: await page.evaluate(() => document.body.scrollWidth - window.innerWidth),
  };
}

await page.click('#camera');
await page.locator('#classes li').first().waitFor();
const running = await seen();
await page.click('#camera');
await page.locator('#preview:visible').waitFor();
const taken = await seen();
await browser.close();
console.log(JSON.stringify({ running, taken }));
