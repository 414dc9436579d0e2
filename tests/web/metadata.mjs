/** Prints what each of the model files named on the command line says about itself, or its error. */

import { readFileSync } from 'node:fs';

import { readMetadata } from '../../examples/web/src/metadata.js';

const found = process.argv.slice(2).map((path) => {
  try {
    return { metadata: readMetadata(new Uint8Array(readFileSync(path))) };
  } catch (error) {
    return { error: error.message };
  }
});
console.log(JSON.stringify(found));
