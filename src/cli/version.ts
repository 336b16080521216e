import { readFileSync } from 'node:fs'

// In the built tree this file is dist/src/cli/version.js.
const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string
}

/** The version of this package. */
export const VERSION = manifest.version
