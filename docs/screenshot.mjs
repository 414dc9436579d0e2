/**
 * A picture of a web page in headless Chromium; of the page for browsers, with an answer on it.
 *
 *     node screenshot.mjs URL CHROMIUM PICTURE.png WIDTH HEIGHT [PHOTO]
 *
 * The packages of examples/web must be installed.
 */

import { createRequire } from 'node:module';

const require = createRequire(new URL('../examples/web/package.json', import.meta.url));
const { chromium } = require('playwright-core');

const [url, executablePath, picture, width, height, photo] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  // Containers have no user namespaces, and little shared memory.
  args: ['--no-sandbox', '--disable-dev-shm-usage'],
});
const page = await browser.newPage({
  viewport: { width: Number(width), height: Number(height) },
  colorScheme: 'light',
});
await page.goto(url);
if (photo) {
  await page.setInputFiles('#image-file', photo);
  await page.locator('#classes li').first().waitFor();
  await page.locator('#answer[aria-busy=false]').waitFor();
}
await page.screenshot({ path: picture });
await browser.close();
