import { expect, it } from 'vitest'
import { rootRefusal } from '../../src/process/as-root.ts'
import { claude } from '../../workers/claude.ts'
import { codex } from '../../workers/codex.ts'

it.each([
  [
    'claude as root without IS_SANDBOX',
    claude,
    {},
    0,
    /Claude Code refuses to run as root without IS_SANDBOX; /,
  ],
  ['claude as root in a sandbox', claude, { IS_SANDBOX: '1' }, 0, null],
  ['claude as a user', claude, {}, 1000, null],
  ['codex as root', codex, {}, 0, null],
])('tells whether a CLI refuses: %s', (_, profile, environment, uid, refusal) => {
  const told = rootRefusal(profile, environment, uid)
  if (refusal === null) expect(told).toBeNull()
  else expect(told).toMatch(refusal)
})
