/**
 * Preprocesses photos with the modules of examples/web.
 *
 *     node preprocess.mjs FOLDER
 *
 * FOLDER/cases.json is a list of `{config, width, height}`; case 3 reads its RGBA bytes from 3.rgba
 * and writes float32 to 3.resized and 3.input.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { normalized, resized } from '../../examples/web/src/preprocessing.js';

const folder = process.argv[2];
const cases = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8'));
for (const [index, { config, width, height }] of cases.entries()) {
  const data = readFileSync(join(folder, `${index}.rgba`));
  const pixels = resized(config, { data, width, height });
  writeFileSync(join(folder, `${index}.resized`), pixels);
  writeFileSync(join(folder, `${index}.input`), normalized(config, pixels));
}
