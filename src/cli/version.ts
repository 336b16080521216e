import { readFileSync } from 'node:fs'

// In the built tree this file is dist/src/cli/version.js.
const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string
  engines: { node: string }
}

/** The version of this package. */
export const VERSION = manifest.version

/** The versions of Node.js that this package runs on. */
export const NODE_RANGE = manifest.engines.node
