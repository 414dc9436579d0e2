/**
 * Writes the page and everything that it needs into one folder, to be served as it is.
 *
 *     node build.mjs [--out dist] [EXPORTED]
 *
 * EXPORTED is a folder written by `export_model`; its .onnx and .tflite files are offered on the
 * page.
 */

import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const packages = join(here, 'node_modules');

const { values, positionals } = parseArgs({
  options: { out: { type: 'string', default: join(here, 'dist') } },
  allowPositionals: true,
});
const out = values.out ?? '';

for (const built of ['scripts', 'vendor', 'models']) {
  await rm(join(out, built), { recursive: true, force: true });
}
await build({
  entryPoints: [join(here, 'src/page.js')],
  outdir: join(out, 'scripts'),
  bundle: true,
  splitting: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  legalComments: 'eof',
  logLevel: 'warning',
});
for (const file of ['index.html', 'style.css']) await cp(join(here, file), join(out, file));

const onnxruntime = 'ort-wasm-simd-threaded.wasm';
await cp(join(packages, 'onnxruntime-web/dist', onnxruntime), join(out, 'vendor', onnxruntime));
// LiteRT.js takes the second pair where the browser has no relaxed SIMD.
for (const name of ['litert_wasm_internal', 'litert_wasm_compat_internal']) {
  for (const file of [`${name}.js`, `${name}.wasm`]) {
    await cp(join(packages, '@litertjs/core/wasm', file), join(out, 'vendor/litert', file));
  }
}

await mkdir(join(out, 'models'), { recursive: true });
const offered = positionals.length > 0 ? await copyModels(positionals[0]) : [];
await writeFile(join(out, 'models/index.json'), JSON.stringify(offered));
console.log(`Built ${out} with ${offered.length} models.`);

/**
 * Copies the models that the folder's manifest lists; their file names.
 *
 * @param {string} exported
 */
async function copyModels(exported) {
  const manifest = JSON.parse(await readFile(join(exported, 'manifest.json'), 'utf8'));
  const names = Object.keys(manifest.artifacts).filter((name) => /\.(onnx|tflite)$/.test(name));
  for (const name of names) await cp(join(exported, name), join(out, 'models', name));
  return names.sort();
}
