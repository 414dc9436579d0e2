/**
 * Prints the classes that an exported program finds in the RGBA bytes of FOLDER/photo.rgba.
 *
 *     node snippet.mjs FOLDER NAME WIDTH HEIGHT
 */

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, name, width, height] = process.argv.slice(2);
const { load } = await import(pathToFileURL(resolve(folder, `snippets/${name}_onnx.mjs`)).href);
const classifier = await load(new Uint8Array(readFileSync(join(folder, `${name}.onnx`))));
const data = readFileSync(join(folder, 'photo.rgba'));
const classes = await classifier.classify({ data, width: Number(width), height: Number(height) });
console.log(JSON.stringify(classes));
