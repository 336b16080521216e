import { describe, expect, it } from 'vitest'
import { withPassword } from '../../src/server/central.ts'

describe('withPassword', () => {
  it.each([
    ['', '[redis]\npassword = "pw"\n'],
    ['default_cli = "x"', 'default_cli = "x"\n\n[redis]\npassword = "pw"\n'],
    [
      '[redis]\nport = 1\n[agent_clis]\na = "b"\n',
      '[redis]\npassword = "pw"\nport = 1\n[agent_clis]\na = "b"\n',
    ],
    ['[redis] # mine', '[redis] # mine\npassword = "pw"\n'],
    ['[redis]\npassword = ""\nport = 1\n', '[redis]\npassword = "pw"\nport = 1\n'],
    [
      '[mail]\npassword = ""\n[redis]\nport = 1\n',
      '[mail]\npassword = ""\n[redis]\npassword = "pw"\nport = 1\n',
    ],
    [
      '[redis]\nport = 1\n[mail]\npassword = ""\n',
      '[redis]\npassword = "pw"\nport = 1\n[mail]\npassword = ""\n',
    ],
  ])('puts it into the [redis] table of %j', (text, expected) => {
    expect(withPassword(text, 'pw')).toBe(expected)
  })

  it.each(['redis = { port = 1 }\n', 'redis.port = 1\n', 'not toml'])(
    'finds no place in %j, and says so',
    (text) => {
      expect(() => withPassword(text, 'pw')).toThrow(expect.objectContaining({ code: 'config' }))
    },
  )
})
