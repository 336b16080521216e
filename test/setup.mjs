// What the tests need besides the npm packages: a redis-server, and the real codex and claude in test/clis.
import { execFileSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const clis = fileURLToPath(new URL('./clis/', import.meta.url))
const program = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url))

execFileSync(process.execPath, [program, 'bootstrap'], { stdio: ['ignore', 'ignore', 'inherit'] })

if (!clisAreInstalled()) {
  process.stderr.write('Installing the real codex and claude for the end-to-end tests (test/clis, once)…\n')
  // claude declares a newer Node.js than it needs: its program is native. Its install script only links that program.
  const install = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  execFileSync('npm', install, { cwd: clis, stdio: ['ignore', 'ignore', 'inherit'] })
  execFileSync(process.execPath, ['node_modules/@anthropic-ai/claude-code/install.cjs'], {
    cwd: clis,
    stdio: 'inherit',
  })
}

function clisAreInstalled() {
  try {
    const pins = JSON.parse(readFileSync(`${clis}package.json`, 'utf8')).dependencies
    const same = Object.entries(pins).every(
      ([name, pin]) =>
        JSON.parse(readFileSync(`${clis}node_modules/${name}/package.json`, 'utf8')).version === pin,
    )
    // Before its install script ran, claude is a stub of 500 bytes.
    return same && statSync(`${clis}node_modules/@anthropic-ai/claude-code/bin/claude.exe`).size > 1_000_000
  } catch {
    return false
  }
}
