import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export type RealCli = 'codex' | 'claude'

/**
 * The real CLI under `test/clis`, pinned there to the version its parser is tested with.
 * Throws when it is not installed; `node test/setup.mjs` installs it.
 */
export function realCli(name: RealCli): { path: string; version: string } {
  const path = fileURLToPath(new URL(`../clis/node_modules/.bin/${name}`, import.meta.url))
  const output = execFileSync(path, ['--version'], { encoding: 'utf8', timeout: 20_000 })
  const version = /\d+\.\d+\.\d+/.exec(output)?.[0]
  if (version === undefined)
    throw new Error(`Expected a version from ${path} --version, got ${output.trim()}`)
  return { path, version }
}

/** What to add to a CLI's command line, and to an otherwise empty environment beside PATH. */
export interface LocalModel {
  args: string[]
  env: Record<string, string>
}

/**
 * Points a CLI at a model server on loopback and at a home of the test's own, so that it neither reads nor
 * writes anything of the user's, and needs neither a login nor a network.
 *
 * `baseUrl` is the server's `http://127.0.0.1:<port>`, `home` an existing empty folder. The args go after those
 * of the profile, for codex also after its last one, the `-` that makes it read stdin; claude needs none.
 */
export function localModel(name: RealCli, baseUrl: string, home: string): LocalModel {
  switch (name) {
    case 'codex':
      return codexModel(baseUrl, home)
    case 'claude':
      return claudeModel(baseUrl, home)
  }
}

function codexModel(baseUrl: string, home: string): LocalModel {
  const provider = [
    'name = "local"',
    `base_url = "${baseUrl}/v1"`,
    'wire_api = "responses"',
    'request_max_retries = 0',
    'stream_max_retries = 0',
  ]
  const settings = [
    `model_providers.local = { ${provider.join(', ')} }`,
    'model_provider = "local"',
    // A model that codex has metadata for; others cost a warning item at the start of each run.
    'model = "gpt-5.5"',
    // Without a network codex otherwise waits about 5 s at its exit to deliver its analytics.
    'analytics.enabled = false',
    'check_for_update_on_startup = false',
  ]
  return {
    args: settings.flatMap((setting) => ['-c', setting]),
    // CODEX_HOME has to exist; codex refuses to start otherwise.
    // The key is never asked for here, but with it codex counts as logged in.
    env: { HOME: home, CODEX_HOME: home, CODEX_API_KEY: 'sk-local' },
  }
}

function claudeModel(baseUrl: string, home: string): LocalModel {
  return {
    args: [],
    env: {
      HOME: home,
      CLAUDE_CONFIG_DIR: home,
      ANTHROPIC_BASE_URL: baseUrl,
      ANTHROPIC_API_KEY: 'sk-ant-local',
      // As root claude refuses --dangerously-skip-permissions unless told that it is in a sandbox.
      IS_SANDBOX: '1',
      CLAUDE_CODE_MAX_RETRIES: '0',
      // No telemetry, no update check, no feature flags: the outside is not there.
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    },
  }
}
